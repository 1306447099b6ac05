//! An engine that was stopped: the log is read again with nothing said, then the alerts that the table held open are taken up.

use std::collections::BTreeMap;

use huong_types::{Alert, Name, Signal, SignalKind, Span};

use super::city::{City, compile, reading, rule};
use super::engine::alert_of;
use super::minute;

/// What the alert table would hold open, pending ones too.
fn open(signals: &[Signal]) -> Vec<Alert> {
    let mut open: BTreeMap<(Name, Name), Alert> = BTreeMap::new();
    for signal in signals {
        let place = (signal.rule.clone(), signal.key.clone());
        match signal.kind {
            SignalKind::Pending { since } => {
                open.insert(place, Alert { pending: true, since, ..alert_of(signal) });
            }
            SignalKind::Raise { since } => {
                open.insert(place, Alert { since, ..alert_of(signal) });
            }
            SignalKind::Settled | SignalKind::Clear => {
                open.remove(&place);
            }
            kind => {
                if let Some(alert) = open.get_mut(&place) {
                    match kind {
                        SignalKind::Recede => alert.holds = false,
                        SignalKind::Resume => alert.holds = true,
                        SignalKind::Stale { since } => alert.stale_since = Some(since),
                        SignalKind::Fresh => alert.stale_since = None,
                        _ => {}
                    }
                    alert.updated = signal.at;
                }
            }
        }
    }
    open.into_values().collect()
}

/// Stops before the first reading at or after `stop`, and reads the log again from `from` on.
fn stopped(rules: &str, story: &[(i64, &str, &str)], from: i64, stop: i64, until: i64) -> Vec<String> {
    let mut city = City::new(rules);
    for (at, of, fields) in story.iter().filter(|(at, ..)| *at < stop) {
        city.give(*at, of, fields);
    }
    city.until(stop - 1);
    let said = city.told().len();
    let alerts = open(&city.out.signals);
    city.engine = compile(rules);
    let signals = std::mem::take(&mut city.out);
    for (at, of, fields) in story.iter().filter(|(at, ..)| (from..stop).contains(at)) {
        city.engine.advance(minute(*at) - Span::from_millis(1), &mut city.out);
        city.engine.on_reading(&mut reading(of, minute(*at), fields), minute(*at), &mut city.out);
    }
    city.engine.restore(&alerts);
    city.out = signals;
    city.engine.advance(minute(stop), &mut city.out);
    for (at, of, fields) in story.iter().filter(|(at, ..)| *at >= stop) {
        city.give(*at, of, fields);
    }
    city.until(until);
    city.told().split_off(said)
}

#[test]
fn a_restart_says_what_would_have_been_said() {
    const ALL: i64 = i64::MIN;
    let delayed = rule("r", "from = \"level\"\nwhen = \"value >= 2\"\nfor = \"20m\"");
    let sla = rule(
        "r",
        "from = \"calls\"\nwhere = \"kind = 'a'\"\nwhen = \"true\"\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin_h = \"n\"\nabsent = true",
    )
    .replace("{key}", "{kind} {n}");
    let crowd = rule("r", "from = \"calls\"\n[rule.cluster]\nevents = 3\nradius_m = 500\nwithin = \"30m\"");
    let class = rule("r", "kind = \"class-silence\"\nfrom = \"level\"\nshare = 0.5\nleast = 2");
    let call = "kind=a n=1 lat=16.46 lon=107.59";
    let next = "kind=a n=1 lat=16.461 lon=107.59";
    type Story<'a> = (&'a str, &'a str, &'a [(i64, &'a str, &'a str)], i64, i64, i64, &'a [&'a str]);
    let cases: &[Story<'_>] = &[
        ("an on-delay goes on", &delayed, &[(0, "level/a", "value=3"), (15, "level/a", "value=3")], ALL, 16, 25, &["a r raise@20"]),
        (
            "an open alert is not told again, and clears",
            &delayed,
            &[(0, "level/a", "value=3"), (20, "level/a", "value=3"), (30, "level/a", "value=3"), (40, "level/a", "value=1")],
            ALL,
            25,
            45,
            &["a r clear@40"],
        ),
        (
            "an on-delay from before what was read",
            &delayed,
            &[(0, "level/a", "value=3"), (15, "level/a", "value=3")],
            15,
            16,
            25,
            &["a r raise@20"],
        ),
        (
            "a deadline of hours, with little of the log",
            &sla,
            &[(0, "calls/x", "kind=a n=5"), (100, "calls/y", "kind=b")],
            90,
            110,
            400,
            &["x r raise@300"],
        ),
        ("one that was met meanwhile", &sla, &[(0, "calls/x", "kind=a n=5"), (100, "calls/x", "kind=b")], 90, 110, 400, &[]),
        (
            "a cluster of which the first events are gone",
            &crowd,
            &[
                (0, "calls/1", call),
                (5, "calls/2", next),
                (10, "calls/3", next),
                (25, "calls/4", next),
                (33, "calls/5", next),
                (39, "calls/7", next),
                (45, "calls/6", next),
            ],
            4,
            40,
            200,
            &["@16.4600,107.5900 r update@45", "@16.4600,107.5900 r clear@63"],
        ),
        (
            "a class that was silent speaks again",
            &class,
            &[
                (0, "level/a", "value=1"),
                (0, "level/b", "value=1"),
                (0, "level/c", "value=1"),
                (20, "level/a", "value=1"),
                (55, "level/a", "value=1"),
                (56, "level/b", "value=1"),
                (57, "level/c", "value=1"),
            ],
            ALL,
            45,
            70,
            &["level r clear@56"],
        ),
        (
            "an alert whose key is silent",
            &rule("r", "from = \"level\"\nwhen = \"value >= 2\""),
            &[(0, "level/a", "value=3"), (90, "level/a", "value=3"), (91, "level/a", "value=1")],
            ALL,
            60,
            92,
            &["a r fresh@90", "a r clear@91"],
        ),
        (
            "a window goes on",
            &rule(
                "r",
                "from = \"level\"\nwindow = { sliding = \"30m\", every = \"10m\" }\nselect = { s = \"sum(value)\" }\nwhen = \"s >= 3\"",
            ),
            &[(5, "level/a", "value=1"), (15, "level/a", "value=1"), (25, "level/a", "value=1"), (35, "level/a", "value=0")],
            ALL,
            16,
            45,
            &["a r raise@30", "a r clear@40"],
        ),
    ];
    for (what, rules, story, from, stop, until, expected) in cases {
        assert_eq!(stopped(rules, story, *from, *stop, *until), *expected, "{what}");
    }
}
