/** The bar of a replay: which hour, how fast, where in it. While it plays, every view shows the past and says so. */
import { query } from "../shared/api";
import { button, label, make, set, show, write } from "../shared/dom";
import { full, fromInput, toInput } from "../shared/format";
import { Player } from "../shared/player";
import { both, pair } from "../shared/texts";
import { option } from "./dialog";
import { toast } from "./orders";

const SPEEDS = [1, 10, 60, 300, 1200];
const HOURS = [1, 2, 3, 6];
const HOUR = 3_600_000;

export class ReplayBar {
  readonly element = make("section", "replay no-print");
  readonly player: Player;
  readonly #from = make("input");
  readonly #hours = make("select", "", ...HOURS.map((n) => option(String(n), pair(both("replay.hours", { count: n })))));
  readonly #speed = make("select", "", ...SPEEDS.map((n) => option(String(n), `×${n}`)));
  readonly #slider = make("input");
  readonly #at = make("span", "at");
  readonly #controls: HTMLElement;

  constructor(changed: () => void, readonly liveNow: () => number) {
    this.player = new Player(changed);
    this.#from.type = "datetime-local";
    this.#speed.value = "60";
    this.#slider.type = "range";
    set(this.#slider, "aria-label", both("replay.position").vi);
    set(this.#speed, "aria-label", both("replay.speed").vi);
    this.#speed.addEventListener("input", () => this.player.faster(Number(this.#speed.value)));
    this.#slider.addEventListener("input", () => this.player.seek(this.player.from + (Number(this.#slider.value) / 1000) * (this.player.to - this.player.from)));
    this.#slider.max = "1000";
    const field = (key: Parameters<typeof both>[0], input: HTMLElement) => make("label", "filter", label("span", "", key), input);
    this.#controls = make("div", "row", button("replay.pause", () => this.pause()), this.#speed, this.#slider, this.#at, button("replay.live", () => this.close(), "primary"));
    this.element.append(make("div", "row", field("time.from", this.#from), field("replay.span", this.#hours), button("replay.play", () => void this.start()), button("replay.wall", () => this.onWall())), this.#controls);
    show(this.element, false);
    show(this.#controls, false);
  }

  toggle(): void {
    show(this.element, this.element.hasAttribute("hidden"));
    if (!this.#from.value) this.#from.value = toInput(this.liveNow() - HOUR);
    if (!this.element.hasAttribute("hidden")) this.#from.focus();
  }

  async start(): Promise<void> {
    const from = fromInput(this.#from.value);
    this.player.speed = Number(this.#speed.value);
    const failed = await this.player.open(from, Math.min(from + Number(this.#hours.value) * HOUR, this.liveNow()));
    if (failed) toast("replay.failed", { why: failed });
  }

  /** In a window of its own, for the large screen. */
  onWall(): void {
    window.open(`/wall${query({ replay: this.#from.value, hours: this.#hours.value, speed: this.#speed.value })}`, "_blank", "noopener");
  }

  pause(): void {
    this.player.pause(this.player.playing);
  }

  close(): void {
    this.player.close();
    show(this.element, false);
  }

  update(): void {
    const { player } = this;
    show(this.#controls, player.active);
    if (!player.active) return;
    show(this.element, true);
    const now = player.state.now();
    write(this.#at, `${full(now)}${player.playing ? "" : ` · ${pair(both("replay.paused"))}`}`);
    if (document.activeElement !== this.#slider) this.#slider.value = String(Math.round(((now - player.from) / Math.max(1, player.to - player.from)) * 1000));
  }
}
