/**
 * Nine camera tiles: the cameras with an alert, then those that see the most vehicles. A picture is fetched only when the one
 * before it has arrived, so a slow link shows older pictures instead of queueing requests; each shows its age.
 * @module
 */
import { make, mark, show, write } from "./dom.js";
import { age } from "./format.js";

const TILES = 9;
/** How long a choice of cameras stays, in ms, so that tiles do not jump. */
const TURN = 10_000;
/** A frame is old after this many of its camera's periods. */
const LATE = 5;

export class Cameras {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.tiles = Array.from({ length: TILES }, () => new Tile(texts));
    document.getElementById("cameras").append(...this.tiles.map((tile) => tile.element));
    this.chosen = -Infinity;
  }

  /** @param {import("./link.js").Link} link */
  update(link) {
    if (!link.places) return;
    if (performance.now() - this.chosen > TURN && link.connected) {
      this.chosen = performance.now();
      this.choose(link);
    }
    for (const tile of this.tiles) tile.update(link);
  }

  /** @param {import("./link.js").Link} link */
  choose(link) {
    const alarmed = new Set([...link.alerts.values()].map((alert) => alert.key));
    const rank = (/** @type {any} */ camera) => {
      const seen = link.cameraStates.get(camera.id)?.last_frame != null;
      return (alarmed.has(camera.id) ? 1e6 : 0) + (seen ? 1e3 : 0) + (vehicles(link, camera.id) ?? 0);
    };
    const best = [...link.places.cameras].sort((a, b) => rank(b) - rank(a)).slice(0, TILES);
    // A camera that stays keeps its tile.
    const stay = this.tiles.map((tile) => best.find((camera) => camera.id === tile.camera?.id));
    const come = best.filter((camera) => !stay.includes(camera));
    this.tiles.forEach((tile, i) => tile.assign(stay[i] ?? come.shift()));
  }
}

/** @param {import("./link.js").Link} link @param {string} id @returns {number | undefined} */
function vehicles(link, id) {
  const fields = link.values.get(`vehicles ${id}`)?.fields;
  return fields?.find((/** @type {any} */ field) => field.name === "total")?.number;
}

class Tile {
  /** @param {import("./format.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.image = make("img");
    this.image.alt = "";
    this.name = make("span", "name");
    this.count = make("span", "count");
    this.age = make("span", "age");
    this.element = make("figure", "camera", this.image, make("figcaption", "", this.name, this.count, this.age));
    this.loading = false;
    /** Capture time of the picture shown, and of the one on its way. */
    this.at = this.coming = 0;
    this.image.onload = () => {
      this.loading = false;
      this.at = this.coming;
    };
    this.image.onerror = () => {
      this.loading = false;
    };
  }

  /** @param {any} camera */
  assign(camera) {
    if (camera?.id === this.camera?.id) return;
    this.camera = camera;
    this.at = this.coming = 0;
    this.image.removeAttribute("src");
    this.loading = false;
  }

  /** @param {import("./link.js").Link} link */
  update(link) {
    show(this.element, this.camera !== undefined);
    if (!this.camera) return;
    const state = link.cameraStates.get(this.camera.id);
    const latest = state?.last_frame ?? 0;
    if (link.connected && !this.loading && latest > this.coming) {
      this.loading = true;
      this.coming = latest;
      this.image.src = `/api/cameras/${encodeURIComponent(this.camera.id)}/frame?at=${latest}`;
    }
    const elapsed = link.now() - this.at;
    const count = vehicles(link, this.camera.id);
    write(this.name, this.camera.name);
    write(this.count, state?.failing ? this.texts.vi("camera.failing") : count === undefined ? "" : this.texts.vi("camera.vehicles", { count }));
    write(this.age, this.at ? age(elapsed) : this.texts.vi("camera.none"));
    mark(this.element, "unknown", !this.at || elapsed > LATE * this.camera.period + link.delay());
    mark(this.element, "failing", Boolean(state?.failing));
  }
}
