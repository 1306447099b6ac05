//! What the operators' console asks, against the real binary and broker: curves, an alert's whole life, the shift report and its sheet,
//! the past played back, and a message's link that acknowledges.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::support::{Huong, Mosquitto, PATIENCE, Publisher, root, wait_for, webhook_receiver};

const TOKEN: &str = "operator-token-0123456789";
const PEOPLE: &str = "[[person]]\nid = \"an\"\nname = \"Nguyễn Văn An\"\nto = { hook = \"an\" }\n[[route]]\nid = \"flood\"\n\
                      [[shift]]\nroute = \"flood\"\npeople = [\"an\"]\n";
const MINUTE: i64 = 60_000;
/// Minutes ago, and metres at Kim Long: level I is 1.00 m there.
const CURVE: [(i64, f64); 5] = [(50, 0.55), (40, 0.7), (30, 0.85), (20, 1.1), (10, 1.3)];

fn millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(since.as_millis()).expect("fits")
}

/// The letters of a PDF.
fn letters(pdf: &[u8], dir: &Path) -> String {
    let file = dir.join("sheet.pdf");
    std::fs::write(&file, pdf).expect("written");
    let output =
        Command::new("pdftotext").args(["-layout"]).arg(&file).arg("-").output().expect("pdftotext is installed (make test does it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_consoles_whole_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let (tokens, notify) = (dir.path().join("tokens"), dir.path().join("notify.toml"));
    std::fs::write(&tokens, format!("operator truc {TOKEN}\n")).expect("written");
    let shipped = std::fs::read_to_string(root().join("config/notify.toml")).expect("the shipped file");
    let linked = shipped.replace("\n# base = ", "\nbase = ");
    assert_ne!(shipped, linked);
    std::fs::write(&notify, linked + PEOPLE).expect("written");
    let (hook, letters_sent) = webhook_receiver();
    let broker = Mosquitto::start();
    let head = format!("notify = {:?}\n", notify.display().to_string());
    let extra = format!(
        "tokens_file = {:?}\nopen = true\n[vision]\nenabled = false\n[[sink]]\nname = \"hook\"\n\
         http = {{ url = \"http://127.0.0.1:{hook}/\", body = '{{\"text\": \"{{text}}\", \"acknowledge\": \"{{acknowledge}}\"}}' }}\n",
        tokens.display().to_string()
    );
    let huong = Huong::with_files(broker.port, &[], &head, &extra).connected();
    let publisher = Publisher::connect(broker.port);
    let now = millis();
    for (ago, value) in CURVE {
        let at = now - ago * MINUTE;
        let payload = format!("{{\"sensor\":\"kimlong\",\"kind\":\"water_level\",\"ts\":{at},\"value\":{value},\"unit\":\"m\"}}");
        publisher.publish("hue/sensors/water_level/kimlong", payload);
    }
    let (viewer, truc) = (Client::nobody(huong.wall), Client::bearer(huong.wall, TOKEN));
    let alert = wait_for("level I", || {
        let snapshot = viewer.get("/api/snapshot").json();
        let id = |alert: &Value| alert["id"].as_str().filter(|id| id.starts_with("river-bd1:kimlong:")).map(str::to_owned);
        snapshot["alerts"].as_array().expect("a list").iter().find_map(id)
    });

    the_curve(&viewer, now);

    let order = |act: &str, body: Value| truc.post(&format!("/api/alerts/{alert}/{act}"), &body);
    assert_eq!(viewer.post(&format!("/api/alerts/{alert}/comment"), &json!({ "text": "x", "by": "x" })).status, 401);
    for (act, body) in [
        ("comment", json!({ "by": "Chị Trúc", "text": "đã gọi tổ trực Kim Long" })),
        ("assign", json!({ "by": "Chị Trúc", "to": "Anh Sơn" })),
        ("coming", json!({ "by": "Anh Sơn" })),
    ] {
        let answer = order(act, body);
        assert_eq!(answer.status, 200, "{act}: {}", answer.text());
    }
    let token = the_link(&viewer, &alert, || letters_sent.recv_timeout(PATIENCE).expect("An is told"));
    the_life(&viewer, &alert);

    let (from, to) = (now - 60 * MINUTE, millis() + MINUTE);
    let report = truc.get(&format!("/api/handover?from={from}&to={to}")).json();
    assert!(report["open"].as_array().expect("a list").iter().any(|open| open["id"] == *alert), "{report}");
    assert!(report["raised"].as_u64().is_some_and(|raised| raised >= 1), "{report}");
    assert_eq!((&report["by"], &report["acknowledged"]), (&json!("truc"), &json!([{ "by": "Nguyễn Văn An", "n": 1 }])), "{report}");
    let sheet = truc.get(&format!("/api/handover.pdf?from={from}&to={to}"));
    assert_eq!((sheet.status, &*sheet.header("content-type")), (200, "application/pdf"), "{}", sheet.text());
    let sheet = letters(&sheet.body, dir.path());
    for line in [
        "BIÊN BẢN GIAO CA",
        "Kim Long",
        "đã gọi tổ trực Kim Long",
        "giao cho Anh Sơn",
        "Anh Sơn đang đến",
        "Nguyễn Văn An: 1",
        "Người nhận ca",
    ] {
        assert!(sheet.contains(line), "{line} in {sheet}");
    }
    the_past(&viewer, &alert, now);

    let refused = |path: &str| assert_eq!(viewer.get(path).status, 400, "{path}");
    refused(&format!("/api/past?from={}&to={now}", now - 7 * 60 * MINUTE));
    refused(&format!("/api/handover?from={now}&to={from}"));
    refused(&format!("/api/series?stream=water_level&key=kimlong&field=none&from={from}&to={to}"));
    refused(&format!("/api/series?stream=water_level&key=kimlong&field=value&from={}&to={}", i64::MIN, i64::MAX));
    assert_eq!(viewer.get(&format!("/api/link/{token}x")).status, 404, "nothing of a link can be changed");
    assert_eq!(viewer.get("/api/alerts/none").status, 404);
}

/// Every point that was sent, and all of them as one.
fn the_curve(viewer: &Client, now: i64) {
    let (from, to) = (now - 60 * MINUTE, now);
    let curve = |points: u32| {
        let path = format!("/api/series?stream=water_level&key=kimlong&field=value&from={from}&to={to}&points={points}");
        let curve = viewer.get(&path).json();
        assert_eq!(curve["unit"], "m");
        curve["points"].as_array().expect("a list").clone()
    };
    let points = wait_for("the curve", || Some(curve(3600)).filter(|points| points.len() == CURVE.len()));
    for (point, (ago, value)) in points.iter().zip(CURVE) {
        let at = point[0].as_i64().expect("a time");
        assert!((0..1000).contains(&(now - ago * MINUTE - at)), "in its second: {point}");
        assert_eq!([&point[1], &point[2], &point[3]], [&json!(value); 3], "one value is its own mean, least and most");
    }
    let one = curve(1);
    assert_eq!((one.len(), &one[0][2], &one[0][3]), (1, &json!(0.55), &json!(1.3)), "{one:?}");
    assert!(one[0][1].as_f64().is_some_and(|mean| (mean - 0.9).abs() < 1e-9), "{one:?}");
}

/// The link of the message acknowledges, in the name of whom the message was for, when it is followed and not when it is opened. Gives its token.
fn the_link(viewer: &Client, alert: &str, mut letter: impl FnMut() -> String) -> String {
    let token = loop {
        let letter: Value = serde_json::from_str(&letter()).expect("the body as configured");
        assert!(letter["text"].as_str().is_some_and(|text| text.contains("Kim Long")), "{letter}");
        let (_, token) = letter["acknowledge"].as_str().and_then(|link| link.split_once("/staff#link=")).expect("a link");
        if viewer.get(&format!("/api/link/{token}")).json()["id"] == *alert {
            break token.to_owned();
        }
    };
    let opened = viewer.get(&format!("/api/link/{token}")).json();
    assert_eq!((&opened["person"], &opened["alert"]["state"]), (&json!("Nguyễn Văn An"), &json!("open")), "{opened}");
    assert!(opened["advice"]["vi"].as_str().is_some_and(|advice| advice.contains("Trực theo dõi")), "what is to be done: {opened}");
    let followed = viewer.post(&format!("/api/link/{token}"), &json!({}));
    assert_eq!(followed.status, 200, "{}", followed.text());
    wait_for("the acknowledgement", || {
        Some(viewer.get(&format!("/api/link/{token}")).json()).filter(|link| link["alert"]["ack"]["by"] == "Nguyễn Văn An")
    });
    token
}

/// An alert with all that happened to it.
fn the_life(viewer: &Client, alert: &str) {
    let kinds = |life: &Value| {
        let steps = life["steps"].as_array().expect("a list");
        steps.iter().map(|step| step["kind"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let life = wait_for("all steps", || {
        let life = viewer.get(&format!("/api/alerts/{alert}")).json();
        Some(life).filter(|life| kinds(life).iter().any(|kind| kind == "acknowledged"))
    });
    let told = kinds(&life);
    let people: Vec<&str> = told.iter().map(String::as_str).filter(|kind| ["noted", "assigned", "acknowledged"].contains(kind)).collect();
    assert_eq!(people, ["noted", "assigned", "noted", "acknowledged"], "in the order of time: {life}");
    assert!(told.iter().any(|kind| kind == "raised"), "{told:?}");
    let notes: Vec<_> =
        life["alert"]["notes"].as_array().expect("a list").iter().map(|note| (&note["kind"], &note["by"], &note["text"])).collect();
    let expected =
        [(json!("comment"), json!("Chị Trúc"), json!("đã gọi tổ trực Kim Long")), (json!("coming"), json!("Anh Sơn"), json!(""))];
    assert_eq!(notes, expected.iter().map(|(kind, by, text)| (kind, by, text)).collect::<Vec<_>>(), "{life}");
    assert_eq!((&life["alert"]["assigned"]["to"], &life["alert"]["ack"]["by"]), (&json!("Anh Sơn"), &json!("Nguyễn Văn An")));
    assert_eq!(
        life["series"][0],
        json!({ "stream": "water_level", "key": "kimlong", "field": "value", "levels": life["series"][0]["levels"] })
    );
    assert_eq!(life["series"][0]["levels"]["bd1"], 1.0);
    assert_eq!(life["causes"][0]["key"], "kimlong", "{life}");
    assert_eq!(life["cameras"].as_array().map(Vec::len), Some(3), "the nearest: {life}");
    let delivered = life["deliveries"].as_array().expect("a list").iter().any(|told| told["sink"] == "hook" && told["recipient"] == "an");
    assert!(delivered, "{life}");
}

/// What was sent comes again, in the words of the live stream.
fn the_past(viewer: &Client, alert: &str, now: i64) {
    let from = now - 45 * MINUTE;
    let played: Answer = viewer.get(&format!("/api/past?from={from}&to={}", millis() + MINUTE));
    let played = played.json();
    let levels = |values: &Value| {
        let values =
            values.as_array().expect("a list").iter().filter(|value| value["key"] == "kimlong" && value["stream"] == "water_level");
        values.map(|value| value["fields"][0]["number"].as_f64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(played["snapshot"]["clock"]["now"], from);
    assert_eq!(levels(&played["snapshot"]["values"]), [0.55], "what was known then");
    assert!(!played["snapshot"]["alerts"].to_string().contains(alert), "not yet");
    let deltas = played["deltas"].as_array().expect("a list");
    assert!(deltas.is_sorted_by_key(|delta| delta["at"].as_i64()), "in the order of time");
    let came: Vec<f64> = deltas.iter().flat_map(|delta| levels(&delta["values"])).collect();
    assert_eq!(came, [0.7, 0.85, 1.1, 1.3]);
    let steps = deltas.iter().flat_map(|delta| delta["alerts"].as_array().expect("a list"));
    let kinds: Vec<&str> = steps.filter(|step| step["alert"]["id"] == alert).filter_map(|step| step["kind"].as_str()).collect();
    assert!(kinds.starts_with(&["raised"]) && kinds.ends_with(&["acknowledged"]), "{kinds:?}");
}
