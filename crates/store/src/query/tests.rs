//! SQL over sealed and open rows, beside a writer, within limits, reading only.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use huong_types::{AlertState, Span};

use super::*;
use crate::testing::{
    ask, asker, close, csv, encoded, filled, minute, mixed, observation, open, queries, query, reading, refused, text, transition, write,
};
use crate::{Fault, Format, Record, StoreConfig, Writer, seal};

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
        let plan = text(Format::Pretty, &ask(dir.path(), &format!("EXPLAIN SELECT value FROM readings WHERE {filter}")).await);
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
async fn the_past_is_told_in_curves_values_alerts_and_steps() {
    let mut records: Vec<Record> = (0..30).map(reading).collect();
    records.extend((1..5).map(observation));
    let states = [(1, 1, AlertState::Open), (2, 2, AlertState::Open), (60, 1, AlertState::Cleared), (90, 2, AlertState::Acknowledged)];
    records.extend(states.map(|(seq, id, state)| transition(seq, id, state)));
    let dir = filled(&records);
    let past = queries(dir.path(), &QueryLimits::default());
    let curve =
        Curve { stream: "water_level".into(), key: "kimlong".into(), field: "level".into(), from: minute(0), to: minute(300), points: 5 };
    // Readings 0, 3, 6, .. 27 are Kim Long's, every half hour, a centimetre each.
    let points = past.curve(asker(), &curve).await.expect("readings");
    let figures: Vec<_> = points.iter().map(|p| (p.at, p.least, p.most)).collect();
    assert_eq!(
        figures,
        [(0, 0), (60, 6), (120, 12), (180, 18), (240, 24)].map(|(at, n)| (minute(at), f64::from(n) / 100.0, f64::from(n + 3) / 100.0))
    );
    assert!((points[1].mean - 0.075).abs() < 1e-9, "{points:?}");
    let none = Curve { key: "o\'brien".into(), ..curve };
    assert_eq!(past.curve(asker(), &none).await.expect("a quoted key"), []);

    let hour = Span::from_mins(60);
    let values = past.figures(asker(), minute(0), minute(60), hour, 100).await.expect("readings");
    let told: Vec<_> = values.iter().map(|r| (r.key.as_str(), r.at)).collect();
    assert_eq!(
        told,
        [("cam-1", minute(4)), ("kimlong", minute(30)), ("phuoc", minute(40)), ("thượng nhật", minute(50))],
        "the last of each"
    );
    assert!(values[0].fields.iter().all(|field| field.number().is_some()), "texts may be about persons: {values:?}");

    let alerts = async |from, to| {
        let found = past.alerts(asker(), (minute(from), minute(to)), Span::from_mins(600), 10).await.expect("alerts");
        found.iter().map(|alert| (alert.id.as_str().to_owned(), alert.state)).collect::<Vec<_>>()
    };
    let (one, two) = ("river-bd2/kimlong/1".to_owned(), "river-bd2/kimlong/2".to_owned());
    assert_eq!(alerts(30, 30).await, [(two.clone(), AlertState::Open), (one.clone(), AlertState::Open)], "both held then");
    assert_eq!(alerts(70, 80).await, [(two.clone(), AlertState::Open)], "the other was over before");
    assert_eq!(alerts(50, 100).await, [(two.clone(), AlertState::Acknowledged), (one.clone(), AlertState::Cleared)]);
    let steps = past.steps(asker(), (minute(0), minute(100)), Some(&one), 10).await.expect("steps");
    assert_eq!(steps.iter().map(|step| step.seq).collect::<Vec<_>>(), [1, 60]);
    assert_eq!(steps[1].alert.assigned.as_ref().map(|a| a.to.as_str()), Some("anh Bình"), "read back as it was");
    assert_eq!(past.steps(asker(), (minute(0), minute(100)), None, 3).await.expect("steps").len(), 3);
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
    let error = query(dir.path(), big, &spill).await.expect_err("a megabyte does not hold it");
    assert_eq!(error.fault(), Fault::TooLarge, "{error}");
}

/// Pairs of pairs: far more than anyone waits for, and nothing comes of them.
const ENDLESS: &str = "SELECT count(*) FROM readings a, readings b, readings c, readings d WHERE a.value + b.value + c.value + d.value < 0";

/// The time limit holds for a join that never yields: the clock is watched from another thread. Meanwhile and afterwards others are
/// answered, as far as there are slots.
#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up() {
    let dir = filled(&(1..200).map(reading).collect::<Vec<_>>());
    let queries = queries(dir.path(), &QueryLimits { time: Span::from_secs(4), concurrent: 2, ..QueryLimits::default() });
    let long = queries.ask(asker(), ENDLESS.to_owned()).await;
    let mut long = long.expect("it is planned in time");
    let short = queries.ask(asker(), "SELECT 1".to_owned()).await.expect("beside the long one").gather().await;
    assert_eq!(text(Format::Csv, &short.expect("one row")), "Int64(1)\n1\n");
    assert!(matches!(long.next().await, Some(Err(StoreError::TooSlow(_)))));
    assert!(long.next().await.is_none(), "an error is the end");
    queries.ask(asker(), "SELECT 1".to_owned()).await.expect("after the long one");
}

#[tokio::test]
async fn so_many_run_and_so_many_wait_and_one_more_is_refused() {
    let dir = filled(&(1..200).map(reading).collect::<Vec<_>>());
    let queries = queries(dir.path(), &QueryLimits { concurrent: 1, waiting: 1, ..QueryLimits::default() });
    let all = || queries.ask(asker(), "SELECT a.seq FROM readings a, readings b, readings c".to_owned());
    let running = all().await.expect("the first has its turn");
    let waiting = queries.ask(asker(), "SELECT count(*) AS n FROM readings".to_owned());
    tokio::pin!(waiting);
    // Polled at least once: it has come in, and has no turn.
    assert!(tokio::time::timeout(Span::from_millis(1).to_std(), &mut waiting).await.is_err());
    let refused = all().await.expect_err("two at once");
    assert!(matches!(refused, StoreError::TooManyQueries { running: 1, waiting: 1 }), "{refused}");
    assert_eq!(refused.fault(), Fault::Busy);
    // Whoever stops reading gives up the turn.
    drop(running);
    let answer = waiting.await.expect("its turn").gather().await.expect("an answer");
    assert_eq!(text(Format::Csv, &answer), "n\n199\n");
}

#[tokio::test]
async fn mistakes_are_told_with_their_place_before_anything_runs() {
    let dir = filled(&mixed());
    for (sql, place, words) in [
        ("SELECT key,\n nothing FROM readings", Some((2, 2)), "nothing"),
        ("SELECT key FROM reading", Some((1, 17)), "reading"),
        ("SELECT key FRO readings WHERE", Some((1, 16)), "readings"),
        ("SELECT key + 1 FROM readings", Some((1, 8)), "Utf8 + Int64"),
        ("SELECT key FROM readings WHERE at > 'yesterday'", None, "yesterday"),
    ] {
        let error = query(dir.path(), sql, &QueryLimits::default()).await.expect_err(sql);
        let StoreError::Sql { message, place: found } = &error else { panic!("{sql}: {error:?}") };
        assert!(message.contains(words) && *found == place, "{sql}: {found:?} {message}");
        assert_eq!(error.fault(), Fault::Asker);
    }
    let long = format!("SELECT '{}'", "x".repeat(LONGEST_SQL));
    assert_eq!(query(dir.path(), &long, &QueryLimits::default()).await.expect_err("too long").fault(), Fault::Asker);
    let columns = queries(dir.path(), &QueryLimits::default()).columns("SELECT key, max(value) AS most FROM readings GROUP BY key").await;
    assert_eq!(columns.expect("a plan").fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["key", "most"]);
}

/// What is decoded of the open log is kept, and read on: with each of these the answer is that of a reader who begins anew.
#[tokio::test]
async fn the_open_log_is_read_on_as_it_grows_and_is_sealed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, _) = open(dir.path());
    let kept = queries(dir.path(), &QueryLimits::default());
    let mut next = 1;
    for (step, count) in [1, 5, 0, 9000, 1, 10_000, 3].into_iter().enumerate() {
        let records: Vec<Record> = (next..next + count).flat_map(|n| [reading(n), observation(n)]).collect();
        next += count;
        write(&mut writer, &records);
        if step == 4 {
            seal(&close(&mut writer, 0)).expect("a sound disk");
        }
        for sql in ["SELECT count(*), sum(value), max(seq) FROM readings", "SELECT count(*), count(text) FROM observations"] {
            let answer = kept.ask(asker(), sql.to_owned()).await.expect("an answer").gather().await.expect("rows");
            assert_eq!(text(Format::Csv, &answer), csv(dir.path(), sql).await, "{sql} after {step}");
        }
    }
}

/// A commit that did not reach the disk is taken back, and others stand in its place.
#[tokio::test]
async fn an_open_log_that_was_cut_back_is_read_anew() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kept = queries(dir.path(), &QueryLimits::default());
    let values = async || {
        let sql = "SELECT value FROM readings ORDER BY seq".to_owned();
        text(Format::Csv, &kept.ask(asker(), sql).await.expect("an answer").gather().await.expect("rows"))
    };
    let (mut writer, _) = open(dir.path());
    write(&mut writer, &[reading(1)]);
    let path = crate::segment::path(dir.path(), 1);
    let before = std::fs::read(&path).expect("the segment");
    write(&mut writer, &[reading(2), reading(3)]);
    assert_eq!(values().await, "value\n0.01\n0.02\n0.03\n");
    drop(writer);
    std::fs::write(&path, &before).expect("cut back");
    assert_eq!(values().await, "value\n0.01\n");
    let (mut writer, _) = open(dir.path());
    write(&mut writer, &(4..9).map(reading).collect::<Vec<_>>());
    assert_eq!(values().await, "value\n0.01\n0.04\n0.05\n0.06\n0.07\n0.08\n");
}

#[tokio::test]
async fn every_query_is_noted_whatever_its_end_and_the_notes_keep_to_their_limit() {
    let dir = filled(&(1..50).map(reading).collect::<Vec<_>>());
    let limits = QueryLimits { rows: 40, ..QueryLimits::default() };
    let log = QueryLog::open(dir.path(), 4000).expect("a sound directory");
    let queries = Queries::new(dir.path(), limits, Some(log)).expect("sound limits");
    for sql in ["SELECT key FROM readings LIMIT 3", "SELECT nothing FROM readings", "SELECT * FROM readings"] {
        let answer = queries.ask(asker(), sql.to_owned()).await;
        if let Ok(answer) = answer {
            let _ended = answer.gather().await;
        }
    }
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(dir.path().join("queries.jsonl")).expect("the log");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    // A line is written when the thread has ended, which may be behind the last row.
    while lines().len() < 3 {
        tokio::task::yield_now().await;
    }
    // In the order in which the threads ended, whatever that was.
    let of = |sql: &str| lines().into_iter().find(|line| line["sql"] == sql).unwrap_or_else(|| panic!("no line of {sql}"));
    let three = of("SELECT key FROM readings LIMIT 3");
    assert_eq!((&three["outcome"], &three["rows"]), (&"complete".into(), &3.into()));
    for (sql, why) in [("SELECT nothing FROM readings", "nothing"), ("SELECT * FROM readings", "more rows than the limit")] {
        let told = of(sql)["outcome"].to_string();
        assert!(told.contains(why), "{sql}: {told}");
    }
    assert_eq!((&three["who"], &three["via"]), (&"duty".into(), &"test".into()));
    for _ in 0..40 {
        queries.ask(asker(), "SELECT key FROM readings LIMIT 1".to_owned()).await.expect("an answer").gather().await.expect("rows");
    }
    let size = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |file| file.len());
    assert!(size("queries.old.jsonl") > 0 && size("queries.old.jsonl") + size("queries.jsonl") <= 4000);
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
    assert_eq!(
        text(Format::Csv, &batches),
        "key,value,text,orphan\ncam-1,-0.0,,false\ncam-1,3.0,,false\ncam-1,,\"mưa, \"\"kẹt xe\"\"\",false\nthượng nhật,0.02,,false\n"
    );
    assert!(text(Format::Json, &batches).starts_with("[{\"key\":\"cam-1\",\"value\":-0.0,\"orphan\":false},"));
    assert!(text(Format::Pretty, &batches).contains("| thượng nhật | 0.02  |"));
    let bytes = ask(dir.path(), "SELECT reason, bytes FROM quarantine").await;
    assert_eq!(
        (text(Format::Csv, &bytes), text(Format::Json, &bytes)),
        ("reason,bytes\nfuture,7bff00\n".to_owned(), "[{\"reason\":\"future\",\"bytes\":\"7bff00\"}]\n".to_owned())
    );
    let nothing = ask(dir.path(), "SELECT key FROM alerts").await;
    assert_eq!((text(Format::Csv, &nothing), text(Format::Json, &nothing)), ("key\n".to_owned(), "[]\n".to_owned()));
    let arrow = encoded(Format::Arrow, &batches);
    let read: Vec<RecordBatch> =
        StreamReader::try_new(arrow.as_slice(), None).expect("a stream").map(|batch| batch.expect("rows")).collect();
    assert_eq!(read, batches);
    let arrow = encoded(Format::Arrow, &nothing);
    assert_eq!(StreamReader::try_new(arrow.as_slice(), None).expect("a stream").schema(), nothing[0].schema());
}

/// docs/data.md says what the tables hold: every table, every column, its type, and its questions can be asked.
#[tokio::test]
async fn the_page_of_the_tables_says_what_they_are() {
    let page = include_str!("../../../../docs/data.md");
    let dir = filled(&mixed());
    let queries = queries(dir.path(), &QueryLimits::default());
    for (name, schema) in queries.tables().await.expect("the tables") {
        let section = page.split("\n## ").find(|section| section.lines().next().is_some_and(|head| head.split(", ").any(|n| n == name)));
        let section = section.unwrap_or_else(|| panic!("no section on `{name}`"));
        let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1).filter(|line| !line.starts_with("| ---"));
        let told: Vec<String> = rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" | ")).collect();
        let is = schema.fields().iter().map(|field| {
            let kind = field.data_type().to_string();
            let kind = kind.split('(').next().unwrap_or_default();
            format!("| {} | {kind}{}", field.name(), if field.is_nullable() { ", may be NULL" } else { "" })
        });
        assert_eq!(told, is.collect::<Vec<_>>(), "{name}");
    }
    let questions = page.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("questions");
    for sql in questions.split(';').filter(|sql| !sql.trim().is_empty()) {
        ask(dir.path(), sql).await;
    }
}

#[tokio::test]
async fn the_newest_reading_of_each_key_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut writer, _) = open(dir.path());
    write(&mut writer, &(1..60).map(reading).collect::<Vec<_>>());
    seal(&close(&mut writer, 0)).expect("a sound disk");
    write(&mut writer, &[reading(60)]);
    let queries = queries(dir.path(), &QueryLimits::default());
    let of = |key: &str| ("water_level".into(), key.into());
    let wanted = [of("kimlong"), of("thượng nhật"), of("it's none"), ("rain".into(), "phuoc".into())].into();
    let found = queries.latest(asker(), &wanted, minute(0)).await.expect("an answer");
    // One sealed, one not.
    assert_eq!(found.into_iter().map(Record::Reading).collect::<Vec<_>>(), [59, 60].map(reading));
    let none = queries.latest(asker(), &wanted, minute(10_000)).await.expect("an answer");
    assert_eq!(none, []);
}
