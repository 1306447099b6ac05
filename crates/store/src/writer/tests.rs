//! The log over restarts and rotations: what is written reads back.

use huong_types::{AlertState, RejectReason, Span};
use proptest::prelude::*;

use super::*;
use crate::StreamSource;
use crate::testing::{copy, filled, logged, minute, mixed, observation, open, reading, refused, transition, write};

fn numbered(records: &[Record]) -> Vec<(u64, Record)> {
    (FIRST_SEQ..).zip(records.iter().cloned()).collect()
}

fn only_segment(dir: &Path) -> std::path::PathBuf {
    segment::path(dir, FIRST_SEQ)
}

/// What recovery must find after these records.
fn state_after(records: &[Record]) -> State {
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    state
}

pub(super) fn check_recovered(recovered: &Recovered, records: &[Record]) {
    let state = state_after(records);
    assert_eq!(recovered.open_alerts, state.open.into_values().collect::<Vec<_>>());
    assert_eq!((recovered.next_seq, &recovered.counts), (state.next_seq, &state.counts));
}

#[test]
fn every_kind_of_record_reads_back() {
    let dir = filled(&mixed());
    assert_eq!(logged(dir.path()), numbered(&mixed()));
    let (_, recovered) = open(dir.path());
    assert_eq!((recovered.cut_bytes, recovered.damaged, recovered.closed.len(), recovered.next_seq), (0, 0, 0, 5));
    assert_eq!(
        recovered.open_alerts.iter().map(|a| (a.id.as_str(), a.state)).collect::<Vec<_>>(),
        [("river-bd2/kimlong/2", AlertState::Acknowledged)]
    );
    let count = |stream: Option<&str>, source: Option<&str>| {
        let account = StreamSource { stream: stream.map(Into::into), source: source.map(Into::into) };
        recovered.counts.get(&account).cloned().expect("an account that had records")
    };
    assert_eq!((count(Some("water_level"), Some("vrain")).stored, count(Some("vehicles"), Some("yolox")).stored), (2, 1));
    assert_eq!(count(Some("rain"), None).rejected, [(RejectReason::Future, 1)].into());
    assert_eq!(count(None, None).rejected, [(RejectReason::Malformed, 1)].into());
}

#[test]
fn nothing_is_on_disk_before_commit() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    writer.append(&reading(1)).expect("a small record");
    assert!(writer.buffered() > 0);
    assert!(logged(dir.path()).is_empty());
    writer.commit().expect("the disk takes it");
    assert_eq!((writer.buffered(), logged(dir.path()).len()), (0, 1));
}

#[test]
fn one_writer_per_directory() {
    let dir = filled(&mixed());
    let (writer, _) = open(dir.path());
    assert!(matches!(Writer::open(StoreConfig::new(dir.path())), Err(StoreError::Locked(_))));
    assert_eq!(crate::transitions_after(dir.path(), 0, 10).expect("readers need no lock").len(), 4);
    drop(writer);
    open(dir.path());
}

#[test]
fn a_record_over_the_limit_is_refused_and_harms_nothing() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    write(&mut writer, &[reading(1)]);
    let Record::Quarantined(mut huge) = refused(1) else { unreachable!("refused() makes refusals") };
    huge.bytes = vec![0; 65 << 20];
    assert!(matches!(writer.append(&Record::Quarantined(huge)), Err(StoreError::TooLong { .. })));
    write(&mut writer, &[reading(2)]);
    drop(writer);
    assert_eq!(logged(dir.path()), numbered(&[reading(1), reading(2)]));
    check_recovered(&open(dir.path()).1, &[reading(1), reading(2)]);
}

#[test]
fn segments_close_by_age_and_by_size_but_never_empty() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let closes = |writer: &mut Writer, now| writer.rotate_if_due(minute(now)).expect("a sound disk").map(|c| (c.first_seq, c.end_seq));
    assert_eq!((closes(&mut writer, 0), closes(&mut writer, 1000)), (None, None), "empty");
    write(&mut writer, &[reading(1)]);
    assert_eq!(closes(&mut writer, 1001), Some((1, 2)), "older than an hour");
    write(&mut writer, &[reading(2)]);
    assert_eq!((closes(&mut writer, 1060), closes(&mut writer, 1061)), (None, Some((2, 3))));
    writer.append(&reading(3)).expect("a small record");
    writer.config.segment_bytes = 1;
    assert_eq!(closes(&mut writer, 1062), Some((3, 4)), "commits what was appended first");
    drop(writer);
    let (_, recovered) = open(dir.path());
    assert_eq!(recovered.closed.iter().map(|c| (c.first_seq, c.end_seq)).collect::<Vec<_>>(), [(1, 2), (2, 3), (3, 4)]);
    assert_eq!(logged(dir.path()), numbered(&[reading(1), reading(2), reading(3)]));
}

#[test]
fn a_crash_between_the_steps_of_a_rotation_changes_nothing() {
    let dir = filled(&mixed());
    let (mut writer, _) = open(dir.path());
    writer.config.segment_bytes = 1;
    let before = copy(dir.path());
    let half_written = copy(dir.path());
    fs::write(disk::temporary(&segment::path(half_written.path(), 10)), b"huonglog\x01").expect("a writable directory");
    writer.rotate_if_due(minute(0)).expect("a sound disk").expect("the segment is over one byte");
    for state in [&before, &half_written, &copy(dir.path())] {
        let (mut writer, recovered) = open(state.path());
        check_recovered(&recovered, &mixed());
        write(&mut writer, &[reading(3)]);
        let expected: Vec<Record> = mixed().into_iter().chain([reading(3)]).collect();
        assert_eq!(logged(state.path()), numbered(&expected));
        assert!(!disk::temporary(&segment::path(state.path(), 10)).exists());
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = filled(&mixed());
    let mut bytes = fs::read(only_segment(dir.path())).expect("the segment");
    bytes[8] = 7;
    let sum = crc32fast::hash(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&sum);
    fs::write(only_segment(dir.path()), bytes).expect("a writable file");
    assert!(matches!(Writer::open(StoreConfig::new(dir.path())), Err(StoreError::Version { found: 7, expected: 4, .. })));
}

/// A change of the encoding makes old logs unreadable: it needs a new version in the segment header, and then new sums here.
#[test]
fn the_format_is_pinned() {
    let sum = |record: &Record| {
        let mut bytes = Vec::new();
        segment::push_record(&mut bytes, 300, record).expect("a small record");
        (bytes.len(), crc32fast::hash(&bytes))
    };
    let sums = [reading(1), observation(1), refused(1), transition(1, 1, AlertState::Acknowledged)].map(|record| sum(&record));
    assert_eq!(sums, [(67, 2778222638), (110, 3298399077), (82, 603079980), (302, 1663808934)]);
}

#[test]
fn the_tail_gives_what_the_disk_would() {
    let dir = filled(&[]);
    let mut config = StoreConfig::new(dir.path());
    config.transition_tail = 3;
    let (mut writer, _) = Writer::open(config.clone()).expect("a sound directory");
    let tail = writer.tail();
    assert!(tail.transitions_after(0, 10).expect("nothing yet").is_empty());
    let step = |seq| transition(seq, seq, AlertState::Open);
    write(&mut writer, &[step(1), reading(1), step(2)]);
    writer.append(&step(3)).expect("a small record");
    let seqs = |tail: &TransitionTail, after, limit| {
        tail.transitions_after(after, limit).expect("a sound log").iter().map(|t| t.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&tail, 0, 10), [1, 2], "only what is committed");
    write(&mut writer, &[step(4), step(5)]);
    for (after, limit, expected) in [
        (0, 10, vec![1, 2, 3, 4, 5]),
        (0, 2, vec![1, 2]),
        (1, 2, vec![2, 3]),
        (2, 2, vec![3, 4]),
        (4, 9, vec![5]),
        (5, 9, vec![]),
        (9, 9, vec![]),
    ] {
        assert_eq!(seqs(&tail, after, limit), expected, "after {after}, at most {limit}");
    }
    drop(writer);
    let (writer, _) = Writer::open(config).expect("a sound directory");
    assert_eq!((seqs(&writer.tail(), 0, 10), seqs(&writer.tail(), 3, 10)), (vec![1, 2, 3, 4, 5], vec![4, 5]));
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (0..50u64).prop_map(reading),
        (0..50u64).prop_map(refused),
        (0..50u64).prop_map(observation),
        (1..50u64, 0..4u64, prop::sample::select(vec![AlertState::Open, AlertState::Acknowledged, AlertState::Cleared]))
            .prop_map(|(s, i, a)| transition(s, i, a)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Wherever segments end and the process stops, the last checkpoint and the records behind it give the state of all records.
    #[test]
    fn recovery_equals_the_whole_history(steps in prop::collection::vec((any_record(), 0..6u8), 0..30)) {
        let dir = filled(&[]);
        let mut config = StoreConfig::new(dir.path());
        config.segment_age = Span::from_mins(10);
        let (mut writer, _) = Writer::open(config.clone()).expect("a sound directory");
        for (i, (record, then)) in steps.iter().enumerate() {
            write(&mut writer, std::slice::from_ref(record));
            match then {
                0 => drop(writer.rotate_if_due(minute(100 * i as i64)).expect("a sound disk")),
                1 => {
                    drop(writer);
                    writer = Writer::open(config.clone()).expect("a sound directory").0;
                }
                _ => {}
            }
        }
        drop(writer);
        let records: Vec<Record> = steps.into_iter().map(|(record, _)| record).collect();
        let (_, recovered) = Writer::open(config).expect("a sound directory");
        check_recovered(&recovered, &records);
        prop_assert_eq!(logged(dir.path()), numbered(&records));
    }
}
