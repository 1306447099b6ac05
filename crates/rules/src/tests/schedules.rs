//! Rules that are on at some hours, or in exercises only. Minute 0 is 07:00 in Huế.

use super::city::{City, check, rule};

#[test]
fn hours() {
    let night = rule("r", "from = \"level\"\nwhen = \"value > 1\"\nschedule = { hours = \"08:00-09:00\" }");
    check(&[
        (
            "on, off with an alert standing",
            night.clone(),
            &[(50, "level/a", "value=2"), (60, "level/a", "value=2"), (80, "level/a", "value=2"), (110, "level/a", "value=2")],
            119,
            &["a r raise@60"],
        ),
        (
            "the end of the hours ends it",
            night.clone(),
            &[(100, "level/a", "value=2"), (110, "level/a", "value=2")],
            130,
            &["a r raise@100", "a r clear@120"],
        ),
        (
            "a reading after the end",
            night,
            &[(110, "level/a", "value=2"), (125, "level/a", "value=3"), (135, "level/a", "value=3")],
            138,
            &["a r raise@110", "a r clear@120"],
        ),
        (
            "an on-delay that the end cuts off",
            rule("r", "from = \"level\"\nwhen = \"value > 1\"\nfor = \"15m\"\nschedule = { hours = \"08:00-09:00\" }"),
            &[(110, "level/a", "value=2"), (120, "level/a", "value=2")],
            150,
            &[],
        ),
    ]);
}

#[test]
fn exercises() {
    let mut city = City::new(&rule("r", "from = \"level\"\nwhen = \"value > 1\"\nschedule = { exercise = true }"));
    city.give(0, "level/a", "value=2");
    city.engine.set_exercise(true);
    city.give(10, "level/a", "value=2");
    city.engine.set_exercise(false);
    city.give(20, "level/a", "value=2");
    assert_eq!(city.told(), ["a r raise@10", "a r clear@20"]);
}
