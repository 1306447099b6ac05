/** Drafts of public warnings, which a person releases, and the log of who did what. */
import { path, post, query } from "../shared/api";
import { Label, button, label, make } from "../shared/dom";
import { full, moment } from "../shared/format";
import { both, named, pair } from "../shared/texts";
import type { Text } from "../shared/types";
import { table } from "./handover";
import { askFor } from "./dialog";
import { load, toast } from "./orders";

interface Draft {
  id: string;
  alert: string;
  headline: Text;
  area: Text;
  severity: string;
  /** Of a draft. */
  text?: Text;
  made?: number;
  /** Of what was released. */
  sent?: number;
  by?: string;
}

export class CapView {
  readonly element = make("section", "cap view");
  readonly #drafts = make("div", "drafts");
  readonly #released = make("div", "drafts");

  constructor(readonly may: () => boolean) {
    this.element.append(
      make("div", "filters", button("do.refresh", () => void this.open())), label("h2", "", "cap.drafts"), this.#drafts, label("h2", "", "cap.released"), this.#released,
    );
  }

  async open(): Promise<void> {
    const answer = await load<{ drafts: Draft[]; released: Draft[] }>("/api/cap");
    if (!answer) return;
    const fill = (box: HTMLElement, drafts: Draft[], draft: boolean) =>
      box.replaceChildren(...(drafts.length ? drafts.slice(0, 50).map((d) => this.#card(d, draft)) : [make("p", "note", pair(both("evidence.empty")))]));
    fill(this.#drafts, answer.drafts, true);
    fill(this.#released, answer.released, false);
  }

  #card(draft: Draft, open: boolean): HTMLElement {
    const decide = (what: "release" | "reject") => async () => {
      const sure = await askFor(what === "release" ? "cap.release_sure" : "cap.reject_sure", []);
      if (!sure) return;
      const answer = await post(path("cap", draft.id, what));
      toast(answer.ok ? "order.done" : "order.refused", answer.ok ? {} : { why: answer.error });
      await this.open();
    };
    const file = make("a", "button", "CAP 1.2");
    file.href = `/cap/${encodeURIComponent(draft.id)}.xml`;
    const actions = open && this.may() ? [button("cap.release", () => void decide("release")(), "primary"), button("cap.reject", () => void decide("reject")())] : [file];
    return make(
      "article", "card", new Label("h3", "", draft.headline).element, ...(draft.text ? [new Label("p", "", draft.text).element] : []),
      make("p", "note", [pair(draft.area), pair(named("severity", draft.severity)), moment(draft.made ?? draft.sent ?? 0), draft.by, draft.alert].filter(Boolean).join(" · ")), make("div", "actions", ...actions),
    );
  }
}

interface Entry {
  seq: number;
  at: number;
  who: string;
  role: string;
  action: string;
  target: string;
  outcome: string;
  hash: string;
}

export class AuditView {
  readonly element = make("section", "audit view");
  readonly #body = make("div");
  #after: number | undefined;

  constructor() {
    this.element.append(make("div", "filters", button("do.refresh", () => void this.open()), button("audit.more", () => void this.#load())), this.#body);
  }

  async open(): Promise<void> {
    this.#after = undefined;
    await this.#load();
  }

  async #load(): Promise<void> {
    const answer = await load<{ entries: Entry[]; intact: boolean }>(`/api/audit${query({ after: this.#after, limit: 200 })}`);
    if (!answer) return;
    this.#after = answer.entries.at(-1)?.seq;
    this.#body.replaceChildren(
      make("p", answer.intact ? "note" : "wrong", pair(both(answer.intact ? "audit.intact" : "audit.broken"))),
      table(
        ["col.number", "col.time", "col.who", "audit.role", "audit.action", "audit.target", "audit.outcome", "audit.hash"],
        answer.entries.map((e) => [String(e.seq), full(e.at), e.who, pair(named("role", e.role)), e.action, e.target, e.outcome, e.hash.slice(0, 12)]),
      ),
    );
  }
}
