//! Everything that is counted, as the families of `/metrics`.
//!
//! Invariant: all figures are totals since the start or of this moment, read without waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use huong_flow::{Counter, Histogram};
use huong_store::Usage;
use huong_types::{AlertState, Severity, TransitionKind};
use huong_wall::{Family, Ledger};

use crate::ledger::{Tally, by_stream};
use crate::process::Process;
use crate::shared::{Shared, VisionStats};

/// From an idle disk to one that the alarms must not wait for, seconds.
const COMMIT: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// From receipt to decision, seconds.
const LATENCY: &[f64] = &[0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From a frame's arrival to the end of the look at it, seconds.
const AGE: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SEAL: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What the threads behind the brain count.
pub(crate) struct StoreStats {
    pub(crate) commit: Histogram,
    pub(crate) commit_bytes: Counter,
    /// From receipt to being on disk and told, of readings from sensors.
    pub(crate) latency: Histogram,
    pub(crate) transitions: Tally<TransitionKind>,
    pub(crate) segments_closed: Counter,
    pub(crate) seal: Histogram,
    pub(crate) seals_failed: Counter,
    pub(crate) usage: ArcSwap<Usage>,
}

/// What the start found and how long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) took: Duration,
    /// Through which windows were filled.
    pub(crate) readings: u64,
    pub(crate) cut_bytes: u64,
    pub(crate) damaged: u64,
}

impl Default for VisionStats {
    fn default() -> Self {
        let [inferred, gated, errors, observations, candidates, records, records_failed] = std::array::from_fn(|_| Counter::new());
        Self { inferred, gated, errors, observations, candidates, records, records_failed, age: Histogram::new(AGE) }
    }
}

impl Default for StoreStats {
    fn default() -> Self {
        Self {
            commit: Histogram::new(COMMIT),
            commit_bytes: Counter::new(),
            latency: Histogram::new(LATENCY),
            transitions: Tally::default(),
            segments_closed: Counter::new(),
            seal: Histogram::new(SEAL),
            seals_failed: Counter::new(),
            usage: ArcSwap::default(),
        }
    }
}

/// All families but the wall's own.
pub(crate) fn families(shared: &Shared) -> Vec<Family> {
    let mut all = vec![Family::gauge("huong_build_info", "The running version.").with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)];
    ledger(shared, &mut all);
    ingest(shared, &mut all);
    frames(shared, &mut all);
    brain(shared, &mut all);
    alerts(shared, &mut all);
    store(shared, &mut all);
    outside(shared, &mut all);
    process(&mut all);
    all
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::counter(name, help).with(&[], value as f64)
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
    Family::gauge(name, help).with(&[], value)
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn ledger(shared: &Shared, all: &mut Vec<Family>) {
    let accounts = shared.accounts();
    let mut readings = Family::counter("huong_readings_total", "Readings and refused parts by stream, source and what became of them.");
    let mut in_flight = Family::gauge("huong_readings_in_flight", "Received and not yet on disk.");
    let mut rejected = Family::counter("huong_rejected_total", "Refused parts by reason; they are in the table quarantine.");
    let mut shed = Family::counter("huong_shed_total", "What found no room, by reason.");
    for account in &accounts {
        let of = [("stream", account.stream.as_deref().unwrap_or("?")), ("source", account.source.as_deref().unwrap_or("?"))];
        let parts = [
            ("received", account.received),
            ("stored", account.stored),
            ("rejected", account.rejected.values().sum()),
            ("shed", account.shed.values().sum()),
        ];
        for (part, count) in parts {
            readings.add(&[of[0], of[1], ("part", part)], count as f64);
        }
        in_flight.add(&of, account.in_flight as f64);
        for (family, reasons) in [(&mut rejected, &account.rejected), (&mut shed, &account.shed)] {
            reasons.iter().for_each(|(reason, count)| family.add(&[of[0], of[1], ("reason", reason)], *count as f64));
        }
    }
    let mut balanced = Family::gauge("huong_ledger_balanced", "1 when received = stored + rejected + shed + in flight.");
    for (stream, ledger) in by_stream(&accounts) {
        balanced.add(&[("stream", &stream)], truth(Ledger::balanced(&ledger)));
    }
    all.extend([readings, in_flight, rejected, shed, balanced]);
}

fn ingest(shared: &Shared, all: &mut Vec<Family>) {
    let stats = &shared.ingest;
    let mut messages = Family::counter("huong_messages_total", "MQTT messages received.");
    let mut bytes = Family::counter("huong_message_bytes_total", "Bytes of their payloads.");
    let mut connects = Family::counter("huong_broker_connects_total", "Connections made to the broker.");
    let mut faults = Family::counter("huong_broker_faults_total", "Connections, or attempts to make one, that ended in an error.");
    let mut oversized = Family::counter("huong_broker_oversized_total", "Packets above the limit that ended a connection.");
    let mut connected = Family::gauge("huong_broker_connected", "1 when connected and subscribed.");
    for (link, stats) in [("readings", &stats.readings), ("frames", &stats.frames)] {
        let link = [("link", link)];
        messages.add(&link, stats.messages.get() as f64);
        bytes.add(&link, stats.bytes.get() as f64);
        connects.add(&link, stats.connects.get() as f64);
        faults.add(&link, stats.faults.get() as f64);
        oversized.add(&link, stats.oversized.get() as f64);
        connected.add(&link, truth(stats.connected()));
    }
    all.extend([messages, bytes, connects, faults, oversized, connected]);
    all.extend([
        counter("huong_decoded_total", "Readings decoded and handed to the rules.", stats.decoded.get()),
        counter("huong_refused_total", "Messages or parts of them refused while decoding.", stats.rejected.get()),
        counter(
            "huong_void_acks_total",
            "Acknowledgements too late for their connection; the broker sends those again.",
            stats.void_acks.get(),
        ),
        counter(
            "huong_commands_unsent_total",
            "Commands to senders' devices that found no connection or no room.",
            stats.readings.unsent.get(),
        ),
        counter("huong_posts_total", "Posts of cameras that are kept.", stats.posts.get()),
        counter("huong_posts_lost_total", "Posts of cameras that could not be kept.", stats.posts_lost.get()),
    ]);
}

fn frames(shared: &Shared, all: &mut Vec<Family>) {
    let vision = &shared.vision;
    let mut frames = Family::counter("huong_frames_total", "Frames by what became of them.");
    for (part, count) in [
        ("received", shared.mailbox.published()),
        ("replaced", shared.mailbox.replaced()),
        ("inferred", vision.inferred.get()),
        ("gated", vision.gated.get()),
        ("errors", vision.errors.get()),
    ] {
        frames.add(&[("part", part)], count as f64);
    }
    all.extend([
        frames,
        gauge("huong_frames_waiting", "Cameras whose newest frame waits to be looked at.", shared.mailbox.waiting() as f64),
        counter("huong_observations_total", "Readings made of frames.", vision.observations.get()),
        counter("huong_candidates_total", "Candidates of violations and waste, void ones included.", vision.candidates.get()),
        counter("huong_records_total", "Candidates that became records of evidence.", vision.records.get()),
        counter("huong_records_failed_total", "Candidates that could not be kept: lost.", vision.records_failed.get()),
        Family::histogram("huong_frame_age_seconds", "From a frame's arrival to the end of the look at it.", &vision.age.read()),
    ]);
}

fn brain(shared: &Shared, all: &mut Vec<Family>) {
    let mut waiting = Family::gauge("huong_queue_length", "What waits between two threads.");
    let mut places = Family::gauge("huong_queue_capacity", "Places in that queue.");
    for (queue, length, capacity) in [
        ("readings", shared.ring.len(), shared.ring.capacity()),
        ("batches", shared.batches.len(), shared.batches.capacity()),
        ("orders", shared.commands.len(), shared.commands.capacity()),
    ] {
        waiting.add(&[("queue", queue)], length as f64);
        places.add(&[("queue", queue)], capacity as f64);
    }
    let reload = &shared.reload;
    let reloads = Family::counter("huong_rules_reload_total", "Changed files of rules, taken or refused for their mistakes.")
        .with(&[("result", "taken")], reload.taken.get() as f64)
        .with(&[("result", "refused")], reload.refused.get() as f64);
    all.extend([
        waiting,
        places,
        counter("huong_orphan_readings_total", "Readings of stations that the registry does not list.", shared.orphans.get()),
        counter("huong_derived_readings_total", "Readings that rules computed.", shared.derived.get()),
        counter("huong_windows_corrected_total", "Windows that late readings changed after they were judged.", shared.corrected.get()),
        reloads,
        gauge(
            "huong_rules_current",
            "0 when older rules than those in the folder run, because these have mistakes.",
            truth(!reload.is_broken()),
        ),
    ]);
}

fn alerts(shared: &Shared, all: &mut Vec<Family>) {
    let mut counts: BTreeMap<(Severity, AlertState), u64> = BTreeMap::new();
    for alert in shared.open.load().iter() {
        *counts.entry((alert.severity, alert.state)).or_default() += 1;
    }
    let mut alerts = Family::gauge("huong_alerts", "Alerts that hold or wait, by severity and state.");
    for severity in Severity::ALL {
        for state in AlertState::ALL.into_iter().filter(|state| *state != AlertState::Cleared) {
            let count = counts.get(&(severity, state)).copied().unwrap_or(0);
            alerts.add(&[("severity", severity.as_str()), ("state", state.as_str())], count as f64);
        }
    }
    let mut steps = Family::counter("huong_alert_steps_total", "Steps of alerts' lives that were journalled, by kind.");
    for (kind, count) in shared.store.transitions.read() {
        steps.add(&[("kind", kind.as_str())], count as f64);
    }
    let mut load = Family::gauge("huong_alarm_load", "What the alarms ask of an operator; see the figure's name in the manual.");
    for (figure, value) in load_figures(shared) {
        load.add(&[("figure", figure)], value);
    }
    let mut missed = Family::gauge("huong_alarm_target_missed", "1 for each target of the load that is missed.");
    shared.load.load().missed.iter().for_each(|target| missed.add(&[("target", target)], 1.0));
    all.extend([alerts, steps, load, missed]);
}

/// The load on an operator, by the names that metrics and mirror share.
pub(crate) fn load_figures(shared: &Shared) -> [(&'static str, f64); 13] {
    let load = shared.load.load();
    [
        ("last_10_min", load.last_10_min),
        ("last_hour", load.last_hour),
        ("per_hour", load.per_hour),
        ("standing", load.standing.into()),
        ("unacknowledged", load.unacknowledged.into()),
        ("chattering", load.chattering.into()),
        ("stale", load.stale.into()),
        ("shelved", load.shelved.into()),
        ("suppressed", load.suppressed.into()),
        ("grouped", load.grouped.into()),
        ("top_share", load.top_share),
        ("in_flood", truth(load.in_flood)),
        ("flood_share", load.flood_share),
    ]
}

fn store(shared: &Shared, all: &mut Vec<Family>) {
    let (stats, recovery) = (&shared.store, &shared.recovery);
    let usage = stats.usage.load();
    all.extend([
        Family::histogram(
            "huong_decision_latency_seconds",
            "From receipt to on disk and told, of sensors' readings.",
            &stats.latency.read(),
        ),
        Family::histogram("huong_commit_seconds", "Group commits of the log: write and fsync.", &stats.commit.read()),
        counter("huong_commit_bytes_total", "Bytes committed to the log.", stats.commit_bytes.get()),
        counter(
            "huong_commit_failures_total",
            "Commits that the disk refused; what they held is written anew.",
            shared.disk.failures.get(),
        ),
        counter("huong_told_from_memory_total", "Steps of alerts told before they were on disk.", shared.disk.from_memory.get()),
        counter("huong_segments_closed_total", "Segments of the log that were closed.", stats.segments_closed.get()),
        Family::histogram("huong_seal_seconds", "Seals of closed segments into parts.", &stats.seal.read()),
        counter("huong_seals_failed_total", "Seals that failed; the segment stays readable as a log.", stats.seals_failed.get()),
        gauge("huong_log_segments", "Segments that are not sealed.", usage.segments as f64),
        gauge("huong_log_bytes", "Bytes of these segments.", usage.log_bytes as f64),
        gauge("huong_parts", "Sealed parts.", usage.parts as f64),
        gauge("huong_part_rows", "Rows of the sealed parts.", usage.part_rows as f64),
        gauge("huong_part_bytes", "Bytes of the sealed parts.", usage.part_bytes as f64),
        gauge("huong_disk_free_bytes", "Free bytes of the store's file system.", usage.free_bytes as f64),
        gauge("huong_disk_size_bytes", "Bytes of the store's file system.", usage.disk_bytes as f64),
        gauge("huong_recovery_seconds", "How long the last start took to read the past.", recovery.took.as_secs_f64()),
        gauge("huong_recovery_readings", "Readings replayed by the last start.", recovery.readings as f64),
        gauge("huong_recovery_cut_bytes", "Bytes of an unfinished commit that the last start cut off.", recovery.cut_bytes as f64),
        gauge("huong_recovery_damaged_records", "Records that the last start could not read.", recovery.damaged as f64),
    ]);
}

fn outside(shared: &Shared, all: &mut Vec<Family>) {
    let mut sink = Family::counter("huong_sink_total", "Steps of alerts by sink and what became of them.");
    let mut behind = Family::gauge("huong_sink_behind", "Steps journalled that the sink has not done with.");
    let mut failing = Family::gauge("huong_sink_failing", "1 when the sink's last attempt failed.");
    for figures in shared.sinks.load().as_ref().map(|sinks| sinks.figures()).unwrap_or_default() {
        let name = ("sink", figures.name.as_str());
        for (part, count) in [("delivered", figures.delivered), ("retries", figures.retries), ("dead_letters", figures.dead_letters)] {
            sink.add(&[name, ("part", part)], count as f64);
        }
        behind.add(&[name], figures.behind as f64);
        failing.add(&[name], truth(figures.failing.is_some()));
    }
    all.extend([sink, behind, failing]);
    if let Some(mirror) = shared.mirror.load().as_ref().map(|mirror| mirror.figures(shared.clock.now())) {
        all.extend([
            gauge("huong_mirror_behind_records", "Records on disk that the mirror has not done with.", mirror.behind as f64),
            gauge("huong_mirror_behind_seconds", "Age of the oldest reading that waits for the mirror's server.", mirror.behind_seconds),
            counter("huong_mirror_lines_total", "Lines that the mirror's server took.", mirror.sent),
            counter("huong_mirror_retries_total", "Attempts that failed and are made again.", mirror.retries),
            counter(
                "huong_mirror_skipped_records_total",
                "Records passed over: too old, too many, or gone from the store.",
                mirror.skipped,
            ),
            counter("huong_mirror_dead_letters_total", "Lines that the mirror's server refuses for good.", mirror.dead_letters),
            counter("huong_mirror_left_out_total", "Numbers that are not finite, which line protocol cannot carry.", mirror.left_out),
            gauge("huong_mirror_failing", "1 when the mirror's last attempt failed.", truth(mirror.failing.is_some())),
        ]);
    }
}

/// By the names that Prometheus' own client libraries give.
fn process(all: &mut Vec<Family>) {
    let process = Process::look();
    let mut add = |family: fn(&'static str, &'static str) -> Family, name, help, value: Option<f64>| {
        all.extend(value.map(|value| family(name, help).with(&[], value)));
    };
    add(Family::counter, "process_cpu_seconds_total", "CPU time of all threads.", process.cpu_seconds);
    add(Family::gauge, "process_resident_memory_bytes", "Resident memory.", process.resident_bytes.map(|bytes| bytes as f64));
    add(Family::gauge, "process_open_fds", "Open file descriptors.", process.open_files.map(|files| files as f64));
    add(Family::gauge, "process_threads", "Threads.", process.threads.map(|threads| threads as f64));
}
