/** Time, exercise, replay and the loss of the connection: how far what is shown is to be believed. */
import { exercising } from "../shared/alerts";
import { Label, byId, mark, show, write } from "../shared/dom";
import { age, date, number, time } from "../shared/format";
import type { Link } from "../shared/link";
import type { State } from "../shared/state";
import { both } from "../shared/texts";

/** A blink of the line is no loss: the banner waits so long, in ms. */
const PATIENCE = 2000;

export class Banner {
  readonly #what = new Label("strong");
  readonly #detail = new Label("span");
  readonly #element = byId("banner");
  readonly #rate = new Label("span");
  readonly #mode = new Label("span");

  constructor() {
    this.#element.append(this.#what.element, this.#detail.element);
    byId("rate").append(this.#rate.element);
    byId("mode").append(this.#mode.element);
  }

  update(link: Link, state: State, replaying = false): void {
    const lost = !link.connected;
    mark(document.body, "lost", lost && !replaying);
    show(this.#element, lost && !replaying && (link.refused || link.silence() > PATIENCE));
    if (lost) {
      this.#what.write(both(link.refused ? "token" : "lost"));
      const detail = link.refused ? both("token.detail") : state.snapshot ? both("lost.detail", { age: age(link.silence()) }) : both("unknown");
      this.#detail.write(detail);
    }
    const now = state.now();
    write(byId("time"), time(now));
    write(byId("date"), date(now));
    show(byId("rate"), state.rate !== 1 && !replaying);
    this.#rate.write(both("figure.rate", { rate: number(state.rate) }));
    show(byId("mode"), exercising(state.alerts.values()));
    this.#mode.write(both("exercise"));
  }
}
