/**
 * Stations by kind: name, latest value, unit and age. Stations with an alert stay in view; the others take turns.
 * @module
 */
import { Label, Symbol, make, mark, show, write } from "./dom.js";
import { level } from "./alerts.js";
import { age, number, symbol } from "./format.js";

const ROWS = 6;
/** How long a page of stations stays, in ms. */
const TURN = 12_000;
const KINDS = ["river", "reservoir", "rain", "flood", "air", "wind"];
/** Of several fields, the one that a row shows large, and those that it shows beside, in this order of preference. */
const MAIN = ["value", "level", "pm25", "speed"];
const BESIDE = ["q_in", "q_out", "gust", "pm10"];

export class Stations {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.groups = KINDS.map((kind) => new Group(kind, texts));
    document.getElementById("stations").append(...this.groups.map((group) => group.element));
  }

  /** @param {any} places a snapshot; called once per connection */
  place(places) {
    this.units = new Map(places.streams.map((/** @type {any} */ s) => [s.id, s]));
    this.known = new Set(places.stations.map((/** @type {any} */ s) => s.id));
    this.entries = places.stations.flatMap((/** @type {any} */ station) =>
      station.streams.map((/** @type {any} */ stream) => ({ station, stream, kind: station.kind })),
    );
    this.cameras = new Set(places.cameras.map((/** @type {any} */ c) => c.id));
  }

  /** @param {import("./link.js").Link} link */
  update(link) {
    if (!this.entries) return;
    /** @type {Map<string, number>} gravest open level by key */
    const alarmed = new Map();
    for (const alert of link.alerts.values()) {
      if (!alert.inhibited_by) alarmed.set(alert.key, Math.min(level(alert), alarmed.get(alert.key) ?? 4));
    }
    const strangers = [...link.values.values()]
      .filter((value) => !this.known.has(value.key) && !this.cameras.has(value.key))
      .map((value) => ({ station: { id: value.key, name: value.key, streams: [] }, stream: { id: value.stream }, kind: "unknown" }));
    const entries = [...this.entries, ...strangers];
    const kinds = [...new Set(entries.map((entry) => entry.kind))].filter((kind) => !KINDS.includes(kind));
    const page = Math.floor(performance.now() / TURN);
    for (const group of this.groups) {
      // The last box takes, in turn, its own kind and those that have no box.
      const turn = group.kind === KINDS.at(-1) ? [group.kind, ...kinds] : [group.kind];
      const kind = turn[page % turn.length];
      group.update(kind, entries.filter((entry) => entry.kind === kind), link, alarmed, this.units, Math.floor(page / turn.length));
    }
  }
}

class Group {
  /** @param {string} kind @param {import("./format.js").Texts} texts */
  constructor(kind, texts) {
    this.kind = kind;
    this.texts = texts;
    this.title = new Label("h2");
    this.page = make("span", "page");
    this.title.element.append(this.page);
    this.rows = Array.from({ length: ROWS }, () => new Row(texts));
    this.element = make("section", "group", this.title.element, ...this.rows.map((row) => row.element));
  }

  /**
   * @param {string} kind
   * @param {any[]} entries
   * @param {import("./link.js").Link} link
   * @param {Map<string, number>} alarmed
   * @param {Map<string, any>} units
   * @param {number} page
   */
  update(kind, entries, link, alarmed, units, page) {
    const grave = (/** @type {any} */ entry) => alarmed.get(entry.station.id) ?? 5;
    const pinned = entries.filter((entry) => grave(entry) < 5).sort((a, b) => grave(a) - grave(b)).slice(0, ROWS - 1);
    const others = entries.filter((entry) => !pinned.includes(entry));
    const room = ROWS - pinned.length;
    const first = others.length > room ? (page % Math.ceil(others.length / room)) * room : 0;
    const list = [...pinned, ...others.slice(first, first + room)];
    this.title.write(this.texts.kind(kind));
    write(this.page, entries.length > ROWS ? this.texts.vi("station.more", { shown: list.length, count: entries.length }) : "");
    this.rows.forEach((row, i) => row.update(list[i], link, alarmed, units));
  }
}

class Row {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.symbol = new Symbol();
    this.name = make("span", "name");
    this.value = make("span", "value");
    this.unit = make("span", "unit");
    this.note = make("span", "note");
    this.age = make("span", "age");
    this.element = make("div", "station", this.symbol.element, this.name, this.note, this.value, this.unit, this.age);
  }

  /** @param {any} entry @param {import("./link.js").Link} link @param {Map<string, number>} alarmed @param {Map<string, any>} units */
  update(entry, link, alarmed, units) {
    mark(this.element, "empty", !entry);
    if (!entry) return;
    const { station, stream } = entry;
    const about = units.get(stream.id);
    const reading = link.values.get(`${stream.id} ${station.id}`);
    const field = pick(reading?.fields ?? [], MAIN) ?? reading?.fields[0];
    const unit = about?.units[field?.name] ?? "";
    const elapsed = reading ? link.now() - reading.at : 0;
    const silent = reading !== undefined && stream.silent_after !== undefined && elapsed > stream.silent_after + link.delay();
    const doubtful = field?.flag === "suspect" || field?.flag === "bad";
    const grave = alarmed.get(station.id);
    show(this.symbol.element, grave !== undefined);
    if (grave !== undefined) this.symbol.set(grave);
    write(this.name, station.streams.length > 1 ? `${station.name} · ${about?.name ?? stream.id}` : station.name);
    write(this.value, !reading ? "–" : field?.number !== undefined ? number(field.number, unit) : field?.text ?? "–");
    write(this.unit, symbol(unit));
    write(this.age, reading ? age(elapsed) : "");
    write(this.note, this.remark(reading, field, silent, about));
    mark(this.element, "unknown", !reading || silent);
    mark(this.element, "doubtful", doubtful);
  }

  /** @param {any} reading @param {any} field @param {boolean} silent @param {any} about @returns {string} */
  remark(reading, field, silent, about) {
    const say = ({ vi, en }) => `${vi} / ${en}`;
    if (!reading) return say(this.texts.both("station.waiting"));
    if (silent) return say(this.texts.both("station.silent"));
    if (field?.flag === "suspect") return say(this.texts.both("station.suspect"));
    if (field?.flag === "bad") return say(this.texts.both("station.bad"));
    const others = BESIDE.map((name) => pick(reading.fields, [name])).filter((f) => f && f !== field);
    return others.map((f) => `${this.texts.field(f.name)} ${number(f.number, about?.units[f.name])}`).join(" · ");
  }
}

/** @param {any[]} fields @param {string[]} names @returns {any} the first of `names` that is there and a number */
function pick(fields, names) {
  return names.map((name) => fields.find((f) => f.name === name && f.number !== undefined)).find(Boolean);
}
