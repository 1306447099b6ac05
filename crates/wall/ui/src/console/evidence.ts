/**
 * Why an alert stands: its curve with the limits, the release and the rain behind it, the three nearest cameras, the values, the steps with who
 * and when, and who was told. A server without this route still gives what the live state knows.
 */
import { level } from "../shared/alerts";
import { get, path, query } from "../shared/api";
import { Chart } from "../shared/chart";
import { Label, Sign, Todo, button, label, make, show, write } from "../shared/dom";
import { age, full, number, symbol } from "../shared/format";
import { km, whereIs } from "../shared/geo";
import { Ring } from "../shared/history";
import type { State } from "../shared/state";
import { both, named, nameOf, pair, known } from "../shared/texts";
import type { Alert, Evidence, Series } from "../shared/types";
import { CameraTile } from "../panels/cameras";
import { holder } from "../panels/alerts";
import { levelLines, rainOf } from "../panels/hydro";
import { main } from "../panels/stations";
import { said } from "./handover";
import type { Orders } from "./orders";

const HOUR = 3_600_000;
/** Before the onset, so that the way there is seen. */
const BEFORE = 12 * HOUR;
const MOST_ROWS = 60;
const CHARTS = 3;

interface Loaded {
  about: Evidence["series"][number];
  ring: Ring;
  unit: string;
}

export class EvidencePanel {
  readonly element = make("section", "evidence");
  alert: Alert | null = null;
  readonly #sign = new Sign();
  readonly #title = new Label("h2");
  readonly #about = make("p", "note");
  readonly #todo = new Todo();
  readonly #charts = Array.from({ length: CHARTS }, () => ({ element: make("figure", "evidence-curve"), name: make("figcaption"), box: make("div", "curve"), chart: null as Chart | null }));
  readonly #cameras = Array.from({ length: 3 }, () => new CameraTile());
  readonly #why = make("dl", "why");
  readonly #steps = make("ol", "steps");
  readonly #notes = make("ol", "steps");
  readonly #deliveries = make("ol", "steps");
  readonly #frames = make("div", "frames");
  readonly #body = make("div", "evidence-body");
  readonly #none = label("p", "none", "evidence.none");

  readonly #actions: HTMLElement;

  constructor(readonly orders: Orders) {
    const act = (run: (alert: Alert) => Promise<void>) => () => this.alert && void run(this.alert);
    this.#actions = make(
      "div", "actions",
      button("do.acknowledge", act((alert) => orders.acknowledge(alert)), "primary"),
      button("do.assign", act((alert) => orders.assign(alert))),
      button("do.comment", act((alert) => orders.comment(alert))),
      button("do.coming", act((alert) => orders.coming(alert))),
      button("do.shelve", act((alert) => (alert.shelf ? orders.unshelve(alert) : orders.shelve(alert)))),
    );
    for (const chart of this.#charts) {
      chart.element.append(chart.name, chart.box);
      show(chart.element, false);
    }
    this.#frames.append(...this.#cameras.map((tile) => tile.element));
    const part = (key: Parameters<typeof both>[0], body: HTMLElement) => make("section", "part", label("h3", "", key), body);
    this.#body.append(
      make("header", "", this.#sign.element, this.#title.element), this.#about, this.#todo.element, this.#actions,
      ...this.#charts.map(({ element }) => element),
      part("evidence.frames", this.#frames), part("evidence.why", this.#why), part("evidence.notes", this.#notes), part("evidence.steps", this.#steps), part("evidence.deliveries", this.#deliveries),
    );
    this.#body.tabIndex = -1;
    show(this.#body, false);
    this.element.append(this.#none, this.#body);
  }

  focus(): void {
    this.#body.focus();
  }

  close(): void {
    this.alert = null;
    show(this.#body, false);
    show(this.#none, true);
  }

  async open(alert: Alert, state: State): Promise<void> {
    this.alert = alert;
    show(this.#body, true);
    show(this.#none, false);
    this.#head(alert, state);
    const answer = await get<Evidence>(path("alerts", alert.id));
    if (this.alert?.id !== alert.id) return;
    const evidence = answer.ok ? answer.data : ofState(alert, state);
    this.#cameras.forEach((tile, i) => tile.assign(state.cameras.get(evidence.cameras[i]?.id ?? "")));
    this.#explain(evidence, state);
    this.#list(evidence);
    await this.#draw(evidence, state);
  }

  /** What changes while it is open. */
  update(state: State, connected: boolean): void {
    if (!this.alert) return;
    const now = state.alerts.get(this.alert.id);
    if (now && now !== this.alert) {
      const changed = now.updated !== this.alert.updated || now.ack !== this.alert.ack || now.notes?.length !== this.alert.notes?.length;
      this.alert = now;
      if (changed) void this.open(now, state);
    }
    this.#head(this.alert, state);
    for (const tile of this.#cameras) tile.update(state, connected);
  }

  #head(alert: Alert, state: State): void {
    this.#sign.set(level(alert));
    this.#title.write(alert.text);
    const parts = [state.about(alert), `${pair(both("evidence.since"))} ${full(alert.since)} (${age(state.now() - alert.since)})`, pair(holder(alert))];
    if (!state.alerts.has(alert.id)) parts.push(pair(both("state.cleared")));
    write(this.#about, parts.join(" · "));
    show(this.#actions, this.orders.may("acknowledge"));
    this.#todo.write(state.advice.get(alert.rule));
  }

  #explain({ alert, causes, series }: Evidence, state: State): void {
    const rows: [string, string][] = [[pair(both("evidence.rule")), `${alert.rule} (${alert.rule_version})`]];
    for (const [name, value] of Object.entries(alert.values)) {
      const unit = state.unit(alert.stream, name);
      rows.push([pair(named("field", name)), `${number(value, unit)} ${symbol(unit)}`]);
    }
    for (const [name, value] of Object.entries(series[0]?.levels ?? {})) {
      const [of, called] = [(name: string) => both("evidence.limit", { name }), named("level", name)];
      if (known("level", name)) rows.push([pair({ vi: of(called.vi).vi, en: of(called.en).en }), number(value, state.unit(series[0]!.stream, series[0]!.field))]);
    }
    for (const { stream, key, at } of causes.slice(0, 8)) rows.push([pair(both("evidence.cause")), `${state.place(key)?.name ?? key} · ${nameOf(state.streams.get(stream) ?? { name: stream, name_en: stream })} · ${full(at)}`]);
    this.#why.replaceChildren(...rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  }

  #list({ alert, steps, deliveries }: Evidence): void {
    const none = () => make("li", "note", pair(both("evidence.empty")));
    const fill = (list: HTMLElement, rows: HTMLElement[]) => list.replaceChildren(...(rows.length ? rows.slice(-MOST_ROWS) : [none()]));
    // New figures are the curve's business.
    fill(this.#steps, steps.filter(({ kind }) => kind !== "updated").map((step) => make("li", "", [full(step.at), pair(named("step", step.kind)), said(step)].filter(Boolean).join(" · "))));
    fill(this.#notes, (alert.notes ?? []).map((note) => make("li", "", `${full(note.at)} · ${note.by} · ${note.kind === "coming" ? pair(both("do.coming")) : note.text}`)));
    fill(this.#deliveries, deliveries.map((sent) => make("li", "", `${full(sent.at)} · ${sent.sink}${sent.recipient ? ` · ${sent.recipient}` : ""} · ${pair(named("outcome", sent.outcome))}`)));
  }

  async #draw({ alert, series, causes }: Evidence, state: State): Promise<void> {
    const to = Math.round(alert.ended ?? state.now());
    const from = Math.round(Math.max(alert.since - BEFORE, to - 48 * HOUR));
    for (const chart of this.#charts) show(chart.element, false);
    const loaded: Loaded[] = [];
    for (const about of wanted(alert, series, state)) {
      const answer = await get<Series>(`/api/series${query({ stream: about.stream, key: about.key, field: about.field, from, to, points: 600 })}`);
      if (this.alert?.id !== alert.id) return;
      const ring = new Ring();
      if (answer.ok) for (const [at, mean] of answer.data.points) ring.push(at, mean);
      else {
        const value = state.value(about.stream, about.key);
        const field = value?.fields.find((f) => f.name === about.field);
        if (value && field?.number !== undefined) ring.push(value.at, field.number);
      }
      loaded.push({ about, ring, unit: state.unit(about.stream, about.field) });
      this.#curves(loaded, { alert, causes }, from, to, state);
    }
  }

  /** Each as it comes: the alert's own is the first. */
  #curves(loaded: Loaded[], { alert, causes }: Pick<Evidence, "alert" | "causes">, from: number, to: number, state: State): void {
    const rain = loaded.filter(({ about }) => about.stream === "rain" && about.key !== alert.key);
    const curves = loaded.filter((curve) => !rain.includes(curve));
    this.#charts.forEach((chart, i) => {
      const curve = curves[i];
      show(chart.element, curve !== undefined);
      if (!curve) return;
      const { about, ring, unit } = curve;
      const place = state.place(about.key);
      write(chart.name, `${place ? nameOf(place) : about.key} · ${pair(named("field", about.field))} (${symbol(unit) || "1"})${ring.length ? "" : ` · ${pair(both("unknown"))}`}${i === 0 && rain.length ? ` · ${pair(both("evidence.rain", { count: rain.length }))}` : ""}`);
      chart.chart ??= new Chart(chart.box);
      chart.chart.draw({ curve: ring, levels: levelLines(about.levels), unit, from, to, now: to, rain: i === 0 ? rainOf(rain.map((r) => r.ring)) : [], marks: i === 0 ? causes.map(({ at }) => at) : [] });
    });
  }
}

/** Fields that tell most of a station, in this order. */
const TELLING = ["value", "level", "q_out", "q_in", "pm25", "gust"];

/** The alert's own curve, then the releases of the lakes above, then a few gauges of the rain. */
function wanted(alert: Alert, series: Evidence["series"], state: State): Evidence["series"] {
  const rank = (field: string) => (TELLING.includes(field) ? TELLING.indexOf(field) : TELLING.length);
  const own = series.filter(({ key }) => key === alert.key).sort((a, b) => rank(a.field) - rank(b.field));
  const lakes = state.stations.get(alert.key)?.links?.["upstream"] ?? [];
  const releases = lakes.map((key) => ({ stream: "reservoir", key, field: "q_out", levels: {} }));
  const rain = series.filter(({ stream, key }) => stream === "rain" && key !== alert.key);
  return [...own.slice(0, releases.length ? 1 : 2), ...releases.slice(0, CHARTS - 1), ...rain.slice(0, 3)];
}

/** What the live state alone says of an alert. */
function ofState(alert: Alert, state: State): Evidence {
  const station = state.stations.get(alert.key);
  const field = main(state.value(alert.stream, alert.key))?.name ?? "value";
  const series = station ? [{ stream: alert.stream, key: alert.key, field, levels: station.levels }] : [];
  for (const lake of station?.links?.["upstream"] ?? []) series.push({ stream: "reservoir", key: lake, field: "q_out", levels: {} });
  const at = whereIs(state, alert);
  const cameras = !at
    ? []
    : [...state.cameras.values()]
        .flatMap((c) => (c.lat === undefined || c.lon === undefined ? [] : [{ id: c.id, name: c.name, name_en: c.name_en, km: km(at, { lat: c.lat, lon: c.lon }) }]))
        .sort((a, b) => a.km - b.km)
        .slice(0, 3);
  return { alert, steps: [], causes: [], series, cameras, deliveries: [] };
}
