/** Scenes of the wall: they take turns, unless somebody pinned one or a river stands at alarm level II or higher. */
import { byId, label, make, mark, write } from "../shared/dom";
import type { State } from "../shared/state";
import { both, pair } from "../shared/texts";
import type { SceneName } from "../shared/types";

export const SCENES: readonly SceneName[] = ["overview", "flood", "traffic", "air"];
/** How long a scene stays, in ms. */
const TURN = 30_000;
/** The alarm level of a river from which the wall shows floods and nothing else. */
const PINS_FLOOD = 2;

export class Scenes {
  scene: SceneName = "overview";
  readonly #tabs: { name: SceneName; element: HTMLElement }[];
  readonly #why = make("span", "why");

  constructor() {
    this.#tabs = SCENES.map((name) => ({ name, element: label("li", "", `scene.${name}`) }));
    byId("scenes").append(make("ul", "", ...this.#tabs.map(({ element }) => element)), this.#why);
    // For rooms with several screens: each its own, whatever is pinned for all.
    const asked = new URLSearchParams(location.search).get("scene");
    this.#own = SCENES.find((name) => name === asked);
  }

  readonly #own: SceneName | undefined;

  /** The scene to show now. */
  update(state: State): SceneName {
    const pinned = this.#own ?? state.scene.pinned ?? (state.flood >= PINS_FLOOD ? "flood" : null);
    this.scene = pinned ?? SCENES[Math.floor(performance.now() / TURN) % SCENES.length]!;
    for (const { name, element } of this.#tabs) mark(element, "on", name === this.scene);
    const why = this.#own
      ? both("scene.own")
      : state.scene.pinned
        ? both("scene.pinned", { by: state.scene.by ?? "" })
        : state.flood >= PINS_FLOOD
          ? both("scene.flood_pins", { level: "I".repeat(state.flood) })
          : both("scene.turns", { seconds: TURN / 1000 });
    write(this.#why, pair(why));
    return this.scene;
  }
}
