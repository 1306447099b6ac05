/** The operator's list of alerts with its filter. Capped: what does not fit is counted, and the filter narrows it. */
import { level, listed, order, taken } from "../shared/alerts";
import { Label, Sign, label, make, mark, set, show, write } from "../shared/dom";
import { age, moment } from "../shared/format";
import type { State } from "../shared/state";
import { both, known, named, nameOf, pair } from "../shared/texts";
import type { Alert } from "../shared/types";
import { holder, phase } from "../panels/alerts";
import { option } from "./dialog";

const ROWS = 120;
const VIEWS = ["listed", "new", "taken", "shelved", "hidden", "all"] as const;

export class List {
  readonly element = make("section", "list-panel");
  readonly search = make("input");
  selected: string | null = null;
  shown: Alert[] = [];
  readonly #state = select("filter.state", VIEWS.map((name) => [name, pair(both(`filter.${name}`))]));
  readonly #severity = select("filter.severity", [["", pair(both("filter.any"))], ...["1", "2", "3", "4"].map((n): [string, string] => [n, `≤ ${n}`])]);
  readonly #kind = select("filter.kind", [["", pair(both("filter.any"))]]);
  readonly #ward = select("filter.ward", [["", pair(both("filter.any"))]]);
  readonly #count = make("p", "note");
  readonly #rows: Row[];
  readonly #list = make("ol", "list");
  #filled = "";

  constructor(readonly changed: () => void, open: (alert: Alert) => void) {
    this.search.type = "search";
    const filters = make("div", "filters", ...[this.#state, this.#severity, this.#kind, this.#ward].map(({ element }) => element), labelled("filter.text", this.search));
    this.#list.tabIndex = 0;
    set(this.#list, "role", "listbox");
    set(this.#list, "aria-label", both("alerts").vi);
    this.#rows = Array.from({ length: ROWS }, (_, i) => {
      const row = new Row(i);
      row.element.addEventListener("click", () => {
        if (!row.alert) return;
        this.selected = row.alert.id;
        open(row.alert);
      });
      return row;
    });
    this.#list.append(...this.#rows.map((row) => row.element));
    this.element.append(filters, this.#count, this.#list);
    for (const input of [this.search, this.#state.input, this.#severity.input, this.#kind.input, this.#ward.input]) input.addEventListener("input", changed);
  }

  get alert(): Alert | undefined {
    return this.shown.find((alert) => alert.id === this.selected);
  }

  focus(): void {
    this.#list.focus();
  }

  move(by: number): void {
    const at = this.shown.findIndex((alert) => alert.id === this.selected);
    const next = this.shown[Math.max(0, Math.min(this.shown.length - 1, at < 0 ? 0 : at + by))];
    if (!next) return;
    this.selected = next.id;
    this.changed();
    this.#rows[this.shown.indexOf(next)]?.element.scrollIntoView({ block: "nearest" });
  }

  nextNew(): void {
    const next = this.shown.find((alert) => !taken(alert));
    if (next) this.selected = next.id;
    this.move(0);
  }

  update(state: State): void {
    this.#fill(state);
    const all = [...state.alerts.values()].filter((alert) => alert.about !== "exercise" && this.#matches(state, alert)).sort(order);
    this.shown = all.slice(0, ROWS);
    write(this.#count, pair(both("list.count", { shown: this.shown.length, count: all.length, open: state.alerts.size })));
    this.#rows.forEach((row, i) => row.update(this.shown[i], state, this.shown[i]?.id === this.selected));
    const at = this.shown.findIndex((alert) => alert.id === this.selected);
    set(this.#list, "aria-activedescendant", at < 0 ? null : `alert-${at}`);
  }

  #matches(state: State, alert: Alert): boolean {
    const view = this.#state.input.value;
    const shown =
      view === "all" ||
      (view === "listed" && listed(alert)) ||
      (view === "new" && listed(alert) && !taken(alert)) ||
      (view === "taken" && listed(alert) && taken(alert)) ||
      (view === "shelved" && alert.state === "shelved") ||
      (view === "hidden" && (alert.state === "suppressed" || alert.state === "grouped"));
    if (!shown) return false;
    if (this.#severity.input.value && level(alert) > Number(this.#severity.input.value)) return false;
    if (this.#kind.input.value && alert.stream !== this.#kind.input.value) return false;
    const place = state.place(alert.key);
    if (this.#ward.input.value && place?.ward !== this.#ward.input.value) return false;
    const text = plain(this.search.value.trim());
    return !text || plain(`${alert.text.vi} ${alert.text.en} ${alert.rule} ${alert.key} ${place?.name ?? ""} ${alert.ack?.by ?? ""} ${alert.assigned?.to ?? ""}`).includes(text);
  }

  #fill(state: State): void {
    const build = state.snapshot?.build ?? "";
    if (build === this.#filled) return;
    this.#filled = build;
    const any = () => option("", pair(both("filter.any")));
    this.#kind.input.replaceChildren(any(), ...[...state.streams.values()].map((stream) => option(stream.id, nameOf(stream))));
    this.#ward.input.replaceChildren(any(), ...(state.snapshot?.wards ?? []).map((ward) => option(ward.id, nameOf(ward))));
    show(this.#ward.element, Boolean(state.snapshot?.wards?.length));
  }
}

/** Without marks, so that a search typed without them finds. */
const plain = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").replace(/[đĐ]/g, "d").toLowerCase();

function labelled(key: Parameters<typeof both>[0], input: HTMLElement): HTMLElement {
  return make("label", "filter", label("span", "", key), input);
}

function select(key: Parameters<typeof both>[0], options: [string, string][]): { element: HTMLElement; input: HTMLSelectElement } {
  const input = make("select", "", ...options.map(([value, text]) => option(value, text)));
  return { element: labelled(key, input), input };
}

class Row {
  readonly element = make("li", "alert");
  alert: Alert | undefined;
  readonly #sign = new Sign();
  readonly #text = new Label("div", "text");
  readonly #place = make("span", "place");
  readonly #who = new Label("span", "state");
  readonly #more = make("span", "state");
  readonly #age = make("span", "age");

  constructor(at: number) {
    this.element.id = `alert-${at}`;
    set(this.element, "role", "option");
    this.element.append(this.#sign.element, make("div", "body", this.#text.element, make("div", "line", this.#place, this.#who.element, this.#more)), this.#age);
    show(this.element, false);
  }

  update(alert: Alert | undefined, state: State, selected: boolean): void {
    this.alert = alert;
    show(this.element, alert !== undefined);
    if (!alert) return;
    set(this.element, "aria-selected", String(selected));
    this.#sign.set(level(alert));
    this.#text.write(alert.text);
    write(this.#place, `${state.about(alert)} · ${moment(alert.raised)}`);
    this.#who.write(holder(alert));
    const more: string[] = [];
    if (alert.exercise) more.push(pair(both("exercise")));
    if (alert.stale_since !== null) more.push(pair(both("alert.stale")));
    const how = phase(alert);
    if (how) more.push(pair(how));
    if (alert.shelf) more.push(pair(both("alert.shelved", { by: alert.shelf.by, until: moment(alert.shelf.until), why: alert.shelf.why })));
    else if (!listed(alert) && known("state", alert.state)) more.push(pair(named("state", alert.state)));
    const notes = alert.notes?.length ?? 0;
    if (notes) more.push(pair(both("alert.notes", { count: notes })));
    write(this.#more, more.join(" · "));
    write(this.#age, age(state.now() - alert.raised));
    mark(this.element, "new", !taken(alert));
    mark(this.element, "stale", alert.stale_since !== null);
  }
}
