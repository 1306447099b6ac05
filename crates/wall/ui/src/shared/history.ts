/**
 * The last day of the few series that the charts draw: rings of fixed size, filled once from the server and then from the events.
 */
import { get, missing, query } from "./api";
import type { Delta, Series, Value } from "./types";

/** Points of one series: a day of readings every two minutes. */
const SIZE = 720;
/** Series that are followed at most; the least recently asked for is given up. */
const MOST = 120;
export const SPAN = 24 * 3_600_000;

/** Times and values of one series, oldest first. */
export class Ring {
  readonly #at = new Float64Array(SIZE);
  readonly #value = new Float64Array(SIZE);
  #start = 0;
  length = 0;
  /** Grows with each point: charts draw anew when it has. */
  version = 0;
  used = 0;
  loaded = false;

  push(at: number, value: number): void {
    const last = this.length ? this.#at[(this.#start + this.length - 1) % SIZE]! : -Infinity;
    if (at < last) return;
    this.version += 1;
    if (at === last) {
      this.#value[(this.#start + this.length - 1) % SIZE] = value;
      return;
    }
    if (this.length === SIZE) this.#start = (this.#start + 1) % SIZE;
    else this.length += 1;
    const end = (this.#start + this.length - 1) % SIZE;
    this.#at[end] = at;
    this.#value[end] = value;
  }

  clear(): void {
    this.#start = this.length = 0;
    this.version += 1;
  }

  *[Symbol.iterator](): Generator<[number, number]> {
    for (let i = 0; i < this.length; i++) {
      const at = (this.#start + i) % SIZE;
      yield [this.#at[at]!, this.#value[at]!];
    }
  }

  get lastAt(): number | undefined {
    return this.length ? this.#at[(this.#start + this.length - 1) % SIZE] : undefined;
  }
}

interface Wanted {
  ring: Ring;
  stream: string;
  key: string;
  field: string;
}

export class History {
  readonly #rings = new Map<string, Ring>();
  readonly #queue: Wanted[] = [];
  #loading = false;
  #unavailable = false;
  #turn = 0;

  constructor(readonly now: () => number) {}

  /** The series, from now on followed. */
  ring(stream: string, key: string, field: string): Ring {
    const name = `${stream} ${key} ${field}`;
    let ring = this.#rings.get(name);
    if (!ring) {
      if (this.#rings.size >= MOST) this.#giveUp();
      ring = new Ring();
      this.#rings.set(name, ring);
      this.#ask({ ring, stream, key, field });
      void this.#load();
    }
    ring.used = ++this.#turn;
    return ring;
  }

  /** Curves before the rain behind them, of which there are many. */
  #ask(wanted: Wanted): void {
    const rain = wanted.stream === "rain" ? -1 : this.#queue.findIndex(({ stream }) => stream === "rain");
    this.#queue.splice(rain < 0 ? this.#queue.length : rain, 0, wanted);
  }

  #giveUp(): void {
    let oldest: string | undefined;
    let least = Infinity;
    for (const [name, ring] of this.#rings) if (ring.used < least) [oldest, least] = [name, ring.used];
    if (oldest !== undefined) this.#rings.delete(oldest);
  }

  told(event: Pick<Delta, "values">): void {
    for (const value of event.values ?? []) this.#push(value);
  }

  #push(value: Value): void {
    for (const field of value.fields) {
      if (field.number === undefined || field.flag === "bad" || field.flag === "suspect") continue;
      this.#rings.get(`${value.stream} ${value.key} ${field.name}`)?.push(value.at, field.number);
    }
  }

  /** After a break the gap is unknown: everything is asked for again. */
  reload(): void {
    this.#queue.length = 0;
    for (const [name, ring] of this.#rings) {
      const [stream = "", key = "", field = ""] = name.split(" ");
      this.#ask({ ring, stream, key, field });
    }
    void this.#load();
  }

  /** One request at a time: a slow link shows its charts later instead of queueing. */
  async #load(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    for (let next = this.#queue.shift(); next && !this.#unavailable; next = this.#queue.shift()) {
      const { ring, stream, key, field } = next;
      const to = Math.round(this.now());
      const answer = await get<Series>(`/api/series${query({ stream, key, field, from: to - SPAN, to, points: 600 })}`);
      // A server without this route: charts begin now.
      if (missing(answer) && !ring.loaded && this.#rings.size > 0) this.#unavailable = answer.ok === false && answer.status === 404 && /no such page/.test(answer.error);
      if (!answer.ok) continue;
      ring.loaded = true;
      const since = [...ring];
      ring.clear();
      for (const [at, mean] of answer.data.points) ring.push(at, mean);
      for (const [at, value] of since) ring.push(at, value);
    }
    this.#loading = false;
  }
}
