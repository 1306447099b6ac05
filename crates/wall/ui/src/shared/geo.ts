/** Distances on a city's scale, and the cameras nearest to an alert. */
import { level, listed, order } from "./alerts";
import type { State } from "./state";
import type { Alert, Camera } from "./types";

export interface Point {
  lat: number;
  lon: number;
}

/** Kilometres, flat: exact enough within a province. */
export function km(a: Point, b: Point): number {
  const north = (a.lat - b.lat) * 111.2;
  const east = (a.lon - b.lon) * 111.2 * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(north, east);
}

/** Where an alert is: its station's or camera's place, or that of a report by its own figures. */
export function whereIs(state: State, alert: Alert): Point | undefined {
  const place = state.place(alert.key);
  if (place?.lat !== undefined && place.lon !== undefined) return { lat: place.lat, lon: place.lon };
  const { lat, lon } = alert.values;
  return lat !== undefined && lon !== undefined ? { lat, lon } : undefined;
}

/** Beyond this a camera shows nothing of an alert. */
const NEAR_KM = 3;
/** So many alerts bring their cameras to the front, each so many. */
const ALERTS = 6;
const EACH = 3;

/** The cameras that matter now, at most `count`: those nearest to the gravest alerts, then those that see the most vehicles. */
export function nearest(state: State, count: number): Camera[] {
  const seen = (camera: Camera) => state.cameraStates.get(camera.id)?.last_frame != null;
  const live = [...state.cameras.values()].filter(seen);
  const chosen = new Set<Camera>();
  const grave = [...state.alerts.values()].filter((alert) => listed(alert) && !alert.silence && level(alert) < 4).sort(order);
  let told = 0;
  for (const alert of grave) {
    if (told === ALERTS || chosen.size >= count) break;
    const at = whereIs(state, alert);
    const own = state.cameras.get(alert.key);
    if (own) chosen.add(own);
    if (!at) continue;
    told += 1;
    const near = live
      .flatMap((camera) => (camera.lat === undefined || camera.lon === undefined ? [] : [{ camera, far: km(at, { lat: camera.lat, lon: camera.lon }) }]))
      .filter(({ far }) => far <= NEAR_KM)
      .sort((a, b) => a.far - b.far);
    for (const { camera } of near.slice(0, EACH)) chosen.add(camera);
  }
  const busy = (camera: Camera) => state.number("vehicles", camera.id, "total") ?? -1;
  for (const camera of live.sort((a, b) => busy(b) - busy(a) || (a.id < b.id ? -1 : 1))) chosen.add(camera);
  for (const camera of state.cameras.values()) {
    if (chosen.size >= count) break;
    chosen.add(camera);
  }
  return [...chosen].slice(0, count);
}
