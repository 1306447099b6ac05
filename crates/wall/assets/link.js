/**
 * The one connection to the server, and the state that its events build.
 *
 * Invariant: after a break nothing old is shown as new: the state says how long ago it was heard, and a new connection
 * begins with a whole snapshot.
 * @module
 */

/** Silence after which the connection counts as lost, in ms: three heartbeats. */
const SILENCE = 15_000;

export class Link {
  /** @param {() => void} changed called when what the screen shows may have changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Map<string, any>} */
    this.alerts = new Map();
    /** @type {Map<string, any>} latest reading by `stream key` */
    this.values = new Map();
    /** @type {Map<string, any>} */
    this.cameraStates = new Map();
    /** @type {any} the last snapshot: stations, cameras, streams */
    this.places = null;
    /** @type {any} */
    this.figures = null;
    this.connected = false;
    this.refused = false;
    this.heard = performance.now();
    this.clock = { now: Date.now(), rate: 1, at: performance.now() };
    this.seq = 0;
    this.attempt = 0;
  }

  /** Processor time now, in ms since the epoch. It goes on while the connection is lost, so that ages grow. */
  now() {
    return this.clock.now + (performance.now() - this.clock.at) * this.clock.rate;
  }

  /** Processor time that passes before anything new can be on the screen: values are told once a second, pictures fetched after. */
  delay() {
    return 5000 * this.clock.rate;
  }

  /** Real milliseconds since the server was last heard. */
  silence() {
    return performance.now() - this.heard;
  }

  async open() {
    this.source?.close();
    const allowed = await session();
    this.refused = allowed === false;
    if (!allowed) return this.retry();
    const source = new EventSource("/api/events");
    this.source = source;
    source.addEventListener("snapshot", (event) => this.snapshot(JSON.parse(event.data)));
    source.addEventListener("delta", (event) => this.delta(JSON.parse(event.data)));
    source.addEventListener("heartbeat", (event) => this.take(JSON.parse(event.data)));
    // An EventSource gives up for good on some answers; we always reopen, each screen at its own time.
    source.onerror = () => source === this.source && this.retry();
  }

  /** To be called each second: a connection can be dead without an error. */
  watch() {
    if (this.connected && this.silence() > SILENCE) this.retry();
  }

  retry() {
    this.source?.close();
    this.source = undefined;
    this.connected = false;
    this.changed();
    if (this.timer) return;
    const most = Math.min(15_000, 1000 * 2 ** this.attempt++);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.open();
    }, 250 + Math.random() * most);
  }

  /** @param {any} event @returns {boolean} false when an event was missed */
  take(event) {
    this.heard = performance.now();
    this.clock = { ...event.clock, at: this.heard };
    const next = event.seq === this.seq + 1;
    this.seq = event.seq;
    if (!next) this.retry();
    return next;
  }

  /** @param {any} event */
  snapshot(event) {
    if (this.places && this.places.build !== event.build) return location.reload();
    this.seq = event.seq - 1;
    this.take(event);
    this.places = event;
    this.alerts = new Map(event.alerts.map((/** @type {any} */ alert) => [alert.id, alert]));
    this.values.clear();
    this.cameraStates.clear();
    this.merge(event);
    this.connected = true;
    this.attempt = 0;
    this.changed();
  }

  /** @param {any} event */
  delta(event) {
    if (!this.take(event)) return;
    for (const { alert } of event.alerts ?? []) {
      if (alert.state === "cleared") this.alerts.delete(alert.id);
      else this.alerts.set(alert.id, alert);
    }
    this.merge(event);
    this.changed();
  }

  /** @param {any} event */
  merge(event) {
    for (const value of event.values ?? []) this.values.set(`${value.stream} ${value.key}`, value);
    for (const state of event.camera_states ?? []) this.cameraStates.set(state.id, state);
    this.figures = event.figures ?? this.figures;
  }
}

/**
 * Whether this screen may read: true, false, or undefined when the server cannot be reached. A token given as `#token=...` becomes
 * a cookie and leaves the address bar.
 * @returns {Promise<boolean | undefined>}
 */
async function session() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    const answer = token
      ? await fetch("/api/session", { method: "POST", headers: { authorization: `Bearer ${token}` } })
      : await fetch("/api/session");
    if (answer.ok && token) history.replaceState(null, "", location.pathname);
    return answer.ok ? true : answer.status === 401 ? false : undefined;
  } catch {
    return undefined;
  }
}
