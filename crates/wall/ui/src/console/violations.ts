/**
 * The police's queue of possible violations. Each look at a record asks why, and is logged by the server; the untouched pictures stand beside
 * copies with time and place written on them. A person decides.
 */
import { path, post, query, send } from "../shared/api";
import { button, label, make, set } from "../shared/dom";
import { full, moment, number } from "../shared/format";
import { both, named, one, pair } from "../shared/texts";
import type { Text } from "../shared/types";
import { askFor, option } from "./dialog";
import { load, toast } from "./orders";

interface RecordLine {
  id: string;
  at: number;
  camera: string;
  place: string;
  act: string;
  act_name: Text;
  state: string;
  void: string | null;
  clock_doubt: boolean;
}

interface RecordWhole extends RecordLine {
  plate?: { text?: string | null; raw?: string | null; confidence?: number | null; unread?: string | null } | string | null;
  signal?: { at: number; state: string }[];
  reviews: { by?: string; at: number; decision?: string; reason?: string; note?: string }[];
  law?: Record<string, unknown>;
  pictures: { file: string; at: number; place?: string | null }[];
  plate_file?: string | null;
}

interface Code extends Text {
  code: string;
}

const LIMIT = 60;

export class ViolationsView {
  readonly element = make("section", "violations view");
  readonly #queue = make("ol", "list");
  readonly #record = make("section", "record");
  readonly #state = make("select", "", option("", pair(both("filter.any"))));
  readonly #act = make("select", "", option("", pair(both("filter.any"))));
  readonly #counts = make("p", "note");
  #reasons: Code[] = [];
  #list: RecordLine[] = [];
  #open: RecordWhole | null = null;
  #why = "";

  constructor() {
    const field = (key: Parameters<typeof both>[0], input: HTMLElement) => make("label", "filter", label("span", "", key), input);
    const filters = make(
      "div", "filters", field("filter.state", this.#state), field("violation.act", this.#act), button("do.refresh", () => void this.open()),
      button("violation.search", () => void this.#search()), button("violation.export", () => void this.#export()),
    );
    for (const input of [this.#state, this.#act]) input.addEventListener("input", () => void this.#load());
    this.element.append(make("div", "queue", filters, this.#counts, this.#queue), this.#record);
  }

  async open(): Promise<void> {
    if (!this.#reasons.length) {
      this.#reasons = (await load<Code[]>("/api/records/reasons")) ?? [];
      const acts = (await load<Code[]>("/api/records/acts")) ?? [];
      this.#act.replaceChildren(option("", pair(both("filter.any"))), ...acts.map((act) => option(act.code, one(act))));
    }
    await this.#load();
  }

  async #load(): Promise<void> {
    const answer = await load<{ records: RecordLine[]; counts: Record<string, number> }>(`/api/records${query({ state: this.#state.value, act: this.#act.value, limit: LIMIT })}`);
    if (!answer) return;
    const chosen = this.#state.value;
    this.#state.replaceChildren(option("", pair(both("filter.any"))), ...Object.entries(answer.counts).map(([state, n]) => option(state, `${pair(named("decision", state))} (${n})`)));
    this.#state.value = chosen;
    this.#show(answer.records);
  }

  #show(records: RecordLine[]): void {
    this.#list = records;
    this.#queue.replaceChildren(
      ...records.map((record) => {
        const parts = [record.place, moment(record.at), pair(named("decision", record.state))];
        if (record.void) parts.push(pair(both("violation.void", { why: named("void", record.void).vi })));
        if (record.clock_doubt) parts.push(pair(both("violation.clock")));
        const row = make("li", "", make("button", "entry", make("b", "", one(record.act_name)), make("span", "note", parts.join(" · "))));
        row.firstElementChild!.addEventListener("click", () => void this.#look(record.id));
        return row;
      }),
    );
  }

  /** To the next of the queue, or the one before. */
  move(by: number): void {
    const at = this.#list.findIndex(({ id }) => id === this.#open?.id);
    const next = this.#list[Math.max(0, Math.min(this.#list.length - 1, at + by))];
    if (next) void this.#look(next.id);
  }

  async #look(id: string): Promise<void> {
    const filled = await askFor("violation.look", [{ name: "why", text: "violation.why", value: this.#why }]);
    if (!filled) return;
    this.#why = filled["why"]!;
    const record = await load<RecordWhole>(`${path("records", id)}${query({ why: this.#why })}`);
    if (!record) return;
    this.#open = record;
    this.#draw(record);
  }

  #draw(record: RecordWhole): void {
    const plate = typeof record.plate === "string" ? { text: record.plate } : record.plate;
    const about: [string, string][] = [
      [pair(both("violation.place")), record.place],
      [pair(both("col.time")), full(record.at) + (record.clock_doubt ? ` · ${pair(both("violation.clock"))}` : "")],
      [pair(both("violation.plate")), plate?.text ?? pair(both("violation.unread"))],
      [pair(both("filter.state")), pair(named("decision", record.state))],
    ];
    if (plate?.raw) about.push([pair(both("violation.raw")), `${plate.raw}${plate.confidence == null ? "" : ` (${number(plate.confidence * 100, "1")} %)`}`]);
    if (record.void) about.push([pair(both("violation.voided")), pair(named("void", record.void))]);
    for (const [name, value] of Object.entries(record.law ?? {})) if (typeof value === "string") about.push([name, value]);
    const address = (file: string) => path("records", record.id, "files", file);
    const frames = record.pictures.map(({ file, at, place }) => {
      const original = make("img");
      original.alt = pair(both("violation.original", { file }));
      const copy = make("canvas");
      original.addEventListener("load", () => stamp(copy, original, `${full(at)} · ${record.place}${place ? ` · ${place}` : ""}`), { once: true });
      original.src = address(file);
      return make("div", "pair", make("figure", "", copy, label("figcaption", "", "violation.copy")), make("figure", "", original, make("figcaption", "", pair(both("violation.original", { file })))));
    });
    const crop = record.plate_file ? [picture(address(record.plate_file), pair(both("violation.plate")))] : [];
    const signal = record.signal?.length ? [label("h3", "", "violation.signal"), make("ol", "timeline", ...record.signal.map(({ at, state }) => make("li", state, `${full(at)} · ${pair(named("signal", state))}`)))] : [];
    const reviews = record.reviews.length ? [label("h3", "", "violation.reviews"), make("ol", "steps", ...record.reviews.map((r) => make("li", "", `${full(r.at)} · ${r.by ?? ""} · ${r.decision ? pair(named("decision", r.decision)) : ""} ${r.reason ?? ""} ${r.note ?? ""}`)))] : [];
    const accept = button("violation.accept", () => void this.#decide({ decision: "accept" }), "primary");
    if (record.void) set(accept, "disabled", "");
    this.#record.replaceChildren(
      make("h2", "", pair(record.act_name)),
      make("dl", "why", ...about.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)])),
      make("div", "actions", accept, button("violation.reject", () => void this.#reject()), button("violation.correct", () => void this.#correct(plate?.text ?? ""))),
      ...crop, ...signal, label("h3", "", "violation.frames"), ...frames, ...reviews,
    );
  }

  async #decide(body: object): Promise<void> {
    if (!this.#open) return;
    const answer = await post<{ state: string }>(path("records", this.#open.id, "decide"), body);
    if (!answer.ok) return toast("order.refused", { why: answer.error });
    toast("order.done");
    this.#record.replaceChildren();
    this.#open = null;
    await this.#load();
  }

  async #reject(): Promise<void> {
    const filled = await askFor("violation.reject", [
      { name: "reason", text: "field.why", kind: "select", options: this.#reasons.map((reason) => [reason.code, one(reason)]) },
      { name: "note", text: "field.note", required: false },
    ]);
    if (filled) await this.#decide({ decision: "reject", reason: filled["reason"], ...(filled["note"] ? { note: filled["note"] } : {}) });
  }

  async #correct(plate: string): Promise<void> {
    const filled = await askFor("violation.correct", [{ name: "plate", text: "violation.plate", value: plate }, { name: "note", text: "field.note", required: false }]);
    if (filled) await this.#decide({ decision: "correct", plate: filled["plate"], ...(filled["note"] ? { note: filled["note"] } : {}) });
  }

  async #search(): Promise<void> {
    const filled = await askFor("violation.search", [{ name: "plate", text: "violation.plate" }, { name: "why", text: "violation.why" }]);
    if (!filled) return;
    const answer = await post<{ records: RecordLine[] }>("/api/records/search", filled);
    if (!answer.ok) return toast("order.refused", { why: answer.error });
    this.#show(answer.data.records);
  }

  async #export(): Promise<void> {
    const filled = await askFor("violation.export", [{ name: "to", text: "violation.receiver" }, { name: "purpose", text: "violation.purpose" }]);
    if (!filled) return;
    const filter = { ...(this.#act.value ? { act: this.#act.value } : {}), ids: this.#list.filter(({ state }) => state !== "rejected").map(({ id }) => id) };
    const answer = await send("/api/records/export", { filter, ...filled });
    if (!answer.ok) return toast("order.refused", { why: answer.error });
    const link = make("a");
    link.href = URL.createObjectURL(await answer.data.blob());
    link.download = /filename="?([^"]+)"?/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? "export.zip";
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

function picture(address: string, name: string): HTMLElement {
  const image = make("img", "plate");
  image.src = address;
  image.alt = name;
  return make("figure", "", image, make("figcaption", "", name));
}

/** Time and place written on a copy; the original stays as it came. */
function stamp(canvas: HTMLCanvasElement, image: HTMLImageElement, text: string): void {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const c = canvas.getContext("2d");
  if (!c) return;
  const size = Math.max(12, Math.round(canvas.height / 24));
  c.drawImage(image, 0, 0);
  c.fillStyle = "#000";
  c.fillRect(0, canvas.height - size * 1.6, canvas.width, size * 1.6);
  c.fillStyle = "#fff";
  c.font = `${size}px "Noto Sans", "DejaVu Sans", sans-serif`;
  c.textBaseline = "middle";
  c.fillText(text, size * 0.5, canvas.height - size * 0.8, canvas.width - size);
}

