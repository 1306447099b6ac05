use proptest::prelude::*;

use super::*;
use crate::Writer;
use crate::testing::{close, minute, mixed, observation, open, reading, refused, write};

/// What the store holds: every reading written, with its sequence.
fn readings_of(records: &[Record]) -> Vec<(u64, Reading)> {
    let numbered = (1..).zip(records);
    numbered.filter_map(|(seq, record)| if let Record::Reading(reading) = record { Some((seq, reading.clone())) } else { None }).collect()
}

fn follow(writer: &Writer, from: u64) -> Follower {
    Follower::new(writer.committed(), from)
}

/// Everything that there is, at most `most` at a look.
fn drain(follower: &mut Follower, most: usize) -> Vec<(u64, Reading)> {
    let mut all = Vec::new();
    loop {
        let found = follower.read(most, Timestamp::MIN).expect("a sound store");
        assert!(found.readings.len() <= most && found.skipped == 0);
        if found.readings.is_empty() {
            return all;
        }
        all.extend(found.readings);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Commits, closed segments, seals, restarts of the follower and looks in any order: each reading once, in order.
    #[test]
    fn every_reading_comes_once_and_in_order(steps in prop::collection::vec((0..6u8, 1..9usize), 1..30)) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (mut writer, _) = open(dir.path());
        let mut follower = follow(&writer, 0);
        let (mut written, mut got, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        for (step, (what, many)) in steps.into_iter().enumerate() {
            match what {
                0 | 1 => {
                    let n = written.len() as u64;
                    let records: Vec<Record> = (n..n + many as u64)
                        .map(|n| match n % 4 { 0 => refused(n), 1 => observation(n), _ => reading(n) })
                        .collect();
                    write(&mut writer, &records);
                    written.extend(records);
                }
                2 => {
                    let now = minute(1000 * step as i64);
                    closed.extend(writer.rotate_if_due(now).expect("a sound disk"));
                }
                3 => for segment in closed.drain(..) {
                    crate::seal(&segment).expect("a sound segment");
                },
                4 => follower = follow(&writer, follower.next_seq()),
                _ => got.extend(follower.read(many, Timestamp::MIN).expect("a sound store").readings),
            }
        }
        got.extend(drain(&mut follower, 7));
        prop_assert_eq!(got, readings_of(&written));
        prop_assert_eq!(follower.next_seq(), written.len() as u64 + 1);
    }
}

#[test]
fn what_is_not_committed_is_not_given() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, _) = open(dir.path());
    let mut follower = follow(&writer, 0);
    writer.append(&reading(1)).expect("a small record");
    assert!(drain(&mut follower, 10).is_empty());
    writer.commit().expect("a sound disk");
    assert_eq!(drain(&mut follower, 10), readings_of(&[reading(1)]));
    // Bytes in the file alone are no commit either: what a failed write left may be written anew.
    let path = segment::path(dir.path(), 1);
    let mut bytes = Vec::new();
    segment::push_record(&mut bytes, 2, &reading(2)).expect("a small record");
    let mut file = File::options().append(true).open(&path).expect("the open segment");
    std::io::Write::write_all(&mut file, &bytes).expect("a sound disk");
    assert!(drain(&mut follower, 10).is_empty());
}

#[test]
fn what_is_old_or_gone_is_counted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, _) = open(dir.path());
    let records: Vec<Record> = (0..30).map(reading).collect();
    for (n, part) in records.chunks(10).enumerate() {
        write(&mut writer, part);
        if n < 2 {
            let closed = close(&mut writer, 1000 * (n as i64 + 1));
            crate::seal(&closed).expect("a sound segment");
        }
    }
    // The 15th came at minute 151.
    let mut follower = follow(&writer, 0);
    let (mut got, mut skipped) = (Vec::new(), 0);
    while follower.next_seq() <= 30 {
        let found = follower.read(4, minute(151)).expect("a sound store");
        skipped += found.skipped;
        got.extend(found.readings);
    }
    assert_eq!((skipped, got.len()), (15, 15));
    assert_eq!(got, readings_of(&records)[15..]);
    // As nothing leaves it: the first segment's parts and its entry are gone.
    let mut manifest = Manifest::read(dir.path()).expect("a sound manifest");
    manifest.parts.retain(|part| part.span.0 >= 11);
    manifest.sealed = vec![(11, 21)];
    std::fs::write(dir.path().join("manifest.json"), serde_json::to_vec(&manifest).expect("JSON")).expect("a sound disk");
    let found = follow(&writer, 3).read(100, Timestamp::MIN).expect("a sound store");
    assert_eq!((found.skipped, found.readings.len()), (8, 20));
    let mut follower = follow(&writer, 3);
    assert_eq!((follower.skip_to(25), follower.next_seq(), follower.skip_to(5)), (22, 25, 0));
    assert_eq!(drain(&mut follower, 100), readings_of(&records)[24..]);
}

#[test]
fn a_damaged_segment_costs_what_it_hides_and_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, _) = open(dir.path());
    write(&mut writer, &mixed());
    write(&mut writer, &[reading(3)]);
    let path = segment::path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).expect("the open segment");
    let start = Segment::read(&path).expect("a sound segment").records().end();
    // The length of the second record becomes absurd.
    let second = start + 8 + u32::from_le_bytes([bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]]) as usize;
    bytes[second + 3] = 0xff;
    std::fs::write(&path, &bytes).expect("a sound disk");
    let found = follow(&writer, 0).read(100, Timestamp::MIN).expect("the others are sound");
    let all: Vec<Record> = mixed().into_iter().chain([reading(3)]).collect();
    let left: Vec<Record> = all[..1].iter().chain(&all[2..]).cloned().collect();
    assert_eq!((found.skipped, found.readings.len()), (1, readings_of(&left).len()));
}
