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
        ("\"water_level\"", "\"waterlevel\"", &["rule `good`.from", "waterlevel", "water_level, water_level_forecast, river_flow"]),
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

#[test]
fn mistakes_in_what_goes_beyond_a_window() {
    use super::city::{problems, rule};
    let derive = |id: &str, from: &str, into: &str, more: &str| {
        format!(
            "[[derive]]\nid = \"{id}\"\nfrom = \"{from}\"\ninto = \"{into}\"\nsource = \"a test\"\nselect = {{ value = \"value\" }}\n{more}\n"
        )
    };
    let level = |more: &str| rule("r", &format!("from = \"level\"\n{more}"));
    let high = |more: &str| level(&format!("when = \"value > 1\"\n{more}"));
    let windowed =
        |more: &str| level(&format!("window = {{ tumbling = \"1h\" }}\nselect = {{ v = \"avg(value)\" }}\nwhen = \"v > 1\"\n{more}"));
    let calls = |more: &str| rule("r", &format!("from = \"calls\"\n{more}"));
    let good = [
        high(""),
        windowed(""),
        derive("d", "level", "mean", ""),
        calls("when = \"n > 1\"\neach = true\n[rule.then]\nwhen = \"n > 2\"\nwithin = \"1h\""),
    ];
    for good in good {
        assert_eq!(problems(&good), Vec::<String>::new(), "{good}");
    }
    let cases: &[(String, &[&str])] = &[
        (high("by = \"colour\""), &["rule `r`.by", "colour", "zone"]),
        (high("by = \"value\""), &["rule `r`.by", "value"]),
        (high("by = \"station.bd\""), &["rule `r`.by", "station.basin"]),
        (high("where = \"speed > 1\""), &["rule `r`.where", "speed"]),
        (high("where = \"value\""), &["rule `r`.where", "not a condition"]),
        (high("[rule.join.up]\nfrom = \"nothing\"\nmax_age = \"1h\""), &["rule `r`.join.up.from", "nothing"]),
        (high("[rule.join.up]\nfrom = \"dam\"\nmax_age = \"0s\""), &["rule `r`.join.up.max_age", "0s"]),
        (high("[rule.join.up]\nfrom = \"dam\"\nlink = \"sideways\"\nmax_age = \"1h\""), &["rule `r`.join.up.link", "sideways", "upstream"]),
        (high("[rule.join.up]\nfrom = \"dam\"\nlink = \"upstream\"\nkey = \"d1\"\nmax_age = \"1h\""), &["rule `r`.join.up", "one of them"]),
        (high("[rule.join.station]\nfrom = \"dam\"\nmax_age = \"1h\""), &["rule `r`.join.station", "a name of its own"]),
        (level("when = \"up.height > 1\"\n[rule.join.up]\nfrom = \"dam\"\nmax_age = \"1h\""), &["rule `r`.when", "up.height", "up.q_out"]),
        (high("[rule.baseline]\nof = \"value\"\ndays = 7\nleast = 3"), &["rule `r`.baseline", "a window"]),
        (windowed("[rule.baseline]\nof = \"w\"\ndays = 7\nleast = 3"), &["rule `r`.baseline.of", "`w`"]),
        (windowed("[rule.baseline]\nof = \"v\"\ndays = 7\nleast = 9"), &["rule `r`.baseline", "least = 9"]),
        (level("when = \"value > baseline.mean\""), &["rule `r`.when", "baseline.mean"]),
        (high("[rule.then]\nwhen = \"value > 2\"\nwithin = \"1h\""), &["rule `r`.then", "each = true"]),
        (
            high("for = \"1m\"\n[rule.then]\nwhen = \"value > 2\"\nwithin = \"1h\"\nabsent = true"),
            &["rule `r`.for", "`within` is the delay"],
        ),
        (high("[rule.then]\nwhen = \"value > 2\"\nabsent = true"), &["rule `r`.then.within", "one of them"]),
        (high("[rule.then]\nwhen = \"depth > 2\"\nwithin = \"1h\"\nabsent = true"), &["rule `r`.then.when", "depth"]),
        (high("[rule.then]\nwhen = \"value > 2\"\nwithin_h = \"value > 1\"\nabsent = true"), &["rule `r`.then.within_h"]),
        (high("[rule.then]\nfrom = \"nothing\"\nwhen = \"value > 2\"\nwithin = \"1h\"\nabsent = true"), &["rule `r`.then.from", "nothing"]),
        (level("[rule.cluster]\nevents = 3\nradius_m = 300\nwithin = \"1h\""), &["rule `r`.cluster", "lat"]),
        (calls("[rule.cluster]\nevents = 1\nradius_m = 300\nwithin = \"1h\""), &["rule `r`.cluster", "events = 1"]),
        (calls("[rule.cluster]\nevents = 3\nradius_m = 1\nwithin = \"1h\""), &["rule `r`.cluster", "radius_m = 1"]),
        (calls("[rule.cluster]\nevents = 3\nradius_m = 300\nwithin = \"1h\"\nclass = \"n\""), &["rule `r`.cluster.class", "`n`"]),
        (
            calls("schedule = { hours = \"08:00-09:00\" }\n[rule.cluster]\nevents = 3\nradius_m = 300\nwithin = \"1h\""),
            &["rule `r`.schedule"],
        ),
        (calls("for = \"1m\"\n[rule.cluster]\nevents = 3\nradius_m = 300\nwithin = \"1h\""), &["rule `r`.for", "no delays"]),
        (high("of = \"4/3\""), &["rule `r`.of", "4/3"]),
        (high("of = \"3/99\""), &["rule `r`.of", "at most 32"]),
        (windowed("early = true\nof = \"2/3\""), &["rule `r`.of"]),
        (high("schedule = { hours = \"25:00-26:00\" }"), &["rule `r`.schedule", "25:00"]),
        (high("[rule.override.a]\nwarn = 1.0"), &["rule `r`.override.a.warn", "no limit of the rule"]),
        (level("when = \"value > limit.warn\""), &["rule `r`.when", "limit.warn"]),
        (rule("r", "kind = \"silence\"\nfrom = \"level\"\nby = \"all\""), &["rule `r`.by", "single sensors"]),
        (rule("r", "kind = \"silence\"\nfrom = \"level\"\nwhere = \"value > 1\""), &["rule `r`.where"]),
        (rule("r", "kind = \"class-silence\"\nfrom = \"level\""), &["rule `r`.share", "nothing"]),
        (rule("r", "kind = \"class-silence\"\nfrom = \"level\"\nshare = 1.5"), &["rule `r`.share", "1.5"]),
        (high("after = \"1h\""), &["rule `r`.after", "silence"]),
        (high("least = 3"), &["rule `r`.share", "class-silence"]),
        (high("group = \"g\"\ngroup_after = 0"), &["rule `r`.group_after"]),
        (high("flap = { raises = 1, within = \"1h\" }"), &["rule `r`.flap"]),
        (windowed("").replace("avg(value)", "nowcast(value)"), &["rule `r`.window", "nowcast"]),
        (windowed("").replace("tumbling = \"1h\"", "count = 3, every = 5"), &["rule `r`.window", "3 readings every 5"]),
        (windowed("").replace("tumbling = \"1h\"", "session = \"1h\", most = \"10m\""), &["rule `r`.window", "`most` no shorter"]),
        (derive("d", "level", "dam", ""), &["derive `d`.into", "others fill"]),
        (derive("d", "level", "nothing", ""), &["derive `d`.into", "nothing"]),
        (
            derive("d", "level", "mean", "").replace("value = \"value\"", "height = \"value\""),
            &["derive `d`.select.height", "a field of `mean`"],
        ),
        (derive("d", "level", "mean", "").replace("value = \"value\"", "value = \"zone\""), &["derive `d`.select.value", "a text"]),
        (derive("d", "level", "mean", "").replace("a test", " "), &["derive `d`.source", "where the formula comes from"]),
        (derive("d", "mean", "peak", "") + &derive("e", "peak", "mean", ""), &["derive `d`.into", "no circle"]),
        (derive("d", "mean", "mean", ""), &["derive `d`.into", "no circle"]),
        (derive("r", "level", "mean", "") + &high(""), &["derive `r`.id", "`r` again"]),
        (derive("d", "level", "mean", "colour = 1"), &["colour"]),
    ];
    for (text, expected) in cases {
        let found = problems(text);
        assert!(found.iter().any(|line| expected.iter().all(|part| line.contains(part))), "{expected:?} not in {found:#?} of\n{text}");
    }
}
