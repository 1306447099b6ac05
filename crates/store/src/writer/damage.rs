//! A small log cut at every byte, and with every single bit flipped: told, and all that was not hit is there, for the writer that opens
//! it, for the replay and for queries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use huong_types::{AlertState, Timestamp};
use tokio::runtime::Runtime;

use crate::segment::{self, FIRST_SEQ, Segment};
use crate::testing::{csv, filled, logged, open, reading, refused, transition, write};
use crate::{Record, replay_readings, transitions_after};

fn small() -> Vec<Record> {
    vec![reading(1), transition(1, 1, AlertState::Open), refused(1), reading(2)]
}

/// Where each part of the only segment begins: the first record after header and checkpoint, and so on; at last its end.
fn bounds(path: &Path) -> Vec<usize> {
    let segment = Segment::read(path).expect("a sound segment");
    let mut records = segment.records();
    let mut bounds = vec![records.end()];
    while records.next().is_some() {
        bounds.push(records.end());
    }
    bounds
}

struct Log {
    dir: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    runtime: Runtime,
}

impl Log {
    fn new() -> Self {
        let dir = filled(&small());
        let path = segment::path(dir.path(), FIRST_SEQ);
        let bytes = fs::read(&path).expect("the segment");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        Self { dir, path, bytes, runtime }
    }

    /// Puts `bytes` in place of the log, with nothing beside it.
    fn put(&self, bytes: &[u8]) {
        for entry in fs::read_dir(segment::log_dir(self.dir.path())).expect("the log").flatten() {
            fs::remove_file(entry.path()).expect("a removable file");
        }
        fs::write(&self.path, bytes).expect("a writable file");
    }

    /// The records that are left, as each way of reading has them.
    fn check_readers(&self, left: &[(u64, Record)], place: &str) {
        assert_eq!(logged(self.dir.path()), left, "{place}");
        let mut readings = Vec::new();
        replay_readings(self.dir.path(), &|_| Some(Timestamp::MIN), &mut |reading| readings.push(Record::Reading(reading)))
            .expect("a readable log");
        let expected: Vec<&Record> = left.iter().map(|(_, record)| record).filter(|record| matches!(record, Record::Reading(_))).collect();
        assert_eq!(readings.iter().collect::<Vec<_>>(), expected, "{place}");
        let told = transitions_after(self.dir.path(), 0, 10).expect("a readable log").len();
        assert_eq!(told, left.iter().filter(|(_, record)| matches!(record, Record::Transition(_))).count(), "{place}");
    }

    fn check_query(&self, left: &[(u64, Record)], place: &str) {
        let left = left.iter().filter(|(_, record)| matches!(record, Record::Reading(_)));
        let text = self.runtime.block_on(csv(self.dir.path(), "SELECT seq FROM readings ORDER BY seq"));
        let found: Vec<u64> = text.lines().skip(1).map(|line| line.parse().expect("a sequence")).collect();
        assert_eq!(found, left.map(|(seq, _)| *seq).collect::<Vec<_>>(), "{place}");
    }

    /// The bytes that a repair put aside.
    fn kept(&self) -> u64 {
        let entries = fs::read_dir(segment::log_dir(self.dir.path())).expect("the log").flatten();
        entries.filter(|entry| entry.path() != self.path).map(|entry| entry.metadata().expect("a file").len()).sum()
    }
}

#[test]
fn a_log_cut_at_any_byte_keeps_what_is_whole_and_goes_on() {
    let log = Log::new();
    let bounds = bounds(&log.path);
    let all: Vec<(u64, Record)> = (FIRST_SEQ..).zip(small()).collect();
    let mut lengths = BTreeSet::new();
    for cut in 0..log.bytes.len() {
        let place = format!("cut at {cut} of {}", log.bytes.len());
        log.put(&log.bytes[..cut]);
        let whole = bounds.iter().filter(|bound| **bound <= cut).count().saturating_sub(1);
        lengths.insert(whole);
        log.check_readers(&all[..whole], &place);
        log.check_query(&all[..whole], &place);
        let (mut writer, recovered) = open(log.dir.path());
        let torn = cut.saturating_sub(bounds[whole]) as u64;
        assert_eq!((recovered.cut_bytes, log.kept()), (torn, torn), "{place}");
        assert_eq!(recovered.damaged > 0, cut < bounds[0], "a head that is not whole is told: {place}");
        write(&mut writer, &[reading(99)]);
        let goes_on: Vec<(u64, Record)> = all[..whole].iter().cloned().chain([(whole as u64 + FIRST_SEQ, reading(99))]).collect();
        log.check_readers(&goes_on, &place);
    }
    assert_eq!(lengths, (0..all.len()).collect());
}

#[test]
fn any_flipped_bit_is_told_and_costs_at_most_the_record_it_hit() {
    let log = Log::new();
    let bounds = bounds(&log.path);
    let all: Vec<(u64, Record)> = (FIRST_SEQ..).zip(small()).collect();
    for (at, bit) in (0..log.bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let place = format!("bit {bit} of byte {at}");
        let mut damaged = log.bytes.clone();
        damaged[at] ^= 1 << bit;
        log.put(&damaged);
        // Nothing is lost with the head of the first segment: what it says is known.
        let hit = bounds.iter().filter(|bound| **bound <= at).count().checked_sub(1);
        let left: Vec<(u64, Record)> = all.iter().enumerate().filter(|(i, _)| Some(*i) != hit).map(|(_, record)| record.clone()).collect();
        log.check_readers(&left, &place);
        // Each byte once: a query takes milliseconds, and reads the log by the same iterator.
        if bit == at % 8 {
            log.check_query(&left, &place);
        }
        let (mut writer, recovered) = open(log.dir.path());
        let last = hit == Some(all.len() - 1);
        let torn = if last { log.bytes.len() - bounds[all.len() - 1] } else { 0 } as u64;
        assert_eq!((recovered.damaged > 0, recovered.cut_bytes, log.kept()), (!last, torn, torn), "{place}");
        assert_eq!(recovered.open_alerts.len(), usize::from(hit != Some(1)), "{place}");
        write(&mut writer, &[reading(99)]);
        let next = if last { all.len() as u64 } else { all.len() as u64 + FIRST_SEQ };
        log.check_readers(&left.iter().cloned().chain([(next, reading(99))]).collect::<Vec<_>>(), &place);
    }
}

#[test]
fn a_later_segment_without_its_checkpoint_is_read_and_not_written() {
    let dir = filled(&small());
    let (mut writer, _) = open(dir.path());
    let _first = crate::testing::close(&mut writer, 0);
    write(&mut writer, &[reading(7), reading(8)]);
    drop(writer);
    let path = segment::path(dir.path(), 5);
    let bytes = fs::read(&path).expect("the second segment");
    for at in 0..bounds(&path)[0] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).expect("a writable file");
        assert_eq!(logged(dir.path()).iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6], "byte {at}");
        match crate::Writer::open(crate::StoreConfig::new(dir.path())) {
            Ok((_, recovered)) => assert!(at < 24 && recovered.damaged > 0 && recovered.open_alerts.len() == 1, "byte {at}"),
            Err(error) => assert!(at >= 24 && error.to_string().contains("the checkpoint is damaged"), "byte {at}: {error}"),
        }
    }
}
