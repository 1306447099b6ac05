/** Air: the index VN_AQI of each station with its official label, and what it is made of. */
import { Sign, make, mark, show, write } from "../shared/dom";
import { age, number } from "../shared/format";
import type { State } from "../shared/state";
import { both, named, nameOf, pair } from "../shared/texts";
import type { Station } from "../shared/types";

/** Upper ends of the classes (QĐ 1459/QĐ-TCMT, 2019). */
const CLASSES: [number, string][] = [[50, "good"], [100, "moderate"], [150, "poor"], [200, "bad"], [300, "very_bad"], [Infinity, "hazardous"]];
const PARTS = ["pm25", "pm10", "no2", "o3"];

export class Air {
  readonly #tiles: Tile[];

  constructor(parent: HTMLElement, count: number) {
    this.#tiles = Array.from({ length: count }, () => new Tile());
    parent.append(...this.#tiles.map((tile) => tile.element));
  }

  update(state: State): void {
    const index = (station: Station) => state.number("aqi", station.id) ?? -1;
    const list = state.of("air").sort((a, b) => index(b) - index(a) || (a.id < b.id ? -1 : 1));
    this.#tiles.forEach((tile, i) => tile.update(state, list[i]));
  }
}

class Tile {
  readonly element = make("article", "air");
  readonly #sign = new Sign();
  readonly #name = make("span", "name");
  readonly #index = make("b", "value");
  readonly #class = make("span", "class");
  readonly #parts = make("span", "note");
  readonly #age = make("span", "age");

  constructor() {
    this.element.append(make("header", "", this.#sign.element, this.#name), this.#index, this.#class, this.#parts, this.#age);
  }

  update(state: State, station: Station | undefined): void {
    show(this.element, station !== undefined);
    if (!station) return;
    const index = state.value("aqi", station.id);
    const air = state.value("air", station.id);
    const value = index?.fields.find((field) => field.name === "value")?.number;
    this.#sign.alarm(state.alarmed.get(station.id));
    write(this.#name, nameOf(station));
    write(this.#index, value === undefined ? "–" : number(value, "1"));
    write(this.#class, value === undefined ? pair(both("unknown")) : pair(named("aqi", CLASSES.find(([top]) => value <= top)?.[1] ?? "hazardous")));
    const parts = PARTS.flatMap((name) => {
      const field = air?.fields.find((f) => f.name === name && f.number !== undefined);
      return field ? [`${named("field", name).vi} ${number(field.number!, "ug/m3")}`] : [];
    });
    write(this.#parts, parts.length ? `${parts.join(" · ")} µg/m³` : "");
    write(this.#age, index ? age(state.now() - index.at) : air ? age(state.now() - air.at) : "");
    mark(this.element, "unknown", state.silent(station, "air") || value === undefined);
  }
}
