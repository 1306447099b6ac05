//! The real program on a disk that is full: nothing is acknowledged and nothing lost, alarms go on from memory, and all is stored once
//! there is room, without a hand on the program.

use std::sync::mpsc::Receiver;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Huong, Mosquitto, PATIENCE, Publisher, SmallDisk, get, wait_for, webhook_receiver};

const DISK: u64 = 4 << 20;

/// Epoch ms.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    i64::try_from(now).expect("the clock is sane")
}

struct Flood {
    huong: Huong,
    disk: SmallDisk,
    publisher: Publisher,
    _broker: Mosquitto,
    pushed: Receiver<String>,
    bodies: Vec<String>,
    /// Readings of Phú Ốc sent so far.
    sent: usize,
    began: i64,
}

impl Flood {
    /// With `limits` as lines of `[store]`. `None` when this process may not mount.
    fn begin(limits: &str) -> Option<Self> {
        let broker = Mosquitto::start();
        let (port, pushed) = webhook_receiver();
        let staff = format!("[[sink]]\nname = \"staff\"\nwebhook = {{ url = \"http://127.0.0.1:{port}/alerts\" }}\n");
        let (huong, disk) = Huong::on_small_disk(broker.port, DISK, limits, &staff)?;
        let huong = huong.connected();
        let publisher = Publisher::connect(broker.port);
        let began = now() - 6 * 3_600_000;
        Some(Self { huong, disk, publisher, _broker: broker, pushed, bodies: Vec::new(), sent: 0, began })
    }

    /// `second` of six hours, of which the last is now.
    fn level(&self, station: &str, second: usize, metres: f64) {
        let at = self.began + 1000 * second as i64;
        let payload = format!("{{\"sensor\":\"{station}\",\"kind\":\"water_level\",\"ts\":{at},\"value\":{metres},\"unit\":\"m\"}}");
        self.publisher.publish(&format!("hue/sensors/water_level/{station}"), payload);
    }

    /// A reading that means nothing.
    fn send(&mut self) {
        self.level("phuoc", 10 * self.sent, 0.5 + self.sent as f64 / 10_000.0);
        self.sent += 1;
    }

    /// Sends readings that mean nothing until a commit has failed since `before`: the log's last page had some room left.
    fn until_the_disk_refuses(&mut self) {
        let before = self.huong.metric("huong_commit_failures_total");
        wait_for("the disk to refuse", || {
            self.send();
            (self.huong.metric("huong_commit_failures_total") > before).then_some(())
        });
    }

    fn unstored(&self) -> u64 {
        let text = get(self.huong.wall, "/metrics").unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("huong_readings_in_flight"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Waits until this step of this rule is pushed.
    fn hear(&mut self, rule: &str, kind: &str) {
        let is_it = |body: &String| body.contains(&format!("\"rule\":\"{rule}\"")) && body.contains(&format!("\"kind\":\"{kind}\""));
        while !self.bodies.iter().any(is_it) {
            let body = self.pushed.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{rule} {kind} is pushed\n{}", self.huong.log()));
            self.bodies.push(body);
        }
    }

    /// What must hold in the end, however it came to it.
    fn check_stored_once(&mut self) {
        wait_for("everything to be stored", || (self.unstored() == 0).then_some(()));
        assert!(self.huong.stop(), "{}", self.huong.log());
        let phuoc = self.huong.query("SELECT count(*), count(DISTINCT at) FROM readings WHERE key = 'phuoc'");
        assert_eq!(phuoc, [format!("{0},{0}", self.sent)]);
        let kimlong = self.huong.query("SELECT value FROM readings WHERE key = 'kimlong' ORDER BY at");
        assert_eq!(kimlong, ["2.9", "3.5"]);
        assert_eq!(self.huong.query("SELECT count(*) FROM alerts WHERE rule = 'river-bd3' AND kind = 'raised'"), ["1"]);
    }
}

#[test]
fn a_full_disk_stops_acknowledgements_and_not_alarms_and_heals_by_itself() {
    let Some(mut flood) = Flood::begin("") else { return };
    flood.level("kimlong", 18_000, 2.9);
    wait_for("the first reading to be stored", || {
        (flood.huong.query("SELECT count(*) FROM readings WHERE key = 'kimlong'") == ["1"]).then_some(())
    });
    flood.disk.fill();
    flood.until_the_disk_refuses();
    flood.level("kimlong", 18_600, 3.5);
    flood.hear("river-bd3", "raised");
    flood.hear("disk-failing", "raised");
    assert!(flood.bodies.iter().any(|body| body.contains("Ổ đĩa đầy hoặc hỏng: ngừng xác nhận số liệu")), "{:#?}", flood.bodies);
    assert!(flood.unstored() > 0, "what the disk has not is in flight");
    assert!(flood.huong.metric("huong_told_from_memory_total") > 0.0);
    assert!(flood.huong.is_alive());

    flood.disk.make_room();
    flood.hear("disk-failing", "cleared");
    flood.check_stored_once();
    let disk = flood.huong.query("SELECT kind FROM alerts WHERE rule = 'disk-failing' AND kind IN ('raised', 'cleared') ORDER BY seq");
    assert_eq!(disk, ["raised", "cleared"]);
    assert!(flood.huong.log().contains("nothing was lost"));
}

#[test]
fn a_crash_on_a_full_disk_loses_nothing_and_repeats_alarms_under_their_ids() {
    let Some(mut flood) = Flood::begin("") else { return };
    flood.level("kimlong", 18_000, 2.9);
    wait_for("the first reading to be stored", || {
        (flood.huong.query("SELECT count(*) FROM readings WHERE key = 'kimlong'") == ["1"]).then_some(())
    });
    flood.disk.fill();
    flood.until_the_disk_refuses();
    flood.level("kimlong", 18_600, 3.5);
    flood.hear("river-bd3", "raised");
    flood.huong.kill();

    // It starts on the full disk, and the broker sends what was never acknowledged.
    flood.huong.restart();
    flood.disk.fill();
    flood.until_the_disk_refuses();
    flood.disk.make_room();
    flood.check_stored_once();
    flood.bodies.extend(flood.pushed.try_iter());
    let raised = flood.bodies.iter().filter(|body| body.contains("\"rule\":\"river-bd3\"") && body.contains("\"kind\":\"raised\""));
    let id = |body: &String| {
        body.split("river-bd3:kimlong:").nth(1).map(|rest| rest.chars().take_while(|c| *c != '"' && *c != '/').collect::<String>())
    };
    let ids: std::collections::BTreeSet<_> = raised.map(id).collect();
    assert_eq!(ids.len(), 1, "one alarm, however often it was pushed: {ids:?}");
}

#[test]
fn once_the_memory_is_used_up_the_broker_keeps_the_rest() {
    let Some(mut flood) = Flood::begin("commit_bytes = 4096\nhold_bytes = 16384\n") else { return };
    for (second, metres) in [(18_000, 2.9), (18_600, 3.5)] {
        flood.level("kimlong", second, metres);
    }
    flood.hear("river-bd3", "raised");
    flood.disk.fill();
    flood.until_the_disk_refuses();
    wait_for("the memory to be used up", || {
        flood.send();
        flood.huong.log().contains("nothing more is taken in").then_some(())
    });
    flood.hear("disk-memory", "raised");
    // Far more than it has room for.
    for _ in 0..300 {
        flood.send();
    }
    assert!(flood.huong.is_alive());
    flood.disk.make_room();
    flood.hear("disk-memory", "cleared");
    let sent = flood.sent.to_string();
    wait_for("all of them to be stored", || {
        (flood.huong.query("SELECT count(*) FROM readings WHERE key = 'phuoc'") == [sent.as_str()]).then_some(())
    });
    flood.check_stored_once();
}

#[test]
fn a_segment_that_could_not_be_sealed_is_tried_again() {
    let broker = Mosquitto::start();
    let mut huong = Huong::with_files(broker.port, &[], "store.segment_bytes = 65536\n", "").connected();
    // In the way of the folder of the parts.
    let parquet = huong.dir.path().join("store/parquet");
    std::fs::write(&parquet, "").expect("a file");
    let publisher = Publisher::connect(broker.port);
    let (now, mut sent) = (now(), 0);
    wait_for("a seal to fail", || {
        let payload = format!("{{\"ts\":{},\"value\":0.5,\"unit\":\"m\"}}", now - 1000 * (20_000 - sent));
        publisher.publish("hue/sensors/water_level/kimlong", payload);
        sent += 1;
        (huong.metric("huong_seals_failed_total") > 0.0).then_some(())
    });
    std::fs::remove_file(&parquet).expect("the test's own");
    wait_for("the segment to be sealed", || (huong.metric("huong_parts") > 0.0).then_some(()));
    assert!(huong.stop(), "{}", huong.log());
}
