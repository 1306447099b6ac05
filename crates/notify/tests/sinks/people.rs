//! Messages to people, against a real mail server, a real HTTP server and a reader of web push that others wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use huong_notify::{Now, Outcome};
use huong_types::{Alert, AlertState, Severity, Timestamp, TransitionKind};
use serde_json::Value;

use crate::peers::{Server, run};
use crate::support::{Memory, alert, start_with, wait_for};

/// 27 October 2025, a Monday, 00:33 in Huế: the journal's first steps.
const START: i64 = 1_761_500_000_000;

/// A clock that stands until it is put on.
#[derive(Clone)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    fn put_on(&self, minutes: i64) {
        self.0.fetch_add(minutes * 60_000, Ordering::Relaxed);
    }

    fn now(&self) -> Now {
        let millis = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_millis(millis.load(Ordering::Relaxed)))
    }
}

const ROSTER: &str = r#"
    person = [
      { id = "an", name = "Nguyễn Văn An", language = "vi", to = { mail = "an@example.invalid", bot = "101", dead = "1" } },
      { id = "binh", name = "Bình", to = { mail = "binh@example.invalid", bot = "102" } },
      { id = "chi", name = "Chi", language = "en", to = { mail = "nobody@example.invalid" } },
    ]
    route = [{ id = "flood-staff" }, { id = "lead" }]
    shift = [
      { route = "flood-staff", days = ["sun"], hours = { from = "19:00", to = "07:00" }, people = ["an"] },
      { route = "flood-staff", days = ["mon"], hours = { from = "07:00", to = "19:00" }, people = ["binh"] },
      { route = "lead", people = ["binh"] },
    ]
    digest = { after = 100 }
    links = { base = "https://wall.example.invalid" }
"#;

const RETRY: &str = "retry = { first = \"20ms\", most = \"100ms\" }\n";

fn mail_sink(port: u16, more: &str) -> String {
    format!(
        "[[sink]]\nname = \"mail\"\n{RETRY}smtp = {{ host = \"localhost\", port = {port}, from = \"IOC <ioc@example.invalid>\", {more} }}\n"
    )
}

fn bot_sink(name: &str, port: u16) -> String {
    format!(
        "[[sink]]\nname = \"{name}\"\n{RETRY}[sink.http]\nurl = \"http://127.0.0.1:{port}/send?to={{to}}\"\n\
         body = '{{\"chat_id\": \"{{to}}\", \"text\": \"{{text}}\", \"short\": \"{{short}}\"}}'\nexpect = {{ pointer = \"/ok\", is = true }}\n"
    )
}

fn body(request: &Value) -> Value {
    let bytes = base64::engine::general_purpose::STANDARD.decode(request["body"].as_str().expect("a text")).expect("base64");
    serde_json::from_slice(&bytes).expect("the body is JSON")
}

fn keys(requests: &[Value]) -> Vec<&str> {
    requests.iter().filter_map(|request| request["headers"]["idempotency-key"].as_str()).collect()
}

fn numbered(number: usize, severity: Severity) -> Alert {
    alert(&format!("river-{number}"), "kimlong", severity)
}

#[test]
fn mail_reaches_who_is_on_duty_the_lead_when_it_escalates_and_both_when_it_is_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("mail.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let running = start_with(&mail_sink(server.port, "security = \"none\""), ROSTER, dir.path(), &journal, (0, 0), clock.now());
    let flood = alert("river-bd3", "kimlong", Severity::Extreme);
    running.sinks.wake(journal.append(TransitionKind::Raised, flood.clone()));
    let seen = server.wait_for(1);
    assert_eq!((&seen[0]["to"][0], &seen[0]["from"]), (&Value::from("an@example.invalid"), &Value::from("ioc@example.invalid")));
    assert_eq!(seen[0]["headers"]["subject"], "Khẩn cấp: Kim Long – Báo động mới");
    let text = seen[0]["body"].as_str().expect("a text");
    assert!(text.contains("Kim Long 3,62 m, trên báo động III") && !text.contains("alarm level"), "in An's language: {text}");
    let token = text.split("#link=").nth(1).and_then(|rest| rest.lines().next()).expect("a link to acknowledge").trim();
    let claim = running.sinks.office().links().check(token, (clock.now())()).expect("a good token");
    assert_eq!((claim.alert, claim.person.as_str()), (flood.id.clone(), "an"));

    running.sinks.wake(journal.append_to(TransitionKind::Escalated, flood.clone(), vec!["lead".into()]));
    // Who was told before and who is on duty for the lead's route.
    let mut told: Vec<String> = server.wait_for(3)[1..].iter().map(|mail| mail["to"][0].to_string()).collect();
    told.sort();
    assert_eq!(told, ["\"an@example.invalid\"", "\"binh@example.invalid\""]);
    journal.append_by(TransitionKind::Acknowledged, flood.clone(), "an");
    running.sinks.wake(journal.append(TransitionKind::Cleared, flood.clone()));
    let seen = server.wait_for(7);
    assert!(seen[3]["body"].as_str().is_some_and(|text| text.contains("Nguyễn Văn An")), "who has taken it: {}", seen[3]);
    let mut numbers: Vec<String> = seen.iter().map(|mail| mail["headers"]["message-id"].to_string()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 7, "a Message-ID for each letter");
    wait_for("the receipts", || running.sinks.office().receipts(&flood.id).is_ok_and(|receipts| receipts.len() == 8));
    let receipts = running.sinks.office().receipts(&flood.id).expect("readable");
    let of = |outcome| {
        receipts.iter().filter(|receipt| receipt.outcome == outcome).map(|receipt| receipt.recipient.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(Outcome::Acknowledged), ["an"]);
    assert_eq!(of(Outcome::Delivered).len(), 7);
    running.stop();
}

#[test]
fn a_mailbox_that_is_refused_is_a_dead_letter_and_delays_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("mail.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let roster = ROSTER.replace("people = [\"an\"]", "people = [\"chi\", \"an\"]");
    let running = start_with(&mail_sink(server.port, "security = \"none\""), &roster, dir.path(), &journal, (0, 0), clock.now());
    let flood = alert("river-bd3", "kimlong", Severity::Extreme);
    running.sinks.wake(journal.append(TransitionKind::Raised, flood.clone()));
    assert_eq!(server.wait_for(1)[0]["to"][0], "an@example.invalid");
    wait_for("the dead letter", || running.of("mail").dead_letters == 1);
    wait_for("its line", || std::fs::read_to_string(dir.path().join("mail.dead.jsonl")).is_ok_and(|text| text.contains("no such mailbox")));
    let receipts = running.sinks.office().receipts(&flood.id).expect("readable");
    assert!(receipts.iter().any(|receipt| receipt.recipient == *"chi" && receipt.outcome == Outcome::Refused), "{receipts:?}");
    running.stop();
}

#[test]
fn mail_goes_over_tls_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let server = Server::start("mail.py", dir.path(), &[&certificate, &key]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let trusting = mail_sink(server.port, &format!("ca = {certificate:?}"));
    let strict = trusting.replace("name = \"mail\"", "name = \"dead\"").replace(&format!("ca = {certificate:?}"), "timeout = \"5s\"");
    let roster = ROSTER.replace("dead = \"1\"", "dead = \"other@example.invalid\"");
    let running = start_with(&format!("{trusting}{strict}"), &roster, dir.path(), &journal, (0, 0), clock.now());
    running.sinks.wake(journal.append(TransitionKind::Raised, alert("river-bd3", "kimlong", Severity::Extreme)));
    let seen = server.wait_for(1);
    assert_eq!((&seen[0]["tls"], &seen[0]["to"][0]), (&Value::from(true), &Value::from("an@example.invalid")));
    wait_for("several attempts", || running.of("dead").retries > 3);
    assert!(running.of("dead").failing.is_some_and(|why| why.contains("certificate")), "it does not trust an unknown certificate");
    assert_eq!(server.seen().len(), 1, "and sends nothing in the clear");
    running.stop();
}

#[test]
fn a_server_down_for_an_hour_gets_everything_in_order_once_per_key_also_over_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start("web.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let sink = bot_sink("bot", server.port);
    let start = |newest| start_with(&sink, ROSTER, dir.path(), &journal, (newest, 0), clock.now());
    let running = start(0);
    running.sinks.wake(journal.append(TransitionKind::Raised, numbered(1, Severity::Severe)));
    // Killed before it answers it would get the letter again: at least once.
    wait_for("the first to be done with", || running.of("bot").delivered == 1);
    server.kill();
    for number in 2..6 {
        running.sinks.wake(journal.append(TransitionKind::Raised, numbered(number, Severity::Severe)));
    }
    wait_for("an attempt that fails", || running.of("bot").retries > 0);
    clock.put_on(60);
    wait_for("all steps to be letters", || running.of("bot").behind == 4);
    running.stop();
    // A step that came while nobody was there.
    let newest = journal.append(TransitionKind::Raised, numbered(6, Severity::Severe));
    let running = start(newest);
    wait_for("all to be letters, none of them gone", || running.of("bot").behind == 5);
    server.revive();
    let seen = server.wait_for(6);
    let expected: Vec<String> = (1..7).map(|number| format!("river-{number}.kimlong.{START}/{number}/an")).collect();
    assert_eq!(keys(&seen), expected);
    assert_eq!((&seen[0]["path"], &body(&seen[0])["chat_id"]), (&Value::from("/send?to=101"), &Value::from("101")));
    wait_for("nothing to be left", || running.of("bot").behind == 0);
    running.stop();
    let running = start(newest);
    running.sinks.wake(journal.append(TransitionKind::Raised, numbered(7, Severity::Severe)));
    let seen = server.wait_for(7);
    assert_eq!(keys(&seen)[6..], [format!("river-7.kimlong.{START}/7/an")], "nothing is sent again");
    running.stop();
    // A crash while the disk refused: the journal lost what had been told from memory, and numbers it anew.
    let younger = Arc::new(Memory::default());
    let running = start_with(&sink, ROSTER, dir.path(), &younger, (0, 0), clock.now());
    running.sinks.wake(younger.append(TransitionKind::Raised, numbered(8, Severity::Severe)));
    assert_eq!(keys(&server.wait_for(8))[7..], [format!("river-8.kimlong.{START}/1/an")]);
    running.stop();
}

#[test]
fn a_gateway_gets_a_form_with_a_secret_that_is_renewed_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("web.py", dir.path(), &[]);
    let secret = dir.path().join("sms.key");
    std::fs::write(&secret, "old&key\n").expect("written");
    let sink = format!(
        "[[sink]]\nname = \"bot\"\n{RETRY}[sink.http]\nurl = \"http://127.0.0.1:{}/sms\"\nescape = \"form\"\nheaders = {{ x-key = \"{{secret.key}}\" }}\n\
         body = \"phone={{to}}&content={{short}}&id={{key}}\"\nsecrets = {{ key = {{ file = {secret:?} }} }}\n",
        server.port
    );
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let running = start_with(&sink, ROSTER, dir.path(), &journal, (0, 0), clock.now());
    running.sinks.wake(journal.append(TransitionKind::Raised, alert("river-bd3", "kimlong", Severity::Extreme)));
    server.wait_for(1);
    std::fs::write(&secret, "new\n").expect("written");
    running.sinks.wake(journal.append(TransitionKind::Raised, alert("river-bd3", "kimlong", Severity::Extreme)));
    let seen = server.wait_for(2);
    let header = |request: &Value, name: &str| request["headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!((header(&seen[0], "x-key"), header(&seen[1], "x-key")), ("old&key".to_owned(), "new".to_owned()));
    assert_eq!(header(&seen[0], "content-type"), "application/x-www-form-urlencoded");
    let bytes = base64::engine::general_purpose::STANDARD.decode(seen[0]["body"].as_str().expect("a text")).expect("base64");
    let form = String::from_utf8(bytes).expect("text");
    assert!(form.starts_with("phone=101&content=Kh%E1%BA%A9n%20c%E1%BA%A5p%3A%20Kim%20Long%203%2C62%20m"), "{form}");
    assert_eq!(form.matches('&').count(), 2, "nothing of the text is a field: {form}");
    running.stop();
}

#[test]
fn a_sink_that_is_dead_delays_no_other_and_gives_up_after_its_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("web.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let dead = bot_sink("dead", crate::support::free_port());
    let running = start_with(&format!("{dead}{}", bot_sink("bot", server.port)), ROSTER, dir.path(), &journal, (0, 0), clock.now());
    for number in 1..4 {
        running.sinks.wake(journal.append(TransitionKind::Raised, numbered(number, Severity::Severe)));
    }
    assert_eq!(keys(&server.wait_for(3)).len(), 3);
    assert_eq!((running.of("dead").delivered, running.of("dead").dead_letters), (0, 0));
    clock.put_on(24 * 60 + 1);
    wait_for("three dead letters", || running.of("dead").dead_letters == 3);
    running.stop();
}

#[test]
fn a_storm_is_told_as_one_message_and_emergencies_singly() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("web.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let roster = ROSTER.replace("after = 100", "after = 2, within = \"10m\"");
    let running = start_with(&bot_sink("bot", server.port), &roster, dir.path(), &journal, (0, 0), clock.now());
    for number in 1..10 {
        running.sinks.wake(journal.append(TransitionKind::Raised, numbered(number, Severity::Severe)));
    }
    running.sinks.wake(journal.append(TransitionKind::Raised, numbered(10, Severity::Extreme)));
    assert_eq!(keys(&server.wait_for(3))[2], format!("river-10.kimlong.{START}/10/an"));
    wait_for("the rest to be held", || running.of("bot").behind == 7);
    clock.put_on(10);
    let seen = server.wait_for(4);
    assert_eq!(keys(&seen)[3], format!("digest/river-9.kimlong.{START}/9/an"));
    let text = body(&seen[3])["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("7 tin báo từ") && text.contains("7 nghiêm trọng") && text.contains("Còn 2 tin khác"), "{text}");
    wait_for("nothing to be held", || running.of("bot").behind == 0);
    let receipts = running.sinks.office().receipts(&numbered(3, Severity::Severe).id).expect("readable");
    assert_eq!(receipts.iter().map(|receipt| receipt.outcome).collect::<Vec<_>>(), [Outcome::Delivered], "the digest counts for it");
    running.stop();
}

#[test]
fn a_browser_of_others_reads_what_is_pushed_and_one_that_is_gone_is_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("web.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let roster = format!("{ROSTER}push = {{ subject = \"mailto:ioc@example.invalid\", hosts = [\"127.0.0.1\"] }}\n");
    let sink = format!("[[sink]]\nname = \"push\"\n{RETRY}web_push = {{ ttl = \"30m\" }}\n");
    let running = start_with(&sink, &roster, dir.path(), &journal, (0, 0), clock.now());
    let keys: Value = serde_json::from_str(&run("browser.py", &["keys"], "")).expect("JSON");
    let subscriptions = running.sinks.office().subscriptions();
    for path in ["phone", "410"] {
        let keys = serde_json::json!({ "p256dh": keys["p256dh"], "auth": keys["auth"] });
        let endpoint = format!("http://127.0.0.1:{}/{path}", server.port);
        let subscription = serde_json::json!({ "endpoint": endpoint, "expirationTime": null, "keys": keys });
        subscriptions.subscribe("an", subscription.to_string().as_bytes()).expect("a good subscription");
    }
    running.sinks.wake(journal.append(TransitionKind::Raised, alert("river-bd3", "kimlong", Severity::Extreme)));
    let seen = server.wait_for(2);
    let phone = seen.iter().find(|request| request["path"] == "/phone").expect("the phone's");
    assert_eq!((&phone["headers"]["ttl"], &phone["headers"]["urgency"]), (&Value::from("1800"), &Value::from("high")));
    let text = |name: &str| keys[name].as_str().expect("a text").to_owned();
    let read = run("browser.py", &["read", &text("private"), &text("auth")], &phone.to_string());
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(read["message"]["title"], "Khẩn cấp: Kim Long – Báo động mới");
    assert!(read["message"]["acknowledge"].as_str().is_some_and(|link| link.starts_with("https://wall.example.invalid/staff#link=")));
    assert_eq!((&read["scheme"], &read["claims"]["sub"]), (&Value::from("vapid"), &Value::from("mailto:ioc@example.invalid")));
    assert_eq!(read["claims"]["aud"], format!("http://127.0.0.1:{}", server.port));
    assert_eq!(read["k"].as_str(), subscriptions.public_key().as_deref());
    wait_for("the dead letter", || running.of("push").dead_letters == 1);
    running.sinks.wake(journal.append(TransitionKind::Cleared, alert("river-bd3", "kimlong", Severity::Extreme)));
    assert_eq!(server.wait_for(3)[2]["path"], "/phone");
    wait_for("nothing to be left", || running.of("push").behind == 0);
    assert_eq!(server.seen().len(), 3, "the one that is gone hears nothing more");
    running.stop();
}

#[test]
fn quiet_hours_hold_what_is_less_than_severe_until_the_morning() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("web.py", dir.path(), &[]);
    let (journal, clock) = (Arc::new(Memory::default()), Clock::new());
    let roster = ROSTER.replace("language = \"vi\"", "language = \"vi\", quiet = { from = \"22:00\", to = \"06:00\" }");
    let running = start_with(&bot_sink("bot", server.port), &roster, dir.path(), &journal, (0, 0), clock.now());
    journal.append(TransitionKind::Raised, numbered(1, Severity::Moderate));
    running.sinks.wake(journal.append(TransitionKind::Raised, numbered(2, Severity::Severe)));
    assert_eq!(keys(&server.wait_for(1)), [format!("river-2.kimlong.{START}/2/an")]);
    let over = Alert { state: AlertState::Cleared, ..numbered(1, Severity::Moderate) };
    running.sinks.wake(journal.append(TransitionKind::Cleared, over));
    wait_for("both to be held", || running.of("bot").behind == 2);
    clock.put_on(6 * 60);
    assert_eq!(keys(&server.wait_for(2))[1], format!("digest/river-1.kimlong.{START}/3/an"));
    running.stop();
}
