//! Stories of single gauges, and properties of any series.

use huong_types::{Field, Origin, Problems, Reading, Registry, Span, Stream, Timestamp};
use proptest::prelude::*;

use super::*;

const RIVER: &str = r#"
    [stream.fields.value]
    unit = "m"
    min = -1.5
    max = 10.0
    step = { rise_base = 1.0, rise_per_hour = 6.0, fall_base = 1.0, fall_per_hour = 1.0 }
    slips = [1000.0, 100.0, 10.0, 0.01, 0.001]
    flat = { after = "6h", neighbours = 2, moved = 0.5, except = [0.0] }
    source = "a test"
"#;

fn stream(head: &str, fields: &str) -> Stream {
    let text = format!(
        "[[stream]]\nid = \"s\"\nname = \"s\"\nname_en = \"s\"\ndisorder = \"2m\"\nfuture = \"10m\"\nmax_age = \"1d\"\ngap = \"1d\"\n\
         silent_after_periods = 3\n{head}\n{fields}"
    );
    let mut problems = Problems::default();
    let mut streams = Stream::parse_all("streams.toml", &text, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    streams.remove(0)
}

/// Keys `0`.. of one stream, all registered.
struct Bench {
    checks: Checks,
    keys: Vec<Trust>,
}

impl Bench {
    fn new(stream: &Stream, keys: usize) -> Self {
        let station = |id| {
            format!(
                "[[station]]\nid = \"{id}\"\nname = \"\"\nname_en = \"\"\nkind = \"k\"\nstreams = []\nlat = 16.4\nlon = 107.5\nperiod = \"10m\"\n"
            )
        };
        let registry = Registry::parse("r.toml", &(0..keys).map(station).collect::<String>(), &mut Problems::default());
        let checks = Checks::new(stream);
        let keys = (0..keys).map(|k| checks.key(registry.row(&k.to_string()))).collect();
        Self { checks, keys }
    }

    fn river(keys: usize) -> Self {
        Self::new(&stream("", RIVER), keys)
    }

    fn judge(&mut self, k: usize, at: Timestamp, now: Timestamp, fields: &[(&str, Value)]) -> (Arrival, Vec<Quality>) {
        let field = |(name, value): &(&str, Value)| Field { name: Name::new(name), value: value.clone(), quality: Quality::OK };
        let mut reading = Reading {
            stream: "s".into(),
            key: k.to_string().into(),
            at,
            received: now,
            fields: fields.iter().map(field).collect(),
            source: "test".into(),
            origin: Origin::Sensor,
            orphan: false,
        };
        let arrival = self.checks.judge(k, &mut self.keys[k], &mut reading, now);
        (arrival, reading.fields.iter().map(|field| field.quality).collect())
    }

    /// The check that a value of key `k` failed, `ok`, or `repeat`; the clock stands at the reading.
    fn says(&mut self, k: usize, at: Timestamp, value: f64) -> &'static str {
        let (arrival, qualities) = self.judge(k, at, at, &[("value", Value::Number(value))]);
        match (arrival.verdict, qualities[0].check) {
            (Verdict::Duplicate, _) => "repeat",
            (_, Some(check)) => check.as_str(),
            (_, None) => "ok",
        }
    }

    /// Readings of key 0 every ten minutes, and what was made of each.
    fn story(&mut self, values: &[f64]) -> Vec<&'static str> {
        values.iter().enumerate().map(|(i, value)| self.says(0, minute(10 * i as i64), *value)).collect()
    }
}

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

#[test]
fn what_is_made_of_values_ten_minutes_apart() {
    let table: [(&str, &[f64], &[&str]); 12] = [
        ("the first may not clear", &[0.5, 0.6], &["gap", "ok"]),
        ("a true flash flood", &[0.3, 0.8, 1.3, 2.9, 4.4], &["gap", "ok", "ok", "ok", "ok"]),
        ("out of range and back", &[0.5, -99.0, 0.5], &["gap", "range", "ok"]),
        ("a step that stays is true", &[0.6, 4.0, 4.1, 4.2], &["gap", "step", "ok", "ok"]),
        ("a step that does not", &[0.6, 4.0, 0.7, 4.0], &["gap", "step", "ok", "step"]),
        ("millimetres for good", &[0.575, 575.0, 580.0, 583.0, 590.0], &["gap", "unit_slip", "unit_slip", "unit_slip", "unit_slip"]),
        ("and back", &[0.575, 575.0, 580.0, 0.585, 0.6], &["gap", "unit_slip", "unit_slip", "ok", "ok"]),
        ("a lost point, once", &[4.5, 45.7, 4.6], &["gap", "unit_slip", "ok"]),
        ("a lost point within the range", &[0.5, 5.2, 5.3, 5.2, 0.5], &["gap", "unit_slip", "unit_slip", "unit_slip", "ok"]),
        ("metres told as millimetres", &[4.57, 0.00461, 0.0047, 4.8], &["gap", "unit_slip", "unit_slip", "ok"]),
        ("a rise that is no multiple is a step", &[0.3, 5.0, 5.1], &["gap", "step", "ok"]),
        ("a sentinel is no slip of a river above zero", &[0.3, -999.0, -999999.0, 0.3], &["gap", "range", "range", "ok"]),
    ];
    for (name, values, expected) in table {
        assert_eq!(Bench::river(1).story(values), expected, "{name}");
    }
}

#[test]
fn a_slipped_series_stays_so_for_days_while_the_river_moves() {
    let mut bench = Bench::river(1);
    // A tide of a metre, decimal point lost after an hour: partly within the range.
    let level = |i: i64| 0.8 + 0.5 * (i as f64 / 37.0).sin();
    for i in 0..1000 {
        let slipped = (6..900).contains(&i);
        let said = bench.says(0, minute(10 * i), if slipped { level(i) * 10.0 } else { level(i) });
        let expected = match i {
            0 => "gap",
            _ if slipped => "unit_slip",
            // The last usable value is of six days ago.
            900 => "gap",
            _ => "ok",
        };
        assert_eq!(said, expected, "{i}");
    }
}

#[test]
fn a_stuck_gauge_is_found_by_its_neighbours_and_recovers_when_it_moves() {
    let mut bench = Bench::river(4);
    let mut said = Vec::new();
    for i in 0..90 {
        let at = minute(10 * i);
        for moving in 1..3 {
            bench.says(moving, at, 1.0 + 0.1 * moving as f64 + 0.02 * i as f64);
        }
        // Key 3 stands at a value that may stand.
        assert_ne!(bench.says(3, at, 0.0), "flat", "{i}");
        said.push(bench.says(0, at, if i < 60 { 2.0 } else { 3.0 + 0.01 * i as f64 }));
    }
    let flat: Vec<usize> = (0..said.len()).filter(|i| said[*i] == "flat").collect();
    assert_eq!(flat, (36..60).collect::<Vec<_>>(), "from six hours on, and no longer than it stands");
    assert_eq!(said[60], "ok", "the jump on coming loose is judged over the time it stood");
}

#[test]
fn a_calm_day_is_no_flat_line() {
    // One neighbour moves, another by less than half a metre.
    let mut bench = Bench::river(3);
    for i in 0..200 {
        let at = minute(10 * i);
        bench.says(1, at, 1.0 + 0.02 * i as f64);
        bench.says(2, at, 1.0 + 0.2 * (i as f64 / 12.0).sin());
        assert_ne!(bench.says(0, at, 2.0), "flat", "{i}");
    }
    // Reports too rare to tell a stuck gauge from chance.
    let mut bench = Bench::river(3);
    for i in 0..20 {
        let at = minute(60 * i);
        bench.says(1, at, 1.0 + 0.3 * i as f64);
        bench.says(2, at, 2.0 + 0.3 * i as f64);
        assert_ne!(bench.says(0, at, 2.0), "flat", "{i}");
    }
}

#[test]
fn a_straggler_that_differs_shortens_the_flat_line() {
    let run = |straggler: Option<i64>| {
        let mut bench = Bench::river(3);
        (0..60).find(|i| {
            let at = minute(10 * i);
            bench.says(1, at, 1.0 + 0.1 * *i as f64);
            bench.says(2, at, 1.2 + 0.1 * *i as f64);
            let flat = bench.says(0, at, 2.0) == "flat";
            if straggler == Some(*i) {
                assert_eq!(bench.says(0, at - Span::from_mins(1), 2.3), "ok");
            }
            flat
        })
    };
    assert_eq!((run(None), run(Some(10)), run(Some(35))), (Some(36), Some(46), None));
}

#[test]
fn a_fast_clock_does_not_make_the_right_one_late() {
    let mut bench = Bench::river(1);
    let value = |i: i64| [("value", Value::Number(1.0 + 0.01 * i as f64))];
    for i in 0..6 {
        let (now, fast) = (minute(i), minute(i + 8));
        let (arrival, qualities) = bench.judge(0, fast, now, &value(i));
        assert_eq!((arrival.verdict, qualities[0].flag <= Flag::Gap), (Verdict::Judged, true), "{i}");
    }
    for i in 6..30 {
        let (arrival, qualities) = bench.judge(0, minute(i) + Span::from_secs(1), minute(i) + Span::from_secs(2), &value(i));
        assert_eq!((arrival.verdict, qualities[0]), (Verdict::Judged, Quality::OK), "{i}");
    }
    assert_eq!(bench.judge(0, minute(11), minute(30), &value(3)).0.verdict, Verdict::Duplicate, "a repeat of the fast clock's");
    assert_eq!(bench.judge(0, minute(5), minute(30), &value(99)).0.verdict, Verdict::History);
}

#[test]
fn the_source_says_whether_it_was_measuring() {
    let spec = stream(
        "status = { field = \"status\", ok = [\"00\"], bad = [\"01\", \"02\"] }",
        &format!("{RIVER}\n[stream.fields.status]\nunit = \"1\"\ntext = true"),
    );
    let mut bench = Bench::new(&spec, 1);
    let mut judge = |minutes: i64, value: f64, status: Option<&str>| {
        let mut fields = vec![("value", Value::Number(value))];
        fields.extend(status.map(|status| ("status", Value::Text(status.into()))));
        let (arrival, qualities) = bench.judge(0, minute(minutes), minute(minutes), &fields);
        (arrival.verdict, qualities[0])
    };
    let doubt = |flag| (Verdict::Judged, Quality::new(flag, Check::Status));
    let fine = (Verdict::Judged, Quality::OK);
    assert_eq!(judge(0, 1.0, Some("00")), (Verdict::Judged, Quality::new(Flag::Gap, Check::Gap)));
    assert_eq!(judge(10, 5.0, Some("01")), doubt(Flag::Bad));
    assert_eq!(judge(10, 5.0, Some("01")), (Verdict::Duplicate, Quality::new(Flag::Late, Check::Late)));
    assert_eq!(judge(10, 1.1, Some("00")), fine, "what was calibrated contradicts nothing");
    assert_eq!(judge(20, 999.0, Some(" 02 ")), doubt(Flag::Bad));
    assert_eq!(judge(30, 1.1, Some("07")), doubt(Flag::Suspect));
    assert_eq!(judge(40, 1.2, None), fine);
}

#[test]
fn occurrences_share_a_moment_and_are_told_apart_by_their_id() {
    let fields = "[stream.fields.id]\nunit = \"1\"\ntext = true\n[stream.fields.n]\nunit = \"1\"\nmax = 100.0\nsource = \"a test\"";
    let mut bench = Bench::new(&stream("events = true\nid_field = \"id\"", fields), 1);
    let mut judge = |minutes: i64, id: &str, n: f64| {
        let fields = [("id", Value::Text(id.into())), ("n", Value::Number(n))];
        let (arrival, qualities) = bench.judge(0, minute(minutes), minute(minutes), &fields);
        assert!(!arrival.gap);
        (arrival.verdict, qualities[1].check)
    };
    for id in 0..3000 {
        assert_eq!(judge(10, &id.to_string(), 7.0), (Verdict::Judged, None), "{id}");
    }
    assert_eq!(judge(10, "2", 8.0), (Verdict::Duplicate, Some(Check::Late)), "the id decides");
    assert_eq!(judge(11, "2", 7.0), (Verdict::Judged, None), "another moment is another occurrence");
    assert_eq!(judge(12, "x", 101.0), (Verdict::Judged, Some(Check::Range)));
    assert_eq!(judge(10, "y", 1.0), (Verdict::Judged, None), "within the disorder");
    assert_eq!(judge(9, "z", 1.0), (Verdict::History, Some(Check::Late)));
    assert_eq!(judge(12, "", 1.0), (Verdict::Judged, None));
    assert_eq!(judge(12, "", 2.0), (Verdict::Judged, None), "without an id the values decide");
    assert_eq!(judge(12, "", 2.0), (Verdict::Duplicate, Some(Check::Late)));
}

#[test]
fn a_flood_of_occurrences_costs_bounded_memory_and_none_of_them() {
    let fields = "[stream.fields.n]\nunit = \"1\"";
    let mut bench = Bench::new(&stream("events = true", fields), 1);
    for n in 0..20_000 {
        let (arrival, _) = bench.judge(0, minute(1), minute(1), &[("n", Value::Number(f64::from(n)))]);
        assert_eq!(arrival.verdict, Verdict::Judged, "{n}");
    }
    let (arrival, _) = bench.judge(0, minute(1), minute(1), &[("n", Value::Number(19_000.0))]);
    assert_eq!(arrival.verdict, Verdict::Duplicate);
    assert_eq!(bench.keys[0].whole.as_ref().map(|whole| whole.remembered()), Some(4096));
}

#[test]
fn readings_of_texts_alone_come_once_and_in_order() {
    let mut bench = Bench::new(&stream("", "[stream.fields.shows]\nunit = \"1\"\ntext = true"), 1);
    let mut judge =
        |minutes: i64, shows: &str| bench.judge(0, minute(minutes), minute(minutes), &[("shows", Value::Text(shows.into()))]).0.verdict;
    assert_eq!(judge(10, "a"), Verdict::Judged);
    assert_eq!(judge(10, "a"), Verdict::Duplicate);
    assert_eq!(judge(20, "a"), Verdict::Judged);
    assert_eq!(judge(10, "b"), Verdict::History);
}

/// A river that rises and falls as rivers do, every ten minutes.
fn river() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-0.1..0.3f64, 30..120).prop_map(|changes| {
        let mut level = 1.0f64;
        let mut next = |change: f64| {
            level = (level + change - 0.02 * level).clamp(0.5, 6.0);
            level
        };
        changes.into_iter().map(&mut next).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_true_series_loses_a_value_and_no_slipped_one_gains_any(
        levels in river(), from in 5..25usize, length in 1..80usize, factor in prop::sample::select(vec![1000.0, 100.0, 10.0, 0.001]),
    ) {
        let mut bench = Bench::river(1);
        for (i, level) in levels.iter().enumerate() {
            let slipped = (from..from + length).contains(&i);
            // A drop to within a metre of the truth is no slip that could be seen.
            prop_assume!(!slipped || (level * factor - level).abs() > 3.0 || factor == 0.001 && *level > 2.5);
            let said = bench.says(0, minute(10 * i as i64), if slipped { level * factor } else { *level });
            if slipped {
                prop_assert!(["unit_slip", "range"].contains(&said), "{i}: {level} as {said}");
            } else {
                prop_assert!(["ok", "gap"].contains(&said), "{i}: {level} as {said}");
            }
        }
    }

    #[test]
    fn no_order_within_the_disorder_costs_a_value(levels in river(), delays in prop::collection::vec(0..=2i64, 120)) {
        let mut bench = Bench::river(1);
        let mut arrivals: Vec<(i64, i64, f64)> =
            levels.iter().zip(delays).enumerate().map(|(i, (level, delay))| (i as i64 + delay, i as i64, *level)).collect();
        arrivals.sort_by_key(|(arrival, ..)| *arrival);
        for (n, (arrival, at, level)) in arrivals.into_iter().enumerate() {
            let (arrived, qualities) = bench.judge(0, minute(at), minute(arrival), &[("value", Value::Number(level))]);
            prop_assert_eq!(arrived, Arrival { verdict: Verdict::Judged, gap: n == 0 });
            prop_assert!(qualities[0].flag <= Flag::Gap, "{at}: {level} as {:?}", qualities[0]);
        }
    }

    #[test]
    fn whatever_comes_a_moment_has_one_usable_value_and_a_repeat_none(
        readings in prop::collection::vec((0..90i64, prop::sample::select(vec![0.0, 0.3, 0.5, 2.0, 5.0, 50.0, 500.0, 5000.0, -99.0])), 1..150),
    ) {
        let mut bench = Bench::river(1);
        let mut usable = std::collections::HashMap::new();
        for (at, value) in readings {
            let said = bench.says(0, minute(at), value);
            if ["ok", "gap"].contains(&said) {
                prop_assert!((-1.5..=10.0).contains(&value));
                prop_assert_eq!(usable.insert(at, value), None);
            }
            prop_assert!(["repeat", "late"].contains(&bench.says(0, minute(at), value)));
        }
    }
}
