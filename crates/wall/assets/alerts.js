/**
 * The list of open alerts: gravest first, what nobody has taken before what somebody has, newest first.
 * @module
 */
import { Label, Symbol, make, mark, show, write } from "./dom.js";
import { age } from "./format.js";

const ROWS = 6;
const LEVELS = { extreme: 1, severe: 2, moderate: 3, minor: 4 };

/** @param {any} alert @returns {number} 1 (gravest) to 4; what speaks of a sensor and not of the city is always 4 */
export const level = (alert) => (alert.silence ? 4 : LEVELS[alert.severity] ?? 4);

/** States told singly; the others are suppressed, shelved or counted by a group. @type {Set<string>} */
const LISTED = new Set(["open", "acknowledged", "stale", "latched", "flapping"]);

/** @param {any} alert */
const shown = (alert) => LISTED.has(alert.state);

/** @param {any} alert */
const taken = (alert) => alert.ack !== null;

/** @param {any} a @param {any} b */
function order(a, b) {
  return level(a) - level(b) || Number(taken(a)) - Number(taken(b)) || b.raised - a.raised || (a.id < b.id ? -1 : 1);
}

export class Alerts {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.rows = Array.from({ length: ROWS }, () => new Row(texts));
    document.getElementById("alert-rows").append(...this.rows.map((row) => row.element));
    this.none = document.getElementById("alerts-none");
    this.more = document.getElementById("alerts-more");
    this.counts = [1, 2, 3, 4].map((digit) => {
      const symbol = new Symbol();
      symbol.set(digit);
      const count = make("span");
      const element = make("li", "", symbol.element, count);
      document.getElementById("counts").append(element);
      return { element, count };
    });
  }

  /** @param {import("./link.js").Link} link @param {(key: string) => string} nameOf */
  update(link, nameOf) {
    const all = [...link.alerts.values()];
    const list = all.filter(shown).sort(order);
    this.rows.forEach((row, i) => row.update(list[i], link.now(), nameOf));
    show(this.none, list.length === 0 && link.connected);
    const rest = [];
    if (list.length > ROWS) rest.push(this.texts.both("alerts.more", { count: list.length - ROWS }));
    if (all.length > list.length) rest.push(this.texts.both("alerts.hidden", { count: all.length - list.length }));
    write(this.more, rest.map(({ vi, en }) => `${vi} / ${en}`).join(" · "));
    this.counts.forEach(({ element, count }, i) => {
      const n = list.filter((alert) => level(alert) === i + 1).length;
      write(count, String(n));
      mark(element, "zero", n === 0);
    });
  }
}

class Row {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.symbol = new Symbol();
    this.text = new Label("div", "text");
    this.place = make("span", "place");
    this.state = new Label("span", "state");
    this.stale = new Label("span", "state stale-mark");
    this.phase = new Label("span", "state");
    this.age = make("span", "age");
    const line = make("div", "line", this.place, this.state.element, this.stale.element, this.phase.element);
    this.element = make("li", "alert", this.symbol.element, make("div", "body", this.text.element, line), this.age);
    this.stale.write(texts.both("alert.stale"));
  }

  /** @param {any} alert @param {number} now @param {(key: string) => string} nameOf */
  update(alert, now, nameOf) {
    show(this.element, alert !== undefined);
    if (!alert) return;
    this.symbol.set(level(alert));
    this.text.write(alert.text);
    write(this.place, nameOf(alert.key));
    this.state.write(taken(alert) ? this.texts.both("alert.acknowledged", { by: alert.ack?.by ?? "" }) : this.texts.both("alert.new"));
    show(this.stale.element, alert.stale_since !== null);
    const { texts } = this;
    if (alert.state === "latched") this.phase.write(texts.both("alert.latched"));
    else if (alert.state === "flapping") this.phase.write(texts.both("alert.flapping"));
    else this.phase.write(texts.both("alert.receding"));
    show(this.phase.element, !alert.holds || alert.state === "flapping");
    write(this.age, age(now - alert.raised));
    mark(this.element, "new", !taken(alert));
    mark(this.element, "stale", alert.stale_since !== null);
  }
}
