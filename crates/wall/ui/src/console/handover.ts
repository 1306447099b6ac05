/** The report for the next shift: what is open, put away, unknown, and what changed; as a page that prints, and as a PDF. */
import { level, order } from "../shared/alerts";
import { query } from "../shared/api";
import { button, label, make, set, show } from "../shared/dom";
import { full, moment, toInput, fromInput } from "../shared/format";
import type { State } from "../shared/state";
import { both, named, nameOf, one, pair } from "../shared/texts";
import type { Alert, Handover, Step } from "../shared/types";
import { holder } from "../panels/alerts";
import { load } from "./orders";

const SHIFT = 8 * 3_600_000;
/** Of one table; the PDF has all. */
const MOST_ROWS = 200;

export class HandoverView {
  readonly element = make("section", "handover view");
  readonly #from = time();
  readonly #to = time();
  readonly #report = make("div", "report");
  readonly #pdf = label("a", "button", "handover.pdf");

  constructor(readonly state: () => State) {
    const field = (key: Parameters<typeof both>[0], input: HTMLElement) => make("label", "filter", label("span", "", key), input);
    this.element.append(
      make("div", "filters no-print", field("time.from", this.#from), field("time.to", this.#to), button("do.show", () => void this.show()), button("do.print", () => window.print()), this.#pdf),
      this.#report,
    );
    show(this.#pdf, false);
  }

  open(): void {
    const now = this.state().now();
    if (!this.#from.value) [this.#from.value, this.#to.value] = [toInput(now - SHIFT), toInput(now)];
    void this.show();
  }

  async show(): Promise<void> {
    const range = { from: fromInput(this.#from.value), to: fromInput(this.#to.value) };
    const report = await load<Handover>(`/api/handover${query(range)}`);
    if (!report) return;
    set(this.#pdf, "href", `/api/handover.pdf${query(range)}`);
    show(this.#pdf, true);
    const state = this.state();
    const alerts = (list: Alert[]) => table(["col.priority", "col.alert", "col.since", "col.who"], list.sort(order).map((alert) => [String(level(alert)), one(alert.text), moment(alert.since), one(holder(alert))]));
    const sums = pair(both("handover.sums", { raised: report.raised, cleared: report.cleared, acknowledged: report.acknowledged.map(({ by, n }) => `${by} ${n}`).join(", ") || "–" }));
    this.#report.replaceChildren(
      label("h2", "", "handover.title"),
      make("p", "", `${full(report.from)} – ${full(report.to)} · ${report.by ?? ""}`),
      make("p", "", sums),
      heading("handover.open", report.open.length), alerts(report.open),
      heading("handover.shelved", report.shelved.length),
      table(["col.priority", "col.alert", "col.until", "col.why"], report.shelved.map((alert) => [String(level(alert)), one(alert.text), alert.shelf ? moment(alert.shelf.until) : "–", `${alert.shelf?.by ?? ""}: ${alert.shelf?.why ?? ""}`])),
      heading("handover.unknown", report.unknown.length),
      table(["col.place", "col.stream", "col.last"], report.unknown.map(({ stream, key, last }) => [nameOf(state.place(key) ?? { name: key, name_en: key }), nameOf(state.streams.get(stream) ?? { name: stream, name_en: stream }), last === null ? pair(both("unknown")) : moment(last)])),
      heading("handover.changes", report.changes.length),
      table(["col.time", "col.step", "col.alert", "col.who"], report.changes.map((step) => [moment(step.at), pair(named("step", step.kind)), step.text ? one(step.text) : (step.id ?? ""), said(step)])),
    );
  }
}

/** Who did it, to whom it was given and what was said. */
export function said({ by, to, note }: Step): string {
  return [by, to ? `→ ${to}` : "", note?.kind === "coming" ? pair(both("do.coming")) : note?.text].filter(Boolean).join(" · ");
}

type TextKey = Parameters<typeof both>[0];

function heading(key: TextKey, count: number): HTMLElement {
  return label("h3", "", key, { count });
}

export function table(columns: TextKey[], rows: string[][]): HTMLElement {
  if (!rows.length) return make("p", "note", pair(both("evidence.empty")));
  const head = make("tr", "", ...columns.map((key) => label("th", "", key)));
  const body = rows.slice(0, MOST_ROWS).map((row) => make("tr", "", ...row.map((cell) => make("td", "", cell))));
  const more = rows.length > MOST_ROWS ? [make("p", "note", pair(both("table.more", { count: rows.length - MOST_ROWS })))] : [];
  const scroll = make("div", "scroll", make("table", "", make("thead", "", head), make("tbody", "", ...body)), ...more);
  // What scrolls must be reachable by keyboard.
  scroll.tabIndex = 0;
  return scroll;
}

function time(): HTMLInputElement {
  const input = make("input");
  input.type = "datetime-local";
  return input;
}
