/**
 * The police's queue of possible violations. Each look at a record asks why, and is logged by the server; the untouched pictures stand beside
 * copies with time and place written on them. A person decides.
 */
import { path, post, query, send } from "../shared/api";
import { button, label, make, set } from "../shared/dom";
import { full, moment, number, time } from "../shared/format";
import { both, named, one, pair } from "../shared/texts";
import type { Text } from "../shared/types";
import { askFor, option } from "./dialog";
import { load, toast } from "./orders";

interface RecordLine {
  id: string;
  at: number;
  camera: string;
  camera_name: string;
  place: string;
  act: string;
  act_name: Text;
  state: string;
  void: string[];
  clock_doubt: boolean;
  handed_over: boolean;
}

interface Moment {
  millis: number;
}

/** `record.json` of the evidence, as far as this page shows it. */
interface RecordFile {
  id: string;
  at: Moment;
  void: string[];
  camera: { name: string };
  place: string;
  clock: unknown;
  law: { law: { name: string; version: string }; provision: { code: string; text: string; fine: string; points: number } } | null;
  plate: { text: string | null; raw: string; confidence: number; unread: string | null } | null;
  pictures: { file: string; moment: string; at: Moment; signal: { signal: string; state: string; since: number; confidence: number } | null }[];
  crop: { file: string } | null;
}

interface Review {
  by: string;
  at: Moment;
  decision?: string;
  reasons?: string[];
  plate?: string;
  note: string | null;
  state: string;
}

interface RecordWhole {
  record: RecordFile;
  reviews: Review[];
  state: string;
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
  /** The id of the record that is shown. */
  #open: string | null = null;
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
      const words = await load<{ acts: Code[]; reasons: Code[] }>("/api/records/words");
      this.#reasons = words?.reasons ?? [];
      this.#act.replaceChildren(option("", pair(both("filter.any"))), ...(words?.acts ?? []).map((act) => option(act.code, one(act))));
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
        const parts = [record.camera_name, moment(record.at), pair(named("decision", record.state))];
        if (record.handed_over) parts.push(pair(named("decision", "exported")));
        for (const why of record.void) parts.push(pair(both("violation.void", { why: named("void", why).vi })));
        if (record.clock_doubt) parts.push(pair(both("violation.clock")));
        const row = make("li", "", make("button", "entry", make("b", "", one(record.act_name)), make("span", "note", parts.join(" · "))));
        row.firstElementChild!.addEventListener("click", () => void this.#look(record.id));
        return row;
      }),
    );
  }

  /** To the next of the queue, or the one before. */
  move(by: number): void {
    const at = this.#list.findIndex(({ id }) => id === this.#open);
    const next = this.#list[Math.max(0, Math.min(this.#list.length - 1, at + by))];
    if (next) void this.#look(next.id);
  }

  async #look(id: string): Promise<void> {
    const filled = await askFor("violation.look", [{ name: "why", text: "violation.why", value: this.#why }]);
    if (!filled) return;
    this.#why = filled["why"]!;
    const whole = await load<RecordWhole>(`${path("records", id)}${query({ why: this.#why })}`);
    if (!whole) return;
    this.#open = id;
    const name = this.#list.find((record) => record.id === id)?.act_name;
    this.#draw(whole, name ? pair(name) : id);
  }

  #draw({ record, reviews, state }: RecordWhole, name: string): void {
    const { plate } = record;
    const about: [string, string][] = [
      [pair(both("violation.place")), `${record.camera.name} · ${record.place}`],
      [pair(both("col.time")), full(record.at.millis) + (record.clock ? "" : ` · ${pair(both("violation.clock"))}`)],
      [pair(both("violation.plate")), plate?.text ?? pair(both("violation.unread"))],
      [pair(both("filter.state")), pair(named("decision", state))],
    ];
    if (plate) about.push([pair(both("violation.raw")), `${plate.raw} (${number(Math.round(plate.confidence * 100), "1")} %)`]);
    for (const why of record.void) about.push([pair(both("violation.voided")), pair(named("void", why))]);
    if (record.law) {
      const { law, provision } = record.law;
      about.push([pair(both("violation.provision")), `${provision.text} (${provision.code}; ${law.name}, ${law.version})`]);
      about.push([pair(both("violation.fine")), pair(both("violation.fined", { fine: provision.fine, points: provision.points }))]);
    }
    const address = (file: string) => path("records", record.id, "files", file);
    const frames = record.pictures.map(({ file, at }) => {
      const original = make("img");
      original.alt = pair(both("violation.original", { file }));
      const copy = make("canvas");
      original.addEventListener("load", () => stamp(copy, original, `${full(at.millis)} · ${record.camera.name}`), { once: true });
      original.src = address(file);
      return make("div", "pair", make("figure", "", copy, label("figcaption", "", "violation.copy")), make("figure", "", original, make("figcaption", "", pair(both("violation.original", { file })))));
    });
    const crop = record.crop ? [picture(address(record.crop.file), pair(both("violation.plate")))] : [];
    const sights = record.pictures.flatMap(({ at, signal }) => (signal ? [make("li", signal.state, `${full(at.millis)} · ${pair(named("signal", signal.state))} (${pair(both("violation.since", { time: time(signal.since) }))})`)] : []));
    const signal = sights.length ? [label("h3", "", "violation.signal"), make("ol", "timeline", ...sights)] : [];
    const past = reviews.map((r) => make("li", "", [full(r.at.millis), r.by, r.decision ? pair(named("decision", r.decision)) : "", r.plate, r.reasons?.join(", "), r.note].filter(Boolean).join(" · ")));
    const accept = button("violation.accept", () => void this.#decide({ decision: "accept" }), "primary");
    if (record.void.length) set(accept, "disabled", "");
    this.#record.replaceChildren(
      make("h2", "", name),
      make("dl", "why", ...about.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)])),
      make("div", "actions", accept, button("violation.reject", () => void this.#reject()), button("violation.correct", () => void this.#correct(plate?.text ?? ""))),
      ...crop, ...signal, label("h3", "", "violation.frames"), ...frames, ...(past.length ? [label("h3", "", "violation.reviews"), make("ol", "steps", ...past)] : []),
    );
  }

  async #decide(body: object): Promise<void> {
    if (!this.#open) return;
    const answer = await post<{ state: string }>(path("records", this.#open, "decide"), body);
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
    const accepted = this.#list.filter(({ state }) => state === "accepted").map(({ id }) => id);
    if (!accepted.length) return toast("violation.nothing");
    const filter = { ids: accepted };
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

