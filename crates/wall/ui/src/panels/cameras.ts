/**
 * Camera tiles: those nearest to the gravest alerts, then those that see the most vehicles. A picture is fetched only when the one
 * before it has arrived, so a slow link shows older pictures instead of queueing requests; each shows its age.
 */
import { get, missing, path } from "../shared/api";
import { Sign, make, mark, show, write } from "../shared/dom";
import { age } from "../shared/format";
import { nearest } from "../shared/geo";
import type { State } from "../shared/state";
import { known, named, nameOf, one, both, say } from "../shared/texts";
import type { Boxes, Camera } from "../shared/types";

/** How long a choice of cameras stays, in ms, so that tiles do not jump. */
const TURN = 10_000;
/** A frame is old after this many of its camera's periods. */
const LATE = 5;

export class Cameras {
  readonly #tiles: CameraTile[];
  #chosen = -Infinity;

  constructor(parent: HTMLElement, count: number) {
    this.#tiles = Array.from({ length: count }, () => new CameraTile());
    parent.append(...this.#tiles.map((tile) => tile.element));
  }

  update(state: State, connected: boolean): void {
    if (performance.now() - this.#chosen > TURN && connected && state.cameras.size) {
      this.#chosen = performance.now();
      // The front belongs to the gravest.
      const best = nearest(state, this.#tiles.length);
      this.#tiles.forEach((tile, i) => tile.assign(best[i]));
    }
    for (const tile of this.#tiles) tile.update(state, connected);
  }
}

/** `false` once a server has said that it knows no boxes. */
let boxesKnown = true;

export class CameraTile {
  readonly element = make("figure", "camera");
  camera: Camera | undefined;
  readonly #image = make("img");
  readonly #boxes = make("canvas");
  readonly #sign = new Sign();
  readonly #name = make("span", "name");
  readonly #count = make("span", "count");
  readonly #age = make("span", "age");
  #loading = false;
  /** Capture time of the picture shown, and of the one on its way. */
  #at = 0;
  #coming = 0;

  constructor() {
    this.#image.alt = "";
    this.element.append(make("div", "picture", this.#image, this.#boxes), make("figcaption", "", this.#sign.element, this.#name, this.#count, this.#age));
    this.#image.onload = () => {
      this.#loading = false;
      this.#at = this.#coming;
      void this.#look();
    };
    this.#image.onerror = () => {
      this.#loading = false;
    };
  }

  assign(camera: Camera | undefined): void {
    if (camera?.id === this.camera?.id) return;
    this.camera = camera;
    this.#at = this.#coming = 0;
    this.#image.removeAttribute("src");
    this.#loading = false;
    this.#clear();
  }

  update(state: State, connected: boolean): void {
    show(this.element, this.camera !== undefined);
    if (!this.camera) return;
    const seen = state.cameraStates.get(this.camera.id);
    const latest = seen?.last_frame ?? 0;
    // A hidden panel needs no pictures.
    if (connected && !this.#loading && latest > this.#coming && this.element.offsetParent) {
      this.#loading = true;
      this.#coming = latest;
      this.#image.src = `${path("cameras", this.camera.id, "frame")}?at=${latest}`;
    }
    const elapsed = state.now() - this.#at;
    const vehicles = state.number("vehicles", this.camera.id, "total");
    this.#sign.alarm(state.alarmed.get(this.camera.id));
    write(this.#name, nameOf(this.camera));
    write(this.#count, seen?.failing ? one(both("camera.failing")) : vehicles === undefined ? "" : say("camera.vehicles", { count: vehicles }));
    write(this.#age, this.#at ? age(elapsed) : say("camera.none"));
    mark(this.element, "unknown", !this.#at || elapsed > LATE * this.camera.period + state.delay());
    mark(this.element, "failing", Boolean(seen?.failing));
  }

  /** What vision last saw there, if it is of this picture or a neighbour of it. */
  async #look(): Promise<void> {
    const { camera } = this;
    if (!camera || !boxesKnown) return;
    const answer = await get<Boxes>(path("cameras", camera.id, "boxes"));
    if (missing(answer) && !answer.ok && /no such page/.test(answer.error)) boxesKnown = false;
    if (this.camera !== camera) return;
    this.#clear();
    if (!answer.ok || Math.abs(answer.data.at - this.#at) > camera.period * 2) return;
    draw(this.#boxes, this.#image, answer.data);
  }

  #clear(): void {
    this.#boxes.width = 1;
  }
}

/** Boxes as fractions of the picture, on a canvas of the picture's shape: both are fitted into the tile alike. */
export function draw(canvas: HTMLCanvasElement, image: HTMLImageElement, { boxes }: Boxes): void {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const c = canvas.getContext("2d");
  if (!c) return;
  const size = Math.max(10, canvas.height / 22);
  c.font = `600 ${size}px "Noto Sans", "DejaVu Sans", sans-serif`;
  c.textBaseline = "bottom";
  c.lineWidth = Math.max(1.5, canvas.height / 240);
  for (const { label, x, y, w, h } of boxes) {
    const [left, top] = [x * canvas.width, y * canvas.height];
    c.strokeStyle = "#fff";
    c.strokeRect(left, top, w * canvas.width, h * canvas.height);
    const text = known("label", label) ? named("label", label).vi : label;
    c.fillStyle = "rgba(0,0,0,.7)";
    c.fillRect(left, top - size * 1.15, c.measureText(text).width + 4, size * 1.15);
    c.fillStyle = "#fff";
    c.fillText(text, left + 2, top);
  }
}
