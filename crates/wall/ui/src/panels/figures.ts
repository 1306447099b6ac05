/** The line of health figures: is the processor itself to be believed? A click on the ledger opens it, stream by stream. */
import { get } from "../shared/api";
import { Label, byId, label, make, mark, show, write } from "../shared/dom";
import { age, number } from "../shared/format";
import type { State } from "../shared/state";
import { both, pair, type Key } from "../shared/texts";
import type { Account, Snapshot, Text } from "../shared/types";

const NAMES = ["readings", "ledger", "latency", "frames", "frame_age", "stale", "broker", "sinks", "mirror", "load", "rules"] as const;
type Name = (typeof NAMES)[number];

export class FiguresLine {
  readonly #line = byId("figures");
  readonly #cells = Object.fromEntries(
    NAMES.map((name) => {
      const value = make("b");
      const element = make("span", "figure", new Label("span", "", both(`figure.${name}` satisfies Key)).element, value);
      this.#line.append(element);
      return [name, { element, value }];
    }),
  ) as Record<Name, { element: HTMLElement; value: HTMLElement }>;

  constructor() {
    new LedgerTable(this.#cells.ledger.element);
  }

  update(state: State): void {
    const { figures } = state;
    if (!figures) return;
    const off = Object.values(figures.ledger).reduce((sum, b) => sum + Math.abs(b.received - b.stored - b.rejected - b.shed - b.in_flight), 0);
    const failing = figures.sinks.filter((sink) => sink.failing).map((sink) => sink.name);
    const { frames, mirror, load, rules } = figures;
    this.#set("readings", number(Math.round(figures.readings_per_second)));
    this.#say("ledger", off === 0 ? both("figure.ledger.balanced") : both("figure.ledger.unbalanced", { count: off }), off !== 0);
    this.#set("latency", figures.latency ? `${number(figures.latency.p99, "mm")} ms` : "–");
    this.#set("frames", `${number(frames.inferred + frames.gated)} / ${number(frames.received)}`);
    this.#set("frame_age", frameAge(state));
    const silent = stale(state);
    this.#set("stale", `${silent} / ${state.stations.size}`, state.stations.size > 0 && silent * 5 > state.stations.size);
    this.#say("broker", figures.broker_connected ? both("figure.broker.connected") : both("figure.broker.lost"), !figures.broker_connected);
    this.#say("sinks", failing.length ? both("figure.sinks.failing", { names: failing.join(", ") }) : both("figure.sinks.working"), failing.length > 0);
    show(this.#cells.mirror.element, Boolean(mirror));
    if (mirror?.failing) this.#set("mirror", `${pair(both("figure.mirror.failing"))} · ${number(mirror.behind)}`, true);
    else this.#say("mirror", both("figure.mirror.working"), false);
    this.#set("load", `${number(load.last_10_min)} · ${number(load.last_hour)}`, load.in_flood);
    this.#say("rules", rules.outdated ? both("figure.rules.outdated") : both("figure.rules.current"), rules.outdated);
  }

  #set(name: Name, text: string, wrong = false): void {
    write(this.#cells[name].value, text);
    mark(this.#cells[name].element, "wrong", wrong);
  }

  #say(name: Name, text: Text, wrong: boolean): void {
    this.#set(name, pair(text), wrong);
  }
}

/** Stations of which at least one stream is silent or has never spoken. */
export function stale(state: State): number {
  return [...state.stations.values()].filter((station) => station.streams.some(({ id }) => state.silent(station, id))).length;
}

/** Half of the cameras that ever sent a picture have one younger than this. */
function frameAge(state: State): string {
  const ages = [...state.cameraStates.values()].flatMap(({ last_frame }) => (last_frame === null ? [] : [state.now() - last_frame])).sort((a, b) => a - b);
  const middle = ages[ages.length >> 1];
  return middle === undefined ? "–" : age(middle);
}

const COLUMNS = ["stream", "source", "received", "stored", "rejected", "shed", "in_flight", "reasons"] as const;

const sum = (reasons: Record<string, number>) => Object.values(reasons).reduce((all, count) => all + count, 0);

/** Most frequent first. */
const why = (reasons: Record<string, number>) =>
  Object.entries(reasons).sort((a, b) => b[1] - a[1]).map(([reason, count]) => `${reason} ${number(count)}`).join(", ");

/** The ledger by stream and source, over the page while somebody looks at it. */
class LedgerTable {
  readonly #element = byId("ledger");
  readonly #rows = make("tbody");

  constructor(opener: HTMLElement) {
    const head = make("tr", "", ...COLUMNS.map((name) => label("th", name === "reasons" || name === "stream" || name === "source" ? "" : "count", `ledger.${name}`)));
    this.#element.append(make("table", "", make("thead", "", head), this.#rows));
    opener.addEventListener("click", () => void this.#toggle());
    this.#element.addEventListener("click", () => this.#close());
  }

  #close(): void {
    show(this.#element, false);
    this.#rows.replaceChildren();
  }

  async #toggle(): Promise<void> {
    if (!this.#element.hasAttribute("hidden")) return this.#close();
    const answer = await get<Snapshot>("/api/snapshot");
    if (!answer.ok) return;
    this.#rows.replaceChildren(...answer.data.accounts.map(row));
    show(this.#element, true);
  }
}

function row(account: Account): HTMLElement {
  const rejected = sum(account.rejected);
  const shed = sum(account.shed);
  const off = account.received !== account.stored + rejected + shed + account.in_flight;
  const counts = [account.received, account.stored, rejected, shed, account.in_flight].map((count) => make("td", "count", number(count)));
  const names = [account.stream ?? "?", account.source ?? "?"].map((name) => make("td", "", name));
  return make("tr", off ? "wrong" : "", ...names, ...counts, make("td", "", why({ ...account.rejected, ...account.shed })));
}
