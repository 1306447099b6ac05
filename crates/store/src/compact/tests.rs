//! Merging under crashes, beside readers, over anything that was sealed: the same rows, once.

use huong_types::AlertState;
use proptest::prelude::*;

use super::*;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::testing::{close, contents, copy, expected, filled, minute, mixed, observation, open, reading, refused, transition, write};
use crate::{ClosedSegment, Keep, Record, Writer, audit, retain, seal, sweep};

/// Merges whatever are two neighbours.
fn eager() -> Compact {
    Compact { parts: 2, ..Compact::default() }
}

fn merge_all(dir: &Path, config: &Compact) -> usize {
    let mut merges = 0;
    while let Some(made) = compact(dir, config, minute(0), &|| false).expect("a sound disk") {
        merges += made.merges;
    }
    merges
}

fn seal_all(dir: &Path, writer: &mut Writer, segments: &[Vec<Record>]) {
    for (i, records) in segments.iter().enumerate() {
        write(writer, records);
        seal(&close(writer, 200 * i as i64)).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    }
}

#[test]
fn parts_of_a_day_become_one_and_nothing_changes() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let mut segments: Vec<Vec<Record>> = (0..4).map(|i| (1..=12).map(|n| reading(12 * i + n)).collect()).collect();
    segments.push(mixed());
    seal_all(dir.path(), &mut writer, &segments);
    let all: Vec<Record> = segments.concat();
    assert_eq!(contents(dir.path()), expected(&all));
    let before = Manifest::read(dir.path()).expect("a manifest");
    assert!(merge_all(dir.path(), &eager()) >= 6, "readings and rollups of two days");
    let after = Manifest::read(dir.path()).expect("a manifest");
    let rows =
        |manifest: &Manifest, table: Table| manifest.parts.iter().filter(|part| part.table == table).map(|part| part.rows).sum::<u64>();
    for table in Table::RECORDS {
        assert_eq!(rows(&after, table), rows(&before, table), "{table:?}");
    }
    let partitions: std::collections::BTreeSet<_> = after.parts.iter().map(|part| (part.table, part.stream.clone(), part.day)).collect();
    assert_eq!(partitions.len(), after.parts.len(), "one part each");
    assert_eq!(contents(dir.path()), expected(&all));
    assert_eq!(after.sealed, before.sealed);
}

#[test]
fn a_day_is_left_until_it_is_over_or_has_many_parts() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    seal_all(dir.path(), &mut writer, &(1..=4).map(|n| vec![reading(n)]).collect::<Vec<_>>());
    let merges = |config: &Compact, now: i64| compact(dir.path(), config, minute(now), &|| false).expect("a sound disk").is_some();
    assert!(!merges(&Compact::default(), 59), "the day of all four is not over");
    assert!(!merges(&Compact::default(), 60 + 59), "and what is late still comes");
    assert!(compact(dir.path(), &Compact::default(), minute(500), &|| true).expect("a sound disk").is_none(), "stopped");
    let other = copy(dir.path());
    assert!(merges(&Compact::default(), 60 + 60));
    let many = compact(other.path(), &Compact { parts: 4, ..Compact::default() }, minute(0), &|| false);
    assert!(many.expect("a sound disk").is_some(), "four are many");
}

#[test]
fn no_part_grows_beyond_the_limit() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let segments: Vec<Vec<Record>> = (0..9).map(|i| (0..7).map(|n| observation(7 * i + n)).collect()).collect();
    seal_all(dir.path(), &mut writer, &segments);
    merge_all(dir.path(), &Compact { rows: 50, ..eager() });
    let parts = Manifest::read(dir.path()).expect("a manifest").parts;
    let rows: Vec<u64> = parts.iter().map(|part| part.rows).collect();
    assert!(rows.iter().all(|rows| *rows <= 50) && rows.iter().sum::<u64>() == 9 * 7 * 3, "{rows:?}");
    assert_eq!(contents(dir.path()), expected(&segments.concat()));
}

#[test]
fn a_late_reading_does_not_have_a_day_written_anew() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    seal_all(dir.path(), &mut writer, &[(0..20).map(observation).collect(), vec![observation(20)]]);
    assert!(compact(dir.path(), &Compact::default(), minute(5000), &|| false).expect("a sound disk").is_none());
    write(&mut writer, &[(21..26).map(observation).collect::<Vec<_>>()].concat());
    seal(&close(&mut writer, 800)).expect("a sound disk");
    assert!(compact(dir.path(), &Compact::default(), minute(5000), &|| false).expect("a sound disk").is_some(), "a quarter more");
}

#[test]
fn a_crash_between_the_steps_of_a_merge_neither_loses_nor_doubles() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let segments = [mixed(), (3..9).map(reading).collect(), (3..9).map(|n| transition(n + 2, n, AlertState::Open)).collect()];
    seal_all(dir.path(), &mut writer, &segments);
    let all = segments.concat();
    let mut states = vec![copy(dir.path())];
    let mut manifest = Manifest::read(dir.path()).expect("a manifest");
    let run = due(&manifest.parts, &eager(), 0).swap_remove(0);
    let mut merged = Pending::new(dir.path());
    assert!(merge(dir.path(), &run, manifest.generation + 1, &mut merged, &|| false).expect("a sound disk"));
    states.push(copy(dir.path()));
    let merged = merged.publish().expect("a sound disk");
    states.push(copy(dir.path()));
    manifest.retire(&run.iter().map(|part| part.path.as_str()).collect());
    manifest.parts.extend(merged);
    manifest.publish(dir.path()).expect("a sound disk");
    states.push(copy(dir.path()));
    // A sweep that got as far as one file.
    std::fs::remove_file(dir.path().join(&run[0].path)).expect("a retired file");
    states.push(copy(dir.path()));
    sweep(dir.path(), Span::ZERO, minute(0)).expect("a sound disk");
    states.push(copy(dir.path()));
    for (step, state) in states.iter().enumerate() {
        assert_eq!(contents(state.path()), expected(&all), "step {step}, before the writer is back");
        drop(open(state.path()));
        assert_eq!(contents(state.path()), expected(&all), "step {step}, cleaned up");
        merge_all(state.path(), &eager());
        sweep(state.path(), Span::ZERO, minute(0)).expect("a sound disk");
        assert_eq!(contents(state.path()), expected(&all), "step {step}, merged");
        let manifest = Manifest::read(state.path()).expect("a manifest");
        let files = crate::testing::files_under(&state.path().join("parquet"));
        assert_eq!(files, manifest.parts.iter().map(|part| state.path().join(&part.path)).collect(), "step {step}: no other file is left");
    }
}

#[test]
fn who_began_before_a_merge_can_read_to_the_end() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    seal_all(dir.path(), &mut writer, &[mixed(), mixed().into_iter().filter(|r| matches!(r, Record::Reading(_))).collect()]);
    let snapshot = Snapshot::take(dir.path()).expect("a readable store");
    assert!(merge_all(dir.path(), &eager()) > 0);
    assert_eq!(sweep(dir.path(), Span::from_mins(60), minute(0)).expect("a sound disk"), 0, "the time of grace is not over");
    drop(writer);
    drop(open(dir.path()));
    for part in &snapshot.manifest.parts {
        let mut rows = 0;
        part::read(dir.path(), part, &[], &mut |batch| {
            rows += batch.num_rows() as u64;
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}: {error}", part.path));
        assert_eq!(rows, part.rows);
    }
    assert!(sweep(dir.path(), Span::ZERO, minute(0)).expect("a sound disk") > 0);
    assert!(snapshot.manifest.parts.iter().any(|part| !dir.path().join(&part.path).exists()));
}

/// What may happen to a store, in any order.
#[derive(Clone, Debug)]
enum Act {
    Write(u8, u8),
    Close,
    Seal(prop::sample::Index),
    Merge,
    Sweep,
    /// Refusals of before yesterday go.
    Retain,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4u8, 1..5u8).prop_map(|(kind, count)| Act::Write(kind, count)),
        3 => Just(Act::Close),
        3 => any::<prop::sample::Index>().prop_map(Act::Seal),
        2 => Just(Act::Merge),
        1 => Just(Act::Sweep),
        1 => Just(Act::Retain),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_each_record_is_there_once_and_in_order(acts in prop::collection::vec(act(), 1..24)) {
        let dir = filled(&[]);
        let (mut writer, _) = open(dir.path());
        let mut records: Vec<Record> = Vec::new();
        let mut closed: Vec<ClosedSegment> = Vec::new();
        let (mut minutes, mut pending, mut transitions) = (0, 0, 0);
        for act in acts {
            match act {
                Act::Write(kind, count) => {
                    for _ in 0..count {
                        let n = records.len() as u64;
                        let record = match kind {
                            0 => reading(n),
                            1 => observation(n),
                            2 => refused(n),
                            _ => { transitions += 1; transition(transitions, n, AlertState::Open) }
                        };
                        write(&mut writer, std::slice::from_ref(&record));
                        records.push(record);
                        pending += 1;
                    }
                }
                Act::Close => if pending > 0 {
                    closed.push(close(&mut writer, minutes));
                    minutes += 200;
                    pending = 0;
                },
                Act::Seal(which) => if !closed.is_empty() {
                    seal(&closed.remove(which.index(closed.len()))).expect("a sound disk");
                },
                Act::Merge => { merge_all(dir.path(), &eager()); }
                Act::Sweep => { sweep(dir.path(), Span::ZERO, minute(0)).expect("a sound disk"); }
                Act::Retain => {
                    let keep: Keep = serde_json::from_str(r#"{"table": "quarantine", "days": 0, "why": "a test"}"#).expect("a rule");
                    let outcome = retain(dir.path(), &[keep], minute(36 * 60), &|_| None);
                    prop_assert!(matches!(outcome, Ok(_) | Err(StoreError::ClockAhead { newest: None, .. })), "{:?}", outcome);
                }
                Act::Restart => {
                    drop(writer);
                    let (again, recovered) = open(dir.path());
                    prop_assert_eq!(&recovered.closed, &closed);
                    writer = again;
                }
            }
            prop_assert_eq!(contents(dir.path()), expected(&records));
        }
        prop_assert_eq!(audit(dir.path()).expect("a store").faults, [""; 0]);
    }
}
