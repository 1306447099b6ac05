//! Every interleaving of the hand-over protocol, as far as loom can reach. Run with
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p huong-flow --test loom --release`.
#![cfg(loom)]

use std::time::Duration;

use huong_flow::{Mailbox, Published, Ring, Stop};
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

/// Loom's parks have no timeout: a lost wake-up deadlocks and is reported.
const FOREVER: Duration = Duration::MAX;

fn check(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    // Faults of such protocols need few preemptions; an unbounded search of three threads does not end.
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Takes until `stop` is set and nothing is left, sleeping between.
fn drain(mailbox: &Mailbox<u32>, stop: &Stop) -> Vec<(usize, u32)> {
    let mut seen = Vec::new();
    mailbox.waker().register();
    loop {
        // Read before looking: a value published before the stop is found by the look that follows.
        let stopping = stop.is_set();
        match mailbox.take() {
            Some(item) => seen.push(item),
            None if stopping => return seen,
            None => mailbox.waker().wait(FOREVER),
        }
    }
}

fn publish_all(mailbox: &Mailbox<u32>, slot: usize, values: &[u32]) -> usize {
    values.iter().filter(|&&value| mailbox.publish(slot, value) == Published::Replaced).count()
}

/// One slot's values arrive in order, the newest among them, and none is lost or seen twice.
fn assert_conserved(mailbox: &Mailbox<u32>, seen: &[(usize, u32)], slots: usize, last: u32, replaced: usize) {
    assert_eq!(seen.len() as u64 + mailbox.replaced(), mailbox.published());
    assert_eq!(replaced as u64, mailbox.replaced());
    assert_eq!(mailbox.waiting(), 0);
    for slot in 0..slots {
        let values: Vec<u32> = seen.iter().filter(|(s, _)| *s == slot).map(|(_, v)| *v).collect();
        assert!(values.is_sorted_by(|a, b| a < b), "slot {slot}: {values:?}");
        assert_eq!(values.last(), Some(&last), "slot {slot}");
    }
}

#[test]
fn one_camera_newest_wins_and_the_sleeper_wakes() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(1));
        let stop = Stop::new();
        let consumer = {
            let (mailbox, stop) = (mailbox.clone(), stop.clone());
            thread::spawn(move || drain(&mailbox, &stop))
        };
        let replaced = publish_all(&mailbox, 0, &[1, 2, 3]);
        stop.set();
        mailbox.waker().wake();
        let seen = consumer.join().expect("the consumer only fails an assertion");
        assert_conserved(&mailbox, &seen, 1, 3, replaced);
    });
}

#[test]
fn a_claimed_slot_gives_the_newest_and_is_queued_again_after() {
    check(|| {
        let mailbox = Arc::new(Mailbox::with_lanes(2, 2));
        let consumer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                mailbox.waker_of(1).register();
                let mut newest = 0;
                while newest != 2 {
                    match mailbox.claim(1) {
                        Some(slot) => newest = mailbox.collect(slot).expect("a claimed slot is full"),
                        None => mailbox.waker_of(1).wait(FOREVER),
                    }
                }
            })
        };
        publish_all(&mailbox, 1, &[1, 2]);
        consumer.join().expect("the consumer asserts that the slot is full");
        assert_eq!(mailbox.waiting(), 0);
    });
}

#[test]
fn a_published_frame_alone_wakes_the_sleeper() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(2));
        let consumer = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                mailbox.waker().register();
                let mut newest = [0, 0];
                // Ends only when the last value of both cameras has come, with no other wake-up than those of `publish`.
                while newest != [2, 1] {
                    match mailbox.take() {
                        Some((slot, value)) => newest[slot] = value,
                        None => mailbox.waker().wait(FOREVER),
                    }
                }
            })
        };
        publish_all(&mailbox, 0, &[1, 2]);
        publish_all(&mailbox, 1, &[1]);
        consumer.join().expect("the consumer asserts nothing");
        assert_eq!(mailbox.waiting(), 0);
    });
}

#[test]
fn two_producers_two_cameras_one_consumer() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(2));
        let stop = Stop::new();
        let consumer = {
            let (mailbox, stop) = (mailbox.clone(), stop.clone());
            thread::spawn(move || drain(&mailbox, &stop))
        };
        let other = {
            let mailbox = mailbox.clone();
            thread::spawn(move || publish_all(&mailbox, 1, &[1, 2]))
        };
        let mut replaced = publish_all(&mailbox, 0, &[1, 2]);
        replaced += other.join().expect("the producer asserts nothing");
        stop.set();
        mailbox.waker().wake();
        let seen = consumer.join().expect("the consumer only fails an assertion");
        assert_conserved(&mailbox, &seen, 2, 2, replaced);
    });
}

#[test]
fn two_consumers_share_one_camera() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(1));
        let stop = Stop::new();
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let (mailbox, stop) = (mailbox.clone(), stop.clone());
                thread::spawn(move || drain(&mailbox, &stop))
            })
            .collect();
        let replaced = publish_all(&mailbox, 0, &[1, 2]);
        stop.set();
        mailbox.waker().wake();
        let each: Vec<_> = consumers.into_iter().map(|c| c.join().expect("the consumer only fails an assertion")).collect();
        for seen in &each {
            assert!(seen.is_sorted(), "one consumer never goes back in time: {seen:?}");
        }
        let mut seen = each.concat();
        seen.sort_unstable();
        assert_conserved(&mailbox, &seen, 1, 2, replaced);
    });
}

#[test]
fn a_ring_gives_each_reading_once_in_order_and_refuses_when_full() {
    check(|| {
        let ring = Arc::new(Ring::new(2));
        let consumer = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.waker().register();
                let mut seen = Vec::new();
                while seen.len() < 3 {
                    match ring.pop() {
                        Some(value) => seen.push(value),
                        None => ring.waker().wait(FOREVER),
                    }
                }
                seen
            })
        };
        let mut value = 1;
        while value <= 3 {
            // What a full ring hands back is what was given, and is given again: nothing is lost.
            match ring.push(value) {
                Ok(()) => value += 1,
                Err(back) => {
                    assert_eq!(back, value);
                    thread::yield_now();
                }
            }
        }
        assert_eq!(consumer.join().expect("the consumer asserts nothing"), vec![1, 2, 3]);
        assert!(ring.is_empty());
    });
}
