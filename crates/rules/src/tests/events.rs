//! Streams of occurrences: nothing is a figure too, keys come and go, nothing grows without end.

use super::city::{City, check, reading, rule, tell};
use super::minute;

#[test]
fn occurrences() {
    let few =
        rule("r", "from = \"calls\"\nby = \"kind\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 2\"");
    let none = rule(
        "r",
        "from = \"calls\"\nby = \"all\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n = 0\"\nfor = \"20m\"",
    );
    let state = rule("r", "from = \"calls\"\nwhen = \"kind = 'open'\"");
    check(&[
        (
            "a window in which nothing comes clears",
            few.clone(),
            &[(1, "calls/x", "kind=a"), (2, "calls/y", "kind=a"), (3, "calls/y", "kind=b")],
            60,
            &["a r raise@10", "a r clear@20"],
        ),
        (
            "nothing at all is told of the whole",
            none,
            &[(1, "calls/x", "kind=a"), (55, "calls/x", "kind=a")],
            65,
            &["calls r raise@40", "calls r clear@60"],
        ),
        ("a text that is missing belongs to nothing", few, &[(1, "calls/x", "n=1"), (2, "calls/y", "n=1")], 60, &[]),
        ("the state of a key", state, &[(1, "calls/x", "kind=open"), (9, "calls/x", "kind=done")], 60, &["x r raise@1", "x r clear@9"]),
        (
            "two in one millisecond are two",
            rule("r", "from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true"),
            &[(1, "calls/x", "kind=a no=1"), (1, "calls/x", "kind=a no=2"), (1, "calls/x", "kind=a no=2")],
            60,
            &["x r once@1", "x r once@1"],
        ),
    ]);
}

#[test]
fn two_of_one_moment_have_ids_of_their_own() {
    let mut city = City::new(&rule("r", "from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true"));
    city.give(1, "calls/x", "kind=a no=1");
    city.give(1, "calls/x", "kind=a no=2");
    assert_ne!(city.out.signals[0].kind, city.out.signals[1].kind);
}

#[test]
fn the_newest_occurrence_says_the_state_whichever_came_first() {
    let mut city = City::new(&rule("r", "from = \"calls\"\nwhen = \"kind = 'open'\""));
    city.give(5, "calls/x", "kind=done");
    city.arrives(6, 4, "calls/x", "kind=open");
    assert!(city.told().is_empty(), "{:?}", city.told());
}

#[test]
fn quiet_hops_are_judged_though_the_clock_has_not_reached_them() {
    let none =
        rule("r", "from = \"calls\"\nby = \"all\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n = 0\"");
    // The first comes half an hour late, so the clock runs so much behind.
    let mut city = City::new(&none);
    city.arrives(31, 1, "calls/x", "kind=a");
    city.give(32, "calls/x", "kind=a");
    city.until(60);
    let mut timely = City::new(&none);
    timely.give(1, "calls/x", "kind=a");
    timely.give(32, "calls/x", "kind=a");
    timely.until(60);
    assert_eq!(city.told(), timely.told());
    assert_eq!(city.told()[..2], ["calls r raise@20", "calls r clear@40"]);
}

#[test]
fn nothing_grows_without_end() {
    let rules = [
        rule("counts", "from = \"calls\"\nwindow = { count = 3, every = 3 }\nselect = { n = \"sum(n)\" }\nwhen = \"n >= 99\""),
        rule("each", "from = \"calls\"\nwhen = \"n > 5\"\neach = true"),
        rule(
            "each-window",
            "from = \"calls\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 1\"\neach = true",
        ),
        rule(
            "kinds",
            "from = \"calls\"\nby = \"kind\"\nwindow = { sliding = \"30m\", every = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 2\"",
        ),
        rule("zones", "from = \"level\"\nby = \"zone\"\nwhen = \"value > 5\""),
        rule(
            "sessions",
            "from = \"calls\"\nwindow = { session = \"5m\", most = \"1h\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 2\"\neach = true",
        ),
        rule("pair", "from = \"calls\"\nwhen = \"n > 5\"\neach = true\n[rule.then]\nwhen = \"n < 2\"\nwithin = \"20m\""),
        rule(
            "absent",
            "from = \"calls\"\nwhere = \"n > 5\"\nwhen = \"true\"\n[rule.then]\nwhen = \"n < 2\"\nwithin = \"20m\"\nabsent = true",
        ),
        rule("crowd", "from = \"calls\"\n[rule.cluster]\nevents = 3\nradius_m = 500\nwithin = \"30m\"\nclass = \"kind\""),
        rule("quiet", "kind = \"silence\"\nfrom = \"calls\"\nafter = \"30m\"\nwhen = \"n > 100\""),
        rule("joined", "from = \"level\"\nwhen = \"up.n > 5\"\n[rule.join.up]\nfrom = \"calls\"\nmax_age = \"1h\""),
    ];
    let mut city = City::new(&rules.concat());
    let mut most = 0;
    for i in 0..6000i64 {
        // Every key and kind is new; an alert of `absent` stays only until the second half is heard.
        let (key, n) = (format!("calls/k{}", i / 2), if i % 2 == 0 { i % 9 } else { 1 });
        city.give(i, &key, &format!("n={n} kind=t{i} no={i} lat=16.4 lon=107.5"));
        city.give(i, "level/a", &format!("value=1 zone=z{i}"));
        most = most.max(city.engine.held().subjects);
    }
    let held = city.engine.held();
    assert!(most < 800, "{most} subjects");
    assert!(held.events <= 40 && held.keys <= 50 + 5, "{held:?}");
    city.until(6000 + 48 * 60);
    let held = city.engine.held();
    assert!(held.keys <= 5 && held.subjects <= 20, "all strangers are forgotten: {held:?}");
    assert!(held.board <= 2 * 10_000);
}

#[test]
fn texts_that_never_repeat_are_bounded_and_counted() {
    let mut city = City::new(&rule(
        "kinds",
        "from = \"calls\"\nby = \"kind\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 2\"",
    ));
    for i in 0..200 {
        let mut reading = reading("calls/x", minute(1), &format!("kind=t{i} no={i}"));
        city.engine.on_reading(&mut reading, minute(1), &mut city.out);
    }
    assert_eq!(city.engine.unjudged(), 150);
}

#[test]
fn a_key_that_was_forgotten_begins_anew() {
    let rules = rule("r", "from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true")
        + &rule(
            "quiet",
            "kind = \"silence\"\nfrom = \"calls\"\nafter = \"30m\"\nwhen = \"up.q_out > 5\"\n[rule.join.up]\nfrom = \"dam\"\nkey = \"d1\"\nmax_age = \"1h\"",
        );
    let story = [(0, "calls/x", "kind=a"), (600, "dam/d1", "q_out=9"), (640, "calls/x", "kind=a")];
    assert_eq!(tell(&rules, &story, 641), ["x r once@0", "x r once@640"], "nobody waits for a key that is forgotten");
}
