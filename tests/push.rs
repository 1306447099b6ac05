//! Alerts to people through the real binary: a mail server, a configuration of people, a crash between; and how soon a webhook hears.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::steady::Steady;
use crate::support::{Huong, Mosquitto, Publisher, end, free_port, huong, root, stderr, stdout, wait_for, webhook_receiver};

fn millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis()
}

/// A mail server that writes down what it is sent, a line of JSON each; mail to nobody@ it refuses.
struct MailServer {
    port: u16,
    file: PathBuf,
    child: Child,
}

impl MailServer {
    fn start(dir: &Path) -> Self {
        let (port, file) = (free_port(), dir.join("mail.jsonl"));
        let mut command = Command::new("python3");
        command.arg(root().join("crates/notify/tests/peers/mail.py")).arg(port.to_string()).arg(&file);
        command.env("PYTHONPATH", root().join("vendor/pytest")).stderr(Stdio::null());
        let child = command.spawn().expect("python starts");
        wait_for("the mail server to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, file, child }
    }

    fn lines(&self) -> Vec<String> {
        let Ok(file) = std::fs::File::open(&self.file) else { return Vec::new() };
        BufReader::new(file).lines().map(|line| line.expect("text")).collect()
    }

    fn wait_for(&self, count: usize) -> Vec<String> {
        wait_for(&format!("{count} mails"), || Some(self.lines()).filter(|lines| lines.len() >= count))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

const PEOPLE: &str = r#"
[[person]]
id = "an"
name = "Nguyễn Văn An"
to = { mail = "an@example.invalid" }
[[person]]
id = "chi"
name = "Chi"
to = { mail = "nobody@example.invalid" }
[[route]]
id = "flood"
rules = ["river-bd1", "river-bd2"]
[[shift]]
route = "flood"
people = ["an", "chi"]
"#;

#[test]
fn people_are_told_once_over_a_power_cut_and_what_is_refused_is_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mail = MailServer::start(dir.path());
    let shipped = std::fs::read_to_string(root().join("config/notify.toml")).expect("the shipped file");
    let notify = dir.path().join("notify.toml");
    std::fs::write(&notify, shipped + PEOPLE).expect("written");
    let sink = format!(
        "[[sink]]\nname = \"mail\"\nsmtp = {{ host = \"127.0.0.1\", port = {}, security = \"none\", from = \"ioc@example.invalid\" }}\n\
         [[sink]]\nname = \"cap\"\nroutes = [\"flood\"]\ncap = {{ audience = \"staff\" }}\n[[sink]]\nname = \"drafts\"\ncap = {{ audience = \"public\" }}\n",
        mail.port
    );
    let broker = Mosquitto::start();
    let mut huong_run = Huong::with_files(broker.port, &[], &format!("notify = {:?}\n", notify.display().to_string()), &sink).connected();
    let publisher = Publisher::connect(broker.port);
    let reading = |minutes: u128, value: f64| {
        let at = millis() - minutes * 60_000;
        publisher.publish(
            "hue/sensors/water_level/kimlong",
            format!("{{\"sensor\":\"kimlong\",\"kind\":\"water_level\",\"ts\":{at},\"value\":{value},\"unit\":\"m\"}}"),
        );
    };
    reading(20, 1.3);
    let first = mail.wait_for(1).remove(0);
    for part in ["an@example.invalid", "Kim Long", "ngưỡng 1,00 m (trên 0,30 m)", "limit 1.00 m (0.30 m above)"] {
        assert!(first.contains(part) || first.contains(&escaped(part)), "`{part}` in {first}");
    }
    let dead = |huong_run: &Huong| {
        let output = huong(&["push", "dead", "--data", &huong_run.dir.path().join("store").display().to_string()]);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    wait_for("the refused letter", || Some(dead(&huong_run)).filter(|lines| lines.contains("no such mailbox")));
    huong_run.kill();
    huong_run.restart();
    reading(10, 2.1);
    // Level II hides level I, which is not over: one letter more, and none of before.
    let seen = mail.wait_for(2);
    assert!(seen[1].contains("river-bd2"), "{seen:?}");
    wait_for("the second refused letter", || (dead(&huong_run).lines().count() == 2).then_some(()));
    let store = huong_run.dir.path().join("store");
    let count = |folder: &Path| {
        std::fs::read_dir(folder)
            .map_or(0, |files| files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "xml")).count())
    };
    wait_for("the staff's files", || (count(&store.join("cap/staff")) >= 2).then_some(()));
    assert_eq!(count(&store.join("cap")), 0, "nobody has released anything");
    let desk = || std::fs::read_to_string(store.join("cap/desk.json")).ok();
    wait_for("the draft", || desk().filter(|desk| desk.contains("river-bd2")));
    assert!(huong_run.stop());
    assert_eq!(mail.lines().len(), 2);
}

/// As JSON in ASCII writes it.
fn escaped(text: &str) -> String {
    let unit = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    text.chars().map(unit).collect()
}

const STREAMS: &str = "[[stream]]\nid = \"level\"\nname = \"Mực nước\"\nname_en = \"Level\"\ndisorder = \"1m\"\nfuture = \"10m\"\nmax_age = \"1d\"\n\
                       gap = \"1d\"\nsilent_after_periods = 3\nfields.value = { unit = \"m\" }\n";
const SOURCES: &str = "[[source]]\nname = \"test\"\ntopic = \"{prefix}/test/+/+\"\nstream = { topic = 2 }\nkey = [{ topic = 3 }]\ntime = [\"ts\"]\n\
                       fields.value = [\"value\"]\n";
const RULES: &str = "[[rule]]\nid = \"high\"\nfrom = \"level\"\nwhen = \"value >= 2\"\ngroup_after = 0\nseverity = \"severe\"\nsource = \"A test.\"\n\
                     text = { vi = \"{value:.2}\", en = \"{value:.2}\" }\n";
const RATE: u64 = 5000;
/// One message in so many raises an alarm.
const ALARM_EVERY: u64 = 1250;
const ALARMS: usize = 200;

/// From the publisher's hand to the webhook's request: the broker's part is in it. `cargo test -- --ignored --nocapture webhook_hears`.
#[test]
#[ignore = "a measurement of a minute"]
#[expect(clippy::print_stderr, reason = "the figures are its purpose")]
fn how_soon_the_webhook_hears_at_5000_readings_a_second() {
    let broker = Mosquitto::start();
    let (hooks, pushed) = webhook_receiver();
    let files = [("streams.toml", STREAMS), ("sources.toml", SOURCES), ("registry.toml", ""), ("pipelines/rules.toml", RULES)];
    let extra = format!("[vision]\nenabled = false\n[[sink]]\nname = \"duty\"\nwebhook = {{ url = \"http://127.0.0.1:{hooks}/\" }}\n");
    let huong_run = Huong::with_files(broker.port, &files, "", &extra).connected();
    let sent: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let noted = Arc::clone(&sent);
    let publisher = Steady::start(broker.port, RATE as f64, move |number, ending| {
        if ending {
            return None;
        }
        let alarm = number % ALARM_EVERY == 0;
        let key = if alarm { format!("alarm{number}") } else { format!("k{}", number % 500) };
        if alarm {
            noted.lock().expect("nobody panics with it").insert(key.clone(), Instant::now());
        }
        Some((format!("hue/test/level/{key}"), format!("{{\"ts\":{},\"value\":{}}}", millis(), if alarm { 3 } else { 1 })))
    });
    let mut waits: Vec<Duration> = Vec::new();
    while waits.len() < ALARMS {
        let body = pushed.recv_timeout(crate::support::PATIENCE).expect("the alarm is told");
        let heard = Instant::now();
        let key = body.split("\"key\":\"").find(|part| part.starts_with("alarm")).and_then(|part| part.split('"').next()).expect("a key");
        waits.extend(sent.lock().expect("nobody panics with it").remove(key).map(|sent| heard - sent));
    }
    let readings = publisher.sent();
    publisher.finish();
    waits.sort();
    let of = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{ALARMS} alarms among {readings} readings at {RATE} a second: published to webhook p50 {:?}, p90 {:?}, p99 {:?}, most {:?}",
        of(0.5),
        of(0.9),
        of(0.99),
        of(1.0)
    );
    drop(huong_run);
}

#[test]
fn check_names_the_mistakes_in_people_and_the_routes_that_reach_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let (notify, config) = (dir.path().join("notify.toml"), dir.path().join("huong.toml"));
    let sink = "[[sink]]\nname = \"mail\"\nsmtp = { host = \"127.0.0.1\", security = \"none\", from = \"ioc@example.invalid\" }\n";
    let check = |people: &str, head: &str| {
        std::fs::write(&notify, people).expect("written");
        std::fs::write(&config, format!("{head}{sink}")).expect("written");
        huong(&["check", "--config", &config.display().to_string()])
    };
    let head = format!("notify = {:?}\n", notify.display().to_string());
    let output = check(PEOPLE, &head);
    let told = stdout(&output);
    assert!(output.status.success() && told.contains("route: found none for") && told.contains("`rescue`"), "{told}{}", stderr(&output));
    assert!(!told.contains("`flood`"), "{told}");
    let wrong = stderr(&check(&PEOPLE.replace("\"an\", \"chi\"", "\"an\", \"dung\""), &head));
    assert!(wrong.contains("shift[0].people: found `dung`, expected the id of a [[person]]"), "{wrong}");
    let wrong = stderr(&check(PEOPLE, ""));
    assert!(wrong.contains("found no `notify`, expected the file of people, routes and shifts"), "{wrong}");
}
