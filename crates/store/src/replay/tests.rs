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
        sha256: None,
        rows,
        records: None,
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

/// Says how long a start's replay of a full day takes. `HUONG_READINGS` makes it smaller or larger.
#[test]
#[ignore = "measures: cargo test --release -p huong-store --lib replay_of_a_day -- --ignored --nocapture"]
fn replay_of_a_day() {
    use std::io::Write;
    use std::time::Instant;

    const STREAMS: u64 = 60;
    const KEYS: u64 = 40;
    let total: u64 = std::env::var("HUONG_READINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000_000);
    let say = |line: String| writeln!(std::io::stderr(), "{line}").expect("standard error");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, _) = open(dir.path());
    let names = |prefix: &str, count: u64| (0..count).map(|n| Name::from(format!("{prefix}-{n}"))).collect::<Vec<_>>();
    let (streams, keys, field, source) = (names("stream", STREAMS), names("station", KEYS), Name::from("value"), Name::from("storm"));
    let began = Instant::now();
    for n in 0..total {
        let at = Timestamp::from_millis(minute(60).as_millis() + (n * 86_400_000 / total) as i64);
        let reading = Reading {
            stream: streams[(n % STREAMS) as usize].clone(),
            key: keys[(n / STREAMS % KEYS) as usize].clone(),
            at,
            received: at + Span::from_millis(400 + (n % 600) as i64),
            fields: [Field::ok(field.clone(), (n % 977) as f64 / 100.0)].into_iter().collect(),
            source: source.clone(),
            origin: Origin::Sensor,
            orphan: false,
        };
        writer.append(&Record::Reading(reading)).expect("a small record");
        if n % 5000 == 0
            && let Some(closed) = writer.rotate_if_due(at).expect("a sound disk")
        {
            seal(&closed).expect("a sound disk");
        }
    }
    writer.commit().expect("a sound disk");
    let bytes = |dir: &Path| {
        let parts = crate::manifest::Manifest::read(dir).expect("a manifest").parts;
        let of = |table: Table| parts.iter().filter(|part| part.table == table).map(|part| part.bytes).sum::<u64>();
        (parts.len(), of(Table::Readings), of(Table::Minutes), of(Table::Hours))
    };
    say(format!("{total} readings written and sealed in {:.1?}: parts, bytes raw, 1m, 1h {:?}", began.elapsed(), bytes(dir.path())));
    let replay = |what: &str, since: &dyn Fn(&Name) -> Option<Timestamp>| {
        let began = Instant::now();
        let count = replay_readings(dir.path(), since, &mut |_| {}).expect("a readable store");
        say(format!("{what}: {count} readings in {:.2?}", began.elapsed()));
    };
    replay("all, parts as sealed", &|_| Some(Timestamp::MIN));
    let began = Instant::now();
    let mut merges = 0;
    while compact(dir.path(), &Compact::default(), minute(60 + 26 * 60), &|| false).expect("a sound disk").is_some() {
        merges += 1;
    }
    say(format!("{merges} merges in {:.1?}: {:?}", began.elapsed(), bytes(dir.path())));
    replay("all, parts merged", &|_| Some(Timestamp::MIN));
    replay("six streams of sixty", &|stream| stream.ends_with("-0").then_some(Timestamp::MIN));
    replay("the last two hours of all", &|_| Some(minute(60 + 22 * 60)));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    say(status.lines().filter(|line| line.starts_with("VmHWM")).collect());
}
