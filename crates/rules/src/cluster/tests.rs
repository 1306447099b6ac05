//! Calls from a flooded city, and properties of any calls.

use proptest::prelude::*;

use super::*;

const SPEC: ClusterSpec = ClusterSpec { events: 5, radius_m: 300.0, within: Span::from_mins(30) };

fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 60_000)
}

/// Metres north and east of the Trường Tiền bridge, about.
fn place(north: f64, east: f64) -> (f64, f64) {
    (16.4690 + north / 111_195.0, 107.5890 + east / 106_630.0)
}

struct Bench {
    clusters: Clusters,
    out: Vec<Change>,
}

impl Bench {
    fn new() -> Self {
        Self { clusters: Clusters::new(), out: Vec::new() }
    }

    fn call(&mut self, at: i64, (lat, lon): (f64, f64), class: &str) -> Vec<(ChangeKind, u32)> {
        let before = self.out.len();
        self.clusters.on_event(&SPEC, minute(at), lat, lon, class, &mut self.out);
        self.out[before..].iter().map(|change| (change.kind, change.n)).collect()
    }

    fn expire(&mut self, at: i64) -> Vec<(ChangeKind, i64, u32)> {
        let before = self.out.len();
        self.clusters.expire(&SPEC, minute(at), &mut self.out);
        self.out[before..].iter().map(|change| (change.kind, change.at.as_millis() / 60_000, change.n)).collect()
    }

    fn count(&self, kind: ChangeKind) -> usize {
        self.out.iter().filter(|change| change.kind == kind).count()
    }
}

use ChangeKind::{Ended, Formed, Grown};

#[test]
fn five_calls_from_one_street_are_a_cluster_until_four_are_left() {
    let mut bench = Bench::new();
    for (at, north) in [(0, 0.0), (5, 50.0), (10, 100.0), (15, 150.0)] {
        assert_eq!(bench.call(at, place(north, 0.0), "rescue"), []);
        assert_eq!(bench.clusters.next_deadline(), Some(minute(60)), "to forget the first");
    }
    assert_eq!(bench.call(20, place(200.0, 0.0), "rescue"), [(Formed, 5)]);
    let formed = bench.out[0].clone();
    assert_eq!(formed.id, "rescue@16.4690,107.5890");
    assert_eq!(formed.at, minute(20));
    let middle = place(100.0, 0.0);
    assert!(geo::distance_m((formed.lat, formed.lon), middle) < 0.1 && (formed.radius_m - 100.0).abs() < 0.5, "{formed:?}");
    assert_eq!(bench.clusters.next_deadline(), Some(minute(30)));

    assert_eq!(bench.expire(25), []);
    assert_eq!(bench.call(26, place(-250.0, 0.0), "rescue"), [(Grown, 6)]);
    assert_eq!(bench.clusters.next_deadline(), Some(minute(35)), "one may go");
    assert_eq!(bench.call(27, place(350.0, 0.0), "rescue"), [], "too far from the founder, near as it is to a member");
    assert_eq!(bench.expire(34), []);
    assert_eq!(bench.expire(50), [(Ended, 35, 4)]);
    assert_eq!(bench.out.last().map(|change| change.id.clone()), Some(formed.id));
    assert_eq!(bench.clusters.next_deadline(), Some(minute(86)), "to forget the call at 26");
    bench.expire(86);
    assert!(bench.clusters.classes.is_empty(), "nothing is kept for nothing");
    assert_eq!(bench.clusters.next_deadline(), None);
}

#[test]
fn what_is_no_cluster() {
    type Call = (i64, f64, &'static str);
    let table: [(&str, [Call; 5]); 3] = [
        ("over too long a time", [(0, 0.0, "a"), (8, 0.0, "a"), (16, 0.0, "a"), (24, 0.0, "a"), (30, 0.0, "a")]),
        ("too far apart", [(0, 0.0, "a"), (1, 160.0, "a"), (2, 320.0, "a"), (3, 480.0, "a"), (4, 640.0, "a")]),
        ("of two kinds", [(0, 0.0, "a"), (1, 0.0, "a"), (2, 0.0, "b"), (3, 0.0, "a"), (4, 0.0, "a")]),
    ];
    for (name, calls) in table {
        let mut bench = Bench::new();
        for (at, north, class) in calls {
            assert_eq!(bench.call(at, place(north, 0.0), class), [], "{name}");
        }
    }
}

#[test]
fn two_streets_are_two_clusters() {
    let mut bench = Bench::new();
    for i in 0..5 {
        bench.call(i, place(0.0, i as f64), "a");
        bench.call(i, place(700.0, i as f64), "a");
    }
    let ids: Vec<&str> = bench.out.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["a@16.4690,107.5890", "a@16.4753,107.5890"]);
}

#[test]
fn calls_that_go_on_are_one_cluster_and_a_new_wave_another() {
    let mut bench = Bench::new();
    for at in 0..100 {
        bench.call(at, place(0.0, (at % 7) as f64), "a");
        bench.expire(at - 1);
    }
    assert_eq!((bench.count(Formed), bench.count(Ended)), (1, 0));
    assert_eq!(bench.expire(200), [(Ended, 125, 4)]);
    for at in 300..305 {
        bench.call(at, place(0.0, 0.0), "a");
    }
    assert_eq!((bench.count(Formed), bench.count(Ended)), (2, 1));
}

#[test]
fn what_an_ended_cluster_leaves_founds_the_next_with_what_came_since() {
    let mut bench = Bench::new();
    for at in [0, 8, 16, 24, 28] {
        bench.call(at, place(0.0, 0.0), "a");
    }
    // Two more after the end, before the watermark has reached it.
    assert_eq!(bench.call(31, place(0.0, 10.0), "a"), []);
    assert_eq!(bench.call(32, place(0.0, 20.0), "a"), []);
    assert_eq!(bench.expire(33), [(Ended, 30, 4), (Formed, 32, 6)]);
}

#[test]
fn an_event_too_many_is_counted() {
    let mut bench = Bench::new();
    for i in 0..10_003 {
        bench.call(0, place(f64::from(i) * 1000.0 % 90_000.0, f64::from(i / 90) * 700.0), "a");
    }
    assert_eq!(bench.clusters.ignored(), 3);
    bench.expire(40);
    bench.call(40, place(0.0, 0.0), "a");
    assert_eq!((bench.clusters.ignored(), bench.clusters.kept), (3, 1));
}

#[test]
fn specifications_without_sense_are_refused() {
    assert_eq!(SPEC.check(), Ok(()));
    assert_eq!(ClusterSpec { events: 1, ..SPEC }.check(), Err("events = 1, expected at least 2".to_owned()));
    assert_eq!(ClusterSpec { radius_m: f64::NAN, ..SPEC }.check(), Err("radius_m = NaN, expected 20 to 50000".to_owned()));
    assert_eq!(ClusterSpec { within: Span::ZERO, ..SPEC }.check(), Err("within = `0s`, expected longer than nothing".to_owned()));
}

/// Minutes by which calls may come out of order.
const DISORDER: i64 = 7;

type Call = (i64, f64, f64);

/// Discs, by their centre's position, in which N calls lie within T, the centre being one of them.
fn qualifying(calls: &[Call]) -> Vec<Vec<usize>> {
    let near = |a: &Call, b: &Call| geo::distance_m(place(a.1, a.2), place(b.1, b.2)) <= SPEC.radius_m;
    let mut discs = Vec::new();
    for centre in calls {
        let mut inside: Vec<usize> = (0..calls.len()).filter(|i| near(centre, &calls[*i])).collect();
        inside.sort_by_key(|i| calls[*i].0);
        for few in inside.windows(SPEC.events as usize) {
            let (first, last) = (calls[few[0]].0, calls[few[few.len() - 1]].0);
            if last - first < 30 && (first..=last).contains(&centre.0) {
                discs.push(few.to_vec());
            }
        }
    }
    discs
}

fn shuffled(calls: &[Call], seed: u64) -> Vec<Call> {
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
    order.into_iter().map(|i| calls[i]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_bunch_ends_the_same_in_any_order_within_the_disorder(
        calls in prop::collection::vec((0..150i64, 0.0..200.0f64, 0.0..200.0f64, 0..=DISORDER), 1..80),
    ) {
        // All within 283 m of one another.
        let run = |calls: &[(i64, f64, f64, i64)]| {
            let mut bench = Bench::new();
            let mut newest = 0;
            for (at, north, east, _) in calls {
                bench.call(*at, place(*north, *east), "a");
                newest = newest.max(*at);
                bench.expire(newest - DISORDER - 1);
            }
            bench.expire(1000);
            bench.out.into_iter().filter(|c| c.kind == Ended).map(|c| (c.at, c.n)).next_back()
        };
        let mut in_order = calls.clone();
        in_order.sort_by_key(|call| call.0);
        let mut as_arrived = calls;
        as_arrived.sort_by_key(|call| call.0 + call.3);
        prop_assert_eq!(run(&in_order), run(&as_arrived));
    }

    #[test]
    fn every_qualifying_disc_is_met_by_a_cluster_and_no_other(
        calls in prop::collection::vec((0..60i64, 0.0..2000.0f64, 0.0..2000.0f64), 1..120), seed in any::<u64>(),
    ) {
        let calls = shuffled(&calls, seed);
        let mut bench = Bench::new();
        for (at, north, east) in &calls {
            bench.call(*at, place(*north, *east), "a");
        }
        let discs = qualifying(&calls);
        prop_assert_eq!(bench.count(Formed) > 0, !discs.is_empty());
        let events = bench.clusters.classes.values().flat_map(|class| &class.events);
        let free: Vec<Call> = events.filter(|e| e.cluster.is_none()).map(|e| {
            let of = |call: &&Call| minute(call.0) == e.at && place(call.1, call.2) == e.place;
            *calls.iter().find(of).expect("one of ours")
        }).collect();
        // Around a centre that is still open a successor has to wait.
        let open: Vec<(f64, f64)> = bench.clusters.classes.values().flat_map(|class| &class.open).map(|c| c.centre).collect();
        for disc in qualifying(&free) {
            let blocked = disc.iter().any(|i| open.iter().any(|centre| geo::distance_m(*centre, place(free[*i].1, free[*i].2)) <= SPEC.radius_m));
            prop_assert!(blocked, "nobody took {disc:?}");
        }
    }

    #[test]
    fn in_time_clusters_are_open_exactly_as_long_as_enough_is_left(
        steps in prop::collection::vec((0..6i64, 0.0..1500.0f64, 0.0..1500.0f64, prop::bool::ANY), 1..250), lag in 0..4i64,
    ) {
        let mut bench = Bench::new();
        let mut now = 0;
        for (wait, north, east, class) in steps {
            now += wait;
            bench.call(now, place(north, east), if class { "a" } else { "b" });
            bench.expire(now - lag);
            for state in bench.clusters.classes.values() {
                for cluster in &state.open {
                    let of = state.events.iter().filter(|e| e.cluster == Some(cluster.serial));
                    let live = of.clone().filter(|e| e.at > minute(now - lag) - SPEC.within);
                    prop_assert!(live.count() >= SPEC.events as usize);
                    prop_assert!(of.clone().all(|e| geo::distance_m(e.place, cluster.centre) <= SPEC.radius_m));
                    prop_assert!(cluster.end > minute(now - lag));
                }
                let mut ids: Vec<&Name> = state.open.iter().map(|cluster| &cluster.id).collect();
                ids.sort();
                ids.dedup();
                prop_assert_eq!(ids.len(), state.open.len(), "no two of one name");
            }
        }
        bench.expire(now + 1000);
        prop_assert!(bench.clusters.classes.is_empty());
        let mut open: BTreeMap<Name, Timestamp> = BTreeMap::new();
        for change in &bench.out {
            match change.kind {
                Formed => prop_assert_eq!(open.insert(change.id.clone(), change.at), None),
                Grown => prop_assert!(open[&change.id] <= change.at),
                Ended => prop_assert!(open.remove(&change.id).is_some_and(|formed| formed < change.at)),
            }
            prop_assert_eq!(change.kind == Ended, change.n < SPEC.events);
            prop_assert!(change.radius_m <= 2.0 * SPEC.radius_m);
        }
        prop_assert!(open.is_empty());
    }
}
