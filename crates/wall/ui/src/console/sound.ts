/** Two tones for a new alert of the two gravest levels. Off until the operator turns it on: browsers ask for a gesture. */
import { level, listed } from "../shared/alerts";
import type { Delta, Snapshot } from "../shared/types";

const NAME = "huong-sound";

export class Sound {
  on = localStorage.getItem(NAME) === "on";
  #context: AudioContext | null = null;

  toggle(): boolean {
    this.on = !this.on;
    localStorage.setItem(NAME, this.on ? "on" : "off");
    if (this.on) this.play(2);
    return this.on;
  }

  /** The text of the gravest new alert, for readers of screens. */
  told(event: Delta | Snapshot): string | null {
    if ("build" in event) return null;
    const news = (event.alerts ?? []).filter(({ kind, alert }) => kind === "raised" && listed(alert) && level(alert) <= 2).map(({ alert }) => alert);
    const first = news.sort((a, b) => level(a) - level(b))[0];
    if (!first) return null;
    if (this.on) this.play(level(first));
    return first.text.vi;
  }

  play(grave: number): void {
    this.#context ??= new AudioContext();
    const context = this.#context;
    void context.resume();
    const tones = grave === 1 ? [880, 660, 880, 660] : [660, 880];
    tones.forEach((pitch, i) => {
      const tone = context.createOscillator();
      const gain = context.createGain();
      const start = context.currentTime + i * 0.22;
      tone.frequency.value = pitch;
      gain.gain.setValueAtTime(0.15, start);
      gain.gain.exponentialRampToValueAtTime(0.001, start + 0.2);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + 0.21);
    });
  }
}
