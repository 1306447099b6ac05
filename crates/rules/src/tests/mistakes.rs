//! Mistakes in rules: all of them at once, each with file, path, what was found and what was expected.

use std::sync::Arc;

use huong_types::Problems;

use super::{registry, streams};
use crate::{Engine, run_tests};

const GOOD: &str = r#"
    [[rule]]
    id = "good"
    from = "water_level"
    window = { tumbling = "10m" }
    select = { level = "max(value)" }
    when = "level >= station.bd2"
    severity = "severe"
    source = "a test"
    text = { vi = "{level:.2}", en = "{level:.2}" }
"#;

/// The problems of a pipeline, one per line.
fn problems(text: &str) -> Vec<String> {
    let mut problems = Problems::default();
    let files = [("p.toml".to_owned(), text.to_owned())];
    let engine = Engine::compile(&files, &streams(), registry("water_level", &[("kimlong", "bd1 = 1.0, bd2 = 2.0")]), &mut problems);
    assert_eq!(engine.is_none(), !problems.is_empty());
    problems.list.iter().map(ToString::to_string).collect()
}

#[test]
fn each_mistake_is_named_with_its_path() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
    // What is changed, and parts of what must be said.
    let cases: &[(&str, &str, &[&str])] = &[
        ("level >= station", "levl >= station", &["rule `good`.when", "levl", "Did you mean `level`"]),
        ("station.bd2", "station.bd4", &["rule `good`.when", "station.bd4", "station.bd1, station.bd2"]),
        ("level >= station.bd2", "level >=", &["rule `good`.when", "level >="]),
        ("level >= station.bd2", "level + 1", &["rule `good`.when", "not a condition"]),
        ("level >= station.bd2", "level > random()", &["rule `good`.when", "random()"]),
        ("max(value)", "max(depth)", &["rule `good`.select.level", "no field `depth`", "value"]),
        ("max(value)", "mode(value)", &["rule `good`.select.level", "mode", "max, min, avg, sum, count, first, last"]),
        ("max(value)", "value", &["rule `good`.select.level", "outside of an aggregate"]),
        ("max(value)", "max(value - 1)", &["rule `good`.select.level", "other than one field"]),
        ("\"water_level\"", "\"waterlevel\"", &["rule `good`.from", "waterlevel", "water_level, river_flow"]),
        ("{ tumbling = \"10m\" }", "{ sliding = \"1h\", every = \"7m\" }", &["rule `good`.window", "1h every 7m", "whole number"]),
        ("{ tumbling = \"10m\" }", "{ session = \"10m\" }", &["rule[0].window", "tumbling", "sliding"]),
        ("{ tumbling = \"10m\" }", "\"none\"", &["rule `good`.select", "the fields of the reading are the columns"]),
        ("{level:.2}\", en", "{levl:.2}\", en", &["rule `good`.text.vi", "levl", "Did you mean `level`"]),
        ("en = \"{level:.2}\"", "en = \"{level:.2\"", &["rule `good`.text.en", "without `}`"]),
        ("en = \"{level:.2}\"", "en = \"{level:.x}\"", &["rule `good`.text.en", "decimals"]),
        ("en = \"{level:.2}\"", "en = \" \"", &["rule `good`.text.en", "nothing"]),
        ("source = \"a test\"", "source = \"\"", &["rule `good`.source", "where the thresholds come from"]),
        ("source = \"a test\"", "", &["source", "required"]),
        ("severity = \"severe\"", "severity = \"loud\"", &["rule[0].severity", "loud", "minor"]),
        ("severity", "inhibits = [\"ghost\"]\nseverity", &["rule `good`.inhibits", "ghost"]),
        ("severity", "inhibits = [\"good\"]\nseverity", &["rule `good`.inhibits", "hides this rule in turn"]),
        ("severity", "kind = \"silence\"\nseverity", &["rule `good`.window", "rules about sensors"]),
        ("severity", "each = true\nfor = \"1m\"\nseverity", &["rule `good`.each", "no state"]),
        ("when = \"level >= station.bd2\"", "", &["rule `good`.when", "nothing", "a condition"]),
        ("severity", "fro = \"1m\"\nseverity", &["fro"]),
    ];
    for (from, to, expected) in cases {
        assert!(GOOD.contains(from), "{from}");
        let found = problems(&GOOD.replacen(from, to, 1));
        let line = found.iter().find(|line| expected.iter().all(|part| line.contains(part)));
        assert!(line.is_some_and(|line| line.starts_with("p.toml: ")), "{to}: {expected:?} not in {found:#?}");
    }
}

#[test]
fn all_mistakes_come_at_once() {
    let text = format!(
        "{}{}{}{}",
        GOOD.replace("station.bd2", "station.bd9"),
        GOOD,
        GOOD.replace("\"good\"", "\"other\"").replace("water_level", "air"),
        GOOD.replace("\"good\"", "\"third\"").replace("{level:.2}", "{lvl}").replace("level >= station", "lvl >= station"),
    );
    let found = problems(&text);
    // good.when; the id again; other: `value` is no field of air; third: when, text.vi, text.en.
    assert!(found.len() >= 6, "{found:#?}");
    for part in ["`good`.when", "`good`.id", "`other`.select.level", "`third`.when", "`third`.text.vi", "`third`.text.en"] {
        assert!(found.iter().any(|line| line.contains(part)), "{part} not in {found:#?}");
    }
}

#[test]
fn a_failing_test_says_what_it_found() {
    let text = format!(
        "{GOOD}\n[[rule.test]]\nname = \"wrong\"\nstation = {{ bd2 = 2.0 }}\ngiven = [[\"00:05\", 2.5]]\nraises = [\"severe@00:05\"]\nsays = [\"2,60\"]\n\
         [[rule.test]]\ngiven = [[\"5 past\", 2.5]]\n[[rule.test]]\ngiven = [[\"00:05\", {{ depth = 2.5 }}]]\n"
    );
    let mut problems = Problems::default();
    let reports = run_tests(&[("p.toml".to_owned(), text)], &streams(), &Arc::new(huong_types::Registry::default()), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[0].name, "wrong");
    let found = reports[0].failures.join("\n");
    assert!(found.contains("severe@00:10") && found.contains("severe@00:05") && found.contains("2,50"), "{found}");
    assert!(reports[1].failures[0].contains("5 past"));
    assert!(reports[2].failures[0].contains("depth"));
}
