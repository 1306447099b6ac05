/**
 * The one connection to the server, and the state that its events build.
 *
 * Invariant: after a break nothing old is shown as new: the state says how long ago it was heard, and a new connection
 * begins with a whole snapshot.
 */
import { whoAmI } from "./api";
import { State } from "./state";
import type { Clock, Delta, Session, Snapshot } from "./types";

/** Silence after which the connection counts as lost, in ms: three heartbeats. */
const SILENCE = 15_000;

export class Link {
  readonly state = new State();
  connected = false;
  /** The server asks for a token or a login. */
  refused = false;
  session: Session | null = null;
  #heard = performance.now();
  #seq = 0;
  #attempt = 0;
  #build = "";
  #source: EventSource | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is called when what the screen shows may have changed; `told` with each delta that was applied. */
  constructor(
    readonly changed: () => void,
    readonly told: (delta: Delta | Snapshot) => void = () => {},
  ) {}

  /** Real milliseconds since the server was last heard. */
  silence(): number {
    return performance.now() - this.#heard;
  }

  async open(): Promise<void> {
    this.#source?.close();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const who = await whoAmI();
    this.refused = who === false;
    this.session = who || this.session;
    if (!who) return this.retry();
    const source = new EventSource("/api/events");
    this.#source = source;
    // A source that was given up may still deliver what it had: only the present one counts.
    const on = (name: string, take: (event: never) => void) =>
      source.addEventListener(name, (event) => {
        if (source === this.#source) take(JSON.parse((event as MessageEvent<string>).data) as never);
      });
    on("snapshot", (event: Snapshot) => this.#snapshot(event));
    on("delta", (event: Delta) => this.#delta(event));
    on("heartbeat", (event: Delta) => this.#take(event));
    // An EventSource gives up for good on some answers; we always reopen, each screen at its own time.
    source.onerror = () => source === this.#source && this.retry();
  }

  /** Shows what was kept of an earlier connection, `age` real milliseconds ago, until there is one again. */
  remember(snapshot: Snapshot, age: number): void {
    if (this.connected || this.state.snapshot) return;
    const { now, rate } = snapshot.clock;
    this.state.load({ ...snapshot, clock: { now: now + age * rate, rate } });
    this.#heard = performance.now() - age;
    this.changed();
  }

  /** To be called each second: a connection can be dead without an error. */
  watch(): void {
    if (this.connected && this.silence() > SILENCE) this.retry();
  }

  retry(): void {
    this.#source?.close();
    this.#source = undefined;
    this.connected = false;
    this.changed();
    if (this.#timer) return;
    const most = Math.min(15_000, 1000 * 2 ** Math.min(this.#attempt++, 4));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.open();
    }, 250 + Math.random() * most);
  }

  /** False when an event was missed. */
  #take(event: { seq: number; clock: Clock }): boolean {
    this.#heard = performance.now();
    this.state.setClock(event.clock);
    const next = event.seq === this.#seq + 1;
    this.#seq = event.seq;
    if (!next) this.retry();
    return next;
  }

  #snapshot(event: Snapshot): void {
    if (this.#build && this.#build !== event.build) return location.reload();
    this.#build = event.build;
    this.#seq = event.seq - 1;
    if (!this.#take(event)) return;
    this.state.load(event);
    this.connected = true;
    this.#attempt = 0;
    this.told(event);
    this.changed();
  }

  #delta(event: Delta): void {
    if (!this.#take(event)) return;
    this.state.apply(event);
    this.told(event);
    this.changed();
  }
}

/** Draws at most once per animation frame, and at least once a second: ages grow. Returns what asks for a drawing. */
export function drawer(draw: () => void): () => void {
  let due = false;
  const now = () => {
    due = false;
    draw();
  };
  setInterval(now, 1000);
  return () => {
    if (due) return;
    due = true;
    // A hidden tab gets no animation frames; the timer draws for it.
    requestAnimationFrame(now);
  };
}
