//! Occurrences close together, as the engine tells of them.

use super::city::{City, rule, tell};

const CROWD: &str = "from = \"calls\"\nwhere = \"n >= 0\"\n[rule.cluster]\nevents = 3\nradius_m = 500\nwithin = \"30m\"\nclass = \"kind\"";

#[test]
fn a_cluster_is_raised_grows_and_ends() {
    let rules = rule("r", CROWD);
    let near = |at: i64, kind: &'static str| (at, "calls/x", kind);
    let a = "kind=a n=1 lat=16.46 lon=107.59";
    let b = "kind=b n=1 lat=16.46 lon=107.59";
    let far = "kind=a n=1 lat=16.56 lon=107.59";
    let told = tell(&rules, &[near(0, a), near(5, a), near(10, a), near(20, a)], 120);
    assert_eq!(told, ["a@16.4600,107.5900 r raise@10", "a@16.4600,107.5900 r update@20", "a@16.4600,107.5900 r clear@35"]);
    assert!(tell(&rules, &[near(0, a), near(5, b), near(10, a)], 120).is_empty(), "only the same class");
    assert!(tell(&rules, &[near(0, a), near(5, far), near(10, a)], 120).is_empty(), "only what is near");
    assert!(tell(&rules, &[near(0, a), near(5, a), near(31, a)], 120).is_empty(), "only within the time");
    assert!(tell(&rules, &[near(0, a), near(5, "kind=a n=-1 lat=16.46 lon=107.59"), near(10, a)], 120).is_empty(), "the filter");
    assert!(tell(&rules, &[near(0, a), near(5, "kind=a n=1"), near(10, a)], 120).is_empty(), "a place is needed");
}

#[test]
fn a_cluster_outlives_a_reload_and_its_events_are_forgotten() {
    let rules = rule("r", CROWD);
    let mut city = City::new(&rules);
    for at in [0, 5, 10] {
        city.give(at, "calls/x", "kind=a n=1 lat=16.46 lon=107.59");
    }
    let new = super::city::compile(&(rules + &rule("other", "from = \"level\"\nwhen = \"value > 1\"")));
    let old = std::mem::replace(&mut city.engine, new);
    city.engine.adopt(old, &[]);
    city.give(20, "calls/x", "kind=a n=1 lat=16.46 lon=107.59");
    city.until(300);
    assert_eq!(
        city.told().iter().map(|told| told.split(' ').nth(2).expect("three words").to_owned()).collect::<Vec<_>>(),
        ["raise@10", "update@20", "clear@35"]
    );
    assert_eq!(city.engine.held().events, 0);
}
