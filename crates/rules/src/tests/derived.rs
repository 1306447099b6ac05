//! Streams that rules compute, and rules upon them.

use huong_types::{Flag, Value};

use super::city::{City, rule};
use super::minute;

pub(crate) const DERIVES: &str = r#"
    [[derive]]
    id = "mean"
    from = "level"
    window = { tumbling = "10m" }
    select = { value = "avg(value)" }
    into = "mean"
    source = "a test"

    [[derive]]
    id = "peak"
    from = "mean"
    by = "all"
    window = { tumbling = "30m" }
    select = { value = "max(value)" }
    into = "peak"
    source = "a test"
"#;

#[test]
fn two_levels_of_derived_streams() {
    let rules = format!(
        "{DERIVES}{}{}",
        rule("on-mean", "from = \"mean\"\nwhen = \"value >= station.bd\""),
        rule("on-peak", "from = \"peak\"\nwhen = \"value >= 3\"")
    );
    let mut city = City::new(&rules);
    for (at, value) in [(5, 1.0), (9, 2.0), (15, 4.0), (25, 4.0), (35, 0.5), (45, 0.5), (55, 0.5), (65, 0.5)] {
        city.give(at, "level/a", &format!("value={value}"));
        city.give(at, "level/b", "value=0");
    }
    city.until(110);
    let told: Vec<String> = city.told().into_iter().filter(|told| !told.contains("stale")).collect();
    assert_eq!(told, ["a on-mean raise@10", "a on-mean update@20", "mean on-peak raise@30", "a on-mean clear@40", "mean on-peak clear@60"]);
    let of = |stream: &str| {
        city.out
            .derived
            .iter()
            .filter(|reading| reading.stream == *stream)
            .map(|reading| (reading.key.to_string(), reading.at.as_millis() / 60_000, reading.number("value")))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("mean").len(), 14);
    assert_eq!(of("peak"), [("mean".to_owned(), 30, Some(4.0)), ("mean".to_owned(), 60, Some(0.5)), ("mean".to_owned(), 90, Some(0.5))]);
    assert!(city.engine.orphans().is_empty(), "what is computed is no stranger: {:?}", city.engine.orphans());
}

#[test]
fn a_window_that_is_judged_again_is_corrected_and_not_told_again() {
    let mut city = City::new(DERIVES);
    city.arrives(9, 9, "level/a", "value=1");
    city.until(13);
    // Within the disorder by the readings, after the clock has closed it.
    city.arrives(13, 10, "level/a", "value=5");
    city.until(60);
    let mean: Vec<_> = city.out.derived.iter().filter(|reading| reading.stream == *"mean").map(|reading| reading.number("value")).collect();
    assert_eq!((mean, city.out.corrections), (vec![Some(1.0)], 1));
    let [corrected] = city.out.corrected.as_slice() else { panic!("one moment is said anew: {:?}", city.out.corrected) };
    assert_eq!((corrected.at, &corrected.fields[0].value, corrected.flag()), (minute(10), &Value::Number(3.0), Flag::Late));
}

#[test]
fn the_log_is_read_as_far_back_as_chains_of_streams_reach() {
    let chain = format!(
        "{DERIVES}{}",
        rule("r", "from = \"peak\"\nwindow = { tumbling = \"4h\" }\nselect = { top = \"max(value)\" }\nwhen = \"top > 1\"")
    );
    let city = City::new(&chain);
    let reach = city.engine.reach();
    let minutes = |stream: &str| reach[&huong_types::Name::new(stream)].as_millis() / 60_000;
    assert_eq!((minutes("level"), minutes("mean"), minutes("peak")), (240 + 30 + 10, 240 + 30, 240));
}
