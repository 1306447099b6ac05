//! Against a receiver of HTTP requests that refuses what a server might: the real one of the tests of the whole takes everything.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use flate2::read::GzDecoder;
use huong_store::{Record, StoreConfig, Writer};
use huong_types::{Field, Origin, Reading, load_toml};

use super::*;
use crate::line::tests::parse;

/// What a request's lines get: a status and further headers.
type Verdict = Box<dyn Fn(&str) -> &'static str + Send>;

/// Answers as `verdict` says; returns its port and the lines that it took.
fn server(verdict: Verdict) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            while let Some((head, lines)) = request(&stream) {
                assert!(head.starts_with("POST /api/v2/write?org=hue&bucket=h%C6%B0%C6%A1ng&precision=ms HTTP/1.1"), "{head}");
                assert!(head.contains("authorization: Token sesame"), "{head}");
                let answer = verdict(&lines);
                if answer.starts_with("204") {
                    kept.lock().expect("no panic here").extend(lines.lines().map(str::to_owned));
                }
                let sent = write!(&stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                if sent.is_err() {
                    break;
                }
            }
        }
    });
    (port, taken)
}

fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head_lower = head.to_ascii_lowercase();
    let length = head_lower.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    assert!(head_lower.contains("content-encoding: gzip"), "{head}");
    let mut lines = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut lines).ok()?;
    Some((head, lines))
}

struct Fixture {
    dir: tempfile::TempDir,
    writer: Writer,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (writer, _) = Writer::open(StoreConfig::new(dir.path().join("store"))).expect("a new store");
        std::fs::write(dir.path().join("token"), "sesame\n").expect("a token");
        Self { dir, writer }
    }

    fn write(&mut self, values: Range<u32>) {
        for value in values {
            let at = Timestamp::from_millis(i64::from(value));
            let fields = [Field::ok("level".into(), f64::from(value))].into_iter().collect();
            let (source, origin) = ("vrain".into(), Origin::Sensor);
            let reading =
                Reading { stream: "water_level".into(), key: "kimlong".into(), at, received: at, fields, source, origin, orphan: false };
            self.writer.append(&Record::Reading(reading)).expect("a small record");
        }
        self.writer.commit().expect("a sound disk");
    }

    fn start(&self, port: u16, stop: &Stop) -> Mirror {
        let text = format!(
            "url = \"http://127.0.0.1:{port}\"\norg = \"hue\"\nbucket = \"hương\"\ntoken_file = {:?}\nevery = \"20ms\"\nbatch = 7\n\
             retry = {{ first = \"5ms\", most = \"20ms\" }}\nmax_records = 100\n",
            self.dir.path().join("token")
        );
        let mut problems = Default::default();
        let config: MirrorConfig = load_toml("huong.toml", &text, &mut problems).expect("a section");
        config.check("huong.toml", "mirror", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let setup = Setup {
            dir: self.dir.path().join("mirror"),
            committed: self.writer.committed(),
            transitions: self.writer.tail(),
            newest_transition: 0,
            streams: &[],
            clock: Arc::new(|| Timestamp::from_millis(1_000_000)),
            sample: Box::new(|| vec![Sample { measurement: "huong_load", tags: Vec::new(), fields: vec![("standing", 1.0)] }]),
        };
        start_mirror(config, setup, stop.clone()).expect("a sound folder")
    }
}

fn wait_for(mirror: &Mirror, what: &str, found: impl Fn(&MirrorFigures) -> bool) -> MirrorFigures {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let figures = mirror.figures(Timestamp::from_millis(1_000_000));
        if found(&figures) {
            return figures;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}: {figures:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The levels among lines, without those that came twice.
fn levels(lines: &Mutex<Vec<String>>) -> Vec<u32> {
    let parsed = |line: &String| parse(line).expect("a line of the protocol");
    let lines: Vec<_> = lines.lock().expect("no panic here").iter().map(parsed).filter(|line| line.measurement == "water_level").collect();
    let mut levels: Vec<u32> = lines.iter().map(|line| line.fields[0].1.parse().expect("a level")).collect();
    assert!(lines.iter().zip(&levels).all(|(line, level)| line.at == i64::from(*level)));
    levels.sort_unstable();
    levels.dedup();
    levels
}

#[test]
fn a_line_that_is_refused_is_buried_and_the_others_arrive() {
    let mut fixture = Fixture::new();
    fixture.write(0..40);
    let bad = |lines: &str| lines.contains("level=13 ") || lines.contains("level=14 ") || lines.contains("level=39 ");
    let (port, taken) = server(Box::new(move |lines| if bad(lines) { "422 Unprocessable Entity" } else { "204 No Content" }));
    let stop = Stop::new();
    let mirror = fixture.start(port, &stop);
    let figures = wait_for(&mirror, "all records", |figures| figures.behind == 0);
    assert_eq!((figures.dead_letters, figures.skipped, figures.failing), (3, 0, None));
    assert_eq!(levels(&taken), (0..39).filter(|level| !(13..15).contains(level)).collect::<Vec<_>>());
    let letters = std::fs::read_to_string(fixture.dir.path().join("mirror/dead.jsonl")).expect("dead letters");
    assert_eq!(letters.lines().count(), 3);
    assert!(letters.contains("level=13 13") && letters.contains("422"), "{letters}");
    stop.set();
    mirror.join().expect("no panic");
    // What follows is sent from where it stopped.
    taken.lock().expect("no panic here").clear();
    fixture.write(40..45);
    let stop = Stop::new();
    let mirror = fixture.start(port, &stop);
    wait_for(&mirror, "the rest", |figures| figures.behind == 0);
    assert_eq!(levels(&taken), (40..45).collect::<Vec<_>>());
    stop.set();
    mirror.join().expect("no panic");
}

#[test]
fn a_server_that_refuses_us_loses_nothing() {
    let mut fixture = Fixture::new();
    fixture.write(0..20);
    // Every answer that is not about the lines, then lines refused because the request is wrong, then all is well.
    let script =
        Mutex::new(vec!["401 Unauthorized", "404 Not Found", "503 Unavailable\r\nretry-after: 0", "429 Too Many Requests"].into_iter());
    let refusals = std::sync::atomic::AtomicU32::new(0);
    let (port, taken) = server(Box::new(move |_| {
        let next = script.lock().expect("no panic here").next();
        next.unwrap_or_else(|| if refusals.fetch_add(1, Ordering::Relaxed) < 12 { "400 Bad Request" } else { "204 No Content" })
    }));
    let stop = Stop::new();
    let mirror = fixture.start(port, &stop);
    let figures = wait_for(&mirror, "all records", |figures| figures.behind == 0);
    assert_eq!((figures.dead_letters, figures.skipped), (0, 0));
    assert!(figures.retries >= 4, "{figures:?}");
    assert_eq!(levels(&taken), (0..20).collect::<Vec<_>>());
    stop.set();
    mirror.join().expect("no panic");
}

#[test]
fn what_is_too_much_is_passed_over_and_counted() {
    let mut fixture = Fixture::new();
    fixture.write(0..150);
    let (port, taken) = server(Box::new(|_| "204 No Content"));
    let stop = Stop::new();
    let mirror = fixture.start(port, &stop);
    let figures = wait_for(&mirror, "all records", |figures| figures.behind == 0);
    assert_eq!(figures.skipped, 50);
    assert_eq!(levels(&taken), (50..150).collect::<Vec<_>>());
    stop.set();
    mirror.join().expect("no panic");
}
