/** Reservoirs: level between dead storage and the crest, inflow and release, free storage, gates. */
import { Label, Sign, make, mark, show, write } from "../shared/dom";
import { age, number, symbol } from "../shared/format";
import type { State } from "../shared/state";
import { both, nameOf } from "../shared/texts";
import type { Station } from "../shared/types";

/** How long a choice stays, in ms. */
const TURN = 20_000;

export class Reservoirs {
  readonly #tiles: Tile[];
  #chosen = -Infinity;

  constructor(parent: HTMLElement, count: number) {
    this.#tiles = Array.from({ length: count }, () => new Tile());
    parent.append(...this.#tiles.map((tile) => tile.element));
  }

  update(state: State): void {
    if (performance.now() - this.#chosen > TURN) {
      // The three that hold floods back, those with an alert, then the largest flows.
      const weight = (s: Station) =>
        (s.labels?.["flood_control"] || s.levels["storage"] ? 1e7 : 0) + (5 - (state.alarmed.get(s.id) ?? 5)) * 1e5 + (state.number("reservoir", s.id, "q_in") ?? 0);
      const list = state.of("reservoir").sort((a, b) => weight(b) - weight(a));
      if (list.length) this.#chosen = performance.now();
      this.#tiles.forEach((tile, i) => (tile.station = list[i]));
    }
    for (const tile of this.#tiles) tile.update(state);
  }
}

class Figure {
  readonly element: HTMLElement;
  readonly #value = make("b");

  constructor(readonly key: "reservoir.in" | "reservoir.out" | "reservoir.free" | "reservoir.gates") {
    this.element = make("span", "figure", new Label("span", "", both(key)).element, this.#value);
  }

  write(value: number | undefined, unit: string): void {
    write(this.#value, value === undefined ? both("unknown.short").vi : `${number(value, unit)} ${symbol(unit)}`.trim());
    mark(this.element, "unknown", value === undefined);
  }
}

class Tile {
  readonly element = make("article", "reservoir");
  station: Station | undefined;
  readonly #sign = new Sign();
  readonly #name = make("b", "name");
  readonly #level = make("span", "value");
  readonly #age = make("span", "age");
  readonly #water = make("div", "water");
  readonly #full = make("div", "limit");
  readonly #crest = make("div", "limit");
  readonly #gauge = make("div", "tank", this.#water, this.#full, this.#crest);
  readonly #note = make("span", "note");
  readonly #figures = {
    in: new Figure("reservoir.in"),
    out: new Figure("reservoir.out"),
    free: new Figure("reservoir.free"),
    gates: new Figure("reservoir.gates"),
  };

  constructor() {
    const figures = make("div", "figures", ...Object.values(this.#figures).map(({ element }) => element));
    this.element.append(this.#gauge, make("header", "", this.#sign.element, this.#name, this.#level, this.#age), this.#note, figures);
  }

  update(state: State): void {
    const { station } = this;
    show(this.element, station !== undefined);
    if (!station) return;
    const reading = state.value("reservoir", station.id);
    const of = (name: string) => reading?.fields.find((field) => field.name === name && field.flag !== "bad")?.number;
    const level = of("level");
    const { dead, full_supply: full, design_flood: design, crest, storage } = station.levels;
    this.#sign.alarm(state.alarmed.get(station.id));
    write(this.#name, nameOf(station));
    write(this.#level, level === undefined ? "–" : `${number(level, "m")} m`);
    write(this.#age, reading ? age(state.now() - reading.at) : "");
    this.#figures.in.write(of("q_in"), "m3/s");
    this.#figures.out.write(of("q_out"), "m3/s");
    this.#figures.gates.write(of("gates_open"), "1");
    this.#figures.free.write(free(level, of("storage"), station.levels), "Mm3");
    const silent = state.silent(station, "reservoir");
    mark(this.element, "unknown", silent);
    // Without a lower end there is no share to draw: the tank is hatched, and the text says how far it is to the limit.
    const low = dead;
    const high = crest ?? design ?? (full === undefined ? undefined : full + 2);
    const drawn = low !== undefined && high !== undefined && level !== undefined && !silent;
    mark(this.#gauge, "unknown", !drawn);
    const share = (value: number) => Math.max(0, Math.min(100, ((value - (low ?? 0)) / ((high ?? 1) - (low ?? 0))) * 100));
    show(this.#water, drawn);
    show(this.#full, drawn && full !== undefined);
    show(this.#crest, drawn && design !== undefined);
    if (drawn) {
      this.#water.style.height = `${share(level)}%`;
      if (full !== undefined) this.#full.style.bottom = `${share(full)}%`;
      if (design !== undefined) this.#crest.style.bottom = `${share(design)}%`;
    }
    const parts: string[] = [];
    if (full !== undefined && level !== undefined) parts.push(`${both("level.full_supply").vi} ${number(full, "m")} (${signed(level - full)})`);
    else if (full === undefined) parts.push(both("reservoir.nolevels").vi);
    if (storage !== undefined) parts.push(`${both("level.storage").vi} ${number(storage, "Mm3")} Mm³`);
    write(this.#note, parts.join(" · "));
  }
}

const signed = (value: number) => `${value >= 0 ? "+" : "−"}${number(Math.abs(value), "m")} m`;

/**
 * Free storage below full supply, Mm³: by the storage that the owner reports; nothing else is known of a lake's shape, so without it only a
 * lake at or above full supply has a figure: none.
 */
function free(level: number | undefined, held: number | undefined, levels: Record<string, number>): number | undefined {
  const { storage, full_supply: full } = levels;
  if (held !== undefined && storage !== undefined) return Math.max(0, storage - held);
  return level !== undefined && full !== undefined && level >= full ? 0 : undefined;
}
