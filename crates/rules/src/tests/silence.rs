//! Nothing heard: of a key, of a class, after a time of one's own, at certain hours.

use super::city::{City, check, rule};

#[test]
fn silences() {
    let calls = |more: &str| rule("r", &format!("kind = \"silence\"\nfrom = \"calls\"\nafter = \"1h\"\n{more}"));
    check(&[
        (
            "a registered gauge that never spoke, and one that fell silent",
            rule("r", "kind = \"silence\"\nfrom = \"level\""),
            &[(0, "level/a", "value=1"), (20, "level/b", "value=1"), (55, "level/a", "value=1")],
            60,
            &["a r raise@30", "c r raise@30", "b r raise@50", "a r clear@55"],
        ),
        (
            "after a time of its own, strangers too",
            rule("r", "kind = \"silence\"\nfrom = \"level\"\nafter = \"1h\""),
            &[(0, "level/z", "value=1"), (70, "level/z", "value=1")],
            71,
            &["a r raise@60", "b r raise@60", "c r raise@60", "z r raise@60", "z r clear@70"],
        ),
        ("of occurrences", calls(""), &[(0, "calls/x", "kind=a"), (70, "calls/x", "kind=b")], 80, &["x r raise@60", "x r clear@70"]),
        (
            "only those that said so last",
            calls("when = \"kind = 'a'\""),
            &[(0, "calls/x", "kind=a"), (0, "calls/y", "kind=b")],
            80,
            &["x r raise@60"],
        ),
        (
            "only while the rule is on: 08:30 local is 01:30",
            calls("schedule = { hours = \"08:30-09:30\" }"),
            &[(0, "calls/x", "kind=a")],
            300,
            &["x r raise@90", "x r clear@150"],
        ),
        (
            "of most of a class",
            rule("r", "kind = \"class-silence\"\nfrom = \"level\"\nshare = 0.5\nleast = 2"),
            &[
                (0, "level/a", "value=1"),
                (0, "level/b", "value=1"),
                (0, "level/c", "value=1"),
                (20, "level/a", "value=1"),
                (40, "level/b", "value=1"),
            ],
            45,
            &["level r raise@30", "level r clear@40"],
        ),
        (
            "one is no class",
            rule("r", "kind = \"class-silence\"\nfrom = \"level\"\nshare = 0.5\nleast = 2"),
            &[(0, "level/a", "value=1"), (0, "level/b", "value=1"), (20, "level/a", "value=1"), (20, "level/b", "value=1")],
            45,
            &[],
        ),
        (
            "not of a key that has none",
            rule("r", "kind = \"silence\"\nfrom = \"level\"\n[rule.override.a]\noff = true\n[rule.override.b]\noff = true"),
            &[(0, "level/a", "value=1")],
            45,
            &["c r raise@30"],
        ),
    ]);
}

#[test]
fn a_source_that_says_good_bye_is_silent_at_once() {
    let mut city = City::new(&rule("r", "kind = \"silence\"\nfrom = \"level\""));
    city.give(0, "level/a", "value=1");
    city.engine.on_silence(&"level".into(), &"a".into(), super::minute(5), &mut city.out);
    city.give(10, "level/a", "value=1");
    assert_eq!(city.told(), ["a r raise@5", "a r clear@10"]);
}

#[test]
fn doubt_is_told_only_while_the_rule_is_on() {
    let suspect = |more: &str| rule("r", &format!("kind = \"suspect\"\nfrom = \"level\"\n{more}"));
    let story: &[(i64, &str, &str)] = &[(0, "level/a", "value=1"), (10, "level/a", "value=99"), (20, "level/a", "value=1")];
    check(&[
        ("at every hour", suspect(""), story, 25, &["a r raise@10", "a r clear@20"]),
        ("at none of these", suspect("schedule = { hours = \"01:00-02:00\" }"), story, 25, &[]),
    ]);
}
