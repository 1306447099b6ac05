//! Bins against the readings that they are made of, through seals, merges and late data.

use arrow::util::display::array_value_to_string;
use huong_types::{Check, Field, Quality};

use super::*;
use crate::testing::query;
use crate::testing::{close, filled, minute, open, reading, write};
use crate::{Compact, QueryLimits, Record, compact, seal};

/// Reading `n` of `level` at `second` seconds of the first hour.
fn level(n: u64, second: i64, value: f64, quality: Quality) -> Record {
    let Record::Reading(mut reading) = reading(n) else { unreachable!("a reading") };
    reading.key = "kimlong".into();
    reading.at = Timestamp::from_millis(minute(0).as_millis() + 1000 * second);
    reading.fields = [Field { quality, ..Field::ok("level".into(), value) }].into_iter().collect();
    Record::Reading(reading)
}

async fn rows(dir: &std::path::Path, sql: &str) -> Vec<String> {
    let batches = query(dir, sql, &QueryLimits::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let row = |batch: &RecordBatch, row: usize| {
        let cells = batch.columns().iter().map(|column| array_value_to_string(column, row).expect("a value"));
        cells.collect::<Vec<_>>().join(" ")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i))).collect()
}

const BINS: &str = "SELECT n, left_out, \"sum\", \"min\", \"max\", \"first\", \"last\", mean FROM readings_1m ORDER BY at";

#[tokio::test]
async fn a_bin_holds_what_is_trusted_and_counts_the_rest() {
    let (ok, suspect, bad) = (Quality::OK, Quality::new(Flag::Suspect, Check::Step), Quality::new(Flag::Bad, Check::Range));
    let late = Quality::new(Flag::Late, Check::Late);
    let dir = filled(&[
        level(1, 10, 2.0, ok),
        level(2, 20, 99.0, suspect),
        level(3, 30, 4.0, ok),
        level(4, 70, -9.0, bad),
        level(5, 5, 3.0, late),
    ]);
    let expected = ["3 1 9.0 2.0 4.0 3.0 4.0 3.0", "0 1      "];
    let seen = rows(dir.path(), BINS).await;
    assert_eq!(seen, expected, "from the open log");
    let (mut writer, _) = open(dir.path());
    seal(&close(&mut writer, 0)).expect("a sound disk");
    assert_eq!(rows(dir.path(), BINS).await, seen, "sealed");
    write(&mut writer, &[level(6, 59, 5.0, late), level(7, 71, 1.0, ok)]);
    let corrected = ["4 1 14.0 2.0 5.0 3.0 5.0 3.5", "1 1 1.0 1.0 1.0 1.0 1.0 1.0"];
    assert_eq!(rows(dir.path(), BINS).await, corrected, "what is late corrects its bin");
    seal(&close(&mut writer, 200)).expect("a sound disk");
    assert_eq!(rows(dir.path(), BINS).await, corrected);
    while compact(dir.path(), &Compact { parts: 2, ..Compact::default() }, minute(0), &|| false).expect("a sound disk").is_some() {}
    assert_eq!(rows(dir.path(), BINS).await, corrected, "merged");
    assert_eq!(rows(dir.path(), "SELECT n, mean, \"last\" FROM readings_1h").await, ["5 3.0 1.0"]);
}

#[tokio::test]
async fn hours_are_what_the_readings_say() {
    let dir = filled(&(1..40).map(reading).collect::<Vec<_>>());
    let (mut writer, _) = open(dir.path());
    seal(&close(&mut writer, 0)).expect("a sound disk");
    write(&mut writer, &(40..90).map(reading).collect::<Vec<_>>());
    let raw = "SELECT key, date_bin(INTERVAL '1 hour', at) AS hour, count(*), min(value), max(value), sum(value) FROM readings GROUP BY key, hour ORDER BY key, hour";
    let bins = "SELECT key, at, n, \"min\", \"max\", \"sum\" FROM readings_1h ORDER BY key, at";
    let (raw, bins) = (rows(dir.path(), raw).await, rows(dir.path(), bins).await);
    assert!(raw.len() > 30);
    assert_eq!(bins, raw);
}

#[tokio::test]
async fn bins_of_other_days_and_streams_are_not_opened() {
    let dir = filled(&(1..40).map(reading).collect::<Vec<_>>());
    let (mut writer, _) = open(dir.path());
    seal(&close(&mut writer, 0)).expect("a sound disk");
    for (filter, expected) in
        [("day = '2025-10-27'", [false, true]), ("at < '2025-10-26T17:00:00Z'", [true, false]), ("stream = 'rain'", [false, false])]
    {
        let plan = rows(dir.path(), &format!("EXPLAIN SELECT mean FROM readings_1h WHERE {filter}")).await.join("\n");
        assert_eq!(["day=2025-10-26/", "day=2025-10-27/"].map(|day| plan.contains(day)), expected, "{filter}: {plan}");
    }
}
