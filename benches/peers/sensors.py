"""What a user would write in Python: paho and orjson, one window per sensor in memory, no store.

Speaks with the checker as the processor does; BENCH_PORT, BENCH_QOS and BENCH_SCENARIO come from the checker.
"""

import os

import orjson
import paho.mqtt.client as mqtt

WINDOW, DISORDER, LIMIT = 60_000, 5_000, 3.5
qos = int(os.environ.get("BENCH_QOS", "0"))
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho-peer", clean_session=qos == 0)
sensors = {}


def tell(alert):
    client.publish("hue/alerts", orjson.dumps(alert), qos=1)


def each(reading):
    if reading["value"] > LIMIT:
        tell({"sensor": reading["sensor"], "ts": reading["ts"], "window_start": reading["ts"], "max": reading["value"]})


def windowed(reading):
    sensor, ts, value = reading["sensor"], reading["ts"], reading["value"]
    state = sensors.setdefault(sensor, [-1, {}])
    start = ts - ts % WINDOW
    if start + WINDOW + DISORDER <= state[0]:
        return  # too late
    window = state[1].setdefault(start, [0, 0.0, value])
    window[0] += 1
    window[1] += value
    window[2] = max(window[2], value)
    if ts <= state[0]:
        return
    state[0] = ts
    for start in [start for start in state[1] if start + WINDOW + DISORDER <= ts]:
        n, total, most = state[1].pop(start)
        if most > LIMIT:
            tell({"sensor": sensor, "window_start": start, "max": most, "mean": total / n, "n": n})


judge = each if os.environ.get("BENCH_SCENARIO") == "latency" else windowed
client.on_message = lambda _client, _data, message: judge(orjson.loads(message.payload))
client.on_connect = lambda *_: client.subscribe("hue/sensors/+/+", qos)
client.connect("127.0.0.1", int(os.environ["BENCH_PORT"]))
client.loop_forever()
