// What a user would write in Node.js: mqtt.js, one window per sensor in memory, no store. Speaks with the checker as the processor does.
// BENCH_PORT, BENCH_QOS and BENCH_SCENARIO come from the checker.
import mqtt from 'mqtt';

const WINDOW = 60_000, DISORDER = 5_000, LIMIT = 3.5;
const { BENCH_PORT = '1883', BENCH_QOS = '0', BENCH_SCENARIO = 'flood' } = process.env;
const qos = Number(BENCH_QOS);
const client = mqtt.connect({ host: '127.0.0.1', port: Number(BENCH_PORT), clientId: 'node-peer', clean: qos === 0, protocolVersion: 4 });
const sensors = new Map();

const tell = alert => client.publish('hue/alerts', JSON.stringify(alert), { qos: 1 });

function each({ sensor, ts, value }) {
  if (value > LIMIT) tell({ sensor, ts, window_start: ts, max: value });
}

function windowed({ sensor, ts, value }) {
  let state = sensors.get(sensor);
  if (!state) sensors.set(sensor, (state = { newest: -Infinity, open: new Map() }));
  const start = ts - (ts % WINDOW);
  if (start + WINDOW + DISORDER <= state.newest) return; // too late
  let window = state.open.get(start);
  if (!window) state.open.set(start, (window = { n: 0, sum: 0, max: -Infinity }));
  window.n += 1;
  window.sum += value;
  if (value > window.max) window.max = value;
  if (ts <= state.newest) return;
  state.newest = ts;
  for (const [start, { n, sum, max }] of state.open) {
    if (start + WINDOW + DISORDER > ts) continue;
    state.open.delete(start);
    if (max > LIMIT) tell({ sensor, window_start: start, max, mean: sum / n, n });
  }
}

const judge = BENCH_SCENARIO === 'latency' ? each : windowed;
client.on('message', (topic, payload) => judge(JSON.parse(payload)));
client.on('connect', () => client.subscribe('hue/sensors/+/+', { qos }));
