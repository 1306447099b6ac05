//! Records and helpers for the tests of this crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use huong_types::{
    About, Ack, Alert, AlertState, Assigned, Cause, Check, Field, Flag, Name, Note, NoteKind, Origin, Quality, Reading, Reject,
    RejectReason, Severity, Shelf, Text, Timestamp, Transition, TransitionKind, Value,
};
use smallvec::smallvec;

use crate::segment::{self, Segment};
use crate::{
    Asker, ClosedSegment, Encoder, Format, Queries, QueryLimits, Record, StoreConfig, StoreError, Writer, replay_readings,
    transitions_after, transitions_of,
};

/// 2025-10-26T16:00:00Z, an hour before midnight in Huế.
pub(crate) const START: i64 = 1_761_494_400_000;

pub(crate) fn minute(n: i64) -> Timestamp {
    Timestamp::from_millis(START + n * 60_000)
}

/// The `n`th reading: three stations in turn, a value in 1/100 m, every ten minutes.
pub(crate) fn reading(n: u64) -> Record {
    Record::Reading(Reading {
        stream: "water_level".into(),
        key: ["kimlong", "phuoc", "thượng nhật"][n as usize % 3].into(),
        at: minute(10 * n as i64),
        received: minute(10 * n as i64 + 1),
        fields: smallvec![Field::ok("level".into(), n as f64 / 100.0)],
        source: "vrain".into(),
        origin: Origin::Sensor,
        orphan: n.is_multiple_of(3),
    })
}

/// Several fields, a text, flags, and the table observations.
pub(crate) fn observation(n: u64) -> Record {
    Record::Reading(Reading {
        stream: "vehicles".into(),
        key: "cam-1".into(),
        at: minute(n as i64),
        received: minute(n as i64),
        fields: smallvec![
            Field::ok("motorbike".into(), n as f64),
            Field { name: "car".into(), value: Value::Number(-0.0), quality: Quality::new(Flag::Suspect, Check::Step) },
            Field { name: "note".into(), value: Value::Text("mưa, \"kẹt xe\"".into()), quality: Quality::new(Flag::Late, Check::Late) },
        ],
        source: "yolox".into(),
        origin: Origin::Vision,
        orphan: false,
    })
}

pub(crate) fn refused(n: u64) -> Record {
    let reason = if n.is_multiple_of(2) { RejectReason::Malformed } else { RejectReason::Future };
    let stream = (!n.is_multiple_of(2)).then(|| Name::new("rain"));
    Record::Quarantined(Reject::new(reason, "field `value`: found `x`, expected a number").quarantine(
        minute(n as i64),
        "hue/x/y",
        None,
        stream,
        b"{\xff\0",
    ))
}

/// Raises alert `id` at sequence `seq`, or takes it to `state`.
pub(crate) fn transition(seq: u64, id: u64, state: AlertState) -> Record {
    let (kind, ack) = match state {
        AlertState::Open => (TransitionKind::Raised, None),
        AlertState::Acknowledged => (TransitionKind::Acknowledged, Some(Ack { by: "chị Lan".to_owned(), at: minute(seq as i64) })),
        _ => (TransitionKind::Cleared, None),
    };
    let at = minute(seq as i64);
    let alert = Alert {
        id: format!("river-bd2/kimlong/{id}").into(),
        about: About::Rule,
        rule: "river-bd2".into(),
        rule_version: "7f3a".into(),
        key: "kimlong".into(),
        stream: "water_level".into(),
        severity: Severity::Severe,
        state,
        pending: false,
        holds: state != AlertState::Cleared,
        stale_since: seq.is_multiple_of(2).then_some(at),
        since: minute(id as i64),
        raised: minute(id as i64 + 10),
        updated: at,
        ended: (state == AlertState::Cleared).then_some(at),
        values: [(Name::new("level"), 2.71), (Name::new("n"), 3.0)].into(),
        text: Text { vi: "Mực nước Kim Long 2,71 m".to_owned(), en: "Level at Kim Long 2.71 m".to_owned() },
        ack,
        assigned: seq.is_multiple_of(3).then(|| Assigned { to: "anh Bình".to_owned(), by: "chị Lan".to_owned(), at }),
        notes: (0..seq % 3).map(|_| Note { by: "anh Bình".to_owned(), at, kind: NoteKind::Coming, text: String::new() }).collect(),
        latch: seq.is_multiple_of(5),
        shelf: seq.is_multiple_of(4).then(|| Shelf {
            by: "anh Sơn".to_owned(),
            why: "đang sửa".to_owned(),
            at,
            until: minute(seq as i64 + 60),
        }),
        inhibited_by: seq.is_multiple_of(3).then(|| "river-bd3/kimlong/1".into()),
        folded_into: seq.is_multiple_of(7).then(|| "group:river/1".into()),
        flapping_until: seq.is_multiple_of(5).then(|| minute(seq as i64 + 30)),
        announced: (!seq.is_multiple_of(3)).then_some(at),
        escalated: (seq % 3) as u32,
        exercise: seq.is_multiple_of(6),
        silence: false,
        notify: vec!["flood-staff".into()],
    };
    let cause = vec![Cause { stream: "water_level".into(), key: "kimlong".into(), at }];
    let recipients = alert.notify.clone();
    let by = (state == AlertState::Acknowledged).then(|| "chị Lan".to_owned());
    Record::from(Transition { seq, kind, at, decided: at, announced: kind == TransitionKind::Raised, recipients, by, alert, cause })
}

/// One of each kind and more: two alerts, of which the first is cleared.
pub(crate) fn mixed() -> Vec<Record> {
    vec![
        reading(1),
        transition(1, 1, AlertState::Open),
        observation(1),
        transition(2, 2, AlertState::Open),
        refused(1),
        transition(3, 1, AlertState::Cleared),
        reading(2),
        transition(4, 2, AlertState::Acknowledged),
        refused(2),
    ]
}

pub(crate) fn asker() -> Asker {
    Asker { who: "duty".to_owned(), via: "test", at: minute(0) }
}

pub(crate) fn queries(dir: &Path, limits: &QueryLimits) -> Queries {
    Queries::new(dir, limits.clone(), None).expect("sound limits")
}

pub(crate) async fn query(dir: &Path, sql: &str, limits: &QueryLimits) -> Result<Vec<RecordBatch>, StoreError> {
    queries(dir, limits).ask(asker(), sql.to_owned()).await?.gather().await
}

pub(crate) async fn ask(dir: &Path, sql: &str) -> Vec<RecordBatch> {
    query(dir, sql, &QueryLimits::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub(crate) fn encoded(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    let mut encoder = Encoder::new(format, batches[0].schema()).expect("a plain schema");
    let rows = batches.iter().filter(|batch| batch.num_rows() > 0);
    let mut out: Vec<u8> = rows.flat_map(|batch| encoder.push(batch.clone()).expect("plain rows")).collect();
    out.extend(encoder.finish().expect("plain rows"));
    out
}

pub(crate) fn text(format: Format, batches: &[RecordBatch]) -> String {
    String::from_utf8(encoded(format, batches)).expect("text")
}

pub(crate) async fn csv(dir: &Path, sql: &str) -> String {
    text(Format::Csv, &ask(dir, sql).await)
}

/// Another test may be starting a program: until that runs, it holds a copy of every lock of this process.
pub(crate) fn open(dir: &Path) -> (Writer, crate::Recovered) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Writer::open(StoreConfig::new(dir)) {
            Err(StoreError::Locked(_)) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened.expect("the directory is sound and has no other writer"),
        }
    }
}

pub(crate) fn write(writer: &mut Writer, records: &[Record]) {
    for record in records {
        writer.append(record).expect("a small record");
    }
    writer.commit().expect("the disk takes it");
}

/// A new data directory with `records` in its open segment.
pub(crate) fn filled(records: &[Record]) -> tempfile::TempDir {
    let dir = scratch();
    write(&mut open(dir.path()).0, records);
    dir
}

/// The records of all segments in the log, with their sequences.
pub(crate) fn logged(dir: &Path) -> Vec<(u64, Record)> {
    let segments = segment::list(dir)
        .expect("a log directory")
        .into_iter()
        .map(|seq| Segment::read(&segment::path(dir, seq)).expect("a sound segment"));
    segments.flat_map(|segment| segment.records().collect::<Vec<_>>()).collect()
}

/// A folder in memory where there is one: for tests that write thousands of small logs.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary directory")
}

/// A copy of the state of a data directory, as a crash at this moment would leave it.
pub(crate) fn copy(from: &Path) -> tempfile::TempDir {
    let to = scratch();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a readable directory") {
        let entry = entry.expect("a readable entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a new directory");
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a new file");
        }
    }
}

/// Closes the open segment, which has records, however small it is; `now` in minutes grows by more than an hour from call to call.
pub(crate) fn close(writer: &mut Writer, now: i64) -> ClosedSegment {
    let first = writer.rotate_if_due(minute(now)).expect("a sound disk");
    first.or_else(|| writer.rotate_if_due(minute(now + 61)).expect("a sound disk")).expect("a segment with records, older than an hour")
}

/// Everything a reader can get without SQL.
pub(crate) fn contents(dir: &Path) -> (Vec<Reading>, Vec<Transition>) {
    let mut readings = Vec::new();
    let count = replay_readings(dir, &|_| Some(Timestamp::MIN), &mut |reading| readings.push(reading)).expect("a readable store");
    assert_eq!(count, readings.len() as u64);
    let transitions = transitions_after(dir, 0, usize::MAX).expect("a readable store");
    if let Some(Transition { alert, .. }) = transitions.last() {
        let own: Vec<Transition> = transitions.iter().filter(|t| t.alert.id == alert.id).cloned().collect();
        assert_eq!(transitions_of(dir, &alert.id).expect("a readable store"), own);
    }
    (readings, transitions)
}

pub(crate) fn expected(records: &[Record]) -> (Vec<Reading>, Vec<Transition>) {
    let readings = records.iter().filter_map(|r| if let Record::Reading(reading) = r { Some(reading.clone()) } else { None });
    let transitions =
        records.iter().filter_map(|r| if let Record::Transition(transition) = r { Some(Transition::clone(transition)) } else { None });
    (readings.collect(), transitions.collect())
}

pub(crate) fn files_under(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}
