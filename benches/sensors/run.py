#!/usr/bin/env python3
"""The path of the sensors, measured by an independent checker beside what others would write for it, in turn and in one run.

    MQBENCH=path/to/checker benches/sensors/run.py [--rounds N] [--kills N] [--into docs/performance.md] [SCENARIO ...]

The checker starts mosquitto and the program, publishes, compares every alert with its own arithmetic and prints one JSON object a run.
Nothing here counts unless every alert was right. Windows here are (start, end], those of the checker [start, end): they differ for the
one gauge whose readings fall on full minutes, L0001. The seed is one with which no alert of that gauge is due.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / "vendor/peers"
PORT = int(os.environ.get("PORT", "18830"))
TOKEN = "bench-bench-bench-bench-bench-01"
PROGRAMS = {
    "node": ["node", str(PEERS / "node/sensors.mjs")],
    "paho": [str(PEERS / "bin/python3"), str(ROOT / "benches/peers/sensors.py")],
    "counter": [str(PEERS / "counter")],
}


def setting(folder, rules=1, **changes):
    """A folder with a configuration of ours; the rules beside the first one speak of levels that are never reached."""
    values = {"PIPELINES": "window", "PORT": PORT, "WALL": PORT + 1, "PROTOCOL": "5", "TELL": "written", "SEGMENT": 32 << 20} | changes
    values = {"ROOT": ROOT, "REGISTRY": "registry.toml", "VISION": "false", "WORKERS": 2} | values
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    (folder / "huong.toml").write_text(string.Template((HERE / "huong.toml").read_text()).substitute(values))
    rule = (HERE / values["PIPELINES"] / "level.toml").read_text().split("[[rule.test]]")[0]
    more = [rule.replace('"level"', f'"level-{i}"').replace("> 3.5", f"> {100 + i}") for i in range(1, rules)]
    (folder / values["PIPELINES"] / "more.toml").write_text("\n".join(more))
    if values["VISION"] == "true":
        # The city's own streams of what cameras see, beside the checker's.
        streams = (ROOT / "config/streams.toml").read_text().split("[[stream]]")[1:]
        seen = [stream for stream in streams if re.search(r'^id = "(vehicles|zone_events|candidates|plates|signal|waste)"', stream, re.M)]
        with (folder / "streams.toml").open("a") as file:
            file.writelines("\n[[stream]]" + stream for stream in seen)


def run(program, scenario, *flags, beside=None, **changes):
    """One run; the checker's record, or none where the program is not here."""
    command = PROGRAMS.get(program)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if program == "huong":
            if "direct" in flags:
                changes.setdefault("PROTOCOL", "3.1.1")  # all that the checker speaks as a broker
            setting(folder, **changes)
            command = [str(HUONG), "run", "--config", "huong.toml"]
        if not shutil.which(command[0]):
            return None
        line = [str(MQBENCH), scenario, "--port", str(PORT), "--name", program, "--log", str(folder / "log.txt"), *flags, "--", *command]
        with beside(PORT + 1) if beside else contextlib.nullcontext():
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=900)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            log = folder / "log.txt"
            sys.exit(f"{program} {scenario} {flags}: {done.stderr}{log.read_text()[-2000:] if log.exists() else ''}")


def right(record):
    return record["missing"] + record["wrong"] + record["unexpected"] + record["duplicate"] + record["unparsed"] == 0


class Row:
    """What the rounds of one program in one scenario gave."""

    def __init__(self, records):
        self.records = [record for record in records if record]
        self.right = all(map(right, self.records))

    def __bool__(self):
        return bool(self.records)

    def median(self, field):
        values = [record[field] for record in self.records if record[field] is not None]
        return statistics.median(values) if values else float("nan")


def rounds(count, cases):
    """Every case once, and again: what the machine does meanwhile hits all alike. Cases are name: function of the round."""
    gathered = {name: [] for name in cases}
    for turn in range(count):
        for name, case in cases.items():
            gathered[name].append(case(turn))
            print(f"  {name}, round {turn + 1}", file=sys.stderr, flush=True)
    return {name: Row(records) for name, records in gathered.items()}


def number(value, digits=0):
    return "–" if value != value else f"{value:,.{digits}f}"


def throughput(rows, beside):
    """A table of messages a second; the last column compares with `beside`."""
    out = [f"| | messages/s | CPU s a million | broker CPU s | RSS MB | × {beside} |", "| --- | --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        if not row:
            out.append(f"| {name} | not here | | | | |")
            continue
        ratio = row.median("msg_per_s") / rows[beside].median("msg_per_s") if rows.get(beside) else float("nan")
        figures = [number(row.median("msg_per_s")), number(row.median("cpu_s_per_million"), 2), number(row.median("broker_cpu_s"), 2)]
        wrong = "" if row.right else " **(alerts wrong)**"
        out.append(f"| {name}{wrong} | {' | '.join(figures)} | {number(row.median('rss_peak_mb'))} | {number(ratio, 2)} |")
    return out


def latencies(rows):
    out = ["| | p50 ms | p99 ms | worst ms | CPU s a million | RSS MB |", "| --- | --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        if not row:
            out.append(f"| {name} | not here | | | | |")
            continue
        fields = [("p50_ms", 2), ("p99_ms", 2), ("max_ms", 1), ("cpu_s_per_million", 1), ("rss_peak_mb", 0)]
        wrong = "" if row.right else " **(alerts wrong)**"
        out.append(f"| {name}{wrong} | " + " | ".join(number(row.median(field), digits) for field, digits in fields) + " |")
    return out


def case(program, scenario, *flags, **changes):
    return lambda turn: run(program, scenario, *flags, **changes)


def s1(args):
    flags = ("--messages", "400000")
    return throughput(rounds(args.rounds, {name: case(name, "flood", *flags) for name in ("huong", "node", "paho")}), "node")


def direct(args):
    flags = ("--messages", "1000000", "--broker", "direct")
    return throughput(rounds(args.rounds, {name: case(name, "flood", *flags) for name in ("huong", "node", "paho")}), "node")


def qos1(args):
    flags = ("--messages", "400000", "--qos", "1")
    cases = {"counter": case("counter", "count", *flags), "huong": case("huong", "flood", *flags), "node": case("node", "flood", *flags)}
    return throughput(rounds(args.rounds, cases), "counter")


def s2(args, rate="5000"):
    flags = ("--rate", rate)
    cases = {
        "huong, told when written": case("huong", "latency", *flags, PIPELINES="each"),
        "huong, told when synced": case("huong", "latency", *flags, PIPELINES="each", TELL="synced"),
        "node": case("node", "latency", *flags),
        "paho": case("paho", "latency", *flags),
    }
    if rate != "5000":
        del cases["paho"]  # it cannot take so many
    return latencies(rounds(args.rounds, cases))


def s2_fast(args):
    return s2(args, "50000")


def s3(args):
    """Killed at many points; the peers, which keep nothing, once in the middle."""
    out = ["| | kills | alerts due | right | missing | wrong | twice |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for name, kills in (("huong", args.kills), ("node", 1), ("paho", 1)):
        total = dict.fromkeys(("alerts_due", "correct", "missing", "wrong", "duplicate"), 0)
        for kill in range(kills):
            at = f"{(kill + 1) / (kills + 1):.3f}"
            record = run(name, "recovery", "--messages", "120000", "--kill-at", at, "--idle-s", "10", "--timeout-s", "600")
            print(f"  {name}, killed at {at}", file=sys.stderr, flush=True)
            total = {field: total[field] + record[field] for field in total} if record else total
        out.append(f"| {name} | {kills} | " + " | ".join(str(value) for value in total.values()) + " |")
    return out


def flat(args):
    """Many sensors, many rules: what they cost a message."""
    flags = ("--messages", "2000000", "--broker", "direct")
    cases = {
        "2,000 sensors, 1 rule": case("huong", "flood", *flags),
        "200,000 sensors, 1 rule": case("huong", "flood", *flags, "--sensors", "200000", "--dt-ms", "20000"),
        "2,000 sensors, 300 rules": case("huong", "flood", *flags, rules=300),
    }
    return throughput(rounds(args.rounds, cases), "2,000 sensors, 1 rule")


@contextlib.contextmanager
def alongside(loop):
    """Runs `loop(over)` on a thread until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=loop, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def queries(port):
    """A heavy query again and again."""
    sql = "select key, count(*), avg(value), max(value), stddev(value) from readings group by key order by 2 desc"

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/api/query", sql, {"authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"the query is refused: {response.status} {response.read()}")
        response.read()

    with repeated(ask):
        yield


@contextlib.contextmanager
def repeated(body):
    done = []

    def loop(over):
        while not over.is_set():
            try:
                body()
                done.append(1)
            except OSError:
                over.wait(0.2)  # not up yet, or gone already

    with alongside(loop):
        yield
    print(f"    beside: {len(done)} times", file=sys.stderr)


def browsers(count, slow=False):
    """So many screens listen; a slow one never reads."""

    @contextlib.contextmanager
    def beside(port):
        open_ = []

        def listen(over):
            while not over.is_set() and len(open_) < count:
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                    connection.request("GET", "/api/events")
                    open_.append((connection, connection.getresponse()))
                except OSError:
                    over.wait(0.2)
            while not over.is_set():
                for _, response in [] if slow else open_:
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        response.read1(1 << 16)
                over.wait(0.01)

        with alongside(listen):
            yield
        print(f"    beside: {len(open_)} screens", file=sys.stderr)

    return beside


def disturbed(args):
    """Latency at 5,000 a second with each thing that could stand in its way."""
    same = lambda **changes: case("huong", "latency", "--rate", "5000", PIPELINES="each", **changes)
    cases = {
        "nothing else": same(),
        "a heavy query after the other": same(beside=queries),
        "1 screen": same(beside=browsers(1)),
        "10 screens": same(beside=browsers(10)),
        "100 screens": same(beside=browsers(100)),
        "a screen that never reads": same(beside=browsers(1, slow=True)),
        "segments of 256 KiB: sealing and merging all the time": same(SEGMENT=256 << 10),
    }
    return latencies(rounds(args.rounds, cases))


@contextlib.contextmanager
def cameras(port, busy, figures):
    """Two hundred cameras send three frames of 720p a second; what came of them goes into `figures`."""
    build = subprocess.run(["cargo", "bench", "--bench", "cameras", "--no-run"], cwd=ROOT, capture_output=True, text=True, check=True)
    feeder = ROOT / re.search(r"\((target/[^)]*/cameras-[^)]*)\)", build.stderr)[1]
    latest = {}

    def feed(over):
        while not over.is_set():
            child = subprocess.Popen([feeder, "feed", str(PORT), str(busy)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while child.poll() is None:
                if over.wait(0.5):
                    child.kill()
                    child.wait()
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                    connection.request("GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
                    body = connection.getresponse().read().decode()
                    latest.update(line.rsplit(" ", 1) for line in body.splitlines() if line.startswith("huong_frame"))

    with alongside(feed):
        yield
    of = lambda name: float(latest.get(name, "nan"))
    parts = {part: of(f'huong_frames_total{{part="{part}"}}') for part in ("received", "inferred", "gated", "errors")}
    bounds = [(float(re.search(r'le="([^"]*)"', name)[1].replace("+Inf", "inf")), float(count)) for name, count in latest.items() if "age_seconds_bucket" in name]
    within = lambda share: min((bound for bound, count in bounds if count >= share * max(count for _, count in bounds)), default=float("nan"))
    figures.append(parts | {"p50": within(0.5), "p99": within(0.99)})


def city(args):
    """Everything at once: five thousand readings a second and two hundred cameras, some of them busy."""
    out = ["| vision threads, cameras busy | alarms p50 ms | p99 ms | worst ms | frames received | looked at | by the detector | age p50 s ≤ | p99 s ≤ | RSS MB |",
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for workers, busy in ((1, 5), (1, 100), (2, 5)):
        figures = []
        flags = ("--rate", "5000", "--warmup-s", "10", "--duration-s", "20")
        together = lambda turn: run("huong", "latency", *flags, beside=lambda port: cameras(port, busy, figures), PIPELINES="each",
                                    VISION="true", WORKERS=workers, REGISTRY=ROOT / "config/registry.toml")
        name = f"{workers}, {busy} %"
        row = rounds(args.rounds, {name: together})[name]
        median = lambda field: statistics.median(figure[field] for figure in figures)
        looked = statistics.median((figure["inferred"] + figure["gated"]) / figure["received"] for figure in figures)
        alarms = " | ".join(number(row.median(field), digits) for field, digits in [("p50_ms", 2), ("p99_ms", 2), ("max_ms", 1)])
        wrong = "" if row.right else " **(alerts wrong)**"
        out.append(f"| {name}{wrong} | {alarms} | {number(median('received'))} | {100 * looked:.0f} % | {number(median('inferred'))} | {median('p50')} | {median('p99')} | {number(row.median('rss_peak_mb'))} |")
    return out


def idle(args):
    """How soon it is ready, and what it holds when nothing comes."""
    record = Row([run("huong", "latency", "--rate", "1", "--duration-s", "2", "--warmup-s", "0", "--spike-share", "1", PIPELINES="each")])
    with tempfile.TemporaryDirectory() as folder:
        setting(pathlib.Path(folder))
        began = time.monotonic()
        process = subprocess.Popen([str(HUONG), "run", "--config", "huong.toml"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", PORT + 1, timeout=5)
                    connection.request("GET", "/api/snapshot")
                    connection.getresponse().read()
                    break
                except OSError:
                    time.sleep(0.001)
            took = time.monotonic() - began
        finally:
            process.kill()
            process.wait()
    return [f"From the start of the process to its first snapshot {took * 1000:.0f} ms; {record.median('rss_peak_mb'):.0f} MB with no sensors and no cameras."]


SCENARIOS = {
    "s1": ("S1: as fast as it goes, QoS 0, through mosquitto", s1),
    "direct": ("S1 without a broker: the checker feeds the subscriber itself", direct),
    "qos1": ("S1 at QoS 1, a persistent session; ours acknowledges after its sync, `counter` only counts", qos1),
    "s2": ("S2: from publication to alert, 5,000 messages a second", s2),
    "s2_fast": ("S2 at 50,000 messages a second", s2_fast),
    "s3": ("S3: `kill -9` in a stream of 5,000 messages a second at QoS 1, started again a second later", s3),
    "flat": ("Many sensors, many rules (no broker)", flat),
    "disturbed": ("S2 with something in its way", disturbed),
    "city": ("5,000 readings a second and 200 cameras of 720p at 3 frames a second together, through mosquitto", city),
    "idle": ("Start and rest", idle),
}
MARKS = "<!-- sensors: made by `make bench` -->", "<!-- sensors: end -->"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--into", type=pathlib.Path)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    args = parser.parse_args()
    tables = {}
    for name in args.scenarios:
        title, scenario = SCENARIOS[name]
        print(title, file=sys.stderr, flush=True)
        tables[name] = "\n".join([f"**{title}**", "", *scenario(args)])
        print(tables[name], flush=True)
    if args.into:
        text = args.into.read_text()
        head, rest = text.split(MARKS[0])
        old, tail = rest.split(MARKS[1])
        # What was not run this time stays.
        known = {name: part for name, (title, _) in SCENARIOS.items() for part in re.split(r"\n\n(?=\*\*)", old.strip()) if part.startswith(f"**{title}**")}
        body = "\n\n".join(part for name in SCENARIOS if (part := tables.get(name) or known.get(name)))
        args.into.write_text(f"{head}{MARKS[0]}\n\n{body}\n\n{MARKS[1]}{tail}")


if __name__ == "__main__":
    MQBENCH = pathlib.Path(os.environ.get("MQBENCH") or PEERS / "mqbench/target/release/mqbench")
    HUONG = pathlib.Path(os.environ.get("HUONG") or ROOT / "target/release/huong")
    main()
