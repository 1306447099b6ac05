/**
 * The few ways in which the page touches its document. A page that is open for months must not grow: elements are made once and
 * then only change their text and classes, and an unchanged text is not written.
 * @module
 */

/**
 * @param {string} tag
 * @param {string} [name] class names
 * @param {...(Element | string)} children
 */
export function make(tag, name = "", ...children) {
  const element = document.createElement(tag);
  element.className = name;
  element.append(...children);
  return element;
}

/** @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {string} name @param {boolean} on */
export function mark(element, name, on) {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

/** @param {HTMLElement | SVGElement} element @param {boolean} shown */
export function show(element, shown) {
  if (element.hasAttribute("hidden") === shown) element.toggleAttribute("hidden", !shown);
}

/** Vietnamese with the English beside it. */
export class Label {
  /** @param {string} tag @param {string} [name] */
  constructor(tag, name = "") {
    this.vi = make("span", "vi");
    this.en = make("span", "en");
    this.en.lang = "en";
    this.element = make(tag, `label ${name}`, this.vi, " ", this.en);
  }

  /** @param {{vi: string, en: string}} text */
  write(text) {
    write(this.vi, text.vi);
    write(this.en, text.en === text.vi ? "" : text.en);
  }
}

/** Severity in three ways at once: shape, digit and colour. `level` is 1 (gravest) to 4. */
const SHAPES = ["", "M2 2h28v28H2z", "M16 1 31 30H1z", "M16 0 32 16 16 32 0 16z", "M16 1a15 15 0 1 0 .01 0z"];

export class Symbol {
  constructor() {
    const svg = (/** @type {string} */ tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
    this.element = svg("svg");
    this.element.setAttribute("viewBox", "0 0 32 32");
    this.element.setAttribute("aria-hidden", "true");
    this.shape = svg("path");
    this.digit = svg("text");
    this.digit.setAttribute("x", "16");
    this.element.append(this.shape, this.digit);
  }

  /** @param {number} level */
  set(level) {
    if (this.element.dataset.level === String(level)) return;
    this.element.dataset.level = String(level);
    this.shape.setAttribute("d", SHAPES[level]);
    this.digit.setAttribute("y", level === 2 ? "27" : "23");
    this.digit.textContent = String(level);
  }
}
