/**
 * A past hour played at any speed through the same code as the live stream. Nothing of it mixes with what is live: it has a state and
 * curves of its own.
 */
import { get, query } from "./api";
import { History } from "./history";
import { State } from "./state";
import type { Past } from "./types";

/** What the server gives at once. */
export const LONGEST = 6 * 3_600_000;
const BEAT = 200;

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
    const answer = await get<Past>(`/api/past${query({ from, to: Math.min(to, from + LONGEST) })}`);
    if (!answer.ok) return answer.error;
    this.close();
    this.#past = answer.data;
    this.from = from;
    this.to = Math.min(to, from + LONGEST);
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
