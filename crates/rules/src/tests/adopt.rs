//! Other rules for a running engine: what did not change goes on, what did begins anew, and no alert is left to itself.

use super::engine::{alert_of, play};
use super::{engine, registry};
use crate::{Engine, Out};

/// A rule over water levels; `for` delays it.
fn rule(id: &str, when: &str, delay: &str, window: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nfrom = \"water_level\"\n{window}\nwhen = \"{when}\"\nfor = \"{delay}\"\nseverity = \"severe\"\nsource = \"a test\"\ntext = {{ vi = \"x\", en = \"x\" }}\n"
    )
}

fn with(rules: &[String]) -> Engine {
    engine(&[("test.toml".to_owned(), rules.concat())], registry("water_level", &[("kimlong", "bd2 = 2.0")]))
}

const HOURLY: &str = "window = { sliding = \"1h\", every = \"10m\" }\nselect = { highest = \"max(value)\", n = \"count(value)\" }";

#[test]
fn unchanged_rules_keep_delays_windows_and_alerts_under_other_rules() {
    let unchanged =
        [rule("steady", "value >= 1", "0s", ""), rule("delayed", "value >= 1", "30m", ""), rule("wide", "n >= 5", "0s", HOURLY)];
    let mut old = with(&[&unchanged[..], &[rule("changed", "value >= 1", "30m", "")]].concat());
    assert_eq!(play(&mut old, &[(0, "kimlong", 1.5), (10, "kimlong", 1.5), (20, "kimlong", 1.5)], 21), ["kimlong steady raise@0"]);
    let mut new = with(&[&[rule("changed", "value >= 1.1", "30m", "")], &unchanged[..]].concat());
    new.adopt(old, &[]);
    // The delay of the changed rule began anew at 25; five readings of the hour were seen by both engines together.
    let told = play(&mut new, &[(25, "kimlong", 1.5), (40, "kimlong", 1.5), (60, "kimlong", 0.5)], 61);
    assert_eq!(
        told,
        [
            "kimlong delayed raise@30",
            "kimlong wide raise@40",
            "kimlong changed raise@55",
            "kimlong changed clear@60",
            "kimlong steady clear@60",
            "kimlong delayed clear@60"
        ]
    );
}

#[test]
fn the_alert_of_a_rule_that_was_rewritten_is_cleared_by_its_new_text() {
    for open in [true, false] {
        let mut old = with(&[rule("high", "value >= 1", "0s", "")]);
        let mut out = Out::default();
        let mut first = super::reading("water_level", "kimlong", super::minute(0), &[("value", 1.5)]);
        old.on_reading(&mut first, super::minute(0), &mut out);
        let alerts: Vec<_> = out.signals.iter().map(alert_of).collect();
        let mut new = with(&[rule("high", "value >= 2", "0s", "")]);
        new.adopt(old, if open { &alerts } else { &[] });
        let told = play(&mut new, &[(10, "kimlong", 1.6), (20, "kimlong", 2.5)], 21);
        let expected: &[&str] = if open { &["kimlong high clear@10", "kimlong high raise@20"] } else { &["kimlong high raise@20"] };
        assert_eq!(told, expected, "open: {open}");
    }
}
