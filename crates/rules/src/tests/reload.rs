//! Other rules for a running engine: nobody's past is lost because of somebody else's rule.

use super::city::{City, compile, rule};
use super::minute;

fn hourly(id: &str, select: &str, when: &str) -> String {
    rule(id, &format!("from = \"level\"\nwindow = {{ sliding = \"1h\", every = \"10m\" }}\nselect = {{ {select} }}\nwhen = \"{when}\""))
}

/// What three readings before a reload and two after it give.
fn across(before: &str, after: &[&str]) -> Vec<String> {
    let mut city = City::new(before);
    for at in [5, 15, 25] {
        city.give(at, "level/a", "value=2");
    }
    for (i, rules) in (0i64..).zip(after) {
        city.until(26 + i);
        let old = std::mem::replace(&mut city.engine, compile(rules));
        city.engine.adopt(old, &[]);
    }
    for at in [35, 45] {
        city.give(at, "level/a", "value=2");
    }
    city.until(55);
    city.told()
}

#[test]
fn a_window_that_another_rule_asks_more_of_goes_on() {
    let sum = hourly("sum", "s = \"sum(value)\"", "s >= 10");
    let other = hourly("other", "n = \"count(*)\", s = \"sum(value)\", m = \"max(value)\"", "n >= 2");
    assert_eq!(across(&sum, &[&sum]), ["a sum raise@50"]);
    for more in [format!("{other}{sum}"), format!("{sum}{other}")] {
        // The new rule knows what came after it did.
        let told = across(&sum, &[&more]);
        assert!(told.contains(&"a sum raise@50".to_owned()) && told.contains(&"a other raise@50".to_owned()), "{told:?}");
        let told = across(&sum, &[&more, &more, &sum]);
        assert_eq!(told, ["a sum raise@50"], "and back, twice over");
        let told = across(&more, &[&sum]);
        assert!(told.contains(&"a sum raise@50".to_owned()), "{told:?}");
    }
}

#[test]
fn a_derivation_keeps_its_windows() {
    let derive = "[[derive]]\nid = \"d\"\nfrom = \"level\"\nwindow = { sliding = \"1h\", every = \"10m\" }\nselect = { value = \"sum(value)\" }\ninto = \"mean\"\nsource = \"a test\"\n";
    let rules = format!("{derive}{}", rule("high", "from = \"mean\"\nwhen = \"value >= 10\""));
    let more = format!("{rules}{}", hourly("other", "n = \"min(value)\"", "n >= 99"));
    assert_eq!(across(&rules, &[&more]), ["a high raise@50"]);
}

#[test]
fn labels_that_only_tests_name_do_not_mix_up_who_is_gathered() {
    let basin = rule("basin", "from = \"level\"\nby = \"station.basin\"\nwhen = \"value >= 2\"\nfor = \"40m\"");
    // The tests' label comes before `basin` in the order of the facts.
    let more = format!("{basin}[[rule.test]]\ngiven = [[\"00:00\", 1.0]]\nstation = {{ aaa = \"x\" }}\n");
    assert_eq!(across(&basin, &[&more]), ["north basin raise@45"]);
}

#[test]
fn patterns_and_silence_go_on() {
    let rules = rule(
        "no-order",
        "from = \"dam\"\nwhen = \"q_out > 3\"\n[rule.then]\nfrom = \"orders\"\nwhen = \"kind = 'open'\"\nwithin = \"1h\"\nbefore = \"2h\"\nabsent = true",
    ) + &rule("quiet", "kind = \"silence\"\nfrom = \"level\"\n[rule.override.b]\noff = true\n[rule.override.c]\noff = true");
    let other = rule(
        "other",
        "from = \"orders\"\nwhen = \"kind = 'x'\"\n[rule.then]\nfrom = \"dam\"\nwhen = \"q_out > 900\"\nwithin = \"1h\"\nabsent = true",
    );
    let mut city = City::new(&rules);
    city.give(0, "level/a", "value=1");
    city.give(0, "orders/d1", "kind=open");
    city.give(10, "dam/d2", "q_out=9");
    city.until(20);
    let old = std::mem::replace(&mut city.engine, compile(&format!("{other}{rules}")));
    city.engine.adopt(old, &[]);
    city.give(25, "dam/d1", "q_out=9");
    city.until(100);
    assert_eq!(city.told(), ["a quiet raise@30", "d2 no-order raise@70"]);
}

#[test]
fn what_the_registry_says_may_change_and_what_the_stream_is() {
    let rules = rule("high", "from = \"level\"\nwhen = \"value >= station.bd\"\nfor = \"20m\"");
    let mut city = City::new(&rules);
    city.give(0, "level/a", "value=1.5");
    let mut problems = huong_types::Problems::default();
    let mut streams = super::city::streams();
    streams[0].disorder = huong_types::Span::from_mins(1);
    let files = [("p.toml".to_owned(), rules.clone())];
    let new = crate::Engine::compile(&files, &streams, super::city::registry(), &mut problems).expect("the same rules");
    let old = std::mem::replace(&mut city.engine, new);
    city.engine.adopt(old, &[]);
    city.give(10, "level/a", "value=1.5");
    city.give(30, "level/a", "value=1.5");
    // Another stream begins anew: the delay runs from the first reading after it.
    assert_eq!(city.told(), ["a high raise@30"]);
    assert_eq!(city.out.signals.last().map(|signal| signal.kind), Some(huong_types::SignalKind::Raise { since: minute(10) }));
}
