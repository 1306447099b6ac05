/** Hydrographs of the rivers that matter now: level with alarm levels, forecast where there is one, and the rain of the basin. */
import { Label, Sign, make, mark, set, show, write } from "../shared/dom";
import { Chart, type Lines } from "../shared/chart";
import { age, date, minute, moment, number, symbol } from "../shared/format";
import type { History, Ring } from "../shared/history";
import type { State } from "../shared/state";
import { both, known, named, nameOf, pair } from "../shared/texts";
import type { Station } from "../shared/types";

const HOUR = 3_600_000;
/** How long a choice of rivers stays, in ms, so that curves do not jump. */
const TURN = 20_000;
/** A curve is drawn at most so often, in ms. */
const REDRAW = 5000;
/** Gauges whose mean is the rain of a basin. */
const GAUGES = 5;
/** How far a forecast, and our own outlook, are drawn. */
const AHEAD = 24 * HOUR;
const OUTLOOK = 3 * HOUR;
const NAMES = ["bd1", "bd2", "bd3", "record"];

/** Alarm levels of a station as lines of a chart; other names (plausible range, storage) are no limits. */
export function levelLines(levels: Record<string, number>): [string, number][] {
  return Object.entries(levels)
    .filter(([name]) => known("level", name))
    .map(([name, value]) => [named("level", name).vi, value]);
}

/** Millimetres by hour, the mean of the gauges that reported in it. */
export function rainOf(rings: readonly Ring[]): [number, number][] {
  const sums = new Map<number, number>();
  const counts = new Map<number, Set<Ring>>();
  for (const ring of rings) {
    for (const [at, mm] of ring) {
      // Stamped at the end of its interval.
      const hour = Math.floor((at - 1) / HOUR) * HOUR;
      sums.set(hour, (sums.get(hour) ?? 0) + mm);
      const gauges = counts.get(hour) ?? new Set<Ring>();
      counts.set(hour, gauges.add(ring));
    }
  }
  return [...sums].map(([hour, sum]) => [hour, sum / (counts.get(hour)?.size ?? 1)]);
}

/** The gauges of the basin above a river station: by links, or those nearest where the registry says nothing. */
export function gauges(state: State, river: Station): Station[] {
  const rain = state.of("rain");
  return rain.filter((station) => station.links?.["downstream"]?.includes(river.id)).slice(0, GAUGES);
}

export class Hydrographs {
  readonly #tiles: Tile[];
  #chosen = -Infinity;

  constructor(parent: HTMLElement, count: number, history: History) {
    this.#tiles = Array.from({ length: count }, () => new Tile(history));
    parent.append(...this.#tiles.map((tile) => tile.element));
  }

  update(state: State): void {
    if (performance.now() - this.#chosen > TURN || this.#tiles.some((tile) => tile.station && !state.stations.has(tile.station.id))) {
      const best = choose(state, this.#tiles.length);
      if (best.length) this.#chosen = performance.now();
      this.#tiles.forEach((tile, i) => tile.assign(best[i]));
    }
    for (const tile of this.#tiles) tile.update(state);
  }

  /** Draws anew at the next update: sizes or what is known have changed. */
  refresh(): void {
    for (const tile of this.#tiles) tile.drawn = -Infinity;
  }
}

/** With an alert first, then those nearest to their next alarm level, then those that report. */
function choose(state: State, count: number): Station[] {
  const weight = (station: Station) => {
    const value = state.number("water_level", station.id);
    const limits = NAMES.map((name) => station.levels[name]).filter((v): v is number => v !== undefined);
    const next = limits.find((limit) => value !== undefined && value < limit);
    const near = value === undefined || !limits.length ? -100 : next === undefined ? 0 : value - next;
    return (5 - (state.alarmed.get(station.id) ?? 5)) * 1000 + near - (value === undefined ? 500 : 0);
  };
  return state.of("river").sort((a, b) => weight(b) - weight(a) || (a.id < b.id ? -1 : 1)).slice(0, count);
}

class Tile {
  readonly element = make("article", "hydro");
  station: Station | undefined;
  drawn = -Infinity;
  readonly #sign = new Sign();
  readonly #name = make("b", "name");
  readonly #value = make("span", "value");
  readonly #trend = make("span", "trend");
  readonly #age = make("span", "age");
  readonly #foretold = new Label("p", "foretold");
  readonly #none = new Label("p", "none", both("unknown"));
  readonly #box = make("div", "curve");
  #chart: Chart | undefined;

  constructor(readonly history: History) {
    set(this.#box, "role", "img");
    const head = make("header", "", this.#sign.element, this.#name, this.#value, make("div", "line", this.#trend, this.#age), this.#foretold.element);
    this.element.append(head, make("div", "plot", this.#box, this.#none.element));
  }

  assign(station: Station | undefined): void {
    if (station?.id !== this.station?.id) this.drawn = -Infinity;
    this.station = station;
  }

  update(state: State): void {
    const { station } = this;
    show(this.element, station !== undefined);
    if (!station) return;
    const reading = state.value("water_level", station.id);
    const field = reading?.fields.find((f) => f.name === "value");
    const unit = state.unit("water_level", "value");
    const curve = this.history.ring("water_level", station.id, "value");
    this.#sign.alarm(state.alarmed.get(station.id));
    write(this.#name, nameOf(station));
    write(this.#value, field?.number === undefined ? "–" : `${number(field.number, unit)} ${symbol(unit)}`);
    write(this.#trend, trend(curve, reading?.at, unit));
    write(this.#age, reading ? age(state.now() - reading.at) : "");
    mark(this.element, "unknown", state.silent(station, "water_level"));
    mark(this.element, "doubtful", field?.flag === "suspect" || field?.flag === "bad");
    show(this.#none.element, curve.length === 0);
    const foretold = state.foretold("water_level", station.id);
    show(this.#foretold.element, foretold !== undefined);
    if (foretold) {
      const { forecast, stale } = foretold;
      mark(this.#foretold.element, "stale", stale);
      this.#foretold.write(both(stale ? "forecast.old" : "forecast", { by: forecast.by ?? "", at: (date(forecast.issued) === date(state.now()) ? minute : moment)(forecast.issued), age: age(state.now() - forecast.issued) }));
    }
    if (performance.now() - this.drawn < REDRAW) return;
    this.drawn = performance.now();
    this.#chart ??= new Chart(this.#box);
    const now = state.now();
    const rain = gauges(state, station).map((gauge) => this.history.ring("rain", gauge.id, "value"));
    const levels = levelLines(Object.fromEntries(Object.entries(station.levels).filter(([name]) => NAMES.includes(name))));
    const forecast = foretold?.forecast.points.filter(([at]) => at <= now + AHEAD);
    const outlook = outlookOf(state, station, now);
    const to = Math.max(now, forecast?.at(-1)?.[0] ?? now, outlook ? Math.min(outlook.high, now + OUTLOOK) : now);
    this.#chart.draw({ curve, forecast, stale: foretold?.stale ?? false, outlook, rain: rainOf(rain), levels, unit, now, from: now - 24 * HOUR, to });
    const { ahead } = this.#chart;
    const level = (value: number) => `${number(value, unit)} ${symbol(unit)}`;
    const said = ahead && { count: ahead.moments, from: moment(ahead.from), to: moment(ahead.to), least: level(ahead.least), most: level(ahead.most) };
    const course = outlook && { level: level(outlook.to), low: minute(outlook.low), high: minute(outlook.high) };
    const parts = [both("curve"), said && both("curve.forecast", said), course && both("curve.outlook", course)].filter((part) => part !== undefined);
    set(this.#box, "aria-label", `${nameOf(station)}: ${parts.map(pair).join("; ")}`);
  }
}

/** Where our own rules see the level go: the line on to the next alarm level, within its times. */
function outlookOf(state: State, station: Station, now: number): Lines["outlook"] {
  for (const { key, stream, values, updated } of state.alerts.values()) {
    const { level, rise, hours, low, high } = values;
    if (key !== station.id || stream !== "water_level" || [level, rise, hours, low, high].some((value) => !Number.isFinite(value))) continue;
    const outlook = { at: updated, value: level!, to: level! + rise! * hours!, low: updated + low! * HOUR, high: updated + high! * HOUR };
    if (outlook.high > now) return outlook;
  }
  return undefined;
}

/** Change over the last hour, with its sign: `▲ 0,18 m/g`. */
export function trend(ring: Ring, at: number | undefined, unit: string): string {
  if (at === undefined) return "";
  let before: [number, number] | undefined;
  let last: [number, number] | undefined;
  for (const point of ring) {
    if (point[0] <= at - HOUR * 0.75 && point[0] >= at - HOUR * 2.5) before = point;
    last = point;
  }
  if (!before || !last || last[0] === before[0]) return "";
  const rate = ((last[1] - before[1]) * HOUR) / (last[0] - before[0]);
  const text = number(Math.abs(rate), unit);
  const arrow = Number(text.replace(",", ".")) === 0 ? "=" : rate > 0 ? "▲" : "▼";
  return `${arrow} ${text} ${symbol(unit)}/${both("hour").vi}`;
}
