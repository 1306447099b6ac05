/**
 * The line of health figures: is the processor itself to be believed?
 * @module
 */
import { Label, make, mark, show, write } from "./dom.js";
import { number } from "./format.js";

export class FiguresLine {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    const names = ["readings", "ledger", "latency", "frames", "replaced", "broker", "sinks", "mirror", "load", "rules"];
    const labels = [
      texts.both("figure.readings"),
      texts.both("figure.ledger"),
      texts.both("figure.latency"),
      texts.both("figure.frames"),
      texts.both("figure.replaced"),
      texts.both("figure.broker"),
      texts.both("figure.sinks"),
      texts.both("figure.mirror"),
      texts.both("figure.load"),
      texts.both("figure.rules"),
    ];
    /** @type {Record<string, {element: HTMLElement, value: HTMLElement}>} */
    this.cells = {};
    for (const [i, name] of names.entries()) {
      const label = new Label("span");
      label.write(labels[i]);
      const value = make("b");
      const element = make("span", "figure", label.element, value);
      this.cells[name] = { element, value };
      document.getElementById("figures").append(element);
    }
  }

  /** @param {any} figures */
  update(figures) {
    if (!figures) return;
    const say = (/** @type {{vi: string, en: string}} */ { vi, en }) => (vi === en ? vi : `${vi} / ${en}`);
    const books = Object.values(figures.ledger);
    const off = books.reduce((sum, b) => sum + Math.abs(b.received - b.stored - b.rejected - b.shed - b.in_flight), 0);
    const failing = figures.sinks.filter((/** @type {any} */ sink) => sink.failing).map((/** @type {any} */ sink) => sink.name);
    const texts = this.texts;
    this.set("readings", number(Math.round(figures.readings_per_second)), false);
    this.set("ledger", say(off === 0 ? texts.both("figure.ledger.balanced") : texts.both("figure.ledger.unbalanced", { count: off })), off !== 0);
    this.set("latency", figures.latency ? `${number(figures.latency.p99, "mm")} ms` : "–", false);
    this.set("frames", String(figures.frames.inferred + figures.frames.gated), false);
    this.set("replaced", String(figures.frames.replaced), false);
    this.set("broker", say(figures.broker_connected ? texts.both("figure.broker.connected") : texts.both("figure.broker.lost")), !figures.broker_connected);
    this.set("sinks", say(failing.length ? texts.both("figure.sinks.failing", { names: failing.join(", ") }) : texts.both("figure.sinks.working")), failing.length > 0);
    const mirror = figures.mirror;
    show(this.cells.mirror.element, Boolean(mirror));
    mark(document.getElementById("figures"), "crowded", Boolean(mirror));
    const behind = mirror?.failing ? `${say(texts.both("figure.mirror.failing"))} · ${number(mirror.behind)}` : null;
    this.set("mirror", behind ?? say(texts.both("figure.mirror.working")), behind !== null);
    const load = figures.load;
    this.set("load", `${number(load.last_10_min)} · ${number(load.last_hour)}`, load.in_flood);
    const outdated = figures.rules.outdated;
    this.set("rules", say(outdated ? texts.both("figure.rules.outdated") : texts.both("figure.rules.current")), outdated);
  }

  /** @param {string} name @param {string} text @param {boolean} wrong */
  set(name, text, wrong) {
    write(this.cells[name].value, text);
    mark(this.cells[name].element, "wrong", wrong);
  }
}
