//! Slices, and streams read as far back as each needs.

use huong_types::{Field, Span};
use proptest::prelude::*;

use super::*;
use crate::testing::{close, filled, minute, open, reading, write};
use crate::{Compact, compact, seal};

fn part(seq: (u64, u64), rows: u64) -> Part {
    let (table, day) = (Table::Readings, 0);
    Part {
        table,
        path: String::new(),
        bytes: 0,
        sha256: String::new(),
        rows,
        records: rows,
        stream: None,
        day,
        remote: false,
        span: seq,
        seq,
        at: (0, 0),
        arrived: (0, 0),
        key: Default::default(),
    }
}

proptest! {
    /// Together the slices are all sequences, in order; none may hold more records than allowed.
    #[test]
    fn slices_are_bounded_and_leave_nothing_out(
        spans in prop::collection::vec((0..200u64, 0..100u64, 1..80u64), 1..8), stops in prop::collection::vec(0..320u64, 0..3), most in 1..40u64,
    ) {
        let parts: Vec<Part> = spans.iter().map(|(first, length, rows)| part((*first, first + length), *rows)).collect();
        let mut slices = Slices::new(parts.iter().map(|part| (part, ())).collect(), most);
        let mut stops = stops;
        stops.sort_unstable();
        let mut end = 0;
        let mut covered = vec![0; parts.len()];
        for stop in stops.into_iter().chain([u64::MAX]) {
            while let Some(((first, behind), among)) = slices.next(stop) {
                prop_assert!(end <= first && first < behind && behind <= stop);
                let most_records: u64 = among.iter().map(|(part, ())| (behind.min(part.seq.1 + 1) - first.max(part.seq.0)).min(part.rows)).sum();
                prop_assert!(most_records.min(behind - first) <= most);
                for (part, covered) in parts.iter().zip(&mut covered) {
                    let overlap = behind.min(part.seq.1 + 1).saturating_sub(first.max(part.seq.0));
                    prop_assert_eq!(overlap > 0, among.iter().any(|(among, ())| std::ptr::eq(*among, part)));
                    *covered += overlap;
                }
                end = behind;
            }
        }
        prop_assert!(parts.iter().zip(covered).all(|(part, covered)| covered == part.seq.1 - part.seq.0 + 1));
    }
}

/// Reading `n` of `stream`.
fn of(stream: &str, n: u64) -> Record {
    let Record::Reading(mut reading) = reading(n) else { unreachable!("a reading") };
    reading.stream = stream.into();
    reading.fields.push(Field::ok("second".into(), 1.0));
    Record::Reading(reading)
}

#[test]
fn each_stream_is_read_as_far_back_as_it_says_and_others_are_not_opened() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    for begin in [0, 10] {
        write(&mut writer, &(begin..begin + 10).flat_map(|n| [of("rain", n), of("tide", n), of("traffic", n)]).collect::<Vec<_>>());
        seal(&close(&mut writer, 200 * begin as i64)).expect("a sound disk");
    }
    while compact(dir.path(), &Compact { parts: 2, ..Compact::default() }, minute(0), &|| false).expect("a sound disk").is_some() {}
    write(&mut writer, &[of("traffic", 20), of("rain", 20)]);
    // Nobody needs its parts, so nobody may miss them.
    std::fs::remove_dir_all(dir.path().join("parquet/readings/stream=traffic")).expect("the parts of a stream");
    let since = |stream: &Name| match stream.as_str() {
        "rain" => Some(Timestamp::MIN),
        "tide" => Some(minute(10 * 15) + Span::from_mins(1)),
        _ => None,
    };
    let mut seen = Vec::new();
    let count = replay_readings(dir.path(), &since, &mut |reading| seen.push(reading)).expect("a readable store");
    let expected: Vec<Record> = (0..20)
        .flat_map(|n| if n < 15 { vec![of("rain", n)] } else { vec![of("rain", n), of("tide", n)] })
        .chain([of("rain", 20)])
        .collect();
    assert_eq!(count, seen.len() as u64);
    assert_eq!(seen.into_iter().map(Record::Reading).collect::<Vec<_>>(), expected);
}
