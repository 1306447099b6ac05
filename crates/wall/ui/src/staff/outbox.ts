/**
 * Orders given on a bad link: kept in the phone until the server has taken them, and sent again in their order. An acknowledgement or "on my way"
 * given twice is the same one, so sending again does no harm.
 */
import { post } from "../shared/api";

interface Waiting {
  path: string;
  body: object;
  at: number;
}

const NAME = "huong-outbox";
/** A link can be bad for a day; more than this is a mistake. */
const MOST = 100;
const LONGEST = 24 * 3_600_000;

export class Outbox {
  #sending = false;

  /** `ready`: the server knows who this is; before that it would refuse. */
  constructor(
    readonly ready: () => boolean,
    readonly changed: (refused: string | null) => void,
  ) {
    addEventListener("online", () => void this.send());
  }

  get waiting(): Waiting[] {
    try {
      return (JSON.parse(localStorage.getItem(NAME) ?? "[]") as Waiting[]).filter(({ at }) => Date.now() - at < LONGEST);
    } catch {
      return [];
    }
  }

  #keep(list: Waiting[]): void {
    localStorage.setItem(NAME, JSON.stringify(list.slice(-MOST)));
  }

  has(path: string): boolean {
    return this.waiting.some((order) => order.path === path);
  }

  async add(path: string, body: object): Promise<void> {
    if (!this.has(path)) this.#keep([...this.waiting, { path, body, at: Date.now() }]);
    this.changed(null);
    await this.send();
  }

  /** To be called now and then: gives what waits to the server, the oldest first. */
  async send(): Promise<void> {
    if (this.#sending || !this.ready()) return;
    this.#sending = true;
    for (let [first] = this.waiting; first; [first] = this.waiting) {
      const answer = await post(first.path, first.body);
      // Nobody answered, or the server cannot now: it stays.
      if (!answer.ok && (answer.status === 0 || answer.status === 401 || answer.status === 429 || answer.status >= 500)) break;
      const path = first.path;
      this.#keep(this.waiting.filter((order) => order.path !== path));
      this.changed(answer.ok ? null : answer.error);
    }
    this.#sending = false;
  }
}
