//! The page in a real browser, driven over its debugging pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use huong_types::{AlertState, TransitionKind};
use huong_wall::WallConfig;
use serde_json::{Value, json};

use crate::support::{DEADLINE, NOW, Served, acknowledged, alert_of, reading};

/// Looked for on the PATH, where `make test` puts it.
const CHROMIUM: &str = "chromium";

/// One page of a headless Chromium. Commands and answers are JSON objects ended by a zero byte (DevTools protocol).
struct Page {
    browser: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Value,
    sent: u64,
    _profile: tempfile::TempDir,
}

impl Page {
    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a directory for the browser's profile");
        // Chromium takes commands on file descriptor 3 and answers on 4.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "exec \"$0\" \"$@\" 3<&0 4>&1 1>&2",
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.args(["--remote-debugging-pipe", "--window-size=1920,1080"]).arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut browser = command.spawn().expect("a shell to start the browser");
        let commands = browser.stdin.take().expect("piped");
        let answers = BufReader::new(browser.stdout.take().expect("piped"));
        let mut page = Self { browser, commands, answers, session: Value::Null, sent: 0, _profile: profile };
        let target = page.call("Target.createTarget", json!({ "url": url }))["targetId"].clone();
        page.session = page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }))["sessionId"].clone();
        page
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": params });
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        write!(self.commands, "{command}\0").expect("the browser takes commands");
        loop {
            let mut answer = Vec::new();
            assert!(self.answers.read_until(0, &mut answer).expect("an answer") > 0, "the browser has ended: can {CHROMIUM} run here?");
            let answer: Value = serde_json::from_slice(&answer[..answer.len() - 1]).expect("the browser speaks JSON");
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The value of a JavaScript expression in the page.
    fn evaluate(&mut self, expression: &str) -> Value {
        self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }))["result"]["value"].clone()
    }

    /// The text that a person sees, line breaks as spaces.
    fn text(&mut self) -> String {
        let text = self.evaluate("document.body?.innerText.replace(/\\s+/g, ' ') ?? ''");
        text.as_str().expect("a text").to_owned()
    }

    /// Waits until the page shows all of `parts`.
    fn shows(&mut self, parts: &[&str]) {
        let until = Instant::now() + DEADLINE;
        loop {
            let text = self.text();
            if parts.iter().all(|part| text.contains(part)) {
                return;
            }
            assert!(Instant::now() < until, "waited in vain for {parts:?} in: {text}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.browser.kill().expect("the browser was running");
        self.browser.wait().expect("and has ended");
    }
}

#[test]
fn the_page_shows_what_holds_and_says_when_it_does_not_know() {
    let mut served = Served::start(WallConfig::default());
    served.feed.value(&reading("kimlong", NOW, 3.625));
    let mut page = Page::open(&served.url("/wall"));
    page.shows(&["CẢNH BÁO ALERTS", "Kim Long 3,63 m"]);
    served.step(1, TransitionKind::Raised, alert_of("kimlong"));
    page.shows(&["Kim Long 3,62 m, trên báo động III Kim Long 3.62 m, above alarm level III", "CHƯA NHẬN"]);
    served.step(2, TransitionKind::Acknowledged, acknowledged(alert_of("kimlong"), "Chị Hương"));
    page.shows(&["ĐÃ NHẬN: Chị Hương", "CÂN / BALANCED", "2 · 7,50", "LỖI / FAILING · 77"]);
    let fits = "document.getElementById('figures').scrollWidth <= document.getElementById('figures').clientWidth";
    assert_eq!(page.evaluate(fits), true, "the bottom line has room for all figures");
    let mut shelved = alert_of("phuoc");
    shelved.state = AlertState::Shelved;
    served.step(3, TransitionKind::Shelved, shelved);
    page.shows(&["1 bị che, tạm gác hoặc gộp"]);
    let mut latched = alert_of("phuoc");
    (latched.state, latched.holds) = (AlertState::Latched, false);
    served.step(4, TransitionKind::Latched, latched);
    page.shows(&["ĐÃ HẾT"]);
    assert_eq!(
        page.evaluate("document.querySelectorAll('.alert svg[data-level=\"1\"] text')[0].textContent"),
        "1",
        "a digit beside shape and colour"
    );
    assert_eq!(page.evaluate("document.documentElement.lang"), "vi");
    assert_eq!(page.evaluate("document.body.classList.contains('lost')"), false);

    let elements = page.evaluate("document.querySelectorAll('*').length");
    for i in 0..300 {
        served.step(5 + i, TransitionKind::Raised, alert_of(&format!("flood-{i}")));
    }
    page.shows(&["và 296 cảnh báo khác"]);
    assert_eq!(page.evaluate("document.querySelectorAll('*').length"), elements, "the document does not grow");

    page.evaluate("[...document.querySelectorAll('footer .figure')].find((figure) => figure.innerText.includes('BALANCED')).click()");
    page.shows(&["từ chối", "water_level vrain 5 4 1 0 0 duplicate 1"]);
    page.evaluate("document.getElementById('ledger').click()");
    assert_eq!(page.evaluate("document.getElementById('ledger').hasAttribute('hidden')"), true);

    served.stop.set();
    page.shows(&["MẤT KẾT NỐI CONNECTION LOST"]);
    assert_eq!(page.evaluate("document.body.classList.contains('lost')"), true);
}
