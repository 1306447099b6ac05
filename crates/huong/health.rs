//! The store's health: what the writer says of its disk, and the thread that tells the rules of it, as readings of the stream
//! `processor_disk` under the key `store`, and keeps the store's size for the metrics.
//!
//! Invariant: it only reads, so its alarms come when nothing can be written any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use huong_flow::{Counter, Ring, Stop};
use huong_ingest::ShedReason;
use huong_store::{StoreConfig, StoreError, disk_room, usage};
use huong_types::{Field, Inbound, Name, Origin, Reading, Timestamp};

use crate::shared::Shared;

/// How often the room is told: the forecast looks at hours.
const TOLD: Duration = Duration::from_secs(30);
/// How often the store's size is looked at.
const SIZED: Duration = Duration::from_secs(10);
/// How soon a failure is: an alarm of seconds ago is as good as one of now.
const LOOK: Duration = Duration::from_millis(250);

/// What the writer says, for whoever asks.
#[derive(Default)]
pub(crate) struct DiskHealth {
    failing: AtomicBool,
    out_of_room: AtomicBool,
    /// Encoded bytes that the disk has not taken.
    held: AtomicU64,
    /// Commits that failed.
    pub(crate) failures: Counter,
    /// Alert transitions told before they were on disk.
    pub(crate) from_memory: Counter,
}

impl DiskHealth {
    /// A commit failed: `held` bytes wait.
    pub(crate) fn failed(&self, error: &StoreError, held: usize) {
        self.failures.add(1);
        self.held.store(held as u64, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the disk refuses the log: nothing is acknowledged until it takes it, alarms go on from memory");
        }
    }

    pub(crate) fn works(&self) {
        self.out_of_room.store(false, Ordering::Relaxed);
        self.held.store(0, Ordering::Relaxed);
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::warn!(failures = self.failures.get(), "the disk takes the log again: all that waited is stored, nothing was lost");
        }
    }

    /// While it fails: so much waits, and there is room for more or not.
    pub(crate) fn holds(&self, held: usize, room: bool) {
        self.held.store(held as u64, Ordering::Relaxed);
        if self.out_of_room.swap(!room, Ordering::Relaxed) == room && !room {
            tracing::error!(
                held,
                "the memory for what the disk refuses is used up: nothing more is taken in, the broker keeps it; no new alarms"
            );
        }
    }

    pub(crate) fn is_out_of_room(&self) -> bool {
        self.out_of_room.load(Ordering::Relaxed)
    }
}

/// The thread: tells every half minute, and at once when the disk begins or ceases to refuse, or a further quarter of the memory is used.
pub(crate) fn run(config: &StoreConfig, ring: &Ring<Inbound>, shared: &Shared, stop: &Stop) {
    let mut told: Option<(Instant, (bool, u8))> = None;
    let (mut sized, mut unreadable): (Option<Instant>, bool) = (None, false);
    while !stop.is_set() {
        if sized.is_none_or(|at| at.elapsed() >= SIZED) {
            sized = Some(Instant::now());
            match usage(&config.dir) {
                Ok(usage) => shared.store.usage.store(Arc::new(usage)),
                Err(error) => tracing::warn!(%error, "the store's size cannot be told"),
            }
        }
        let failing = shared.disk.failing.load(Ordering::Relaxed);
        let held = (shared.disk.held.load(Ordering::Relaxed) as f64 / config.hold_bytes as f64).min(1.0);
        // The memory may be used up before the half minute is.
        let state = (failing, (held * 4.0) as u8);
        if told.is_none_or(|(at, before)| at.elapsed() >= TOLD || before != state) {
            told = Some((Instant::now(), state));
            let room = disk_room(config);
            if let Err(error) = &room
                && !unreadable
            {
                tracing::error!(%error, "how full the disk is cannot be found out");
            }
            unreadable = room.is_err();
            let mut fields = vec![("failing", f64::from(u8::from(failing))), ("held_share", held)];
            if let Ok(room) = room {
                fields.extend([("free_bytes", room.free as f64), ("free_share", room.free as f64 / room.total.max(1) as f64)]);
            }
            shared.told.add(1);
            // A full ring means that the brain waits for the writer: this one has nothing new to say.
            if let Err(back) = ring.push(inbound(&fields, shared.clock.now())) {
                shared.ingest.shed.add(&back, ShedReason::Full);
            }
        }
        std::thread::park_timeout(LOOK);
    }
}

fn inbound(fields: &[(&str, f64)], now: Timestamp) -> Inbound {
    let reading = Reading {
        stream: "processor_disk".into(),
        key: "store".into(),
        at: now,
        received: now,
        fields: fields.iter().map(|(name, value)| Field::ok(Name::new(name), *value)).collect(),
        source: "processor".into(),
        origin: Origin::Sensor,
        orphan: false,
    };
    Inbound { readings: [reading].into_iter().collect(), ..Inbound::default() }
}
