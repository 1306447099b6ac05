//! SQL over sealed and open rows, beside a writer, within limits, reading only.

use std::sync::atomic::{AtomicBool, Ordering};

use huong_types::{AlertState, Span};

use super::*;
use crate::testing::{close, filled, minute, mixed, observation, open, reading, refused, transition, write};
use crate::{Record, StoreConfig, Writer, seal, write_csv, write_json, write_pretty};

async fn ask(dir: &Path, sql: &str) -> Vec<RecordBatch> {
    query(dir, sql, &QueryLimits::default()).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn csv(dir: &Path, sql: &str) -> String {
    let mut out = Vec::new();
    write_csv(&ask(dir, sql).await, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("CSV is text")
}

const QUESTIONS: &[&str] = &[
    "SELECT * FROM readings ORDER BY seq, field",
    "SELECT * FROM observations ORDER BY seq, field",
    "SELECT * FROM alerts ORDER BY seq",
    "SELECT * FROM quarantine ORDER BY seq",
    "SELECT key, count(*), max(value) FROM readings WHERE stream = 'water_level' AND day >= '2025-10-27' GROUP BY key ORDER BY key",
    "SELECT date_bin(INTERVAL '1 hour', at) AS hour, min(value), count(*) FROM readings GROUP BY hour ORDER BY hour",
    "SELECT key FROM readings WHERE at > TIMESTAMP '2025-10-27T00:00:00Z' AND key = 'thượng nhật' ORDER BY at DESC LIMIT 3",
    "WITH r AS (SELECT reason, count(*) n FROM quarantine GROUP BY reason) SELECT * FROM r ORDER BY n DESC, reason",
    "SELECT text, quality, check_failed FROM observations WHERE text IS NOT NULL ORDER BY seq",
    "SELECT a.id, r.value FROM alerts a JOIN readings r ON a.key = r.key WHERE a.kind = 'raised' ORDER BY a.id, r.seq",
];

#[tokio::test]
async fn answers_do_not_change_when_rows_are_sealed() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("dữ liệu 100% [a]");
    let (mut writer, _) = open(&dir);
    let mut records = mixed();
    records.extend((3..100).map(reading));
    records.extend((1..20).flat_map(|n| [observation(n), refused(n), transition(n + 4, n, AlertState::Open)]));
    let (first, second) = records.split_at(60);
    write(&mut writer, first);
    let closed = close(&mut writer, 0);
    write(&mut writer, second);
    let mut before = Vec::new();
    for sql in QUESTIONS {
        let answer = csv(&dir, sql).await;
        assert!(answer.lines().count() > 1, "{sql} finds rows");
        before.push(answer);
    }
    for closed in [closed, close(&mut writer, 200)] {
        seal(&closed).expect("a sound disk");
        for (sql, before) in QUESTIONS.iter().zip(&before) {
            assert_eq!(&csv(&dir, sql).await, before, "{sql}");
        }
    }
}

#[tokio::test]
async fn parts_that_filters_exclude_are_not_opened() {
    let dir = filled(&(1..100).map(reading).collect::<Vec<_>>());
    seal(&close(&mut open(dir.path()).0, 0)).expect("a sound disk");
    let files = async |filter: &str| {
        let mut plan = Vec::new();
        write_pretty(&ask(dir.path(), &format!("EXPLAIN SELECT value FROM readings WHERE {filter}")).await, &mut plan)
            .expect("memory takes it");
        let plan = String::from_utf8(plan).expect("a plan is text");
        ["day=2025-10-26/", "day=2025-10-27/"].map(|day| plan.contains(day))
    };
    for (filter, expected) in [
        ("day = '2025-10-27'", [false, true]),
        ("at < '2025-10-26T17:00:00Z'", [true, false]),
        ("received > '2025-10-27T00:00:00Z' AND stream = 'water_level'", [false, true]),
        ("stream = 'rain'", [false, false]),
        ("key > 'zzz' OR seq = 0", [false, false]),
        ("value > 0.5", [true, true]),
    ] {
        assert_eq!(files(filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn an_empty_or_missing_directory_has_empty_tables() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for dir in [dir.path().to_owned(), dir.path().join("none")] {
        assert_eq!(csv(&dir, "SELECT count(*) AS n FROM readings").await, "n\n0\n");
        assert_eq!(csv(&dir, "SELECT key, value FROM readings").await, "key,value\n", "columns without rows");
        let tables = csv(&dir, "SHOW TABLES").await;
        assert!(["readings", "observations", "alerts", "quarantine"].iter().all(|t| tables.contains(t)), "{tables}");
    }
    assert!(!dir.path().join("none").exists(), "a reader makes nothing");
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let dir = filled(&mixed());
    let target = dir.path().join("out.csv");
    let copy = format!("COPY readings TO '{}'", target.display());
    let external = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", dir.path().display());
    for sql in [
        "DROP TABLE readings",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO readings SELECT * FROM readings",
        "DELETE FROM readings",
        "UPDATE readings SET value = 0",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN INSERT INTO readings SELECT * FROM readings",
        "EXPLAIN ANALYZE INSERT INTO readings SELECT * FROM readings",
        &copy,
        &external,
    ] {
        let error = query(dir.path(), sql, &QueryLimits::default()).await.expect_err(sql);
        assert!(matches!(error, StoreError::ReadOnly(_)), "{sql}: {error}");
    }
    for sql in ["SELECT 1; DROP TABLE readings", "SELECT", "", "SELECT * FROM '/etc/passwd'", "SELECT nothing FROM readings"] {
        query(dir.path(), sql, &QueryLimits::default()).await.expect_err(sql);
    }
    assert!(!target.exists());
    assert_eq!(csv(dir.path(), "SELECT count(*) AS n FROM readings").await, "n\n2\n");
    for sql in ["EXPLAIN SELECT * FROM readings", "DESCRIBE alerts", "SHOW TABLES"] {
        ask(dir.path(), sql).await;
    }
}

#[tokio::test]
async fn limits_hold() {
    let dir = filled(&(1..200).map(reading).collect::<Vec<_>>());
    let all = "SELECT * FROM readings";
    let default = QueryLimits::default();
    let rows = QueryLimits { rows: 198, ..default.clone() };
    assert!(matches!(query(dir.path(), all, &rows).await, Err(StoreError::TooManyRows { limit: 198 })));
    let memory = QueryLimits { memory: 1000, ..default.clone() };
    assert!(matches!(query(dir.path(), all, &memory).await, Err(StoreError::LogTooLarge { limit: 1000, .. })));
    let spill = QueryLimits { memory: 1 << 20, spill: 0, ..default.clone() };
    let big = "SELECT a.seq, b.seq, c.seq, count(*) FROM readings a, readings b, readings c GROUP BY 1, 2, 3 ORDER BY 4 LIMIT 1";
    assert!(matches!(query(dir.path(), big, &spill).await, Err(StoreError::Query(_))));
}

/// The time limit holds for a join that never yields: the clock is watched from another thread.
#[test]
fn a_query_that_takes_too_long_is_given_up() {
    let dir = filled(&(1..200).map(reading).collect::<Vec<_>>());
    let limits = QueryLimits { time: Span::from_millis(20), ..QueryLimits::default() };
    let long = "SELECT count(*) FROM readings a, readings b, readings c WHERE a.value + b.value + c.value < 0";
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let answer = runtime.block_on(query(dir.path(), long, &limits));
    runtime.shutdown_background();
    assert!(matches!(answer, Err(StoreError::TooSlow(_))));
}

/// Each state that a query sees is a prefix of what was written: no row missing, none twice, none taken back.
#[tokio::test(flavor = "multi_thread")]
async fn queries_beside_writing_rotating_and_sealing_see_prefixes() {
    const READINGS: u64 = 600;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut config = StoreConfig::new(dir.path());
    config.segment_bytes = 2000;
    let (mut writer, _) = Writer::open(config).expect("a sound directory");
    let done = Arc::new(AtomicBool::new(false));
    let finished = done.clone();
    let writing = std::thread::spawn(move || {
        for n in 1..=READINGS {
            write(&mut writer, &[reading(n)]);
            if let Some(closed) = writer.rotate_if_due(minute(0)).expect("a sound disk") {
                seal(&closed).expect("a sound disk");
            }
        }
        finished.store(true, Ordering::Release);
    });
    let (mut last, mut looks) = (0, 0);
    loop {
        let ending = done.load(Ordering::Acquire);
        let answer = csv(dir.path(), "SELECT count(*) AS n, count(DISTINCT seq) AS d, coalesce(max(seq), 0) AS m FROM readings").await;
        let numbers: Vec<u64> = answer.lines().nth(1).expect("one row").split(',').map(|n| n.parse().expect("a count")).collect();
        assert_eq!((numbers[0], numbers[1]), (numbers[2], numbers[2]), "rows, distinct, last: a prefix");
        assert!(numbers[0] >= last, "nothing is taken back");
        last = numbers[0];
        looks += 1;
        if ending {
            break;
        }
    }
    writing.join().expect("the writer ended well");
    assert_eq!(last, READINGS);
    assert!(looks > 1, "looked while it was written");
}

#[tokio::test]
async fn results_are_written_for_people_and_programs() {
    let dir = filled(&[reading(2), refused(1), Record::clone(&observation(3))]);
    let sql =
        "SELECT key, value, text, orphan FROM readings UNION ALL SELECT key, value, text, orphan FROM observations ORDER BY key, value";
    let batches = ask(dir.path(), sql).await;
    let text = |write: fn(&[RecordBatch], &mut dyn std::io::Write) -> Result<(), StoreError>, batches: &[RecordBatch]| {
        let mut out = Vec::new();
        write(batches, &mut out).expect("memory takes it");
        String::from_utf8(out).expect("text")
    };
    assert_eq!(
        text(write_csv, &batches),
        "key,value,text,orphan\ncam-1,-0.0,,false\ncam-1,3.0,,false\ncam-1,,\"mưa, \"\"kẹt xe\"\"\",false\nthượng nhật,0.02,,false\n"
    );
    assert!(text(write_json, &batches).starts_with("[{\"key\":\"cam-1\",\"value\":-0.0,\"orphan\":false},"));
    assert!(text(write_pretty, &batches).contains("| thượng nhật | 0.02  |"));
    let bytes = ask(dir.path(), "SELECT reason, bytes FROM quarantine").await;
    assert_eq!(
        (text(write_csv, &bytes), text(write_json, &bytes)),
        ("reason,bytes\nfuture,7bff00\n".to_owned(), "[{\"reason\":\"future\",\"bytes\":\"7bff00\"}]\n".to_owned())
    );
    let nothing = ask(dir.path(), "SELECT key FROM alerts").await;
    assert_eq!((text(write_csv, &nothing), text(write_json, &nothing)), ("key\n".to_owned(), "[]\n".to_owned()));
}
