//! The hand-over types on real threads; `tests/loom.rs` tries the interleavings.
#![cfg(not(loom))]

use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_flow::{Counter, Mailbox, Panicked, Published, Ring, Stop, Worker};
use proptest::prelude::*;

/// Generous: only a broken wake-up comes near it.
const DEADLINE: Duration = Duration::from_secs(20);

fn within_deadline(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if condition() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn the_newest_value_wins_and_cameras_are_served_in_turn() {
    let mailbox = Mailbox::new(3);
    assert_eq!(mailbox.publish(2, "c1"), Published::Stored);
    assert_eq!(mailbox.publish(0, "a1"), Published::Stored);
    assert_eq!(mailbox.publish(2, "c2"), Published::Replaced);
    assert_eq!(mailbox.waiting(), 2);
    assert_eq!(mailbox.take(), Some((2, "c2")));
    assert_eq!(mailbox.take(), Some((0, "a1")));
    assert_eq!(mailbox.take(), None);
    assert_eq!((mailbox.published(), mailbox.replaced(), mailbox.waiting()), (3, 1, 0));
}

#[test]
fn each_lane_has_its_own_cameras_and_what_is_claimed_is_still_replaced() {
    let mailbox = Mailbox::with_lanes(4, 2);
    for slot in 0..4 {
        mailbox.publish(slot, slot * 10);
    }
    assert_eq!([0, 0, 0].map(|lane| mailbox.claim(lane)), [Some(0), Some(2), None]);
    assert_eq!([1, 1, 1].map(|lane| mailbox.claim(lane)), [Some(1), Some(3), None]);
    assert_eq!(mailbox.publish(2, 21), Published::Replaced);
    assert_eq!((mailbox.collect(2), mailbox.claim(0)), (Some(21), None));
    assert_eq!(mailbox.publish(2, 22), Published::Stored);
    assert_eq!(mailbox.claim(0), Some(2));
}

#[test]
fn frames_are_conserved_between_many_threads() {
    const CAMERAS: usize = 5;
    const EACH: u64 = 20_000;
    let mailbox = Arc::new(Mailbox::new(CAMERAS));
    let stop = Stop::new();
    let taken = Arc::new(Counter::new());
    let consumers: Vec<Worker> = (0..2)
        .map(|i| {
            let (mailbox, stop, taken) = (mailbox.clone(), stop.clone(), taken.clone());
            Worker::spawn(&format!("consumer-{i}"), move || {
                mailbox.waker().register();
                let mut newest = [0u64; CAMERAS];
                loop {
                    let stopping = stop.is_set();
                    match mailbox.take() {
                        Some((camera, value)) => {
                            assert!(value > newest[camera], "camera {camera} went back to {value}");
                            newest[camera] = value;
                            taken.add(1);
                        }
                        None if stopping => return,
                        None => mailbox.waker().wait(DEADLINE),
                    }
                }
            })
            .expect("a thread")
        })
        .collect();
    let producers: Vec<Worker> = (0..CAMERAS)
        .map(|camera| {
            let mailbox = mailbox.clone();
            Worker::spawn(&format!("camera-{camera}"), move || {
                for value in 1..=EACH {
                    mailbox.publish(camera, value);
                }
            })
            .expect("a thread")
        })
        .collect();
    for producer in producers {
        producer.join().expect("publishing does not panic");
    }
    stop.set();
    mailbox.waker().wake();
    for consumer in consumers {
        consumer.join().expect("order holds");
    }
    assert_eq!(mailbox.published(), EACH * CAMERAS as u64);
    assert_eq!(taken.get() + mailbox.replaced(), mailbox.published());
}

#[test]
fn a_sleeping_consumer_is_woken_for_each_reading() {
    let ring = Arc::new(Ring::new(4));
    let seen = Arc::new(Counter::new());
    let consumer = {
        let (ring, seen) = (ring.clone(), seen.clone());
        Worker::spawn("brain", move || {
            ring.waker().register();
            for expected in 0..100u64 {
                let value = loop {
                    match ring.pop() {
                        Some(value) => break value,
                        None => ring.waker().wait(Duration::MAX),
                    }
                };
                assert_eq!(value, expected);
                seen.add(1);
            }
        })
        .expect("a thread")
    };
    for value in 0..100u64 {
        ring.push(value).expect("the consumer has taken the earlier ones");
        assert!(within_deadline(|| seen.get() > value), "reading {value} slept through");
    }
    consumer.join().expect("order holds");
}

#[test]
fn a_panic_is_told_by_the_flag_and_by_join() {
    let worker = Worker::spawn("vision-0", || panic!("no such {}", "luck")).expect("a thread");
    assert!(within_deadline(|| worker.is_finished() && worker.is_poisoned()));
    assert_eq!(worker.join(), Err(Panicked { name: "vision-0".into(), message: "no such luck".into() }));

    let worker = Worker::spawn("vision-1", || ()).expect("a thread");
    assert!(within_deadline(|| worker.is_finished()));
    assert!(!worker.is_poisoned());
    assert_eq!(worker.join(), Ok(()));
}

#[test]
fn stop_is_shared_by_its_clones() {
    let stop = Stop::new();
    let other = stop.clone();
    assert!(!other.is_set());
    stop.set();
    assert!(other.is_set());
}

proptest! {
    /// Against a plain model: a map of newest values and the order in which slots became full.
    #[test]
    fn a_mailbox_behaves_as_its_model(steps in prop::collection::vec(prop::option::of(0usize..4), 0..200)) {
        let mailbox = Mailbox::new(4);
        let mut order: Vec<usize> = Vec::new();
        let mut newest = [None; 4];
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Some(slot) => {
                    let expected = if newest[slot].replace(value).is_some() { Published::Replaced } else { Published::Stored };
                    if expected == Published::Stored {
                        order.push(slot);
                    }
                    prop_assert_eq!(mailbox.publish(slot, value), expected);
                }
                None => {
                    let expected = (!order.is_empty()).then(|| order.remove(0)).and_then(|slot| newest[slot].take().map(|v| (slot, v)));
                    prop_assert_eq!(mailbox.take(), expected);
                }
            }
            prop_assert_eq!(mailbox.waiting(), order.len());
        }
    }

    /// A ring takes exactly its capacity and gives back the very value it refuses.
    #[test]
    fn a_ring_is_bounded_and_first_in_first_out(capacity in 1usize..9, steps in prop::collection::vec(any::<bool>(), 0..100)) {
        let ring = Ring::new(capacity);
        let mut model = std::collections::VecDeque::new();
        for (value, push) in steps.into_iter().enumerate() {
            if push {
                let expected = if model.len() == capacity { Err(value) } else { model.push_back(value); Ok(()) };
                prop_assert_eq!(ring.push(value), expected);
            } else {
                prop_assert_eq!(ring.pop(), model.pop_front());
            }
            prop_assert_eq!(ring.len(), model.len());
        }
    }
}
