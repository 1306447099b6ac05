/**
 * What a screen knows, built from a snapshot and its deltas. Live and replayed events are applied by the same code.
 *
 * Invariant: applying the deltas after a snapshot gives what a later snapshot would say.
 */
import { floodLevel, gravest } from "./alerts";
import { nameOf } from "./texts";
import type { Alert, AlertStep, Camera, CameraState, Clock, Delta, Figures, Forecast, Place, Scene, Snapshot, Station, Stream, Text, Value } from "./types";

/** Values of keys that no snapshot lists (calls, reports, articles) come and go: the oldest of so many are forgotten. */
const MOST_VALUES = 4000;

export class State {
  snapshot: Snapshot | null = null;
  readonly alerts = new Map<string, Alert>();
  /** What is to be done about alerts, by rule. */
  readonly advice = new Map<string, Text>();
  /** The latest reading by `stream key`. */
  readonly values = new Map<string, Value>();
  /** The latest issue by `stream key`, the stream being the one that is foretold. */
  readonly forecasts = new Map<string, Forecast>();
  readonly cameraStates = new Map<string, CameraState>();
  readonly stations = new Map<string, Station>();
  readonly cameras = new Map<string, Camera>();
  readonly streams = new Map<string, Stream>();
  figures: Figures | null = null;
  scene: Scene = { pinned: null };
  /** Gravest open level by key. */
  alarmed = new Map<string, number>();
  /** The highest alarm level of a river, 0 to 3. */
  flood = 0;

  #clock: Clock & { at: number } = { now: Date.now(), rate: 1, at: performance.now() };

  /** Processor time now, in ms since the epoch. It goes on while a connection is lost, so that ages grow. */
  now(): number {
    return this.#clock.now + (performance.now() - this.#clock.at) * this.#clock.rate;
  }

  get rate(): number {
    return this.#clock.rate;
  }

  /** Processor time that passes before anything new can be on the screen: values are told once a second, pictures fetched after. */
  delay(): number {
    return 5000 * this.#clock.rate;
  }

  setClock(clock: Clock): void {
    this.#clock = { ...clock, at: performance.now() };
  }

  load(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    for (const map of [this.alerts, this.advice, this.values, this.forecasts, this.cameraStates, this.stations, this.cameras, this.streams]) map.clear();
    for (const station of snapshot.stations) this.stations.set(station.id, station);
    for (const camera of snapshot.cameras) this.cameras.set(camera.id, camera);
    for (const stream of snapshot.streams) this.streams.set(stream.id, stream);
    this.scene = snapshot.scene ?? { pinned: null };
    this.setClock(snapshot.clock);
    this.apply({ ...snapshot, alerts: snapshot.alerts.map((alert) => ({ transition: 0, kind: "raised", alert })) });
    // The lists were copied: a snapshot is kept for its places only.
    this.snapshot = { ...snapshot, alerts: [], values: [], forecasts: [], camera_states: [], accounts: [] };
  }

  apply(delta: Pick<Delta, "advice" | "values" | "forecasts" | "camera_states" | "figures" | "scene"> & { alerts?: AlertStep[] }): void {
    for (const { alert } of delta.alerts ?? []) {
      if (alert.state === "cleared" || alert.state === "pending") this.alerts.delete(alert.id);
      else this.alerts.set(alert.id, alert);
    }
    if (delta.alerts?.length) {
      this.alarmed = gravest(this.alerts.values());
      this.flood = floodLevel(this.alerts.values());
    } else if (delta.alerts && this.alerts.size === 0) {
      this.alarmed = new Map();
      this.flood = 0;
    }
    for (const [rule, advice] of Object.entries(delta.advice ?? {})) this.advice.set(rule, advice);
    for (const value of delta.values ?? []) {
      const key = `${value.stream} ${value.key}`;
      // Kept in the order of their coming, so that the first is the one to forget.
      if (value.orphan) this.values.delete(key);
      this.values.set(key, value);
    }
    for (const forecast of delta.forecasts ?? []) this.forecasts.set(`${this.streams.get(forecast.stream)?.forecast?.of} ${forecast.key}`, forecast);
    if (this.values.size > MOST_VALUES) this.#forget();
    for (const state of delta.camera_states ?? []) this.cameraStates.set(state.id, state);
    this.figures = delta.figures ?? this.figures;
    this.scene = delta.scene ?? this.scene;
  }

  #forget(): void {
    for (const [key, value] of this.values) {
      if (this.values.size <= MOST_VALUES) return;
      if (value.orphan) this.values.delete(key);
    }
  }

  value(stream: string, key: string): Value | undefined {
    return this.values.get(`${stream} ${key}`);
  }

  number(stream: string, key: string, field = "value"): number | undefined {
    return this.value(stream, key)?.fields.find((f) => f.name === field)?.number;
  }

  /** What is foretold of a stream's value at a station, and whether it was issued too long ago to be relied on. */
  foretold(stream: string, key: string): { forecast: Forecast; stale: boolean } | undefined {
    const forecast = this.forecasts.get(`${stream} ${key}`);
    const after = forecast && this.streams.get(forecast.stream)?.forecast?.stale_after;
    return forecast && { forecast, stale: after !== undefined && this.now() - forecast.issued > after };
  }

  unit(stream: string, field: string): string {
    return this.streams.get(stream)?.units[field] ?? "";
  }

  /** What an alert is about, in words: its place; else its stream, with a key that people know, which has a number in it (a boat, a call). */
  about(alert: Alert): string {
    const place = this.place(alert.key);
    const stream = this.streams.get(alert.stream);
    if (place || !stream) return place ? nameOf(place) : alert.key;
    return /\d/.test(alert.key) ? `${nameOf(stream)} ${alert.key}` : nameOf(stream);
  }

  place(key: string): Place | undefined {
    return this.stations.get(key) ?? this.cameras.get(key);
  }

  /** A sensor is silent when its newest reading is older than its stream allows; unknown when there is none. */
  silent(station: Station, stream: string): boolean {
    const value = this.value(stream, station.id);
    const after = station.streams.find((s) => s.id === stream)?.silent_after;
    return value === undefined || (after !== undefined && this.now() - value.at > after + this.delay());
  }

  of(kind: string): Station[] {
    return [...this.stations.values()].filter((station) => station.kind === kind);
  }
}
