//! The log: how long a reading waits for the disk by `commit_every`, and its group commits, sustained writing and opening beside
//! fjall 3 and redb 4: part of `make bench`.
//!
//! All on one file system (`TMPDIR`), each store in turn in every round, medians over the rounds. Every commit is synced: fjall by
//! `PersistMode::SyncData`, redb by its default durability. fjall and redb take keys and values of the size that our frames have.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fjall::{KeyspaceCreateOptions, PersistMode};
use huong_store::{Record, StoreConfig, Writer};
use huong_types::{Field, Name, Origin, Reading, Span, Timestamp};
use redb::TableDefinition;
use tempfile::TempDir;

/// Readings per second that the waits are measured at, for so long each.
const RATE: u64 = 5_000;
const LASTS: Duration = Duration::from_secs(4);
const EVERY: [i64; 6] = [0, 2, 5, 10, 20, 50];

const ROUNDS: usize = 5;
/// Readings in a small commit, and how many commits.
const GROUP: u64 = 100;
const GROUPS: u64 = 200;
/// The same for sustained writing.
const LARGE: u64 = 4_096;
const LARGE_GROUPS: u64 = 64;
/// A reading's frame in our log: 8 bytes of header and this; the others store a key of 8 bytes and the rest.
const PAYLOAD: usize = 59;

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

fn main() {
    waits();
    stores();
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn reading(n: u64) -> Record {
    let at = Timestamp::from_millis(1_763_769_600_000 + n as i64);
    Record::Reading(Reading {
        stream: "water_level".into(),
        key: Name::new(["kimlong", "phuoc", "thuongnhat"][n as usize % 3]),
        at,
        received: at,
        fields: [Field::ok("level".into(), n as f64 / 100.0)].into_iter().collect(),
        source: "vrain".into(),
        origin: Origin::Sensor,
        orphan: false,
    })
}

/// From the hand-over of a reading until the commit that holds it has returned, in milliseconds.
fn waits() {
    println!("wait for the disk at {RATE} readings/s, {} s each", LASTS.as_secs());
    println!("commit_every  p50 ms  p99 ms  max ms  fsyncs/s  readings/commit");
    for every in EVERY {
        let dir = folder();
        let mut config = StoreConfig::new(dir.path());
        config.commit_every = Span::from_millis(every);
        let (mut writer, _) = Writer::open(config).expect("a new store");
        let (send, receive) = channel();
        let source = std::thread::spawn(move || {
            let began = Instant::now();
            let mut sent = 0;
            while began.elapsed() < LASTS {
                // As a socket gives them: what has come since the last look, at once.
                let due = (began.elapsed().as_secs_f64() * RATE as f64) as u64;
                for n in sent..due {
                    send.send((Instant::now(), reading(n))).expect("the writer listens");
                }
                sent = due;
                std::thread::park_timeout(Duration::from_millis(1));
            }
        });
        let (mut waits, commits) = drive(&mut writer, &receive);
        source.join().expect("the source ends");
        waits.sort_by(f64::total_cmp);
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        let rate = commits as f64 / LASTS.as_secs_f64();
        println!(
            "{:>9} ms  {:>6.2}  {:>6.2}  {:>6.2}  {rate:>8.0}  {:>15.0}",
            every,
            at(0.5),
            at(0.99),
            at(1.0),
            waits.len() as f64 / commits as f64
        );
    }
}

/// As the writer thread does: takes what there is, commits when it is old or large enough.
fn drive(writer: &mut Writer, readings: &Receiver<(Instant, Record)>) -> (Vec<f64>, u64) {
    let (mut waits, mut group, mut commits) = (Vec::new(), Vec::new(), 0);
    let mut over = false;
    while !over {
        let wait = writer.commit_in().unwrap_or(Duration::from_secs(1));
        match if wait.is_zero() { Err(RecvTimeoutError::Timeout) } else { readings.recv_timeout(wait) } {
            Ok((at, record)) => {
                writer.append(&record).expect("a small record");
                group.push(at);
                while writer.takes_more()
                    && let Ok((at, record)) = readings.try_recv()
                {
                    writer.append(&record).expect("a small record");
                    group.push(at);
                }
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => over = true,
        }
        if !group.is_empty() {
            writer.commit().expect("a sound disk");
            commits += 1;
            waits.extend(group.drain(..).map(|at| at.elapsed().as_secs_f64() * 1e3));
        }
    }
    (waits, commits)
}

/// What one store did in one round.
struct Figures {
    commits_per_second: f64,
    readings_per_second: f64,
    open_ms: f64,
    bytes_per_reading: f64,
}

/// Runs one store in a folder.
type Run = fn(&Path) -> Figures;

fn stores() {
    let stores: [(&str, Run); 3] = [("huong", ours), ("fjall 3", with_fjall), ("redb 4", with_redb)];
    let mut rounds: Vec<Vec<Figures>> = stores.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((_, run), figures) in stores.iter().zip(&mut rounds) {
            figures.push(run(folder().path()));
        }
    }
    println!("\n{GROUP} readings a commit; then {LARGE} a commit, {} in all; medians of {ROUNDS} rounds", LARGE * LARGE_GROUPS);
    println!("store    commits/s  readings/s   MB/s  open ms  B/reading   commits x  readings x  open x");
    let median = |figures: &[Figures], of: fn(&Figures) -> f64| {
        let mut all: Vec<f64> = figures.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let columns: [fn(&Figures) -> f64; 4] = [|f| f.commits_per_second, |f| f.readings_per_second, |f| f.open_ms, |f| f.bytes_per_reading];
    let ours = columns.map(|of| median(&rounds[0], of));
    for ((name, _), figures) in stores.iter().zip(&rounds) {
        let [commits, readings, open, bytes] = columns.map(|of| median(figures, of));
        println!(
            "{name:<8} {commits:>9.0} {readings:>11.0} {:>6.1} {open:>8.1} {bytes:>10.1}   {:>9.2}  {:>10.2}  {:>6.2}",
            readings * (PAYLOAD + 8) as f64 / 1e6,
            commits / ours[0],
            readings / ours[1],
            open / ours[2],
        );
    }
}

/// Runs small commits, then large ones, then opens again.
fn measure(dir: &Path, commit: &mut dyn FnMut(std::ops::Range<u64>)) -> (f64, f64) {
    let rate = |groups: u64, size: u64, first: u64, commit: &mut dyn FnMut(std::ops::Range<u64>)| {
        let began = Instant::now();
        for group in 0..groups {
            commit(first + group * size..first + (group + 1) * size);
        }
        groups as f64 / began.elapsed().as_secs_f64()
    };
    assert!(dir.is_dir(), "a folder for the store");
    let small = rate(GROUPS, GROUP, 0, commit);
    (small, rate(LARGE_GROUPS, LARGE, GROUPS * GROUP, commit) * LARGE as f64)
}

const READINGS: u64 = GROUP * GROUPS + LARGE * LARGE_GROUPS;

fn figures(dir: &Path, (commits_per_second, readings_per_second): (f64, f64), open: &mut dyn FnMut()) -> Figures {
    let began = Instant::now();
    open();
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    Figures { commits_per_second, readings_per_second, open_ms, bytes_per_reading: size(dir) as f64 / READINGS as f64 }
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a folder").flatten();
    entries
        .map(|entry| {
            let about = entry.metadata().expect("a file");
            if about.is_dir() { size(&entry.path()) } else { about.len() }
        })
        .sum()
}

fn ours(dir: &Path) -> Figures {
    let (mut writer, _) = Writer::open(StoreConfig::new(dir)).expect("a new store");
    let rates = measure(dir, &mut |range| {
        for n in range {
            writer.append(&reading(n)).expect("a small record");
        }
        writer.commit().expect("a sound disk");
    });
    drop(writer);
    figures(dir, rates, &mut || {
        let (_, recovered) = Writer::open(StoreConfig::new(dir)).expect("a sound store");
        let stored: u64 = recovered.counts.values().map(|line| line.stored).sum();
        assert_eq!(stored, READINGS);
    })
}

/// As large as one of our frames with its header, different for each reading.
fn value(n: u64) -> [u8; PAYLOAD] {
    let mut value = [0; PAYLOAD];
    for (i, chunk) in value.chunks_mut(8).enumerate() {
        let word = (n + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    value
}

fn with_fjall(dir: &Path) -> Figures {
    let db = fjall::Database::builder(dir).open().expect("a new database");
    let log = db.keyspace("log", KeyspaceCreateOptions::default).expect("a new keyspace");
    let rates = measure(dir, &mut |range| {
        let mut batch = db.batch().durability(Some(PersistMode::SyncData));
        for n in range {
            batch.insert(&log, n.to_be_bytes(), value(n));
        }
        batch.commit().expect("a sound disk");
    });
    drop((log, db));
    figures(dir, rates, &mut || {
        let db = fjall::Database::builder(dir).open().expect("a sound database");
        let log = db.keyspace("log", KeyspaceCreateOptions::default).expect("the keyspace");
        assert!(log.get((READINGS - 1).to_be_bytes()).expect("a sound disk").is_some());
    })
}

fn with_redb(dir: &Path) -> Figures {
    let path = dir.join("log.redb");
    let db = redb::Database::create(&path).expect("a new database");
    let rates = measure(dir, &mut |range| {
        let write = db.begin_write().expect("a transaction");
        let mut table = write.open_table(TABLE).expect("the table");
        for n in range {
            table.insert(n, &value(n)[..]).expect("room");
        }
        drop(table);
        write.commit().expect("a sound disk");
    });
    drop(db);
    figures(dir, rates, &mut || {
        use redb::{ReadableDatabase, ReadableTableMetadata};
        let db = redb::Database::create(&path).expect("a sound database");
        let table = db.begin_read().expect("a transaction").open_table(TABLE).expect("the table");
        assert_eq!(table.len().expect("a sound disk"), READINGS);
    })
}
