//! Sealing under crashes: at every step the same rows are found, once.

use std::collections::BTreeSet;

use huong_types::AlertState;

use super::*;
use crate::testing::{
    close, contents, copy, expected, files_under, filled, minute, mixed, observation, open, reading, refused, transition, write,
};
use crate::{Record, newest_arrival, replay_readings};

#[test]
fn every_record_reads_back_from_parquet() {
    let mut records = mixed();
    records.extend((3..40).map(reading));
    records.push(observation(7));
    let dir = filled(&records);
    let (mut writer, _) = open(dir.path());
    let closed = close(&mut writer, 0);
    assert_eq!(contents(dir.path()), expected(&records));
    let sealed = seal(&closed).expect("a sound disk");
    assert_eq!((sealed.rows, sealed.damaged), (39 + 2 * 3 + 4 + 2, 0));
    assert!(!segment::path(dir.path(), 1).exists());
    assert_eq!(contents(dir.path()), expected(&records));
    assert_eq!(seal(&closed).expect("sealing again is harmless"), Sealed::default());
    assert_eq!(contents(dir.path()), expected(&records));
}

#[test]
fn parts_lie_by_table_stream_and_local_day() {
    let dir = filled(&[reading(5), reading(6), observation(1), transition(1, 1, AlertState::Open), refused(1)]);
    let sealed = seal(&close(&mut open(dir.path()).0, 0)).expect("a sound disk");
    let names: Vec<String> = files_under(&dir.path().join("parquet"))
        .iter()
        .map(|p| p.strip_prefix(dir.path()).expect("inside").display().to_string())
        .collect();
    let file = "00000000000000000001.parquet";
    let expected = [
        format!("parquet/alerts/day=2025-10-26/{file}"),
        format!("parquet/observations/stream=vehicles/day=2025-10-26/{file}"),
        format!("parquet/quarantine/day=2025-10-26/{file}"),
        format!("parquet/readings/stream=water_level/day=2025-10-26/{file}"),
        format!("parquet/readings/stream=water_level/day=2025-10-27/{file}"),
        format!("parquet/readings_1h/stream=water_level/day=2025-10-26/{file}"),
        format!("parquet/readings_1h/stream=water_level/day=2025-10-27/{file}"),
        format!("parquet/readings_1m/stream=water_level/day=2025-10-26/{file}"),
        format!("parquet/readings_1m/stream=water_level/day=2025-10-27/{file}"),
    ];
    assert_eq!((names, sealed.parts), (expected.to_vec(), 9));
}

#[test]
fn a_crash_between_the_steps_of_a_seal_neither_loses_nor_doubles() {
    let records = mixed();
    let dir = filled(&records);
    let (mut writer, _) = open(dir.path());
    let closed = close(&mut writer, 0);
    let later = [reading(8), transition(5, 1, AlertState::Open)];
    write(&mut writer, &later);
    let all: Vec<Record> = records.iter().chain(&later).cloned().collect();

    let mut states = vec![copy(dir.path())];
    let (parts, _) = write_parts(&closed).expect("a sound disk");
    states.push(copy(dir.path()));
    let half_a_part = copy(dir.path());
    let part = half_a_part.path().join(&parts[0].path);
    fs::rename(&part, disk::temporary(&part)).expect("a part");
    fs::write(half_a_part.path().join("manifest.json.tmp"), "{\"ver").expect("a writable directory");
    states.push(half_a_part);
    let mut manifest = Manifest::read(dir.path()).expect("a manifest");
    manifest.seal((closed.first_seq, closed.end_seq));
    manifest.parts.extend(parts);
    manifest.publish(dir.path()).expect("a sound disk");
    states.push(copy(dir.path()));
    seal(&closed).expect("a sound disk");
    states.push(copy(dir.path()));

    let mut final_files = BTreeSet::new();
    for (step, state) in states.iter().enumerate() {
        assert_eq!(contents(state.path()), expected(&all), "step {step}, before the writer is back");
        let (writer, recovered) = open(state.path());
        assert_eq!((recovered.open_alerts.len(), recovered.next_seq), (2, 6), "step {step}");
        assert_eq!(contents(state.path()), expected(&all), "step {step}, cleaned up");
        assert_eq!(recovered.closed.len(), usize::from(step < 3), "step {step}");
        for closed in &recovered.closed {
            seal(closed).expect("a sound disk");
        }
        assert_eq!(contents(state.path()), expected(&all), "step {step}, sealed");
        drop(writer);
        final_files
            .insert(files_under(state.path()).iter().map(|p| p.strip_prefix(state.path()).expect("inside").to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(final_files.len(), 1, "all end with the same files");
}

#[test]
fn order_and_rows_hold_when_a_later_segment_is_sealed_first() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let records: Vec<Record> = (1..=9).map(reading).collect();
    let mut closed = Vec::new();
    for (i, three) in records.chunks(3).enumerate() {
        write(&mut writer, three);
        closed.push(close(&mut writer, 200 * i as i64));
    }
    for i in [1, 2, 0] {
        seal(&closed[i]).expect("a sound disk");
        assert_eq!(contents(dir.path()), expected(&records));
    }
    drop(writer);
    let since = minute(61);
    let mut late = Vec::new();
    replay_readings(dir.path(), &|_| Some(since), &mut |reading| late.push(reading)).expect("a readable store");
    assert_eq!(late, expected(&records[5..]).0, "received at or after `since`");
    let newest = late.iter().map(|reading| reading.received).max();
    assert_eq!(newest_arrival(dir.path()).expect("a readable store"), newest);
    write(&mut open(dir.path()).0, &[refused(1)]);
    assert_eq!(newest_arrival(dir.path()).expect("a readable store"), newest, "behind it only refusals");
    let (_, recovered) = open(dir.path());
    assert_eq!(recovered.counts.values().map(|c| c.stored).sum::<u64>(), 9, "counts outlive the segments");
}

#[test]
fn damage_in_a_closed_segment_costs_one_record_and_is_counted() {
    let dir = filled(&(1..=5).map(reading).collect::<Vec<_>>());
    let (mut writer, _) = open(dir.path());
    let closed = close(&mut writer, 0);
    let path = segment::path(dir.path(), 1);
    let mut bytes = fs::read(&path).expect("the segment");
    let at = bytes.windows(5).rposition(|w| w == b"phuoc").expect("a station's name");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("a writable file");
    let sealed = seal(&closed).expect("damage does not stop a seal");
    assert_eq!((sealed.rows, sealed.damaged), (4, 1));
    assert_eq!(contents(dir.path()).0.len(), 4);
}

#[test]
fn seals_at_the_same_time_all_count() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let records: Vec<Record> = (1..=12).map(reading).collect();
    let closed: Vec<ClosedSegment> = records
        .chunks(2)
        .enumerate()
        .map(|(i, two)| {
            write(&mut writer, two);
            close(&mut writer, 200 * i as i64)
        })
        .collect();
    std::thread::scope(|scope| {
        for closed in &closed {
            scope.spawn(move || seal(closed).expect("a sound disk"));
        }
    });
    assert_eq!(contents(dir.path()), expected(&records));
    assert_eq!(Manifest::read(dir.path()).expect("a manifest").sealed, [(1, 13)]);
}
