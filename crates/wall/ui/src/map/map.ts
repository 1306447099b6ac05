/**
 * The map of Huế: ground, stations and cameras as symbols, values and alerts as labels. Loaded after the page, because its library is large.
 */
import { Map as MapLibre, addProtocol, setWorkerUrl, type GeoJSONSource } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import "./map.css";
import { level, listed, order } from "../shared/alerts";
import { make } from "../shared/dom";
import { age, number, symbol } from "../shared/format";
import { whereIs } from "../shared/geo";
import type { State } from "../shared/state";
import { both, nameOf, one } from "../shared/texts";
import type { Place, SceneName, Station } from "../shared/types";
import { KINDS, draw, iconOf } from "./icons";
import { Labels, type Note } from "./labels";
import { ground, type Ground } from "./style";

setWorkerUrl(workerUrl);

/** West, south, east, north of what a scene looks at. */
const VIEWS: Record<SceneName, [number, number, number, number]> = {
  overview: [107.16, 16.09, 108.1, 16.72],
  flood: [107.40, 16.28, 107.76, 16.61],
  traffic: [107.548, 16.438, 107.632, 16.496],
  air: [107.46, 16.36, 107.78, 16.59],
};
/** Of each kind of station, the reading that its label shows. */
export const SHOWN: Record<string, [stream: string, field: string]> = {
  river: ["water_level", "value"],
  reservoir: ["reservoir", "level"],
  rain: ["rain_6h", "value"],
  flood: ["street_flood", "value"],
  air: ["aqi", "value"],
  wind: ["wind", "gust"],
};
/** The kinds that each scene shows, and of those the ones with a label. */
const KIND_OF: Record<SceneName, { kinds: string[]; labels: string[] }> = {
  overview: { kinds: ["river", "reservoir", "rain", "flood", "air", "wind", "camera"], labels: ["river", "reservoir"] },
  flood: { kinds: ["river", "reservoir", "rain", "flood"], labels: ["river", "reservoir", "flood", "rain"] },
  traffic: { kinds: ["camera", "flood"], labels: ["camera"] },
  air: { kinds: ["air", "wind", "rain"], labels: ["air", "wind"] },
};
/** Symbols move at most so often, in ms. */
const TURN = 2000;
const MOST_LABELS = 26;
const MOST_SIGNS = 26;

export class CityMap {
  readonly #map: MapLibre;
  readonly #labels = new Labels();
  readonly #names: Note[];
  #scene: SceneName = "overview";
  #drawn = -Infinity;
  #signature = "";
  #ready = false;

  private constructor(parent: HTMLElement, map: MapLibre, names: Ground) {
    this.#map = map;
    this.#names = names.features.flatMap((feature) => nameNote(feature));
    parent.append(this.#labels.element);
    const place = () => this.#labels.place((lon, lat) => map.project([lon, lat]));
    map.on("move", place);
    map.on("resize", () => this.#fit());
    // Not `load`, which waits for tiles: alerts must not.
    map.once("style.load", () => {
      this.#icons();
      this.#ready = true;
      this.#fit();
    });
  }

  /** `interactive`: may be moved by hand. */
  static async open(parent: HTMLElement, interactive: boolean): Promise<CityMap> {
    const { style, names, credit } = await ground(addProtocol as never);
    const box = make("div", "map-ground");
    parent.append(box, make("p", "map-credit", credit));
    const map = new MapLibre({
      container: box, style, interactive, attributionControl: false, fadeDuration: 0, bounds: VIEWS.overview,
      maxBounds: [106.6, 15.7, 108.7, 17.2], pixelRatio: Math.min(devicePixelRatio, 1.5), refreshExpiredTiles: false,
    });
    return new CityMap(parent, map, names);
  }

  scene(name: SceneName): void {
    if (name === this.#scene) return;
    this.#scene = name;
    this.#fit();
  }

  focus(at: { lon: number; lat: number }): void {
    this.#map.jumpTo({ center: [at.lon, at.lat], zoom: Math.max(this.#map.getZoom(), 12) });
  }

  #fit(): void {
    this.#map.fitBounds(VIEWS[this.#scene], { animate: false });
    this.#drawn = -Infinity;
  }

  #icons(): void {
    const size = Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * 1.1);
    const ratio = 2;
    for (const kind of KINDS) {
      for (const known of [true, false]) this.#map.addImage(`${kind}-${known}`, draw(kind, known, size * ratio), { pixelRatio: ratio });
    }
    this.#map.addSource("stations", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    this.#map.addLayer({
      id: "stations", type: "symbol", source: "stations",
      layout: {
        "icon-image": ["get", "icon"], "icon-allow-overlap": true, "icon-ignore-placement": true,
        "icon-size": ["case", ["in", "camera", ["get", "icon"]], 0.7, ["in", "rain", ["get", "icon"]], 0.75, 1],
      },
    });
  }

  update(state: State): void {
    if (!this.#ready || performance.now() - this.#drawn < TURN) return;
    this.#drawn = performance.now();
    const { kinds, labels } = KIND_OF[this.#scene];
    const features: GeoJSON.Feature[] = [];
    const notes: Note[] = [];
    const add = (place: Place, kind: string, known: boolean) => {
      if (place.lat === undefined || place.lon === undefined || !kinds.includes(kind)) return;
      features.push({ type: "Feature", properties: { icon: `${iconOf(kind)}-${known}` }, geometry: { type: "Point", coordinates: [place.lon, place.lat] } });
    };
    for (const station of state.stations.values()) {
      const note = this.#note(state, station);
      add(station, station.kind, !note.unknown);
      if (labels.includes(station.kind) && station.lat !== undefined) notes.push(note);
    }
    for (const camera of state.cameras.values()) {
      const seen = state.cameraStates.get(camera.id)?.last_frame;
      const known = seen != null && state.now() - seen < camera.period * 5 + state.delay();
      add(camera, "camera", known);
      const vehicles = state.number("vehicles", camera.id, "total");
      if (labels.includes("camera") && known && vehicles && camera.lat !== undefined && camera.lon !== undefined) {
        notes.push({ lon: camera.lon, lat: camera.lat, text: one(both("map.vehicles", { name: nameOf(camera), count: vehicles })), age: age(state.now() - seen), level: state.alarmed.get(camera.id), unknown: false });
      }
    }
    const signature = features.map((f) => (f.properties as { icon: string }).icon).join();
    if (signature !== this.#signature) {
      this.#signature = signature;
      (this.#map.getSource("stations") as GeoJSONSource).setData({ type: "FeatureCollection", features });
    }
    const view = this.#map.getBounds();
    const inside = (note: Note) => view.contains([note.lon, note.lat]);
    const weight = (note: Note) => (note.level ?? 5) + (note.unknown ? 3 : 0);
    const values = notes.filter(inside).map((note, i) => ({ note, i })).sort((a, b) => weight(a.note) - weight(b.note) || a.i - b.i).map(({ note }) => note);
    this.#labels.write([...values.slice(0, MOST_LABELS), ...this.#signs(state, notes).filter(inside).slice(0, MOST_SIGNS), ...this.#names.filter(inside)]);
    this.#labels.place((lon, lat) => this.#map.project([lon, lat]));
  }

  #note(state: State, station: Station): Note {
    const [stream, field] = SHOWN[station.kind] ?? [station.streams[0]?.id ?? "", "value"];
    const value = state.value(stream, station.id);
    const figure = value?.fields.find((f) => f.name === field)?.number;
    const unknown = figure === undefined || state.silent(station, station.streams[0]?.id ?? "");
    const unit = state.unit(stream, field);
    const text = `${nameOf(station).replace(/ \(.*\)$/, "")} ${figure === undefined ? "?" : `${number(figure, unit)} ${symbol(unit)}`}`;
    return { lon: station.lon ?? 0, lat: station.lat ?? 0, text, age: value ? age(state.now() - value.at) : "", level: state.alarmed.get(station.id), unknown };
  }

  /** Alerts that no label carries already, the gravest at each place. */
  #signs(state: State, notes: readonly Note[]): Note[] {
    const told = new Set(notes.map((note) => `${note.lon} ${note.lat}`));
    const signs: Note[] = [];
    for (const alert of [...state.alerts.values()].filter(listed).sort(order)) {
      const at = whereIs(state, alert);
      if (!at || told.has(`${at.lon} ${at.lat}`)) continue;
      told.add(`${at.lon} ${at.lat}`);
      signs.push({ ...at, text: "", age: "", level: level(alert), unknown: false });
    }
    return signs;
  }
}

/** Names of waters at the middle of their lines, of areas at the middle of their corners. */
function nameNote(feature: Ground["features"][number]): Note[] {
  const about = feature.properties as { kind: string; name: string; name_en: string; size?: number; at?: [number, number] };
  if (!["river", "lagoon", "citadel", "sea"].includes(about.kind)) return [];
  let at: number[] | undefined;
  if (about.kind === "sea") at = [107.86, 16.58];
  else if (feature.geometry.type === "LineString") at = feature.geometry.coordinates[Math.floor(feature.geometry.coordinates.length * 0.42)];
  else if (feature.geometry.type === "Polygon") {
    const ring = feature.geometry.coordinates[0] ?? [];
    at = about.kind === "lagoon" ? [107.735, 16.445] : [0, 1].map((axis) => ring.reduce((sum, point) => sum + (point[axis] ?? 0), 0) / ring.length);
  }
  if (!at || at.length < 2) return [];
  return [{ lon: at[0]!, lat: at[1]!, text: nameOf(about), age: "", level: undefined, unknown: false, name: true }];
}
