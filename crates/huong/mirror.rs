//! Wires the mirror to the running system: where it follows from, and the processor's figures as points.

use std::sync::Arc;

use anyhow::{Context, Result};
use huong_flow::Stop;
use huong_mirror::{MirrorConfig, Sample, Setup, start_mirror};
use huong_store::{Committed, TransitionTail};
use huong_types::{Name, Stream};

use crate::config::Config;
use crate::metrics::load_figures;
use crate::shared::Shared;

/// What the mirror follows; taken from the writer before its thread owns it.
pub(crate) struct Followed {
    pub(crate) committed: Arc<Committed>,
    pub(crate) transitions: Arc<TransitionTail>,
    /// The last transition journalled before this start.
    pub(crate) newest_transition: u64,
}

/// Starts the mirror when one is configured; `shared` tells of it from then on.
pub(crate) fn start(config: &Config, followed: Followed, shared: &Arc<Shared>, stop: &Stop) -> Result<()> {
    let Some(mirror) = &config.mirror else { return Ok(()) };
    let (mirror, streams): (MirrorConfig, &[Stream]) = (mirror.clone(), &config.streams);
    let Followed { committed, transitions, newest_transition } = followed;
    // The mirror is held by what it looks at, so it must not hold that in turn.
    let figures = Arc::downgrade(shared);
    let sample = Box::new(move || figures.upgrade().map(|shared| samples(&shared)).unwrap_or_default());
    let (dir, clock) = (config.store.dir.join("mirror"), shared.clock.shared());
    let setup = Setup { dir, committed, transitions, newest_transition, streams, clock, sample };
    let running = start_mirror(mirror, setup, stop.clone()).context("the mirror cannot be started")?;
    shared.mirror.store(Some(Arc::new(running)));
    Ok(())
}

/// Ledger, latency and load.
fn samples(shared: &Shared) -> Vec<Sample> {
    let of = |name: &Option<Name>| name.clone().unwrap_or_else(|| Name::new("?"));
    let ledger = shared.accounts().into_iter().map(|account| Sample {
        measurement: "huong_ledger",
        tags: vec![("source", of(&account.source)), ("stream", of(&account.stream))],
        fields: vec![
            ("received", account.received as f64),
            ("stored", account.stored as f64),
            ("rejected", account.rejected.values().sum::<u64>() as f64),
            ("shed", account.shed.values().sum::<u64>() as f64),
            ("in_flight", account.in_flight as f64),
        ],
    });
    let latency = shared.latency.load().as_deref().map(|latency| Sample {
        measurement: "huong_latency",
        tags: Vec::new(),
        fields: vec![("p50_ms", latency.p50), ("p99_ms", latency.p99)],
    });
    let load = Sample { measurement: "huong_load", tags: Vec::new(), fields: load_figures(shared).to_vec() };
    ledger.chain(latency).chain([load]).collect()
}
