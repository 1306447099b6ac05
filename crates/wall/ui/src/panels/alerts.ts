/** The list of open alerts, and how many there are of each priority. */
import { exercising, level, listed, order, taken } from "../shared/alerts";
import { Label, Rows, Sign, Todo, byId, make, mark, show, write } from "../shared/dom";
import { age, moment } from "../shared/format";
import type { State } from "../shared/state";
import { both } from "../shared/texts";
import type { Alert, SceneName, Text } from "../shared/types";

const ROWS = 8;
/** Scenes with a shorter list. */
const SHORTER: Partial<Record<SceneName, number>> = { flood: 6, traffic: 7, overview: 8 };

/** Where an alert stands beside whether somebody has taken it; nothing for what simply holds. */
export function phase(alert: Alert): Text | null {
  if (alert.state === "latched") return both("alert.latched");
  if (alert.state === "flapping") return both("alert.flapping");
  return alert.holds ? null : both("alert.receding");
}

/** Who has it: taken by whom, on the way, or nobody yet. */
export function holder(alert: Alert): Text {
  const coming = alert.notes?.findLast((note) => note.kind === "coming");
  if (coming) return both("alert.coming", { by: coming.by });
  if (alert.ack) return both("alert.acknowledged", { by: alert.ack.by });
  return alert.assigned ? both("alert.assigned", { to: alert.assigned.to }) : both("alert.new");
}

export class AlertList {
  readonly #rows: Rows<Alert>;
  readonly #none = byId("alerts-none");
  readonly #more = new Label("span");
  #state!: State;
  /** The gravest, when it is known what to do about it. */
  #first: Alert | undefined;

  constructor() {
    byId("alerts-more").append(this.#more.element);
    this.#rows = new Rows(byId("alert-rows"), ROWS, () => this.#row());
  }

  update(state: State, connected: boolean, scene: SceneName): void {
    this.#state = state;
    const all = [...state.alerts.values()];
    const list = all.filter((alert) => listed(alert) && alert.about !== "exercise").sort(order);
    // What is to be done about the gravest takes the room of one more.
    this.#first = list[0] && state.advice.has(list[0].rule) ? list[0] : undefined;
    const rows = (SHORTER[scene] ?? ROWS) - (this.#first ? 1 : 0);
    this.#rows.update(list.slice(0, rows));
    show(this.#none, list.length === 0 && connected);
    const told = all.filter((alert) => alert.about !== "exercise").length;
    const rest: Text[] = [];
    if (list.length > rows) rest.push(both("alerts.more", { count: list.length - rows }));
    if (told > list.length) rest.push(both("alerts.hidden", { count: told - list.length }));
    this.#more.write({ vi: rest.map(({ vi }) => vi).join(" · "), en: rest.map(({ en }) => en).join(" · ") });
  }

  #row(): { element: HTMLElement; update: (alert: Alert) => void } {
    const sign = new Sign();
    const text = new Label("div", "text");
    const place = make("span", "place");
    const who = new Label("span", "state");
    const stale = new Label("span", "state stale-mark", both("alert.stale"));
    const how = new Label("span", "state");
    const since = make("span", "age");
    const todo = new Todo();
    const element = make("li", "alert", sign.element, make("div", "body", text.element, make("div", "line", place, who.element, stale.element, how.element), todo.element), since);
    const update = (alert: Alert) => {
      sign.set(level(alert));
      text.write(alert.text);
      write(place, `${this.#state.about(alert)} · ${moment(alert.raised)}`);
      who.write(holder(alert));
      show(stale.element, alert.stale_since !== null);
      const now = phase(alert);
      show(how.element, now !== null);
      if (now) how.write(now);
      write(since, age(this.#state.now() - alert.raised));
      todo.write(alert === this.#first ? this.#state.advice.get(alert.rule) : undefined);
      mark(element, "told", alert === this.#first);
      mark(element, "new", !taken(alert));
      mark(element, "stale", alert.stale_since !== null);
    };
    return { element, update };
  }
}

/** One sign and one figure for each priority. */
export class Counts {
  readonly #counts = [1, 2, 3, 4].map((digit) => {
    const sign = new Sign();
    sign.set(digit);
    const count = make("span");
    const element = make("li", "", sign.element, count);
    byId("counts").append(element);
    return { element, count, digit };
  });

  update(state: State): void {
    const list = [...state.alerts.values()].filter(listed);
    for (const { element, count, digit } of this.#counts) {
      const n = list.filter((alert) => level(alert) === digit).length;
      write(count, String(n));
      mark(element, "zero", n === 0);
    }
    mark(document.body, "exercise", exercising(state.alerts.values()));
  }
}
