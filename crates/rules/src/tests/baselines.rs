//! What is unusual for the hour.

use super::city::{City, rule};

#[test]
fn an_hour_unlike_those_of_the_days_before() {
    let rules = rule(
        "r",
        "from = \"level\"\nwindow = { tumbling = \"1h\" }\nselect = { v = \"avg(value)\" }\nwhen = \"v > baseline.mean + 3 * baseline.sd + 0.5\"\n[rule.baseline]\nof = \"v\"\ndays = 5\nleast = 3",
    );
    let mut city = City::new(&rules);
    let day = 24 * 60;
    for today in 0..6 {
        for hour in 0..24 {
            // Unusual from the first day on; known to be so from the fourth.
            let value = if hour == 5 && (today == 1 || today == 4) { 9.0 } else { 1.0 };
            city.give(today * day + hour * 60 + 30, "level/a", &format!("value={value}"));
        }
    }
    city.until(6 * day);
    let told: Vec<String> = city.told().into_iter().filter(|told| !told.contains("stale") && !told.contains("fresh")).collect();
    assert_eq!(told.len(), 0, "a day like that has been: {told:?}");
    let mut city = City::new(&rules);
    for today in 0..5 {
        for hour in 0..24 {
            let value = if hour == 5 && today == 4 { 9.0 } else { 1.0 };
            city.give(today * day + hour * 60 + 30, "level/a", &format!("value={value}"));
        }
    }
    city.until(5 * day);
    let told: Vec<String> = city.told().into_iter().filter(|told| !told.contains("stale") && !told.contains("fresh")).collect();
    let at = 4 * day + 6 * 60;
    assert_eq!(told, [format!("a r raise@{at}"), format!("a r clear@{}", at + 60)]);
}
