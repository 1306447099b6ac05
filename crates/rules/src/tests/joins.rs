//! Values of other streams, as of the moment that is judged.

use super::city::{check, rule};

#[test]
fn joins_look_at_what_was_known_then() {
    let level = |join: &str, when: &str| {
        rule("r", &format!("from = \"level\"\nwhen = \"{when}\"\n[rule.join.up]\nfrom = \"dam\"\nmax_age = \"3h\"\n{join}"))
    };
    check(&[
        (
            "by a link, newest of two",
            level("link = \"upstream\"", "up.q_out >= 5"),
            &[
                (0, "dam/d1", "q_out=9"),
                (1, "dam/d2", "q_out=3"),
                (2, "level/a", "value=1"),
                (3, "dam/d1", "q_out=6"),
                (12, "level/a", "value=1"),
            ],
            20,
            &["a r raise@12"],
        ),
        (
            "a sum needs all",
            level("link = \"upstream\"\ncombine = \"sum\"", "up.q_out >= 5"),
            &[(0, "dam/d1", "q_out=9"), (2, "level/a", "value=1"), (3, "dam/d2", "q_out=0"), (12, "level/a", "value=1")],
            20,
            &["a r raise@12"],
        ),
        (
            "the largest, smallest and mean",
            level("link = \"upstream\"\ncombine = \"max\"", "up.q_out = 9"),
            &[(0, "dam/d1", "q_out=9"), (1, "dam/d2", "q_out=3"), (2, "level/a", "value=1")],
            20,
            &["a r raise@2"],
        ),
        (
            "a fixed row",
            level("key = \"d2\"", "up.q_out >= 3"),
            &[(0, "dam/d2", "q_out=3"), (2, "level/c", "value=1")],
            20,
            &["c r raise@2"],
        ),
        (
            "a row without the link",
            level("link = \"upstream\"", "up.q_out >= 0"),
            &[(0, "dam/d1", "q_out=9"), (2, "level/c", "value=1")],
            20,
            &[],
        ),
        (
            "too old is NULL, which changes nothing",
            level("key = \"d1\"", "up.q_out >= 5"),
            &[(0, "dam/d1", "q_out=9"), (2, "level/a", "value=1"), (181, "level/a", "value=1")],
            182,
            &["a r raise@2", "a r stale@32", "a r fresh@181"],
        ),
        (
            "its age and its level",
            level("key = \"d1\"", "up.age_h >= 1 AND up.full = 45"),
            &[(0, "dam/d1", "q_out=9"), (2, "level/a", "value=1"), (60, "level/a", "value=1")],
            61,
            &["a r raise@60"],
        ),
    ]);
}
