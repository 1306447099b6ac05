//! The promise under `kill -9`: what the broker acknowledged to a publisher is in the store exactly once, every alarm due is pushed
//! under one id, and the ledger balances, wherever the process is killed and however often the broker restarts meanwhile.
//!
//! A short run by default; `HUONG_CRASH_KILLS=100 cargo test --test main crash -- --nocapture` is the long one, `HUONG_CRASH_SEED`
//! repeats the moments of one (as far as a machine repeats itself).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use huong_types::{Span, Timestamp};
use serde_json::Value;

use crate::steady::{Message, Steady};
use crate::support::{Huong, Mosquitto, get, wait_for, webhook_receiver};

/// Messages a second.
const RATE: f64 = 2000.0;
const KEYS: u64 = 40;
/// One message in so many holds this many readings of one key: more than the rules remember of a key.
const BULK_EVERY: u64 = 1000;
const BULK: u64 = 600;
/// From one reading of a key to the next, of event time.
const STEP: Span = Span::from_secs(1);
/// Readings of a key in which the water is high once.
const BLOCK: u64 = 800;
/// Readings of a key after the story, all low: they close every window.
const TAIL: u64 = 200;

const STREAMS: &str = r#"
[[stream]]
id = "level"
name = "Mực nước"
name_en = "Level"
disorder = "1m"
future = "10m"
max_age = "30d"
gap = "1d"
silent_after_periods = 3
fields.value = { unit = "m" }

[[stream]]
id = "bulk"
name = "Sổ ghi"
name_en = "Loggers"
disorder = "1m"
future = "10m"
max_age = "30d"
gap = "1d"
silent_after_periods = 3
fields.value = { unit = "m" }
"#;

const SOURCES: &str = r#"
[[source]]
name = "test"
topic = "{prefix}/crash/+/+"
stream = { topic = 2 }
key = [{ topic = 3 }]
time = ["ts"]
fields.value = ["value"]
"#;

const RULES: &str = r#"
[[rule]]
id = "high"
from = "level"
when = "value >= 2"
severity = "severe"
source = "A test."
text = { vi = "{value:.2}", en = "{value:.2}" }

[[rule]]
id = "held"
from = "level"
when = "value >= 2"
for = "20s"
severity = "severe"
source = "A test."
text = { vi = "{value:.2}", en = "{value:.2}" }

[[rule]]
id = "peak"
from = "level"
window = { tumbling = "1m" }
select = { max = "max(value)", n = "count(*)" }
when = "max >= 2"
each = true
severity = "moderate"
source = "A test."
text = { vi = "{max:.2}", en = "{max:.2}" }
"#;

/// When it is killed.
const MOMENTS: [&str; 4] = [STARTING, ROTATING, SEALING, "running"];
const STARTING: &str = "starting";
const ROTATING: &str = "beginning a segment";
const SEALING: &str = "sealing one";

/// What is measured when, and what must follow from it.
#[derive(Clone, Copy)]
struct Story {
    seed: u64,
    base: Timestamp,
}

impl Story {
    fn at(&self, n: u64) -> Timestamp {
        self.base + Span::from_millis(STEP.as_millis() * n as i64)
    }

    /// The `n`-th value of a key while the story goes on: high for 5 to 44 readings of each block.
    fn is_high(&self, key: u64, n: u64) -> bool {
        let mut random = Random(self.seed ^ (key << 32) ^ (n / BLOCK));
        let (from, length) = (50 + random.below(BLOCK - 100), 5 + random.below(40));
        (from..from + length).contains(&(n % BLOCK))
    }

    fn value(&self, key: u64, n: u64, high: bool) -> f64 {
        (if high { 2.5 } else { 1.0 }) + ((key * 31 + n * 7) % 40) as f64 / 100.0
    }

    /// The ids due, of the first `readings` of each key, and of each window how many readings it holds.
    fn due(&self, readings: u64) -> BTreeMap<String, Option<u64>> {
        let mut due = BTreeMap::new();
        let id = |rule: &str, key: u64, onset: u64| format!("{rule}:k{key}:{}", self.at(onset).to_string().replace(['-', ':'], ""));
        let window = 60_000 / STEP.as_millis() as u64;
        for key in 0..KEYS {
            let mut onset = None;
            for n in 0..readings {
                match (onset, self.is_high(key, n)) {
                    (None, true) => {
                        onset = Some(n);
                        due.insert(id("high", key, n), None);
                    }
                    (Some(from), true) if n - from == 20 => {
                        due.insert(id("held", key, from), None);
                    }
                    (_, false) => onset = None,
                    _ => {}
                }
                if self.is_high(key, n) {
                    // Windows are (start, end].
                    due.insert(id("peak", key, n.div_ceil(window) * window - window), Some(window));
                }
            }
        }
        due
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

/// The story as messages: key after key, now and then the book of a logger. It ends on a whole round of keys, low for long enough.
fn tell(story: Story) -> impl FnMut(u64, bool) -> Option<Message> {
    let (mut told, mut end) = (0, None);
    move |number, ending| {
        if number % BULK_EVERY == BULK_EVERY - 1 {
            let from = number / BULK_EVERY * BULK;
            let readings = (from..from + BULK).map(|n| format!("{{\"ts\":{},\"value\":{}}}", story.at(n).as_millis(), n % 100));
            return Some(("hue/crash/bulk/logger".to_owned(), format!("[{}]", readings.collect::<Vec<_>>().join(","))));
        }
        let (key, n) = (told % KEYS, told / KEYS);
        if ending && end.is_none() && key == 0 && n > 0 && !(0..KEYS).any(|key| story.is_high(key, n - 1) && story.is_high(key, n)) {
            end = Some(n);
        }
        if end.is_some_and(|end| n == end + TAIL) {
            return None;
        }
        told += 1;
        let value = story.value(key, n, end.is_none() && story.is_high(key, n));
        Some((format!("hue/crash/level/k{key}"), format!("{{\"ts\":{},\"value\":{value}}}", story.at(n).as_millis())))
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures of a long run are its purpose, and the seed is needed to repeat a failed one")]
fn nothing_is_lost_or_doubled_wherever_the_process_is_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name}: {text}")));
    let kills = number("HUONG_CRASH_KILLS").unwrap_or(8);
    // Far enough back for the longest run: what is measured may not lie ahead of the clock.
    let back = Span::from_mins(20 * 24 * 60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let now = Timestamp::from_millis(now.as_millis() as i64);
    let seed = number("HUONG_CRASH_SEED").unwrap_or(now.as_millis() as u64);
    eprintln!("crash: {kills} kills, seed {seed}");
    let mut random = Random(seed);
    let story = Story { seed, base: (now - back).floor(Span::from_mins(1)) };

    let mut broker = Mosquitto::lasting();
    let (hooks, pushed) = webhook_receiver();
    let files = [("streams.toml", STREAMS), ("sources.toml", SOURCES), ("registry.toml", ""), ("pipelines/rules.toml", RULES)];
    let sink = format!("[[sink]]\nname = \"duty\"\nwebhook = {{ url = \"http://127.0.0.1:{hooks}/\" }}\n");
    let extra = format!("[vision]\nenabled = false\n{sink}retry = {{ first = \"50ms\", most = \"500ms\" }}\n");
    let mut huong = Huong::with_files(broker.port, &files, "store.segment_bytes = 65536\n", &extra).connected();
    let publisher = Steady::start(broker.port, RATE, tell(story));
    let begun = Instant::now();
    let mut moments: BTreeMap<&str, u32> = BTreeMap::new();
    for kill in 0..kills {
        let moment = MOMENTS[random.below(MOMENTS.len() as u64) as usize];
        *moments.entry(moment).or_default() += 1;
        if moment != STARTING {
            huong.until_up();
        }
        match moment {
            STARTING => thread::park_timeout(Duration::from_millis(random.below(1500))),
            ROTATING => wait_for_change(&huong, "log"),
            SEALING => wait_for_change(&huong, "parquet"),
            _ => thread::park_timeout(Duration::from_millis(random.below(3000))),
        }
        huong.kill();
        if kill % 10 == 5 {
            broker.restart();
        }
        huong.spawn();
    }
    huong.until_up();
    let (killing, at_kill) = (begun.elapsed(), publisher.sent());
    let messages = publisher.finish();
    let bulks = messages / BULK_EVERY;
    let rounds = (messages - bulks) / KEYS;
    let expected = (messages - bulks) + bulks * BULK;
    let due = story.due(rounds - TAIL);
    while_it_moves("the broker's backlog to be stored", || {
        let stored: u64 = huong.query("SELECT count(*) FROM readings WHERE stream <> 'processor_disk'")[0].parse().expect("a count");
        (stored, stored >= expected)
    });
    while_it_moves("the sinks to come to the end", || {
        let metrics = get(huong.wall, "/metrics").unwrap_or_default();
        let of = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect::<Vec<_>>();
        let (behind, flying, balanced) = (of("huong_sink_behind"), of("huong_readings_in_flight"), of("huong_ledger_balanced"));
        let still = behind.iter().chain(&flying).all(|line| line.ends_with(" 0")) && balanced.iter().all(|line| line.ends_with(" 1"));
        (behind.join(" "), still && behind.len() == 2)
    });
    let (told, steps) = hear(&pushed, &due);
    let doubled = huong.query("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason");
    eprintln!(
        "crash: {kills} kills in {:.0} s at {moments:?}, {at_kill} of {messages} messages sent by then, {expected} readings, {} alerts due, \
         {steps} steps told, refused: {doubled:?}",
        killing.as_secs_f64(),
        due.len()
    );
    assert!(huong.stop(), "{}", huong.log());

    let rows = |stream: &str| {
        let sql = "SELECT key, count(*), count(DISTINCT at), CAST(round(sum(value) * 100) AS BIGINT) FROM readings WHERE stream =";
        huong.query(&format!("{sql} '{stream}' GROUP BY key ORDER BY key"))
    };
    let sum = |key, end| (0..rounds).map(|n| (story.value(key, n, n < end && story.is_high(key, n)) * 100.0).round() as u64).sum::<u64>();
    let mut level: Vec<String> = (0..KEYS).map(|key| format!("k{key},{rounds},{rounds},{}", sum(key, rounds - TAIL))).collect();
    level.sort();
    assert_eq!(rows("level"), level, "each reading once");
    let logged = bulks * BULK;
    assert_eq!(rows("bulk"), [format!("logger,{logged},{logged},{}", (0..logged).map(|n| n % 100 * 100).sum::<u64>())]);
    assert!(doubled.iter().all(|line| line.starts_with("duplicate,")), "nothing else is refused: {doubled:?}");

    let once: BTreeSet<&String> = due.keys().collect();
    let journal = huong.query("SELECT id FROM alerts WHERE kind = 'raised'");
    let raised: BTreeSet<&String> = journal.iter().collect();
    assert_eq!(
        (raised.difference(&once).collect::<Vec<_>>(), once.difference(&raised).collect()),
        (vec![], vec![]),
        "too many and too few"
    );
    assert_eq!(journal.len(), raised.len(), "none is raised twice");
    assert_eq!(told.iter().collect::<BTreeSet<_>>(), once, "what is raised is told");
}

/// Waits for something that takes as long as the machine needs: it fails when nothing has changed for long.
fn while_it_moves<T: PartialEq>(what: &str, mut look: impl FnMut() -> (T, bool)) {
    let mut last = look();
    while !last.1 {
        last = wait_for(what, || Some(look()).filter(|now| now.1 || now.0 != last.0));
    }
}

/// Waits until the files in a folder of the store are others.
fn wait_for_change(huong: &Huong, folder: &str) {
    let folder = huong.dir.path().join("store").join(folder);
    let before = files_under(&folder);
    wait_for("a change in the store", || (files_under(&folder) != before).then_some(()));
}

fn files_under(folder: &std::path::Path) -> BTreeSet<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| if entry.path().is_dir() { files_under(&entry.path()) } else { BTreeSet::from([entry.path()]) }).collect()
}

/// The ids of the raised alerts among what was pushed, and how many steps there were.
fn hear(pushed: &Receiver<String>, due: &BTreeMap<String, Option<u64>>) -> (BTreeSet<String>, usize) {
    let (mut raised, mut steps) = (BTreeMap::<String, u64>::new(), 0);
    for body in pushed.try_iter() {
        let step: Value = serde_json::from_str(&body).expect("a push is JSON");
        steps += 1;
        if step["kind"] != "raised" {
            continue;
        }
        let id = step["alert"]["id"].as_str().expect("an alert has an id");
        let seq = step["seq"].as_u64().expect("a step has a number");
        assert_eq!(*raised.entry(id.to_owned()).or_insert(seq), seq, "{id} is one step, however often it is told");
        if let Some(Some(n)) = due.get(id) {
            assert_eq!(step["alert"]["values"]["n"].as_f64(), Some(*n as f64), "{id} has seen its whole window: {body}");
        }
    }
    (raised.into_keys().collect(), steps)
}
