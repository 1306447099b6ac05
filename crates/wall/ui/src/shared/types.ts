/**
 * What the server says, as docs and `crates/wall/src/view.rs` have it. Times are milliseconds since the epoch, numbers in the stream's unit.
 * Fields that older servers leave out are optional.
 */

export interface Text {
  vi: string;
  en: string;
}

export type Severity = "extreme" | "severe" | "moderate" | "minor";

export type AlertState =
  | "cleared" | "pending" | "suppressed" | "shelved" | "grouped" | "flapping" | "latched" | "stale" | "acknowledged" | "open";

export interface Note {
  by: string;
  at: number;
  text: string;
  kind: "comment" | "coming";
}

export interface Alert {
  id: string;
  about: "rule" | "group" | "exercise";
  rule: string;
  rule_version: string;
  key: string;
  stream: string;
  severity: Severity;
  state: AlertState;
  holds: boolean;
  stale_since: number | null;
  since: number;
  raised: number;
  updated: number;
  ended: number | null;
  values: Record<string, number>;
  text: Text;
  ack: { by: string; at: number } | null;
  assigned?: { to: string; by: string; at: number } | null;
  notes?: Note[];
  shelf: { by: string; why: string; at: number; until: number } | null;
  inhibited_by: string | null;
  exercise: boolean;
  silence: boolean;
  notify: string[];
}

export interface Place {
  id: string;
  name: string;
  name_en: string;
  lat?: number;
  lon?: number;
  ward?: string | null;
  labels?: Record<string, string>;
}

export interface Station extends Place {
  kind: string;
  streams: { id: string; silent_after: number }[];
  levels: Record<string, number>;
  links?: Record<string, string[]>;
}

export interface Camera extends Place {
  /** Milliseconds between expected frames. */
  period: number;
}

export interface Stream {
  id: string;
  name: string;
  name_en: string;
  units: Record<string, string>;
  /** Of a stream of forecasts: what it foretells, and how long an issue holds, in ms. */
  forecast?: { of: string; stale_after: number };
}

/** When, the value, and where it lies between. */
export type Foretold = [at: number, value: number, low: number | null, high: number | null];

/** The latest issue for one station, in order of time. */
export interface Forecast {
  stream: string;
  key: string;
  issued: number;
  by?: string;
  points: Foretold[];
}

export interface Field {
  name: string;
  number?: number;
  text?: string;
  flag: "ok" | "suspect" | "bad" | "late" | "gap";
  check?: string;
}

export interface Value {
  stream: string;
  key: string;
  at: number;
  received: number;
  orphan: boolean;
  fields: Field[];
}

export interface CameraState {
  id: string;
  last_frame: number | null;
  failing: boolean;
}

export interface Ledger {
  received: number;
  stored: number;
  rejected: number;
  shed: number;
  in_flight: number;
}

export interface Figures {
  readings_per_second: number;
  ledger: Record<string, Ledger>;
  frames: { received: number; replaced: number; inferred: number; gated: number; errors: number };
  latency: { p50: number; p99: number } | null;
  broker_connected: boolean;
  sinks: { name: string; failing: string | null }[];
  mirror: { behind: number; failing: string | null } | null;
  load: { operators: number; last_10_min: number; last_hour: number; standing: number; unacknowledged: number; in_flood: boolean };
  rules: { outdated: boolean };
}

export interface Account {
  stream: string | null;
  source: string | null;
  received: number;
  stored: number;
  rejected: Record<string, number>;
  shed: Record<string, number>;
  in_flight: number;
}

export type SceneName = "overview" | "flood" | "traffic" | "air";

export interface Scene {
  pinned: SceneName | null;
  by?: string | null;
  at?: number | null;
}

export interface Clock {
  now: number;
  /** Seconds of the processor's time per real second: 1 in service. */
  rate: number;
}

export interface Snapshot {
  build: string;
  seq: number;
  clock: Clock;
  stations: Station[];
  cameras: Camera[];
  streams: Stream[];
  wards?: { id: string; name: string; name_en: string }[];
  alerts: Alert[];
  /** What is to be done, by rule. */
  advice?: Record<string, Text>;
  values: Value[];
  forecasts?: Forecast[];
  camera_states: CameraState[];
  figures: Figures;
  accounts: Account[];
  scene?: Scene;
}

export interface AlertStep {
  transition: number;
  kind: string;
  alert: Alert;
}

export interface Delta {
  seq: number;
  clock: Clock;
  alerts?: AlertStep[];
  advice?: Record<string, Text>;
  values?: Value[];
  forecasts?: Forecast[];
  camera_states?: CameraState[];
  figures?: Figures;
  scene?: Scene;
}

export type Right = "view" | "acknowledge" | "operate" | "release" | "review" | "audit";

export interface Session {
  role: string;
  name: string | null;
  /** Left out by servers that know tokens only. */
  rights?: Right[];
  csrf?: string | null;
  login?: boolean;
}

/** Time, value, least and greatest of the bucket. */
export type Point = [number, number, number, number];

export interface Series {
  stream: string;
  key: string;
  field: string;
  unit: string;
  from: number;
  to: number;
  points: Point[];
}

export interface Boxes {
  at: number;
  width: number;
  height: number;
  boxes: { label: string; score: number; x: number; y: number; w: number; h: number }[];
}

export interface Step {
  seq: number;
  kind: string;
  at: number;
  decided?: number;
  by: string | null;
  note: { kind: "comment" | "coming"; text: string } | null;
  /** To whom it was given. */
  to?: string | null;
  values: Record<string, number>;
  severity: Severity;
  state: AlertState;
  /** Of the alert. */
  id?: string;
  text?: Text;
}

export interface Evidence {
  alert: Alert;
  steps: Step[];
  causes: { stream: string; key: string; at: number }[];
  series: { stream: string; key: string; field: string; levels: Record<string, number> }[];
  cameras: { id: string; name: string; name_en: string; km: number }[];
  deliveries: { sink: string; recipient: string | null; at: number; outcome: string }[];
}

export interface Handover {
  from: number;
  to: number;
  open: Alert[];
  shelved: Alert[];
  unknown: { stream: string; key: string; last: number | null }[];
  raised: number;
  cleared: number;
  acknowledged: { by: string; n: number }[];
  changes: Step[];
  by: string;
}

export interface Past {
  snapshot: Snapshot;
  deltas: { at: number; alerts?: AlertStep[]; values?: Value[]; forecasts?: Forecast[] }[];
}
