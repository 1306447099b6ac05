//! One thing, then another, or its absence.

use super::city::{City, check, rule};

#[test]
fn what_must_follow() {
    let order = |more: &str| {
        rule(
            "r",
            &format!(
                "from = \"dam\"\nwhen = \"q_out > 100\"\n[rule.then]\nfrom = \"orders\"\nwhen = \"kind = 'open'\"\nwithin = \"1h\"\nabsent = true\n{more}"
            ),
        )
    };
    let each = |more: &str| {
        rule(
            "r",
            &format!("from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true\n{more}\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin = \"20m\""),
        )
    };
    let sla = rule(
        "r",
        "from = \"calls\"\nwhere = \"kind = 'a'\"\nwhen = \"true\"\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin_h = \"n * 0.5\"\nabsent = true",
    );
    check(&[
        ("no order in time", order(""), &[(0, "dam/d1", "q_out=200")], 90, &["d1 r raise@60"]),
        ("an order in time", order(""), &[(0, "dam/d1", "q_out=200"), (30, "orders/d1", "kind=open")], 90, &[]),
        (
            "another's order, and another order",
            order(""),
            &[(0, "dam/d1", "q_out=200"), (30, "orders/d2", "kind=open"), (31, "orders/d1", "kind=close")],
            90,
            &["d1 r raise@60"],
        ),
        ("an order that came before", order("before = \"2h\""), &[(0, "orders/d1", "kind=open"), (60, "dam/d1", "q_out=200")], 150, &[]),
        (
            "an order that came too long before",
            order("before = \"2h\""),
            &[(0, "orders/d1", "kind=open"), (121, "dam/d1", "q_out=200")],
            200,
            &["d1 r raise@181"],
        ),
        (
            "a late order ends it, and it stays so while the gates stay open",
            order(""),
            &[(0, "dam/d1", "q_out=200"), (90, "orders/d1", "kind=open"), (100, "dam/d1", "q_out=200"), (170, "dam/d1", "q_out=200")],
            175,
            &["d1 r raise@60", "d1 r clear@90"],
        ),
        (
            "an order in time holds for as long as the gates stay open",
            order(""),
            &[(0, "dam/d1", "q_out=200"), (10, "orders/d1", "kind=open"), (60, "dam/d1", "q_out=200"), (130, "dam/d1", "q_out=200")],
            180,
            &[],
        ),
        (
            "gates opened anew need a new order",
            order(""),
            &[(0, "dam/d1", "q_out=200"), (10, "orders/d1", "kind=open"), (60, "dam/d1", "q_out=0"), (100, "dam/d1", "q_out=200")],
            170,
            &["d1 r raise@160"],
        ),
        ("closed in time", order(""), &[(0, "dam/d1", "q_out=200"), (30, "dam/d1", "q_out=50")], 90, &[]),
        ("both in time", each(""), &[(0, "calls/x", "kind=a"), (10, "calls/x", "kind=b"), (11, "calls/x", "kind=b")], 90, &["x r once@10"]),
        ("both, but late", each(""), &[(0, "calls/x", "kind=a"), (21, "calls/x", "kind=b")], 90, &[]),
        ("of different keys", each(""), &[(0, "calls/x", "kind=a"), (1, "calls/y", "kind=b")], 90, &[]),
        (
            "twice over",
            each(""),
            &[(0, "calls/x", "kind=a"), (1, "calls/x", "kind=b"), (2, "calls/x", "kind=a"), (3, "calls/x", "kind=b")],
            90,
            &["x r once@1", "x r once@3"],
        ),
        ("of all keys together", each("by = \"all\""), &[(0, "calls/x", "kind=a"), (1, "calls/y", "kind=b")], 90, &["calls r once@1"]),
        (
            "by hours that the first one names",
            sla.clone(),
            &[(0, "calls/x", "kind=a n=1"), (0, "calls/y", "kind=a n=4"), (40, "calls/y", "kind=b")],
            200,
            &["x r raise@30"],
        ),
        ("handled late", sla, &[(0, "calls/x", "kind=a n=1"), (40, "calls/x", "kind=b")], 60, &["x r raise@30", "x r clear@40"]),
    ]);
}

#[test]
fn the_second_half_may_arrive_first() {
    let rules = rule("r", "from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin = \"20m\"");
    let mut city = City::new(&rules);
    city.give(11, "calls/x", "kind=b");
    city.arrives(12, 10, "calls/x", "kind=a");
    assert_eq!(city.told(), ["x r once@11"]);
    let before = rules.replace("within", "before = \"5m\"\nwithin");
    let mut city = City::new(&before);
    city.give(11, "calls/x", "kind=b");
    city.give(14, "calls/x", "kind=a");
    city.give(30, "calls/y", "kind=b");
    city.give(36, "calls/y", "kind=a");
    assert_eq!(city.told(), ["x r once@14"]);
}

#[test]
fn the_text_of_a_pattern_is_that_of_its_first_half() {
    let rules = rule("r", "from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin = \"20m\"")
        .replace("{key}", "{no} {n}");
    let mut city = City::new(&rules);
    city.give(0, "calls/x", "kind=a no=Q7 n=3");
    city.give(5, "calls/x", "kind=b no=Q8");
    assert_eq!(city.out.signals[0].text.en, "Q7 3");
}
