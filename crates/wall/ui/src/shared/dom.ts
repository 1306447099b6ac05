/**
 * The few ways in which a page touches its document. A page that is open for months must not grow: elements are made once and
 * then only change their text and classes, and an unchanged text is not written.
 */
import { both, type Fill, type Key } from "./texts";
import type { Text } from "./types";

type Child = Element | string;

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, name = "", ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** The element of the page's own HTML with this id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

export function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element: Element, name: string, on: boolean): void {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

export function show(element: Element, shown: boolean): void {
  if (element.hasAttribute("hidden") === shown) element.toggleAttribute("hidden", !shown);
}

/** Sets an attribute when it differs; null takes it away. */
export function set(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Vietnamese with the English beside it. */
export class Label<K extends keyof HTMLElementTagNameMap = "span"> {
  readonly element: HTMLElementTagNameMap[K];
  readonly #vi = make("span", "vi");
  readonly #en = make("span", "en");

  constructor(tag: K, name = "", text?: Text) {
    this.#en.lang = "en";
    this.#vi.lang = "vi";
    this.element = make(tag, `label ${name}`.trim(), this.#vi, " ", this.#en);
    if (text) this.write(text);
  }

  write(text: Text): void {
    write(this.#vi, text.vi);
    write(this.#en, text.en === text.vi ? "" : text.en);
    mark(this.element, "same", text.en === text.vi || text.en === "");
  }
}

export function label<K extends keyof HTMLElementTagNameMap>(tag: K, name: string, key: Key, values: Fill = {}): HTMLElementTagNameMap[K] {
  return new Label(tag, name, both(key, values)).element;
}

export function button(key: Key, act: () => void, name = ""): HTMLButtonElement {
  const element = label("button", name, key);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

/** What is to be done about an alert; nothing where nobody has written it down. */
export class Todo {
  readonly element = make("div", "todo");
  readonly #what = new Label("p");

  constructor() {
    this.element.append(label("span", "todo-name", "todo"), this.#what.element);
    this.write(undefined);
  }

  write(advice: Text | null | undefined): void {
    show(this.element, Boolean(advice));
    if (advice) this.#what.write(advice);
  }
}

/** A fixed number of rows, made once: rows beyond the list are hidden, entries beyond the rows are not shown. */
export class Rows<T> {
  readonly rows: { element: HTMLElement; update: (entry: T) => void }[];

  constructor(parent: Element, count: number, row: () => { element: HTMLElement; update: (entry: T) => void }) {
    this.rows = Array.from({ length: count }, row);
    parent.append(...this.rows.map(({ element }) => element));
    for (const { element } of this.rows) show(element, false);
  }

  update(entries: readonly T[]): void {
    this.rows.forEach(({ element, update }, i) => {
      const entry = entries[i];
      show(element, entry !== undefined);
      if (entry !== undefined) update(entry);
    });
  }
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag: string, attributes: Record<string, string | number> = {}): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** Priority in three ways at once: shape, digit and colour. */
const SHAPES = ["", "M2 2h28v28H2z", "M16 1 31 30H1z", "M16 0 32 16 16 32 0 16z", "M16 1a15 15 0 1 0 .01 0z"];

/** The sign of a priority, 1 (gravest) to 4. */
export class Sign {
  readonly element = svg("svg", { viewBox: "0 0 32 32", class: "sign", "aria-hidden": "true" });
  readonly #shape = svg("path");
  readonly #digit = svg("text", { x: 16 });

  constructor() {
    this.element.append(this.#shape, this.#digit);
  }

  /** Of what may be well: nothing then. */
  alarm(level: number | undefined): void {
    show(this.element, level !== undefined);
    if (level !== undefined) this.set(level);
  }

  set(level: number): void {
    if (this.element.dataset["level"] === String(level)) return;
    this.element.dataset["level"] = String(level);
    this.#shape.setAttribute("d", SHAPES[level] ?? "");
    this.#digit.setAttribute("y", level === 2 ? "27" : "23");
    this.#digit.textContent = String(level);
  }
}

/** Puts the texts of the catalogue on the elements of the page's own HTML that name them. */
export function inscribe(): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-text]")) {
    element.append(new Label("span", "", both(element.dataset["text"] as Key)).element);
  }
}
