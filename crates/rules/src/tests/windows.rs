//! Windows of every kind, and the conditions that live on them.

use super::city::{City, check, rule};

#[test]
fn windows_and_delays() {
    const RISE: &str = "from = \"level\"\nwindow = { sliding = \"20m\", every = \"10m\" }\nselect = { top = \"max(value)\" }";
    const SESSION: &str =
        "from = \"calls\"\nwindow = { session = \"10m\", most = \"30m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 3\"\neach = true";
    const COUNT: &str = "from = \"calls\"\nwindow = { count = 3, every = 1 }\nselect = { all = \"sum(n)\" }\nwhen = \"all >= 6\"";
    let level = |pairs: &[(i64, &'static str)]| pairs.iter().map(|(at, value)| (*at, "level/c", *value)).collect::<Vec<_>>();
    let calls = |times: &[i64]| times.iter().map(|at| (*at, "calls/x", "n=1")).collect::<Vec<_>>();
    let (ups, downs) =
        (level(&[(5, "value=1"), (15, "value=3"), (25, "value=1"), (35, "value=1"), (45, "value=1")]), calls(&[0, 5, 9, 40]));
    check(&[
        (
            "a hop window holds its end, not its start",
            rule("r", &format!("{RISE}\nwhen = \"top >= 3\"")),
            &ups,
            60,
            &["c r raise@20", "c r clear@40"],
        ),
        (
            "an early window raises at once and clears when it is over",
            rule("r", &format!("{RISE}\nwhen = \"top >= 3\"\nearly = true")),
            &ups,
            60,
            &["c r raise@15", "c r clear@40"],
        ),
        (
            "it is kept for a while after it held",
            rule("r", &format!("{RISE}\nwhen = \"top >= 3\"\nkeep_firing_for = \"15m\"")),
            &ups,
            60,
            &["c r raise@20", "c r recede@40", "c r clear@50"],
        ),
        (
            "three of five",
            rule("r", "from = \"level\"\nwhen = \"value >= 2\"\nof = \"2/3\""),
            &level(&[(0, "value=2"), (10, "value=1"), (20, "value=2"), (30, "value=1"), (40, "value=1")]),
            60,
            &["c r raise@20", "c r clear@30"],
        ),
        ("a session ends by its pause", rule("r", SESSION), &downs, 60, &["x r once@9"]),
        (
            "a session is no longer than its most",
            rule("r", &SESSION.replace("n >= 3", "n >= 8")),
            &calls(&[0, 4, 8, 12, 16, 20, 24, 28, 32, 36]),
            90,
            &["x r once@28"],
        ),
        (
            "the last three of any",
            rule("r", COUNT),
            &[(0, "calls/x", "n=1"), (1, "calls/x", "n=2"), (2, "calls/x", "n=3"), (3, "calls/x", "n=0")],
            60,
            &["x r raise@2", "x r clear@3"],
        ),
        ("too few are no window", rule("r", COUNT), &[(0, "calls/x", "n=9"), (1, "calls/x", "n=9")], 60, &[]),
        (
            "nothing but NULL changes nothing",
            rule("r", "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { sd = \"stddev(value)\" }\nwhen = \"sd > 0\""),
            &level(&[(5, "value=1"), (15, "value=9")]),
            60,
            &[],
        ),
        ("an unknown limit is NULL", rule("r", "from = \"level\"\nwhen = \"value >= station.bd\""), &level(&[(5, "value=9")]), 20, &[]),
        (
            "a limit of its own, and none for another",
            rule(
                "r",
                "from = \"level\"\nwhen = \"value >= limit.top\"\nlimit = { top = 5.0 }\n[rule.override.a]\ntop = 2.0\n[rule.override.b]\noff = true",
            ),
            &[(0, "level/a", "value=3"), (0, "level/b", "value=9"), (0, "level/c", "value=3"), (10, "level/c", "value=6")],
            20,
            &["a r raise@0", "c r raise@10"],
        ),
        (
            "by all, and by a label",
            rule(
                "all",
                "from = \"level\"\nby = \"all\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 3\"",
            ) + &rule(
                "basin",
                "from = \"level\"\nby = \"station.basin\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 2\"",
            ),
            &[(1, "level/a", "value=1"), (2, "level/b", "value=1"), (3, "level/c", "value=1")],
            20,
            &["level all raise@10", "north basin raise@10"],
        ),
    ]);
}

#[test]
fn a_late_reading_within_a_closed_window_is_history() {
    let rules = rule(
        "r",
        "from = \"level\"\nwindow = { sliding = \"20m\", every = \"10m\" }\nselect = { top = \"max(value)\" }\nwhen = \"top >= 3\"",
    );
    let mut city = City::new(&rules);
    city.give(8, "level/a", "value=1");
    city.until(11);
    // The clock waits for the disorder: this one is in time.
    city.arrives(11, 9, "level/a", "value=4");
    city.until(20);
    assert_eq!((city.told(), city.out.corrections), (vec!["a r raise@10".to_owned()], 0));
    city.give(21, "level/a", "value=1");
    city.until(31);
    // In order by the readings, but the clock has closed both its window and the next.
    let verdict = city.arrives(60, 20, "level/a", "value=9");
    assert_eq!((city.told().len(), city.out.corrections, verdict), (2, 1, crate::Verdict::Judged));
    assert_eq!(city.arrives(60, 5, "level/a", "value=9"), crate::Verdict::History);
}

#[test]
fn a_fast_clock_does_not_make_the_present_late() {
    let rules = rule("r", "from = \"level\"\nwhen = \"value >= 3\"");
    let mut city = City::new(&rules);
    city.arrives(0, 8, "level/a", "value=1");
    city.arrives(10, 18, "level/a", "value=4");
    city.until(30);
    assert_eq!(city.told(), ["a r raise@18"]);
}

#[test]
fn what_went_silent_is_fresh_again_whatever_it_is_gathered_by() {
    let rules = rule("r", "from = \"level\"\nby = \"station.basin\"\nwhen = \"value >= 3\"");
    let story = [(0, "level/a", "value=4"), (60, "level/a", "value=4"), (70, "level/a", "value=1")];
    assert_eq!(super::city::tell(&rules, &story, 80), ["north r raise@0", "north r stale@30", "north r fresh@60", "north r clear@70"]);
}
