//! Webhooks, against an HTTP server made of a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use huong_types::{About, AlertState, Severity, TransitionKind};
use serde_json::Value;

use crate::support::{Memory, alert, free_port, start, wait_for};

#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

/// Answers each request with what `answer` says of it: a status line's number and further header lines.
struct Receiver {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    fn seq(&self) -> u64 {
        self.json()["seq"].as_u64().expect("a sequence number")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }
}

impl Receiver {
    fn start(port: u16, answer: impl Fn(usize, &Request) -> (u16, &'static str) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let (list, over) = (Arc::clone(&seen), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let mut stream = stream.expect("a connection");
                let request = read(&mut stream);
                let number = list.lock().expect("no receiver panics").len();
                let (status, headers) = answer(number, &request);
                list.lock().expect("no receiver panics").push(request);
                write!(stream, "HTTP/1.1 {status} x\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\nno")
                    .expect("the sink waits for the answer");
            }
        });
        Self { port, seen, end, thread: Some(thread) }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no receiver panics").clone()
    }

    fn seqs(&self) -> Vec<u64> {
        self.seen().iter().map(Request::seq).collect()
    }

    fn sink(&self, name: &str) -> String {
        sink(name, self.port)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

fn read(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a header line") > 0, "the request ends early: {head}");
    }
    let request = Request { head, body: Vec::new() };
    let length = request.header("content-length").expect("a length").trim().parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the whole body");
    Request { body, ..request }
}

fn sink(name: &str, port: u16) -> String {
    format!(
        "[[sink]]\nname = \"{name}\"\nretry = {{ first = \"20ms\", most = \"100ms\" }}\nwebhook = {{ url = \"http://127.0.0.1:{port}/hook\" }}\n"
    )
}

#[test]
fn a_receiver_that_was_down_gets_everything_later_once_and_in_order() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "Jefe\n").expect("write the secret");
    let port = free_port();
    let toml = format!(
        "[[sink]]\nname = \"duty\"\nretry = {{ first = \"20ms\", most = \"100ms\" }}\nwebhook = {{ url = \"http://127.0.0.1:{port}/hook\", secret_file = {secret:?} }}\n"
    );
    let journal = Arc::new(Memory::default());
    let running = start(&toml, dir.path(), &journal, 0, 0);
    let bd3 = alert("river-bd3", "kimlong", Severity::Extreme);
    let mut hidden = alert("river-bd2", "kimlong", Severity::Severe);
    hidden.inhibited_by = Some(bd3.id.clone());
    hidden.state = AlertState::Suppressed;
    journal.append(TransitionKind::Raised, bd3.clone());
    journal.append(TransitionKind::Updated, bd3.clone());
    journal.append(TransitionKind::Inhibited, hidden);
    journal.append(TransitionKind::Acknowledged, bd3.clone());
    running.sinks.wake(journal.append(TransitionKind::Cleared, bd3));
    wait_for("attempts at a receiver that is down", || running.of("duty").retries >= 3);
    assert!(running.of("duty").failing.is_some());
    assert_eq!(running.of("duty").behind, 5);

    let receiver = Receiver::start(port, |_, _| (204, ""));
    wait_for("all steps", || running.of("duty").behind == 0);
    running.stop();
    let seen = receiver.seen();
    assert_eq!(receiver.seqs(), [1, 4, 5], "updates and hidden alerts are not told");
    let first = seen[0].json();
    assert_eq!(first["kind"], "raised");
    assert_eq!(first["alert"]["text"]["vi"], "Kim Long 3,62 m, trên báo động III");
    assert_eq!(first["alert"]["values"]["level"], 3.62);
    assert_eq!(first["station"]["name"], "Kim Long");
    assert_eq!(seen[0].header("idempotency-key"), Some("river-bd3.kimlong.1761500000000/1"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let signature = seen[0].header("x-huong-signature").expect("signed");
    assert!(signature.len() == 71 && signature.starts_with("sha256="), "{signature}");
    assert_ne!(Some(signature), seen[1].header("x-huong-signature"), "another body, another signature");
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let receiver = Receiver::start(0, |_, _| (200, ""));
    let journal = Arc::new(Memory::default());
    let raise = |key: &str| journal.append(TransitionKind::Raised, alert("river-bd3", key, Severity::Extreme));
    let first = start(&receiver.sink("duty"), dir.path(), &journal, 0, 0);
    raise("a");
    first.sinks.wake(raise("b"));
    wait_for("both steps", || first.of("duty").behind == 0);
    first.stop();
    // Journalled while no sink ran.
    let newest = raise("c");
    let second = start(&receiver.sink("duty"), dir.path(), &journal, newest, 0);
    wait_for("what was journalled meanwhile", || second.of("duty").behind == 0);
    second.sinks.wake(raise("d"));
    wait_for("the fourth step", || second.of("duty").behind == 0);
    second.stop();
    assert_eq!(receiver.seqs(), [1, 2, 3, 4]);
}

#[test]
fn a_sink_that_is_new_does_not_tell_old_history_and_one_before_its_journal_begins_anew() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let receiver = Receiver::start(0, |_, _| (200, ""));
    let old = Arc::new(Memory::default());
    for key in ["a", "b", "c"] {
        old.append(TransitionKind::Raised, alert("river-bd3", key, Severity::Extreme));
    }
    let running = start(&receiver.sink("duty"), dir.path(), &old, 3, 0);
    running.sinks.wake(old.append(TransitionKind::Raised, alert("river-bd3", "d", Severity::Extreme)));
    wait_for("the step after the start", || running.of("duty").behind == 0);
    running.stop();
    let young = Arc::new(Memory::default());
    let running = start(&receiver.sink("duty"), dir.path(), &young, 0, 0);
    running.sinks.wake(young.append(TransitionKind::Raised, alert("river-bd3", "e", Severity::Extreme)));
    wait_for("the first step of a new journal", || running.of("duty").delivered == 1);
    running.stop();
    let keys: Vec<Value> = receiver.seen().iter().map(|request| request.json()["alert"]["key"].clone()).collect();
    assert_eq!(keys, ["d", "e"]);
}

#[test]
fn what_a_receiver_refuses_for_good_is_put_aside_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let receiver = Receiver::start(0, |number, _| match number {
        0 => (503, "retry-after: 0\r\n"),
        1 => (429, ""),
        2 => (400, ""),
        _ => (200, ""),
    });
    let journal = Arc::new(Memory::default());
    let running = start(&receiver.sink("duty"), dir.path(), &journal, 0, 0);
    journal.append(TransitionKind::Raised, alert("river-bd3", "a", Severity::Extreme));
    running.sinks.wake(journal.append(TransitionKind::Raised, alert("river-bd3", "b", Severity::Extreme)));
    wait_for("both steps done with", || running.of("duty").behind == 0);
    let figures = running.of("duty");
    running.stop();
    assert_eq!(receiver.seqs(), [1, 1, 1, 2], "a busy receiver is asked again, one that refuses is not");
    assert_eq!((figures.delivered, figures.dead_letters, figures.retries), (1, 1, 2));
    let letters = std::fs::read_to_string(dir.path().join("duty.dead.jsonl")).expect("a dead-letter file");
    let letter: Value = serde_json::from_str(letters.trim()).expect("one line of JSON");
    assert_eq!(letter["idempotency_key"], "river-bd3.a.1761500000000/1");
    assert_eq!(letter["transition"]["alert"]["key"], "a");
    assert!(letter["why"].as_str().is_some_and(|why| why.starts_with("400")), "{letter}");
}

#[test]
fn a_slow_sink_delays_no_other() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let (release, held) = std::sync::mpsc::channel::<()>();
    let slow = Receiver::start(0, move |_, _| {
        held.recv().expect("released or the test is over");
        (200, "")
    });
    let quick = Receiver::start(0, |_, _| (200, ""));
    let journal = Arc::new(Memory::default());
    let toml = slow.sink("slow")
        + &quick.sink("quick").replace("[[sink]]", "[[sink]]\nmin_severity = \"severe\"\nroutes = [\"flood-staff\"]\nupdates = true");
    let running = start(&toml, dir.path(), &journal, 0, 0);
    let mut elsewhere = alert("traffic", "cam-1", Severity::Extreme);
    elsewhere.notify = vec!["traffic-police".into()];
    journal.append(TransitionKind::Raised, elsewhere);
    journal.append(TransitionKind::Raised, alert("pm25", "air-1", Severity::Moderate));
    for kind in [TransitionKind::Raised, TransitionKind::Updated, TransitionKind::Stale, TransitionKind::Fresh, TransitionKind::Receded] {
        running.sinks.wake(journal.append(kind, alert("river-bd3", "kimlong", Severity::Extreme)));
    }
    wait_for("the quick sink", || running.of("quick").behind == 0);
    assert_eq!(quick.seqs(), [3, 4, 5, 6, 7], "by route and severity, with updates");
    assert_eq!(running.of("slow").delivered, 0);
    for _ in 0..6 {
        release.send(()).expect("the slow receiver waits");
    }
    wait_for("the slow sink", || running.of("slow").behind == 0);
    assert_eq!(slow.seqs(), [1, 2, 3, 5, 6, 7]);
    running.stop();
}

/// What was announced, and how it goes on while it is told singly; nothing of what waits, is hidden, put away, counted or chatters.
#[test]
fn people_hear_what_is_announced_and_no_more() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let staff = Receiver::start(0, |_, _| (200, ""));
    let lead = Receiver::start(0, |_, _| (200, ""));
    let only = |receiver: &Receiver, name: &str| receiver.sink(name).replace("[[sink]]", &format!("[[sink]]\nroutes = [\"{name}\"]"));
    let toml = only(&staff, "flood-staff") + &only(&lead, "lead");
    let journal = Arc::new(Memory::default());
    let running = start(&toml, dir.path(), &journal, 0, 0);
    let as_of = |state: AlertState| {
        let mut alert = alert("fire", "a", Severity::Extreme);
        (alert.state, alert.announced) = (state, alert.announced.filter(|_| state.audible()));
        alert
    };
    use TransitionKind as T;
    let steps = [
        (T::Pending, AlertState::Pending),      // 1
        (T::Settled, AlertState::Cleared),      // 2
        (T::Raised, AlertState::Grouped),       // 3
        (T::Raised, AlertState::Flapping),      // 4
        (T::Receded, AlertState::Flapping),     // 5
        (T::Cleared, AlertState::Cleared),      // 6: nobody had heard of it
        (T::Raised, AlertState::Open),          // 7
        (T::Folded, AlertState::Grouped),       // 8
        (T::Shelved, AlertState::Shelved),      // 9
        (T::Inhibited, AlertState::Suppressed), // 10
        (T::Released, AlertState::Open),        // 11: heard of before
        (T::Latched, AlertState::Latched),      // 12
    ];
    for (kind, state) in steps {
        journal.append(kind, as_of(state));
    }
    journal.append_to(T::Escalated, as_of(AlertState::Latched), vec!["lead".into()]); // 13
    let mut over = alert("fire", "a", Severity::Extreme);
    over.notify.push("lead".into());
    over.state = AlertState::Cleared;
    running.sinks.wake(journal.append(T::Acknowledged, over)); // 14
    wait_for("all steps", || running.of("flood-staff").behind == 0 && running.of("lead").behind == 0);
    running.stop();
    assert_eq!(staff.seqs(), [7, 12, 14]);
    assert_eq!(lead.seqs(), [13, 14], "who was called in hears of the end");
}

#[test]
fn who_heard_of_a_group_when_it_was_grave_hears_of_its_end() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let receiver = Receiver::start(0, |_, _| (200, ""));
    let toml = receiver.sink("duty").replace("[[sink]]", "[[sink]]\nmin_severity = \"severe\"");
    let journal = Arc::new(Memory::default());
    let running = start(&toml, dir.path(), &journal, 0, 0);
    let group = |severity| {
        let mut alert = alert("street-flood", "*", severity);
        alert.about = About::Group;
        alert
    };
    journal.append(TransitionKind::Raised, group(Severity::Severe));
    journal.append(TransitionKind::Updated, group(Severity::Moderate));
    running.sinks.wake(journal.append(TransitionKind::Cleared, group(Severity::Moderate)));
    wait_for("all steps", || running.of("duty").behind == 0);
    running.stop();
    assert_eq!(receiver.seqs(), [1, 3]);
}
