/**
 * A past hour played at any speed through the same code as the live stream. Nothing of it mixes with what is live: it has a state and
 * curves of its own.
 */
import { get, query } from "./api";
import { fromInput } from "./format";
import { History } from "./history";
import { State } from "./state";
import type { Past } from "./types";

/** What the server gives at once. */
export const LONGEST = 6 * 3_600_000;
const BEAT = 200;

/** What is to be played. */
export interface Played {
  from: number;
  to: number;
  speed: number;
}

/** As an address asks for it, by the clock of Huế; null when it does not, or not in a way that can be read. */
export function played(search: string): Played | null {
  const query = new URLSearchParams(search);
  const from = fromInput(query.get("replay") ?? "");
  const [hours, speed] = [Number(query.get("hours") ?? 1), Number(query.get("speed") ?? 60)];
  return Number.isNaN(from) || !(hours > 0) || !(speed > 0) ? null : { from, to: from + Math.min(hours * 3_600_000, LONGEST), speed };
}

export class Player {
  readonly state = new State();
  history = new History(() => this.state.now());
  from = 0;
  to = 0;
  speed = 60;
  playing = false;
  #past: Past | null = null;
  #next = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(readonly changed: () => void) {}

  get active(): boolean {
    return this.#past !== null;
  }

  /** What went wrong, or nothing. */
  async open(from: number, to: number): Promise<string | null> {
    // What is now has a fraction of a millisecond, which no server takes.
    to = Math.floor(Math.min(to, from + LONGEST));
    const answer = await get<Past>(`/api/past${query({ from, to })}`);
    if (!answer.ok) return answer.error;
    this.close();
    this.#past = answer.data;
    this.from = from;
    this.to = to;
    this.history = new History(() => this.state.now());
    this.playing = true;
    this.seek(from);
    this.#timer = setInterval(() => this.#beat(), BEAT);
    return null;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#past = null;
    this.playing = false;
    this.changed();
  }

  pause(on: boolean): void {
    this.playing = !on;
    this.#clock(this.state.now());
  }

  faster(speed: number): void {
    this.speed = Math.max(1, Math.min(3600, speed));
    this.#clock(this.state.now());
  }

  seek(at: number): void {
    if (!this.#past) return;
    this.#next = 0;
    this.state.load(this.#past.snapshot);
    this.history.told(this.#past.snapshot);
    this.#apply(at);
    this.#clock(at);
    this.changed();
  }

  #clock(now: number): void {
    this.state.setClock({ now, rate: this.playing ? this.speed : 0 });
  }

  #apply(until: number): boolean {
    const deltas = this.#past?.deltas ?? [];
    const first = this.#next;
    while (deltas[this.#next] && deltas[this.#next]!.at <= until) {
      const delta = deltas[this.#next++]!;
      this.state.apply(delta);
      this.history.told(delta);
    }
    return this.#next > first;
  }

  #beat(): void {
    if (!this.playing) return;
    const now = this.state.now();
    if (now >= this.to) {
      this.playing = false;
      this.#clock(this.to);
    }
    this.#apply(now);
    this.changed();
  }
}
