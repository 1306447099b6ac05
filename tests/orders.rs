//! Operators' orders through the real binary: over HTTP, to the journal, and over a power cut.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::support::{Huong, Mosquitto, Publisher, wait_for};

const TOKEN: &str = "operator-token-0123456789";

/// The status and text of an answer.
fn ask(huong: &Huong, method: &str, path: &str, body: &str) -> (u16, String) {
    let answer = Client::bearer(huong.wall, TOKEN).ask(method, path, body);
    (answer.status, answer.text())
}

fn until(huong: &Huong, what: &str, sought: &str) -> String {
    wait_for(what, || Some(ask(huong, "GET", "/api/snapshot", "").1).filter(|snapshot| snapshot.contains(sought)))
}

#[test]
fn an_order_is_in_the_journal_and_outlives_a_power_cut() {
    let tokens = tempfile::tempdir().expect("a folder for the tokens");
    let file = tokens.path().join("tokens");
    std::fs::write(&file, format!("operator duty {TOKEN}\n")).expect("the tokens are written");
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, &format!("tokens_file = {:?}\n", file.display().to_string()));
    until(&huong, "the subscription", "\"broker_connected\":true");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let payload = format!("{{\"sensor\":\"kimlong\",\"kind\":\"water_level\",\"ts\":{},\"value\":1.3,\"unit\":\"m\"}}", now - 600_000);
    Publisher::connect(broker.port).publish("hue/sensors/water_level/kimlong", payload);
    let snapshot = until(&huong, "level I", "\"id\":\"river-bd1:kimlong:");
    let id = snapshot.split("\"id\":\"").find(|part| part.starts_with("river-bd1:kimlong:")).and_then(|part| part.split('"').next());
    let path = |act: &str| format!("/api/alerts/{}/{act}", id.expect("it is there"));

    let too_long = r#"{"by":"Chị Lan","why":"cảm biến đang sửa","for":"9h"}"#;
    let (status, why) = ask(&huong, "POST", &path("shelve"), too_long);
    assert_eq!(status, 409, "{why}");
    assert!(why.contains("nothing is shelved for longer than 8h"), "{why}");
    let (status, why) = ask(&huong, "POST", &path("shelve"), &too_long.replace("9h", "2h"));
    assert_eq!(status, 200, "{why}");
    assert_eq!(ask(&huong, "POST", "/api/exercise", r#"{"by":"Chị Lan","on":true}"#).0, 200);
    huong.kill();
    huong.restart();
    let snapshot = until(&huong, "the shelf", "\"state\":\"shelved\"");
    assert!(snapshot.contains("\"why\":\"cảm biến đang sửa\"") && snapshot.contains("Chế độ diễn tập do Chị Lan bật"), "{snapshot}");
    let (status, why) = ask(&huong, "POST", &path("unshelve"), r#"{"by":"Anh Sơn"}"#);
    assert_eq!(status, 200, "{why}");
    assert_eq!(ask(&huong, "POST", &path("acknowledge"), r#"{"by":"Anh Sơn"}"#).0, 200);
    until(&huong, "the acknowledgement", "\"state\":\"acknowledged\"");
    let (status, why) = ask(&huong, "POST", "/api/alerts/none/acknowledge", r#"{"by":"Anh Sơn"}"#);
    assert_eq!(status, 404, "{why}");
    assert!(huong.stop());
    let rows = huong.query("SELECT kind, \"by\", state, announced FROM alerts WHERE \"by\" IS NOT NULL ORDER BY seq");
    let expected = [
        "shelved,Chị Lan,shelved,false",
        "raised,Chị Lan,open,true",
        "unshelved,Anh Sơn,open,true",
        "acknowledged,Anh Sơn,acknowledged,false",
    ];
    assert_eq!(rows, expected);
}
