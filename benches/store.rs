//! The store beside DuckDB over the same parts and VictoriaMetrics over the same rows: durable ingest, bytes on disk, two questions.
//! Part of `make bench`; `HUONG_BENCH=full` takes 100 million rows, a number so many.
//!
//! The rows go the way that readings go: appended, committed in groups (each synced), rotated by the hour of their time, sealed, merged. Medians
//! of several rounds in one run; what counts is the ratio, machines are noisy. Peers that are not installed are left out and named.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "peers/python.rs"]
mod python;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use huong_store::{
    Asker, ClosedSegment, Compact, Queries, QueryLimits, Record, StoreConfig, Writer, compact, replay_readings, seal, sweep,
};
use huong_types::{
    About, Alert, AlertState, Field, Name, Origin, Reading, Severity, Span, Text, Timestamp, Transition, TransitionKind, Values,
};

const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;
const STREAMS: usize = 20;
/// One commit, and one request of the peer: what the writer takes at once when it cannot keep up, within the default of `commit_bytes`.
const GROUP: usize = 10_000;
/// One alarm raised and cleared in this many minutes: six an hour, the most that one operator can follow.
const ALARM_EVERY: i64 = 10;
const ROUNDS: usize = 7;

fn main() {
    let size = std::env::var("HUONG_BENCH").unwrap_or_default();
    let (rows, days) = if size == "full" { (100_000_000, 30) } else { (size.parse().unwrap_or(500_000), 3) };
    let folder = tempfile::tempdir().expect("room for the rows");
    // A key reports each minute.
    let fleet = Fleet::new((rows / (days * 1440)).max(1), days as i64);
    println!(
        "{} rows: {} keys of {STREAMS} streams each minute over {days} days, and an alarm every {ALARM_EVERY} minutes",
        fleet.rows(),
        fleet.sensors.len()
    );

    let dir = folder.path().join("store");
    let ours = ingest(&fleet, &dir);
    let peer = Victoria::start(&folder.path().join("victoria"));
    let theirs = peer.as_ref().map(|peer| peer.ingest(&fleet));
    println!("\n{:<62} {:>12} {:>12} {:>8}", "", "huong", "peer", "ratio");
    row("durable rows/s, beside VictoriaMetrics (no fsync)", ours, theirs, true);
    let per_row = |table: &str| size_of(&dir.join("parquet").join(table)) as f64 / fleet.rows() as f64;
    let rollups = per_row("readings_1m") + per_row("readings_1h");
    println!("{:<62} {rollups:>12.1}", "bytes per row of the rollups, a bin of a minute to each row");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let queries = Queries::new(&dir, QueryLimits::default(), None).expect("sound limits");
    let (sensor, hours, rollup) = (fleet.last_day(), fleet.alarms_by_hour(), fleet.last_day_of_rollup());
    let statement = |sql: &str| sql.replace("{readings}", "readings").replace("{alerts}", "alerts");
    let ask = |sql: &str| -> (f64, usize) {
        let began = Instant::now();
        let answer = runtime.block_on(async {
            let asker = Asker { who: String::new(), via: "bench", at: fleet.end() };
            queries.ask(asker, statement(sql)).await?.gather().await
        });
        let rows = answer.unwrap_or_else(|error| panic!("{sql}: {error}")).iter().map(|batch| batch.num_rows()).sum();
        (millis(began), rows)
    };
    let (cold, found) = ask(&sensor);
    assert!((1400..=1441).contains(&found), "a day has 1440 minutes: {found}");
    println!("{:<62} {cold:>12.1}", "first question of all, ms");
    let duck = duck(&dir, &[&sensor, &hours]);
    for (what, sql, duck) in [
        ("one sensor's last 24 h as 1-min means, ms", &sensor, duck.as_ref().map(|duck| duck[0])),
        ("alarms per hour, ms", &hours, duck.as_ref().map(|duck| duck[1])),
        ("the same from the rollup, ms", &rollup, duck.as_ref().map(|duck| duck[0])),
    ] {
        let ours = median((0..ROUNDS).map(|_| ask(sql)));
        if let Some(duck) = duck {
            // The rollup's bin of the first minute is whole.
            assert!(ours.1.abs_diff(duck.1) <= 1, "{sql}: {} rows and {}", ours.1, duck.1);
        }
        row(&format!("{what}, beside DuckDB"), ours.0, duck.map(|duck| duck.0), false);
        if let Some(peer) = peer.as_ref().filter(|_| std::ptr::eq(sql, &sensor)) {
            row(&format!("{what}, beside VictoriaMetrics"), ours.0, Some(peer.last_day(&fleet)), false);
        }
    }
    let others = peer.map(|peer| peer.bytes() as f64 / fleet.rows() as f64);
    row("bytes per row (time and value there), beside VictoriaMetrics", per_row("readings"), others, false);
    println!("\n{}", plan(&runtime, &queries, &statement(&sensor)));
    open_log(&fleet, &folder.path().join("open"), &runtime);
    let began = Instant::now();
    let read = replay_readings(&dir, &|_| Some(Timestamp::MIN), &mut |_| {}).expect("a sound store");
    println!("read back in the order of the log, as a start does: {:.0} readings/s", read as f64 / began.elapsed().as_secs_f64());
}

/// Wider is better when `more`.
fn row(what: &str, ours: f64, peer: Option<f64>, more: bool) {
    let Some(peer) = peer else { return println!("{what:<62} {ours:>12.1} {:>12}", "not here") };
    let ratio = if more { ours / peer } else { peer / ours };
    println!("{what:<62} {ours:>12.1} {peer:>12.1} {ratio:>7.2}x");
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

fn median(rounds: impl Iterator<Item = (f64, usize)>) -> (f64, usize) {
    let mut rounds: Vec<(f64, usize)> = rounds.collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds[rounds.len() / 2]
}

struct Fleet {
    /// Stream and key.
    sensors: Vec<(Name, Name)>,
    /// The hour in which this runs: VictoriaMetrics takes no rows from the future.
    end: i64,
    days: i64,
}

impl Fleet {
    fn new(keys: usize, days: i64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        let sensors = (0..keys).map(|i| (Name::from(format!("stream{:02}", i % STREAMS)), Name::from(format!("sensor-{i:05}"))));
        Self { sensors: sensors.collect(), end: now - now % (60 * MINUTE), days }
    }

    fn end(&self) -> Timestamp {
        Timestamp::from_millis(self.end)
    }

    fn rows(&self) -> usize {
        self.sensors.len() * self.minutes().count()
    }

    fn minutes(&self) -> impl Iterator<Item = i64> {
        (0..self.days * 1440).map(|minute| self.end - self.days * DAY + minute * MINUTE)
    }

    /// A slow wave, and the restless last digit of a gauge, in hundredths.
    fn value(sensor: usize, at: i64) -> f64 {
        let minute = at / MINUTE;
        let phase = minute as f64 / 700.0 + sensor as f64;
        let restless = ((minute as u64 ^ (sensor as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) as f64;
        ((phase.sin() * 150.0).round() + 200.0 + restless) / 100.0
    }

    fn reading(&self, sensor: usize, at: i64) -> Record {
        let (stream, key) = self.sensors[sensor].clone();
        let (at, received) = (Timestamp::from_millis(at), Timestamp::from_millis(at + 700 + sensor as i64 % 300));
        let fields = std::iter::once(Field::ok("value".into(), Self::value(sensor, at.as_millis()))).collect();
        Record::Reading(Reading { stream, key, at, received, fields, source: "bench".into(), origin: Origin::Sensor, orphan: false })
    }

    fn last_day(&self) -> String {
        let ((stream, key), from) = (&self.sensors[self.sensors.len() / 2], Timestamp::from_millis(self.end - DAY));
        format!(
            "SELECT date_trunc('minute', \"at\") AS t, avg(value) AS mean FROM {{readings}} \
             WHERE stream = '{stream}' AND key = '{key}' AND \"at\" >= TIMESTAMP '{from}' GROUP BY t ORDER BY t"
        )
    }

    fn last_day_of_rollup(&self) -> String {
        let ((stream, key), from) = (&self.sensors[self.sensors.len() / 2], Timestamp::from_millis(self.end - DAY));
        format!("SELECT at, mean FROM readings_1m WHERE stream = '{stream}' AND key = '{key}' AND at >= TIMESTAMP '{from}' ORDER BY at")
    }

    fn alarms_by_hour(&self) -> String {
        let from = Timestamp::from_millis(self.end - self.days * DAY);
        format!(
            "SELECT date_trunc('hour', \"at\") AS t, count(*) AS n FROM {{alerts}} WHERE kind = 'raised' AND \"at\" >= TIMESTAMP '{from}' \
             GROUP BY t ORDER BY t"
        )
    }
}

/// Raises the alarm of this sequence, or clears the one before.
fn transition(seq: u64, at: i64) -> Record {
    let (at, raised) = (Timestamp::from_millis(at), seq % 2 == 1);
    let (kind, state) = if raised { (TransitionKind::Raised, AlertState::Open) } else { (TransitionKind::Cleared, AlertState::Cleared) };
    let (id, rule, key) = (format!("bench:sensor:{}", seq.div_ceil(2)).into(), "bench".into(), "sensor-00001".into());
    let text = Text { vi: "Mực nước 2,71 m".to_owned(), en: "Level 2.71 m".to_owned() };
    let alert = Alert {
        stream: "stream00".into(),
        state,
        holds: raised,
        ended: (!raised).then_some(at),
        values: Values::from([("level".into(), 2.71)]),
        announced: Some(at),
        notify: vec!["staff".into()],
        ..Alert::new(About::Rule, id, &rule, &key, Severity::Severe, text, at)
    };
    let (recipients, cause) = (alert.notify.clone(), Vec::new());
    Record::from(Transition { seq, kind, at, decided: at, announced: raised, recipients, by: None, alert, cause })
}

/// Rows per second from the first append to the last part.
fn ingest(fleet: &Fleet, dir: &Path) -> f64 {
    let (mut writer, _) = Writer::open(StoreConfig::new(dir)).expect("a new store");
    let (sealer, closed) = std::sync::mpsc::channel::<(ClosedSegment, Timestamp)>();
    let sealing = {
        let (dir, end) = (dir.to_owned(), fleet.end());
        std::thread::spawn(move || {
            let merge = |now| while compact(&dir, &Compact::default(), now, &|| false).expect("a sound disk").is_some() {};
            for (segment, now) in closed {
                seal(&segment).expect("a sound disk");
                merge(now);
            }
            merge(end + Span::from_mins(2 * 1440));
            sweep(&dir, Span::ZERO, end).expect("a sound disk");
        })
    };
    let (mut seq, mut appended) = (0, 0);
    let began = Instant::now();
    for (minute, at) in fleet.minutes().enumerate() {
        if minute as i64 % (ALARM_EVERY / 2) == 0 {
            seq += 1;
            writer.append(&transition(seq, at)).expect("a small record");
        }
        for sensor in 0..fleet.sensors.len() {
            writer.append(&fleet.reading(sensor, at)).expect("a small record");
            appended += 1;
            if appended % GROUP == 0 {
                writer.commit().expect("the disk takes it");
            }
        }
        if let Some(segment) = writer.rotate_if_due(Timestamp::from_millis(at)).expect("the disk takes it") {
            sealer.send((segment, Timestamp::from_millis(at))).expect("the sealer runs");
        }
    }
    let last = Timestamp::from_millis(fleet.end + 61 * MINUTE);
    if let Some(segment) = writer.rotate_if_due(last).expect("the disk takes it") {
        sealer.send((segment, last)).expect("the sealer runs");
    }
    drop(sealer);
    sealing.join().expect("all is sealed");
    fleet.rows() as f64 / began.elapsed().as_secs_f64()
}

/// What the first and the second question cost while a full segment is not sealed.
fn open_log(fleet: &Fleet, dir: &Path, runtime: &tokio::runtime::Runtime) {
    let rows = fleet.rows().min(200_000);
    let (mut writer, _) = Writer::open(StoreConfig::new(dir)).expect("a new store");
    let queries = Queries::new(dir, QueryLimits::default(), None).expect("sound limits");
    let ask = || {
        let began = Instant::now();
        let asker = Asker { who: String::new(), via: "bench", at: fleet.end() };
        let answer = runtime.block_on(async { queries.ask(asker, "SELECT count(*) FROM readings".to_owned()).await?.gather().await });
        answer.expect("a count");
        millis(began)
    };
    let mut minutes = fleet.minutes();
    let mut appended = 0;
    while appended < rows {
        let at = minutes.next().expect("enough minutes");
        for sensor in 0..fleet.sensors.len() {
            writer.append(&fleet.reading(sensor, at)).expect("a small record");
            appended += 1;
        }
    }
    writer.commit().expect("the disk takes it");
    let bytes = size_of(dir);
    let first = ask();
    let again = median((0..ROUNDS).map(|_| (ask(), 0))).0;
    let grown = median((0..ROUNDS).map(|i| {
        for sensor in 0..GROUP {
            writer.append(&fleet.reading(sensor % fleet.sensors.len(), fleet.end + i as i64 * MINUTE)).expect("a small record");
        }
        writer.commit().expect("the disk takes it");
        (ask(), 0)
    }));
    println!(
        "open log of {rows} rows, {bytes} bytes: first question {first:.1} ms, the next {again:.1} ms, after {GROUP} more rows {:.1} ms",
        grown.0
    );
}

fn plan(runtime: &tokio::runtime::Runtime, queries: &Queries, sql: &str) -> String {
    let asker = Asker { who: String::new(), via: "bench", at: Timestamp::MIN };
    let sql = format!("EXPLAIN ANALYZE {sql}");
    let answer = runtime.block_on(async { queries.ask(asker, sql).await?.gather().await }).expect("a plan");
    let mut encoder = huong_store::Encoder::new(huong_store::Format::Csv, answer[0].schema()).expect("text");
    let text: Vec<u8> = answer.into_iter().flat_map(|batch| encoder.push(batch).expect("text")).collect();
    let text = String::from_utf8(text).expect("text");
    let wanted = [
        "files_ranges_pruned",
        "row_groups_pruned",
        "page_index_rows",
        "bytes_scanned",
        "metadata_load_time",
        "time_elapsed_opening",
        "pushdown_rows",
        "output_rows",
    ];
    let scan = text.lines().find(|line| line.contains("DataSourceExec: file_groups")).unwrap_or_default();
    let figures = scan.split(['[', ',', ']']).filter(|figure| wanted.iter().any(|name| figure.trim().starts_with(name)));
    format!("scan of one sensor: {}", figures.map(str::trim).collect::<Vec<_>>().join(", "))
}

/// Milliseconds and rows of each statement; `None` when Python has no DuckDB.
fn duck(dir: &Path, statements: &[&String]) -> Option<Vec<(f64, usize)>> {
    let mut command = python::python("store.py");
    let child = command.arg(dir).arg(ROUNDS.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().ok()?;
    let text: String = statements.iter().map(|sql| format!("{sql}\n")).collect();
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let lines = text.lines().map(|line| line.split_once(' ').and_then(|(ms, rows)| Some((ms.parse().ok()?, rows.parse().ok()?))));
    lines.collect::<Option<Vec<_>>>().filter(|lines| lines.len() == statements.len())
}

fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return std::fs::metadata(path).map_or(0, |file| file.len()) };
    entries.flatten().map(|entry| size_of(&entry.path())).sum()
}

/// A VictoriaMetrics of our own; ends with it.
struct Victoria {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Victoria {
    /// `None` when it is not installed.
    fn start(dir: &Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-storageDataPath={}", dir.display())).arg(format!("-httpListenAddr=127.0.0.1:{port}"));
        command.args(["-retentionPeriod=1y", "-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "victoria-metrics does not listen");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Some(Self { child, port, dir: dir.to_owned() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Rows per second from the first line to the answer to the last; the same groups as ours.
    fn ingest(&self, fleet: &Fleet) -> f64 {
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let url = self.url("/api/v2/write?precision=ms");
        let (mut lines, mut waiting) = (String::new(), 0);
        let send = |lines: &mut String| {
            agent.post(&url).send(lines.as_str()).expect("it takes lines");
            lines.clear();
        };
        let began = Instant::now();
        for at in fleet.minutes() {
            for (sensor, (stream, key)) in fleet.sensors.iter().enumerate() {
                let _infallible = writeln!(lines, "{stream},key={key} value={} {at}", Fleet::value(sensor, at));
                waiting += 1;
                if waiting == GROUP {
                    waiting = 0;
                    send(&mut lines);
                }
            }
        }
        send(&mut lines);
        fleet.rows() as f64 / began.elapsed().as_secs_f64()
    }

    /// Bytes on disk once it was asked to stop and has written all it had in memory.
    fn bytes(mut self) -> u64 {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "victoria-metrics cannot be asked to stop");
        self.child.wait().expect("it stops");
        size_of(&self.dir.join("data"))
    }

    /// The same day of the same sensor, in milliseconds.
    fn last_day(&self, fleet: &Fleet) -> f64 {
        let (stream, key) = &fleet.sensors[fleet.sensors.len() / 2];
        let query = format!("avg_over_time({stream}_value%7Bkey%3D%22{key}%22%7D%5B1m%5D)");
        let (from, to) = ((fleet.end - DAY) / 1000, (fleet.end - MINUTE) / 1000);
        // What came last is seen some seconds later otherwise.
        ureq::get(self.url("/internal/force_flush")).call().expect("an answer");
        let url = self.url(&format!("/api/v1/query_range?query={query}&start={from}&end={to}&step=60&nocache=1"));
        let ask = || {
            let began = Instant::now();
            let text = ureq::get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string()).expect("an answer");
            (millis(began), text.matches("],[").count() + 1)
        };
        let until = Instant::now() + Duration::from_secs(60);
        while ask().1 <= 1400 {
            assert!(Instant::now() < until, "victoria-metrics does not show the 1440 minutes of a day");
            std::thread::park_timeout(Duration::from_millis(100));
        }
        median((0..ROUNDS).map(|_| ask())).0
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
