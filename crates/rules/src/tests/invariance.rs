//! What must not matter: how often the clock is looked at, in which order readings arrive within the disorder, a reload of the same
//! rules, a second run. Random stories over a mix of everything that rules can say.

use huong_types::{Signal, SignalKind, Span, Timestamp};
use proptest::prelude::*;

use super::city::{City, compile, reading, rule};

/// Windows and what lives on them: their signals do not depend on the order of arrival within the disorder.
fn windowed() -> String {
    let windows = [
        rule(
            "hop",
            "from = \"level\"\nwindow = { sliding = \"1h\", every = \"10m\" }\nselect = { rise = \"delta(value)\", p = \"percentile(value, 0.9)\", sd = \"stddev(value)\", up = \"slope(value)\" }\nwhen = \"rise > 0.5 OR p > 3.5\"\nkeep_firing_for = \"20m\"",
        ),
        rule(
            "mean-of",
            "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { v = \"avg(value)\", s = \"sum(value)\" }\nwhen = \"v > 1.5\"\nof = \"2/3\"",
        ),
        rule(
            "delayed",
            "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { v = \"avg(value)\" }\nwhen = \"v > 1.5\"\nclear = \"v < 1\"\nfor = \"15m\"\nclear_for = \"10m\"",
        ),
        rule(
            "joined",
            "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { v = \"max(value)\" }\nwhen = \"v > 1 AND up.q_out > 2\"\n[rule.join.up]\nfrom = \"dam\"\nlink = \"upstream\"\nmax_age = \"3h\"\ncombine = \"sum\"",
        ),
        rule(
            "usual",
            "from = \"level\"\nwindow = { tumbling = \"1h\" }\nselect = { v = \"avg(value)\" }\nwhen = \"v > baseline.mean + 0.5\"\n[rule.baseline]\nof = \"v\"\ndays = 3\nleast = 2",
        ),
        rule(
            "basin",
            "from = \"level\"\nby = \"station.basin\"\nwindow = { tumbling = \"20m\" }\nselect = { v = \"max(value)\", n = \"count(*)\" }\nwhen = \"v > 2\"\nlimit = { x = 1.0 }\n[rule.override.a]\nx = 2.0",
        ),
        rule(
            "burst",
            "from = \"calls\"\nby = \"kind\"\nwindow = { session = \"10m\", most = \"1h\" }\nselect = { n = \"count(*)\", who = \"distinct(no)\" }\nwhen = \"n >= 3\"",
        ),
        rule(
            "five",
            "from = \"calls\"\nby = \"all\"\nwindow = { count = 5, every = 1 }\nselect = { all = \"sum(n)\", newest = \"last(n)\" }\nwhen = \"all > 12\"",
        ),
        rule(
            "idle",
            "from = \"calls\"\nby = \"all\"\nwindow = { tumbling = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n = 0\"\nfor = \"20m\"",
        ),
        rule(
            "kinds",
            "from = \"calls\"\nby = \"kind\"\nwhere = \"n > 0\"\nwindow = { sliding = \"30m\", every = \"10m\" }\nselect = { n = \"count(*)\" }\nwhen = \"n >= 2\"\nupdate_every = \"0s\"",
        ),
        rule(
            "on-mean",
            "from = \"mean\"\nwindow = { sliding = \"30m\", every = \"10m\" }\nselect = { v = \"max(value)\" }\nwhen = \"v >= 2\"",
        ),
        rule("on-peak", "from = \"peak\"\nwindow = { tumbling = \"30m\" }\nselect = { v = \"max(value)\" }\nwhen = \"v >= 3\""),
        rule(
            "night",
            "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { v = \"max(value)\" }\nwhen = \"v > 1\"\nschedule = { hours = \"08:00-10:00\" }",
        ),
    ];
    super::derived::DERIVES.to_owned() + &windows.concat()
}

/// Everything else.
fn immediate() -> String {
    let rules = [
        rule(
            "high",
            "from = \"level\"\nwhen = \"value >= station.bd\"\nclear = \"value < station.bd - 0.1\"\nfor = \"15m\"\nkeep_firing_for = \"20m\"\n[rule.override.b]\noff = true",
        ),
        rule(
            "early",
            "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { top = \"max(value)\" }\nwhen = \"top >= 2\"\nearly = true",
        ),
        rule(
            "now",
            "from = \"level\"\nwhen = \"value > 1 AND up.q_out > 2\"\n[rule.join.up]\nfrom = \"dam\"\nkey = \"d1\"\nmax_age = \"3h\"",
        ),
        rule(
            "no-order",
            "from = \"dam\"\nwhen = \"q_out > 3\"\n[rule.then]\nfrom = \"orders\"\nwhen = \"kind = 'b'\"\nwithin = \"1h\"\nbefore = \"2h\"\nabsent = true",
        ),
        rule(
            "sla",
            "from = \"calls\"\nwhere = \"kind = 'a'\"\nwhen = \"true\"\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin_h = \"n * 0.2\"\nabsent = true",
        ),
        rule("pair", "from = \"calls\"\nwhen = \"kind = 'a'\"\neach = true\n[rule.then]\nwhen = \"kind = 'b'\"\nwithin = \"20m\""),
        rule("crowd", "from = \"calls\"\n[rule.cluster]\nevents = 3\nradius_m = 900\nwithin = \"40m\"\nclass = \"kind\""),
        rule("state", "from = \"calls\"\nwhen = \"kind = 'c'\""),
        rule("quiet", "kind = \"silence\"\nfrom = \"level\""),
        rule("quiet-dam", "kind = \"silence\"\nfrom = \"dam\"\nafter = \"3h\"\nschedule = { hours = \"08:00-18:00\" }"),
        rule("quiet-calls", "kind = \"silence\"\nfrom = \"calls\"\nafter = \"40m\"\nwhen = \"kind = 'a'\""),
        rule("class", "kind = \"class-silence\"\nfrom = \"level\"\nshare = 0.5\nleast = 2"),
        rule("doubt", "kind = \"suspect\"\nfrom = \"level\"\nfor = \"10m\""),
        rule("zone", "from = \"level\"\nby = \"zone\"\nwhen = \"value > 2\""),
    ];
    rules.concat()
}

/// A reading to come: seconds since the one before, how many seconds late it may be, which, with what.
#[derive(Clone, Debug)]
struct Step {
    wait: i64,
    late: i64,
    what: u8,
    key: u8,
    value: u8,
    /// Ticks of the clock before it, as shares of the wait.
    ticks: Vec<u8>,
}

fn story(lateness: i64) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![6 => 1i64..400, 2 => Just(0i64), 1 => 600i64..9000];
    let step = (wait, 0..=lateness, 0u8..8, 0u8..4, 0u8..9, prop::collection::vec(any::<u8>(), 0..3));
    let step = step.prop_map(|(wait, late, what, key, value, ticks)| Step { wait, late, what, key, value, ticks });
    prop::collection::vec(step, 1..90)
}

/// What a step sends.
fn sent(step: &Step, number: usize) -> (String, String) {
    let (key, value) = (["a", "b", "c", "z"][step.key as usize], f64::from(step.value) / 2.0);
    match step.what {
        0..=3 if step.value == 8 => (format!("level/{key}"), "value=99".to_owned()),
        0..=3 => (format!("level/{key}"), format!("value={value} zone=z{}", step.value % 2)),
        4 => (format!("dam/{}", ["d1", "d2"][step.key as usize % 2]), format!("q_out={value}")),
        5 => (format!("orders/{}", ["d1", "d2"][step.key as usize % 2]), format!("kind={}", ["a", "b"][step.value as usize % 2])),
        _ => {
            let kind = ["a", "b", "c"][step.value as usize % 3];
            let lat = 16.46 + f64::from(step.value) / 1000.0;
            (format!("calls/{key}"), format!("kind={kind} n={value} no={number} lat={lat} lon=107.59"))
        }
    }
}

const START: i64 = 1_000_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000)
}

/// Everything that is said, in full.
fn shown(signals: &[Signal]) -> Vec<String> {
    signals.iter().map(|signal| format!("{signal:?}")).collect()
}

/// Plays a story in order of arrival; `ticks`: the clock is looked at in between, too; `reload`: before that reading.
fn play(rules: &str, story: &[Step], ticks: bool, reload: Option<usize>) -> City {
    let mut city = City::new(rules);
    let mut clock = 0;
    for (i, step) in story.iter().enumerate() {
        if ticks && i > 0 {
            let mut shares = step.ticks.clone();
            shares.sort_unstable();
            for share in shares {
                let now = clock * 1000 + step.wait * 1000 * i64::from(share) / 255;
                city.pass(Timestamp::from_millis(START + now - 1));
            }
        }
        clock += step.wait;
        if reload == Some(i) {
            city.pass(at(clock) - Span::from_millis(1));
            let old = std::mem::replace(&mut city.engine, compile(rules));
            city.engine.adopt(old, &[]);
        }
        let (of, fields) = sent(step, i);
        city.take(at(clock), reading(&of, at(clock - step.late), &fields));
    }
    city.pass(at(clock + 8 * 3600));
    city
}

/// The story as it happened: unique times per key, each late by its own delay, in order of arrival.
fn arrivals(story: &[Step], delays: impl Fn(usize) -> i64) -> Vec<(i64, i64, usize)> {
    let mut happened = 0;
    let mut all: Vec<(i64, i64, usize)> = Vec::new();
    for (i, step) in story.iter().enumerate() {
        happened += step.wait + 1;
        all.push((happened + delays(i), happened, i));
    }
    all.sort();
    all
}

fn play_arrivals(rules: &str, story: &[Step], delays: impl Fn(usize) -> i64) -> City {
    let mut city = City::new(rules);
    for key in ["a", "b", "c", "z"] {
        // The first value of a key follows a gap, whichever comes first.
        city.take(at(-600), reading(&format!("level/{key}"), at(-600), "value=0"));
    }
    let mut end = 0;
    for (arrives, happened, i) in arrivals(story, delays) {
        let (of, fields) = sent(&story[i], i);
        city.take(at(arrives), reading(&of, at(happened), &fields));
        end = happened;
    }
    city.pass(at(end + 8 * 3600));
    city
}

/// Apart from the order across keys, from silence, which is of the clock, and from which of the last readings are named.
fn by_key(signals: Vec<Signal>) -> Vec<String> {
    let of_clock = |signal: &Signal| matches!(signal.kind, SignalKind::Stale { .. } | SignalKind::Fresh);
    let mut kept: Vec<Signal> = signals.into_iter().filter(|signal| !of_clock(signal)).collect();
    kept.iter_mut().for_each(|signal| signal.cause.clear());
    kept.sort_by(|a, b| (&a.rule, &a.key, a.at).cmp(&(&b.rule, &b.key, b.at)));
    shown(&kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn how_often_the_clock_is_looked_at_does_not_matter(story in story(90)) {
        let rules = windowed() + &immediate();
        let (once, often) = (play(&rules, &story, false, None), play(&rules, &story, true, None));
        prop_assert_eq!(shown(&once.out.signals), shown(&often.out.signals));
        prop_assert_eq!(format!("{:?}", once.out.derived), format!("{:?}", often.out.derived));
        let again = play(&rules, &story, false, None);
        prop_assert_eq!(shown(&once.out.signals), shown(&again.out.signals), "a second run");
    }

    #[test]
    fn a_reload_of_the_same_rules_changes_nothing(story in story(90), place in any::<prop::sample::Index>()) {
        let rules = windowed() + &immediate();
        let place = place.index(story.len());
        prop_assert_eq!(shown(&play(&rules, &story, false, None).out.signals), shown(&play(&rules, &story, false, Some(place)).out.signals));
    }

    #[test]
    fn the_order_of_arrival_within_the_disorder_does_not_matter(story in story(0), seed in any::<u64>()) {
        let rules = windowed();
        let delay = |i: usize| (seed.wrapping_mul(2 * i as u64 + 1).rotate_left(17) % 110) as i64;
        let (in_order, mixed) = (play_arrivals(&rules, &story, |_| 0), play_arrivals(&rules, &story, delay));
        prop_assert_eq!(mixed.out.corrections, 0);
        prop_assert_eq!(by_key(in_order.out.signals), by_key(mixed.out.signals));
    }

    #[test]
    fn whatever_the_order_what_stands_in_the_end_is_the_same(story in story(0), seed in any::<u64>()) {
        // With hysteresis the way there matters; without it only the newest reading.
        let rules = rule("gauge", "from = \"level\"\nwhen = \"value >= 2\"\nfor = \"10m\"")
            + &rule("state", "from = \"calls\"\nwhen = \"kind = 'c'\"")
            + &rule("early", "from = \"level\"\nwindow = { tumbling = \"10m\" }\nselect = { top = \"max(value)\" }\nwhen = \"top >= 2\"\nearly = true");
        let delay = |i: usize| (seed.wrapping_mul(2 * i as u64 + 1).rotate_left(17) % 110) as i64;
        let stands = |city: City| {
            let mut open = std::collections::BTreeSet::new();
            for signal in city.out.signals {
                match signal.kind {
                    SignalKind::Raise { .. } => { open.insert((signal.rule, signal.key)); }
                    SignalKind::Clear => { open.remove(&(signal.rule, signal.key)); }
                    _ => {}
                }
            }
            open
        };
        prop_assert_eq!(stands(play_arrivals(&rules, &story, |_| 0)), stands(play_arrivals(&rules, &story, delay)));
    }

    #[test]
    fn nothing_lasts_for_ever(story in story(90)) {
        let rules = windowed() + &immediate().replace("kind = 'c'", "kind = 'never'");
        let mut city = play(&rules, &story, false, None);
        let end = story.iter().map(|step| step.wait).sum::<i64>();
        city.pass(at(end + 10 * 24 * 3600));
        let held = city.engine.held();
        // Registered gauges, and the derived and unregistered gauges that were ever heard; no occurrence.
        prop_assert!(held.keys <= 5 + 2 + 1 + 4 + 1 + 8 && held.events == 0, "{:?}", held);
    }
}

#[test]
fn a_tick_at_the_moment_of_a_reading_comes_after_it() {
    let rules = rule("high", "from = \"level\"\nwhen = \"value >= 2\"\nfor = \"10m\"");
    let mut city = City::new(&rules);
    // The delay ends when the reading that ends it arrives: it is heard first.
    city.give(0, "level/a", "value=3");
    city.arrives(12, 10, "level/a", "value=1");
    city.until(60);
    assert!(!city.told().iter().any(|told| told.contains("raise")), "{:?}", city.told());
}
