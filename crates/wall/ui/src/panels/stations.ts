/** Stations by kind: name, latest value, unit and age. Stations with an alert stay in view; the others take turns. */
import { Label, Sign, make, mark, write } from "../shared/dom";
import { age, number, symbol } from "../shared/format";
import type { State } from "../shared/state";
import { both, named, nameOf, pair } from "../shared/texts";
import type { Field, Station, Stream, Value } from "../shared/types";

/** How long a page of stations stays, in ms. */
const TURN = 12_000;
/** Of several fields, the one that a row shows large, and those that it shows beside, in this order of preference. */
const MAIN = ["value", "level", "pm25", "speed"];
const BESIDE = ["q_in", "q_out", "gust", "pm10"];

interface Entry {
  station: Pick<Station, "id" | "name" | "name_en" | "streams">;
  stream: string;
}

/** A box of rows for one kind, or in turn for several. `unknown` are keys that no registry lists. */
export class StationGroup {
  readonly element = make("section", "group");
  readonly #title = new Label("h2");
  readonly #page = make("span", "page");
  readonly #rows: Row[];

  constructor(readonly kinds: readonly string[] | "rest", rows: number, readonly except: readonly string[] = []) {
    this.#title.element.append(this.#page);
    this.#rows = Array.from({ length: rows }, () => new Row());
    this.element.append(this.#title.element, ...this.#rows.map((row) => row.element));
  }

  update(state: State): void {
    const kinds = this.kinds === "rest" ? this.#rest(state) : this.kinds;
    const page = Math.floor(performance.now() / TURN);
    const kind = kinds[page % kinds.length];
    if (kind === undefined) return;
    const list = kind === "unknown" ? strangers(state) : state.of(kind).flatMap((station) => station.streams.map((stream) => ({ station, stream: stream.id })));
    this.#title.write(named("kind", kind));
    this.#show(list, state, Math.floor(page / kinds.length));
  }

  #rest(state: State): string[] {
    const kinds = [...new Set([...state.stations.values()].map((station) => station.kind))].filter((kind) => !this.except.includes(kind));
    return [...kinds, ...(strangers(state).length ? ["unknown"] : [])];
  }

  #show(list: Entry[], state: State, page: number): void {
    const alarmed = list.filter(({ station }) => state.alarmed.has(station.id)).sort((a, b) => state.alarmed.get(a.station.id)! - state.alarmed.get(b.station.id)!);
    const quiet = list.filter(({ station }) => !state.alarmed.has(station.id));
    const rows = this.#rows.length;
    const first = alarmed.slice(0, quiet.length ? Math.ceil(rows * 0.7) : rows);
    const room = rows - first.length;
    const pages = Math.max(1, Math.ceil(quiet.length / Math.max(1, room)));
    const start = (page % pages) * room;
    const shown = [...first, ...quiet.slice(start, start + room)];
    this.#rows.forEach((row, i) => row.update(shown[i], state));
    write(this.#page, shown.length < list.length ? both("station.more", { shown: shown.length, count: list.length }).vi : "");
  }
}

/** Streams whose keys are no stations by design: calls, boats, articles. */
function strangers(state: State): Entry[] {
  const streams = new Set([...state.stations.values()].flatMap((station) => station.streams.map(({ id }) => id)));
  const list: Entry[] = [];
  for (const { stream, key } of state.values.values()) {
    if (streams.has(stream) && !state.stations.has(key) && !state.cameras.has(key)) list.push({ station: { id: key, name: key, name_en: key, streams: [] }, stream });
  }
  return list;
}

class Row {
  readonly element = make("div", "station");
  readonly #sign = new Sign();
  readonly #name = make("span", "name");
  readonly #value = make("span", "value");
  readonly #unit = make("span", "unit");
  readonly #note = make("span", "note");
  readonly #age = make("span", "age");

  constructor() {
    this.element.append(this.#sign.element, this.#name, this.#note, this.#value, this.#unit, this.#age);
  }

  update(entry: Entry | undefined, state: State): void {
    mark(this.element, "empty", !entry);
    if (!entry) return;
    const { station, stream } = entry;
    const about = state.streams.get(stream);
    const reading = state.value(stream, station.id);
    const field = main(reading);
    const unit = about?.units[field?.name ?? ""] ?? "";
    const whole = state.stations.get(station.id);
    const silent = reading !== undefined && whole !== undefined && state.silent(whole, stream);
    this.#sign.alarm(state.alarmed.get(station.id));
    write(this.#name, station.streams.length > 1 && about ? `${nameOf(station)} · ${nameOf(about)}` : nameOf(station));
    write(this.#value, !reading ? "–" : field?.number !== undefined ? number(field.number, unit) : (field?.text ?? "–"));
    write(this.#unit, symbol(unit));
    write(this.#age, reading ? age(state.now() - reading.at) : "");
    write(this.#note, remark(reading, field, silent, about));
    mark(this.element, "unknown", !reading || silent);
    mark(this.element, "doubtful", field?.flag === "suspect" || field?.flag === "bad");
  }
}

/** The field that speaks for a reading. */
export function main(reading: Value | undefined): Field | undefined {
  return MAIN.map((name) => reading?.fields.find((f) => f.name === name && f.number !== undefined)).find(Boolean) ?? reading?.fields[0];
}

function remark(reading: Value | undefined, field: Field | undefined, silent: boolean, about: Stream | undefined): string {
  if (!reading) return pair(both("unknown"));
  if (silent) return pair(both("station.silent"));
  if (field?.flag === "suspect") return pair(both("station.suspect"));
  if (field?.flag === "bad") return pair(both("station.bad"));
  // Where no field speaks for the station by itself, the row says which it is.
  const own = field && !MAIN.includes(field.name) ? [pair(named("field", field.name))] : [];
  const others = BESIDE.map((name) => reading.fields.find((f) => f.name === name && f.number !== undefined && f !== field));
  return [...own, ...others.flatMap((f) => (f?.number === undefined ? [] : [`${named("field", f.name).vi} ${number(f.number, about?.units[f.name])}`]))].join(" · ");
}
