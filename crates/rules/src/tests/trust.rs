//! The plausibility checks on real series: what of the truth they cost, and what of the untruth they catch.

use std::collections::BTreeMap;

use huong_types::{Check, Flag, Registry, Stream, Timestamp};

use super::series::{rows, shared, time};
use super::{reading, registry, streams};
use crate::quality::{Checks, Trust};

struct Bench {
    stream: Stream,
    registry: std::sync::Arc<Registry>,
    checks: Checks,
    keys: BTreeMap<String, (usize, Trust)>,
}

impl Bench {
    fn new(stream: &str, registry: std::sync::Arc<Registry>) -> Self {
        let stream = streams().into_iter().find(|s| s.id == *stream).expect("a shipped stream");
        Self { checks: Checks::new(&stream), stream, registry, keys: BTreeMap::new() }
    }

    fn judge(&mut self, key: &str, at: Timestamp, field: &str, value: f64) -> (Flag, Option<Check>) {
        let position = self.keys.len();
        let row = self.registry.row(key);
        let (k, trust) = self.keys.entry(key.to_owned()).or_insert_with(|| (position, self.checks.key(row)));
        let mut reading = reading(&self.stream.id, key, at, &[(field, value)]);
        self.checks.judge(*k, trust, &mut reading, at);
        (reading.flag(), reading.fields[0].quality.check)
    }
}

/// Counts what the checks took from each file. All files of a stream are moved to begin together, so that they are one another's
/// neighbours. Sentinels (below −1000) must be bad.
fn lost(stream: &str, files: &[(&str, &str, &str, &str)]) -> Option<(usize, BTreeMap<String, usize>)> {
    let folder = shared()?.join("series");
    let stations: Vec<(&str, &str)> = files.iter().map(|(file, _, _, levels)| (*file, *levels)).collect();
    let mut bench = Bench::new(stream, registry(stream, &stations));
    let mut all = Vec::new();
    for (file, clock, column, _) in files {
        let rows = rows(&folder.join(file), &[clock, column]);
        let parsed: Vec<(Timestamp, f64)> =
            rows.iter().filter_map(|row| Some((Timestamp::parse_rfc3339(&row[0])?, row[1].parse().ok()?))).collect();
        let first = parsed.iter().map(|(at, _)| *at).min().expect("a row");
        all.extend(parsed.into_iter().map(|(at, value)| (Timestamp::from_millis(1_700_000_000_000) + (at - first), *file, value)));
    }
    all.sort_by_key(|(at, ..)| *at);
    let field = if stream == "air" { "pm25" } else { "value" };
    let (mut genuine, mut lost) = (0, BTreeMap::new());
    for (at, file, value) in all {
        let (flag, check) = bench.judge(file, at, field, value);
        if value < -1000.0 {
            assert_eq!(flag, Flag::Bad, "{file} {at} {value}");
            continue;
        }
        genuine += 1;
        if flag > Flag::Gap {
            *lost.entry(format!("{file} {}", check.map_or("", Check::as_str))).or_default() += 1;
        }
    }
    Some((genuine, lost))
}

#[test]
fn no_genuine_value_of_the_real_series_is_lost() {
    let rivers = [
        ("usgs_01581752_plumtree_2016-02.csv", "ts_utc", "stage_m", ""),
        ("usgs_01581752_plumtree_2018-08-25_2018-09-15.csv", "ts_utc", "stage_m", ""),
        ("usgs_01589330_deadrun_2018-06.csv", "ts_utc", "stage_m", ""),
        ("usgs_02492000_boguechitto_2019-02-25.csv", "ts_utc", "stage_m", ""),
        ("ea_hebden_bridge_level_2025-08.csv", "ts_utc", "level_m", ""),
        ("ea_mytholmroyd_level_2025-08.csv", "ts_utc", "level_m", ""),
    ];
    let rains = [
        ("ea_gorple_rain_2025-08.csv", "ts_utc", "rain_mm", ""),
        ("ea_gorpley_rain_2025-08.csv", "ts_utc", "rain_mm", ""),
        ("usgs_02492000_boguechitto_2019-02-25.csv", "ts_utc", "rain_mm", ""),
    ];
    let airs = [
        ("aq_beijing_aotizhongxin_2014-01.csv", "ts_local", "pm25", ""),
        ("aq_beijing_dongsi_2014-01.csv", "ts_local", "pm25", ""),
        ("aq_hanoi_usembassy_2016-10.csv", "ts_local", "pm25_nowcast_from_aqi", ""),
    ];
    let flows = [("usgs_01542500_karthaus_flow_2019-01-24_sentinels.csv", "ts_utc", "flow_cfs", "")];
    // Hanoi has two values for the hour in which American clocks are set forward: which is right nobody can tell.
    let two_for_one = BTreeMap::from([("aq_hanoi_usembassy_2016-10.csv conflict".to_owned(), 1)]);
    for (stream, files, measured, expected) in [
        ("water_level", &rivers[..], 26_545, BTreeMap::new()),
        ("rain", &rains, 5_703, BTreeMap::new()),
        ("air", &airs, 8_531, two_for_one),
        ("river_flow", &flows, 399, BTreeMap::new()),
    ] {
        let Some((genuine, lost)) = lost(stream, files) else { return };
        assert_eq!((genuine, lost), (measured, expected), "{stream}");
    }
}

/// What a misprint is flagged with, its row being what nobody can know beforehand.
#[test]
fn the_misprints_of_the_flood_of_2025_are_flagged_and_nothing_else() {
    let Some(folder) = shared() else { return };
    let all = rows(&folder.join("flood/hue_flood_2025.csv"), &["ts_local", "station", "kind", "value", "quality"]);
    let mut caught = Vec::new();
    let mut genuine = 0;
    for (kind, stream, field) in [
        ("water_level", "water_level", "value"),
        ("reservoir_level", "reservoir", "level"),
        ("inflow", "reservoir", "q_in"),
        ("outflow", "reservoir", "q_out"),
    ] {
        let mut bench = Bench::new(stream, registry(stream, &[("Thượng Nhật", "min = 50.0, max = 75.0")]));
        let mut of_kind: Vec<_> = all.iter().filter(|row| row[2] == kind && row[4] != "doubtful" && !row[1].contains('+')).collect();
        of_kind.sort_by_key(|row| time(&row[0]));
        for row in of_kind {
            let (flag, check) = bench.judge(&row[1], time(&row[0]), field, row[3].parse().expect("a number"));
            match row[4].as_str() {
                "wrong" => caught.push(format!("{} {} {}", row[1], row[3], check.map_or("missed", Check::as_str))),
                _ => {
                    genuine += 1;
                    assert!(flag <= Flag::Gap, "{row:?} is genuine, flagged {flag} by {check:?}");
                }
            }
        }
    }
    let expected = [
        "Phú Ốc 4.12 conflict",
        "Dã Viên 1.59 gap",
        "Kim Long 4.33 conflict",
        "Kim Long 1.69 conflict",
        "Phú Ốc 0.5 conflict",
        "Tứ Phú 0.46 gap",
        "Tả Trạch 5725 conflict",
    ];
    assert_eq!(caught, expected);
    assert_eq!(genuine, 120);
}

/// A true flood with faults put in: nothing untrue is usable, and the truth is back with the first true value.
#[test]
fn faults_put_into_a_true_flood_are_found() {
    let Some(folder) = shared() else { return };
    let file = folder.join("series/usgs_01581752_plumtree_2018-08-25_2018-09-15.csv");
    let level: Vec<(Timestamp, f64)> =
        rows(&file, &["ts_utc", "stage_m"]).iter().filter_map(|row| Some((time(&row[0]), row[1].parse().ok()?))).collect();
    let steepest = (1..level.len()).max_by(|a, b| (level[*a].1 - level[a - 1].1).total_cmp(&(level[*b].1 - level[b - 1].1)));
    let flood = steepest.expect("a series");
    assert!(level[flood].1 - level[flood - 1].1 > 0.5, "the half metre in five minutes");
    for (name, fault, check) in [
        ("millimetres", &(|true_level: f64| true_level * 1000.0) as &dyn Fn(f64) -> f64, "unit_slip"),
        ("centimetres", &|true_level| true_level * 100.0, "unit_slip"),
        ("a sentinel", &|_| -9999.0, "range"),
    ] {
        // Faulty from an hour before the flood's steepest rise to an hour after it.
        let faulty = flood - 12..flood + 12;
        let mut bench = Bench::new("water_level", registry("water_level", &[("x", "")]));
        for (i, (at, value)) in level.iter().enumerate() {
            let (flag, found) = bench.judge("x", *at, "value", if faulty.contains(&i) { fault(*value) } else { *value });
            if faulty.contains(&i) {
                assert_eq!(found.map(Check::as_str), Some(check), "{name} {at}");
            } else {
                assert!(flag <= Flag::Gap, "{name} {at}: {value} flagged {flag}");
            }
        }
    }
}
