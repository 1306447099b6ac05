/**
 * What stands on the map in HTML: names of waters, values of stations, signs of alerts. A fixed pool of elements, each placed where it covers
 * no other; what finds no place is left out, the least important first.
 */
import { Sign, make, mark, show, write } from "../shared/dom";

export interface Note {
  lon: number;
  lat: number;
  /** Nothing for a bare sign. */
  text: string;
  age: string;
  /** 1 to 4 with an alert. */
  level: number | undefined;
  unknown: boolean;
  /** A name of the ground rather than something measured. */
  name?: boolean;
}

const POOL = 72;

class Tag {
  readonly element = make("div", "tag");
  readonly #sign = new Sign();
  readonly #text = make("b");
  readonly #age = make("span", "age");

  constructor() {
    this.element.append(this.#sign.element, this.#text, this.#age);
    show(this.element, false);
  }

  write(note: Note): void {
    show(this.#sign.element, note.level !== undefined);
    if (note.level !== undefined) this.#sign.set(note.level);
    show(this.#text, note.text !== "");
    write(this.#text, note.text);
    show(this.#age, note.age !== "");
    write(this.#age, note.age);
    mark(this.element, "unknown", note.unknown);
    mark(this.element, "bare", note.text === "");
    mark(this.element, "name", note.name === true);
  }
}

interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

const apart = (a: Box, b: Box) => a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;

export class Labels {
  readonly element = make("div", "map-labels");
  readonly #tags = Array.from({ length: POOL }, () => new Tag());
  #notes: readonly Note[] = [];

  constructor() {
    this.element.append(...this.#tags.map((tag) => tag.element));
  }

  /** Most important first. */
  write(notes: readonly Note[]): void {
    this.#notes = notes.slice(0, POOL);
    this.#tags.forEach((tag, i) => {
      const note = this.#notes[i];
      show(tag.element, note !== undefined);
      if (note) tag.write(note);
    });
  }

  place(project: (lon: number, lat: number) => { x: number; y: number }): void {
    const room = { w: this.element.clientWidth, h: this.element.clientHeight };
    // All sizes are read before anything is moved: one layout, not one per label.
    const sizes = this.#notes.map((_, i) => {
      const { offsetWidth, offsetHeight } = this.#tags[i]!.element;
      return { w: offsetWidth, h: offsetHeight };
    });
    const placed: Box[] = [];
    this.#notes.forEach((note, i) => {
      const { w, h } = sizes[i]!;
      const at = project(note.lon, note.lat);
      const gap = note.name ? 0 : h * 0.4;
      const tries: [number, number][] = note.name || note.text === ""
        ? [[-w / 2, -h / 2]]
        : [[gap, -h / 2], [-gap - w, -h / 2], [-w / 2, -gap - h], [-w / 2, gap], [gap, gap * 0.5], [gap, -gap * 0.5 - h], [-gap - w, gap * 0.5], [-gap - w, -gap * 0.5 - h]];
      const box = tries
        .map(([x, y]) => ({ x: at.x + x, y: at.y + y, w, h }))
        .find((b) => b.x >= 0 && b.y >= 0 && b.x + b.w <= room.w && b.y + b.h <= room.h && placed.every((other) => apart(b, other)));
      const { style } = this.#tags[i]!.element;
      style.visibility = box ? "visible" : "hidden";
      if (!box) return;
      placed.push(box);
      style.transform = `translate(${Math.round(box.x)}px, ${Math.round(box.y)}px)`;
    });
  }
}
