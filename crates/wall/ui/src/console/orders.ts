/** What operators order: each order names a person, and says on the screen whether it was followed. */
import { get, may, path, post, type Answer } from "../shared/api";
import { byId, show, write } from "../shared/dom";
import { both, pair, type Fill, type Key } from "../shared/texts";
import type { Alert, Session } from "../shared/types";
import { askFor } from "./dialog";

/** A message stays so long, in ms. */
const STAYS = 6000;
const REASONS: Key[] = ["reason.repair", "reason.known", "reason.nuisance", "reason.test"];
const SPANS: [string, Key][] = [["30m", "span.30m"], ["1h", "span.1h"], ["2h", "span.2h"], ["4h", "span.4h"], ["8h", "span.8h"]];

let timer: ReturnType<typeof setTimeout> | undefined;

export function toast(key: Key, values: Fill = {}): void {
  const element = byId("toast");
  write(element, pair(both(key, values)));
  show(element, true);
  clearTimeout(timer);
  timer = setTimeout(() => show(element, false), STAYS);
}

export class Orders {
  session: Session | null = null;
  /** Nothing can be ordered of the past. */
  replaying = false;

  may(right: string): boolean {
    return !this.replaying && may(this.session, right);
  }

  #allowed(right: string): boolean {
    if (this.replaying) toast("order.replay");
    else if (!may(this.session, right)) toast("order.forbidden");
    return this.may(right);
  }

  /** Servers take the name from the session; those that know tokens only ask for it. */
  #by(): { by?: string } {
    return this.session?.name ? { by: this.session.name } : {};
  }

  /** An order in somebody's name. */
  #send(address: string, body: object): Promise<boolean> {
    return this.#post(address, { ...body, ...this.#by() });
  }

  async #post(address: string, body: object): Promise<boolean> {
    const answer: Answer<unknown> = await post(address, body);
    if (answer.ok) toast("order.done");
    else toast(answer.status === 0 ? "order.unreachable" : "order.refused", { why: answer.error });
    return answer.ok;
  }

  async acknowledge(alert: Alert): Promise<void> {
    if (this.#allowed("acknowledge")) await this.#send(path("alerts", alert.id, "acknowledge"), {});
  }

  async comment(alert: Alert): Promise<void> {
    if (!this.#allowed("acknowledge")) return;
    const filled = await askFor("do.comment", [{ name: "text", text: "field.comment", kind: "area" }]);
    if (filled) await this.#send(path("alerts", alert.id, "comment"), { text: filled["text"]!.replace(/\s+/g, " ") });
  }

  async coming(alert: Alert): Promise<void> {
    if (this.#allowed("acknowledge")) await this.#send(path("alerts", alert.id, "coming"), {});
  }

  async assign(alert: Alert): Promise<void> {
    if (!this.#allowed("operate")) return;
    const known = [...new Set([this.session?.name ?? "", alert.assigned?.to ?? "", alert.ack?.by ?? ""].filter(Boolean))];
    const filled = await askFor("do.assign", [{ name: "to", text: "field.to", value: alert.assigned?.to ?? "", required: false, suggest: known }]);
    if (filled) await this.#send(path("alerts", alert.id, "assign"), { to: filled["to"] });
  }

  async shelve(alert: Alert): Promise<void> {
    if (!this.#allowed("operate")) return;
    const filled = await askFor("do.shelve", [
      { name: "why", text: "field.why", suggest: REASONS.map((key) => both(key).vi) },
      { name: "for", text: "field.for", kind: "select", options: SPANS.map(([span, key]) => [span, pair(both(key))]) },
    ]);
    if (filled) await this.#send(path("alerts", alert.id, "shelve"), filled);
  }

  async unshelve(alert: Alert): Promise<void> {
    if (this.#allowed("operate")) await this.#send(path("alerts", alert.id, "unshelve"), {});
  }

  async exercise(on: boolean): Promise<void> {
    if (!this.#allowed("operate")) return;
    const filled = await askFor(on ? "do.exercise_on" : "do.exercise_off", []);
    if (filled) await this.#send("/api/exercise", { on });
  }

  async scene(pinned: string | null): Promise<void> {
    if (this.#allowed("operate")) await this.#post("/api/scene", { pinned });
  }
}

/** Data of a route that may not be there: null, and why on the screen. */
export async function load<T>(address: string): Promise<T | null> {
  const answer = await get<T>(address);
  if (answer.ok) return answer.data;
  toast(answer.status === 404 ? "order.not_here" : "order.refused", { why: answer.error });
  return null;
}
