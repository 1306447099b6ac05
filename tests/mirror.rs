//! The mirror against a real server that takes line protocol: what the store holds is there, row for row, whoever was killed meanwhile.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Huong, Mosquitto, Publisher, free_port, get, terminate, wait_for};

/// VictoriaMetrics with its data in `dir`. It stores texts as 0 and answers 204 to lines that it drops: numbers are compared, by reading back.
struct Server {
    port: u16,
    child: Child,
}

impl Server {
    fn start(dir: &TempDir, port: u16) -> Self {
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}")).arg(format!("-storageDataPath={}", dir.path().display()));
        // What is sent twice counts once; readings may be of any time.
        command.args(["-dedup.minScrapeInterval=1ms", "-retentionPeriod=100y"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("victoria-metrics is installed (make test does it)");
        wait_for("the server to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, child }
    }

    /// What came in is on disk: the server itself promises that only for a snapshot.
    fn make_durable(&self) {
        get(self.port, "/snapshot/create").expect("a snapshot");
    }

    /// Every number of the streams: (stream and field, key, source, quality, milliseconds, value).
    fn rows(&self) -> BTreeSet<String> {
        get(self.port, "/internal/force_flush").expect("the server flushes");
        let text = get(self.port, "/api/v1/export?match[]=%7B__name__%21~%22%28huong%7Cprocessor%29_.%2A%22%7D").expect("an export");
        let mut rows = BTreeSet::new();
        for line in text.lines() {
            let series: Value = serde_json::from_str(line).expect("a line of JSON");
            let label = |name: &str| series["metric"][name].as_str().unwrap_or("").to_owned();
            let points = series["values"].as_array().expect("values").iter().zip(series["timestamps"].as_array().expect("times"));
            for (value, at) in points {
                let value = value.as_f64().expect("a number");
                let row = [label("__name__"), label("key"), label("source"), label("quality"), at.to_string(), value.to_string()];
                assert!(rows.insert(row.join(",")), "twice: {row:?}");
            }
        }
        rows
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn stored(huong: &Huong) -> BTreeSet<String> {
    let one = |table: &str| {
        format!(
            "SELECT stream || '_' || field, key, source, quality, CAST(at AS BIGINT), value FROM {table}
            WHERE value IS NOT NULL AND stream <> 'processor_disk'"
        )
    };
    let mut rows = BTreeSet::new();
    for row in huong.query(&[one("readings"), one("derived")].join(" UNION ALL ")) {
        let (head, value) = row.rsplit_once(',').expect("columns");
        rows.insert(format!("{head},{}", value.parse::<f64>().expect("a number")));
    }
    rows
}

fn received(huong: &Huong) -> f64 {
    let text = get(huong.wall, "/metrics").unwrap_or_default();
    let lines = text.lines().filter(|line| {
        line.starts_with("huong_readings_total") && line.contains("stream=\"water_level\"") && line.contains("part=\"stored\"")
    });
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn the_mirror_holds_what_the_store_holds_whoever_is_killed() {
    const EACH: i64 = 1000;
    const STATIONS: [&str; 3] = ["kimlong", "phuoc", "thuongnhat"];
    let broker = Mosquitto::start();
    let (data, port) = (tempfile::tempdir().expect("a folder for the server"), free_port());
    let mut server = Server::start(&data, port);
    let section = format!(
        "[mirror]\nurl = \"http://127.0.0.1:{port}\"\norg = \"hue\"\nbucket = \"huong\"\nbatch = 200\nevery = \"50ms\"\nfigures = \"1s\"\n\
         retry = {{ first = \"50ms\", most = \"1s\" }}\n"
    );
    let mut huong = Huong::start(broker.port, &section).connected();
    let publisher = Publisher::connect(broker.port);
    let now =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis()).expect("a sane clock");
    let send = |from: i64, to: i64| {
        for i in from..to {
            for (n, station) in STATIONS.iter().enumerate() {
                let at = now - (4 * EACH - i) * 1000;
                let metres = 0.3 + 0.0001 * i as f64 + 0.01 * n as f64;
                let payload = format!("{{\"ts\":{at},\"value\":{metres:.4},\"unit\":\"m\"}}");
                publisher.publish(&format!("hue/sensors/water_level/{station}"), payload);
            }
        }
    };
    send(0, EACH);
    // A second value for a moment that has one is told apart from it.
    publisher.publish("hue/sensors/water_level/kimlong", format!("{{\"ts\":{},\"value\":0.9,\"unit\":\"m\"}}", now - 3001 * 1000));
    // The server ends in the midst of the stream, in good order: what it had not answered comes again.
    terminate(&server.child);
    send(EACH, 2 * EACH);
    server.child.wait().expect("the server ends");
    drop(server);
    server = Server::start(&data, port);
    wait_for("the mirror to catch up", || (huong.metric("huong_mirror_behind_records") == 0.0).then_some(()));
    server.make_durable();
    // Killed without warning, and so is the processor, twice; what comes meanwhile is in the store alone.
    drop(server);
    send(2 * EACH, 3 * EACH);
    wait_for("the failure to be seen", || (huong.metric("huong_mirror_failing") == 1.0).then_some(()));
    assert!(huong.snapshot().contains("\"mirror\":{\"behind\":"), "the wall tells of it");
    huong.kill();
    huong.restart();
    send(3 * EACH, 4 * EACH - 1);
    wait_for("what was not acknowledged before the kill", || (received(&huong) >= 3.0 * (EACH - 1) as f64).then_some(()));
    huong.kill();
    server = Server::start(&data, port);
    huong.restart();
    let readings = 3 * usize::try_from(4 * EACH - 1).expect("a small number") + 1;
    // The processor's own readings of its disk come whenever they come.
    let sql = "SELECT count(*) FROM readings WHERE stream <> 'processor_disk'";
    wait_for("every reading in the store", || (huong.query(sql) == [readings.to_string()]).then_some(()));
    wait_for("the mirror to catch up", || (huong.metric("huong_mirror_behind_records") == 0.0).then_some(()));
    assert_eq!((huong.metric("huong_mirror_dead_letters_total"), huong.metric("huong_mirror_skipped_records_total")), (0.0, 0.0));
    wait_for("the processor's own figures", || {
        get(port, "/internal/force_flush").expect("the server flushes");
        let text = get(port, "/api/v1/export?match[]=huong_ledger_stored").expect("an export");
        text.contains("\"stream\":\"water_level\"").then_some(())
    });
    assert!(huong.stop());

    let (stored, mirrored) = (stored(&huong), server.rows());
    assert!(stored.len() >= readings, "{} of {readings}", stored.len());
    let lost: Vec<_> = stored.difference(&mirrored).take(5).collect();
    let made_up: Vec<_> = mirrored.difference(&stored).take(5).collect();
    assert!(lost.is_empty() && made_up.is_empty(), "lost {lost:?}, made up {made_up:?}");
    let conflict = huong.query("SELECT quality, check_failed FROM readings WHERE value = 0.9");
    assert_eq!(conflict, ["suspect,conflict"]);
}
