//! Parts in a real S3 compatible server: the same rows as here, whatever is merged, deleted or down.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use huong_types::{AlertState, Span};

use super::*;
use crate::table::Table;
use crate::testing::{close, contents, csv, expected, filled, minute, mixed, observation, open, reading, transition, write};
use crate::{Compact, Record, audit, compact, retain, seal, sweep};

/// moto's server on a port of its own; ended when dropped.
struct Server {
    process: Child,
    endpoint: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Where `scripts/moto` installed it: `HUONG_MOTO`, or `vendor/moto`.
fn installed() -> PathBuf {
    std::env::var_os("HUONG_MOTO").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vendor/moto"), PathBuf::from)
}

impl Server {
    /// `None`, said aloud, where `scripts/moto` was not run.
    fn start() -> Option<Server> {
        let installed = installed();
        if !installed.join("moto").is_dir() {
            use std::io::Write;
            let _shown = writeln!(std::io::stderr(), "SKIPPED: no S3 server in vendor/moto; `make setup-test` installs it");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let process = Command::new("python3")
            .args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", installed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        Some(Server { process, endpoint: format!("http://127.0.0.1:{port}") })
    }

    /// Makes the bucket, as soon as the server answers.
    fn make_bucket(&self, objects: &Objects) {
        let script = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', \
            aws_access_key_id='k', aws_secret_access_key='s').create_bucket(Bucket=sys.argv[2])";
        let deadline = Instant::now() + Duration::from_secs(60);
        let bucket = objects.place().expect("a bucket").0;
        loop {
            let made = Command::new("python3")
                .args(["-c", script, &self.endpoint, bucket])
                .env("PYTHONPATH", installed())
                .stderr(Stdio::null())
                .status()
                .expect("python3");
            if made.success() {
                return;
            }
            assert!(Instant::now() < deadline, "the server does not answer");
        }
    }
}

const QUESTIONS: &[&str] = &[
    "SELECT * FROM readings ORDER BY seq, field",
    "SELECT * FROM observations ORDER BY seq, field",
    "SELECT * FROM alerts ORDER BY seq",
    "SELECT * FROM quarantine ORDER BY seq",
    "SELECT * FROM readings_1h ORDER BY key, at",
    "SELECT value FROM readings WHERE stream = 'water_level' AND key = 'kimlong' AND day = '2025-10-26' ORDER BY at",
];

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_a_bucket_answer_as_parts_here() {
    let Some(server) = Server::start() else { return };
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let mut records: Vec<Record> = Vec::new();
    for (i, more) in [mixed(), (3..60).map(reading).collect(), (2..30).map(observation).collect()].into_iter().enumerate() {
        write(&mut writer, &more);
        seal(&close(&mut writer, 200 * i as i64)).expect("a sound disk");
        records.extend(more);
    }
    let more = [reading(60), transition(5, 3, AlertState::Open)];
    write(&mut writer, &more);
    records.extend(more);
    let mut before = Vec::new();
    for sql in QUESTIONS {
        before.push(csv(dir.path(), sql).await);
    }

    let keys = dir.path().join("keys");
    fs::write(&keys, "k\ns\n").expect("a writable directory");
    let objects = Objects {
        url: "s3://hue/store".to_owned(),
        endpoint: Some(server.endpoint.clone()),
        region: region(),
        allow_http: true,
        access_key_env: access_key_env(),
        secret_key_env: secret_key_env(),
        credentials_file: Some(keys),
    };
    server.make_bucket(&objects);
    let path = dir.path().to_owned();
    let same = async |what: &str| {
        for (sql, before) in QUESTIONS.iter().zip(&before) {
            assert_eq!(&csv(&path, sql).await, before, "{what}: {sql}");
        }
        let (dir, records) = (path.clone(), records.clone());
        let look = move || {
            assert_eq!(contents(&dir), expected(&records));
            assert_eq!(audit(&dir).expect("a store").faults, [""; 0]);
        };
        tokio::task::spawn_blocking(look).await.expect("the same contents");
    };
    let blocking = async |work: fn(&Path) -> usize| {
        let dir = path.clone();
        tokio::task::spawn_blocking(move || work(&dir)).await.expect("work that ends well")
    };
    use_objects(dir.path(), &objects).expect("a writable directory");
    let all = Manifest::read(dir.path()).expect("a manifest").parts;
    let (alerts, parts): (Vec<&Part>, Vec<&Part>) = all.iter().partition(|part| part.table == Table::Alerts);
    let parts = parts.len();
    let rollups = blocking(|dir| ship(dir, &|_| Some(Timestamp::MIN), &|| false).expect("a bucket")).await;
    assert!((1..parts).contains(&rollups), "what windows need stays here");
    assert_eq!(blocking(|dir| ship(dir, &|_| None, &|| false).expect("a bucket")).await, parts - rollups);
    assert_eq!(blocking(|dir| ship(dir, &|_| None, &|| false).expect("a bucket")).await, 0, "once");
    assert_eq!(blocking(|dir| sweep(dir, Span::ZERO, minute(0)).expect("a sound disk")).await, parts);
    let here = crate::testing::files_under(&dir.path().join("parquet"));
    assert_eq!(here, alerts.iter().map(|part| dir.path().join(&part.path)).collect(), "nothing else is here any more");
    same("in the bucket").await;

    let merges = blocking(|dir| {
        let eager = Compact { parts: 2, ..Compact::default() };
        std::iter::from_fn(|| compact(dir, &eager, minute(0), &|| false).expect("a bucket")).count()
    });
    assert!(merges.await > 0);
    same("merged, some here and some there").await;
    assert!(blocking(|dir| ship(dir, &|_| None, &|| false).expect("a bucket")).await > 0);
    blocking(|dir| sweep(dir, Span::ZERO, minute(0)).expect("a bucket")).await;
    same("merged in the bucket").await;
    let copy = bucket(dir.path()).expect("a bucket").store.get(&Key::from("store/manifest.json")).await.expect("a copy");
    let copy: Manifest = serde_json::from_slice(&copy.bytes().await.expect("a copy")).expect("a manifest");
    assert_eq!(copy, Manifest::read(dir.path()).expect("a manifest"));

    let other = Objects { url: "s3://elsewhere".to_owned(), ..objects };
    assert!(matches!(use_objects(dir.path(), &other), Err(StoreError::Elsewhere { .. })));
    write(&mut writer, &[reading(144 * 95)]);
    let gone = blocking(|dir| retain(dir, &[], minute(95 * 24 * 60), &|_| None).expect("a bucket").len()).await;
    blocking(|dir| sweep(dir, Span::ZERO, minute(95 * 24 * 60)).expect("a bucket")).await;
    assert_eq!((gone, audit_faults(&path).await), (1, vec![]));
    drop(server);
    assert!(blocking(|dir| usize::from(audit(dir).expect("a store").faults.is_empty())).await == 0, "a bucket that is gone is seen");
}

async fn audit_faults(dir: &Path) -> Vec<String> {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || audit(&dir).expect("a store").faults).await.expect("an audit")
}

#[test]
fn mistakes_are_named_and_secrets_come_from_files() {
    let mut problems = Problems::default();
    let text = |url: &str, endpoint: &str| format!(r#"{{"url": "{url}", "endpoint": "{endpoint}"}}"#);
    let objects = |url: &str, endpoint: &str| serde_json::from_str::<Objects>(&text(url, endpoint)).expect("objects");
    objects("s3://hue/store/", "https://s3.example.vn").check("huong.toml", "store.objects", &mut problems);
    assert!(problems.is_empty(), "{problems}");
    objects("gs://hue", "http://10.0.0.1:9000").check("huong.toml", "store.objects", &mut problems);
    let paths: Vec<&str> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["store.objects.url", "store.objects.endpoint"]);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), " key \n\nsecret\n").expect("a writable file");
    let filed = Objects { credentials_file: Some(file.path().to_owned()), ..objects("s3://hue/store/", "https://s3.example.vn") };
    assert_eq!(filed.credentials().expect("two lines"), ("key".to_owned(), "secret".to_owned()));
    assert_eq!(filed.place(), Some(("hue", "store")));
    fs::write(file.path(), "key\n").expect("a writable file");
    assert!(filed.credentials().expect_err("one line").to_string().contains("fewer than two lines"));
}
