//! Records of possible violations over HTTP, through the real binary: who may see them, what each look leaves behind, what is handed over,
//! and the description of all that held against the running server.

use std::path::{Path, PathBuf};
use std::process::Command;

use huong_evidence::EvidenceConfig;
use huong_types::{Span, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, user_line};
use crate::evidence::{candidate, keep, verify};
use crate::support::{Huong, Mosquitto, huong, root, stderr, stdout};

const PASSWORD: &str = "sông Hương 1999";
const TOKEN: &str = "case-system-token-0123456789";

/// A running processor with records of the evening before, and those who sign in: Lan and Sơn of the police, an operator, an administrator.
struct Office {
    huong: Huong,
    dir: TempDir,
    ids: Vec<String>,
    /// Of the records, in the same order.
    pictures: Vec<Vec<u8>>,
    _broker: Mosquitto,
}

impl Office {
    fn open(records: i64) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let evidence = EvidenceConfig { dir: dir.path().join("evidence"), ..EvidenceConfig::default() };
        let noon = Timestamp::parse_rfc3339("2025-10-27T12:00:00+07:00").expect("a time");
        let candidates: Vec<_> = (0..records).map(|n| candidate(noon + Span::from_mins(n))).collect();
        let ids = candidates.iter().map(|candidate| keep(&evidence, candidate)).collect();
        let pictures = candidates.iter().map(|candidate| candidate.frames[0].jpeg.to_vec()).collect();
        // A package that a crash has left on its way out.
        std::fs::create_dir(evidence.dir.join("outgoing")).expect("a folder");
        std::fs::write(evidence.dir.join("outgoing/left.zip"), "plates").expect("written");
        let (users, tokens) = (dir.path().join("users"), dir.path().join("tokens"));
        let people = [("police", "lan"), ("police", "son"), ("operator", "truc"), ("admin", "quan")];
        std::fs::write(&users, people.map(|(role, name)| user_line(role, name, PASSWORD)).concat()).expect("written");
        std::fs::write(&tokens, format!("police case-system {TOKEN}\n")).expect("written");
        let broker = Mosquitto::start();
        let extra = format!(
            "users_file = {:?}\ntokens_file = {:?}\n[evidence]\ndir = {:?}\n",
            users.display().to_string(),
            tokens.display().to_string(),
            evidence.dir.display().to_string()
        );
        let huong = Huong::start(broker.port, &extra);
        Self { huong, dir, ids, pictures, _broker: broker }
    }

    fn login(&self, user: &str) -> Client {
        Client::login(self.huong.wall, user, PASSWORD)
    }

    fn evidence(&self, file: &str) -> PathBuf {
        self.dir.path().join("evidence").join(file)
    }

    /// The steps of a chained log.
    fn log(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    fn looks(&self) -> Vec<Value> {
        Self::log(&self.evidence("looks.jsonl"))
    }

    fn actions(&self) -> Vec<Value> {
        Self::log(&self.huong.dir.path().join("store/actions.jsonl"))
    }
}

#[test]
fn a_look_needs_a_right_and_a_reason_and_is_written_down() {
    let office = Office::open(1);
    let id = &office.ids[0];
    let export = json!({ "to": "x", "purpose": "x" });
    let record = format!("/api/records/{id}?why=x");
    let asked = ["/api/records", "/api/records/words", &record, "/api/handovers", "/api/openapi.json"];
    for (client, status) in [(office.login("truc"), 403), (office.login("quan"), 403), (Client::nobody(office.huong.wall), 401)] {
        for path in asked {
            assert_eq!(client.get(path).status, status, "{path}");
        }
        assert_eq!(client.post("/api/records/export", &export).status, status);
        assert_eq!(client.post("/api/records/search", &json!({ "plate": "75F123456", "why": "x" })).status, status);
        assert_eq!(client.post(&format!("/api/records/{id}/decide"), &json!({ "decision": "accept" })).status, status);
    }
    let lan = office.login("lan");
    let list = lan.get("/api/records?state=new&act=red_light");
    assert!(!list.text().contains("75F1"), "no plates in lists: {}", list.text());
    let list = list.json();
    assert_eq!((&list["found"], &list["counts"]["new"], &list["records"][0]["id"]), (&json!(1), &json!(1), &json!(id)), "{list}");
    assert_eq!(list["records"][0]["act_name"]["vi"], "Không chấp hành đèn tín hiệu");
    assert_eq!(lan.get("/api/records?plate=75F123456").status, 400, "a plate is searched for with a reason");

    let picture = format!("/api/records/{id}/files/picture-1.jpg");
    let (refused, without) = (lan.get(&picture), lan.get(&format!("/api/records/{id}")));
    assert!(refused.status == 409 && refused.text().contains("open the record first"), "{} {}", refused.status, refused.text());
    assert_eq!(without.status, 400, "{}", without.text());
    assert!(office.looks().is_empty(), "nobody has seen anything yet");
    let shown = lan.get(&format!("/api/records/{id}?why=duy%E1%BB%87t%20ng%C3%A0y")).json();
    assert_eq!((&shown["state"], &shown["record"]["plate"]["text"]), (&json!("new"), &json!("75F1-234.56")), "{shown}");
    assert_eq!(shown["record"]["law"]["provision"]["code"], "168/2024:7.7.c");
    let looks = office.looks();
    assert_eq!(looks.len(), 1, "{looks:?}");
    let told = looks[0].to_string();
    assert!(told.contains("\"lan\"") && told.contains("duyệt ngày") && told.contains(id), "{told}");
    let given = lan.get(&picture);
    assert_eq!((given.status, &*given.header("content-type")), (200, "image/jpeg"));
    assert_eq!(given.body, office.pictures[0], "untouched");
    assert_eq!(lan.get(&format!("/api/records/{id}/files/record.json")).status, 404, "only what the record names");
    let no_text = lan.get(&format!("/api/records/{id}/files/%FF"));
    assert!(no_text.status == 400 && no_text.text().starts_with("{\"error\":"), "{} {}", no_text.status, no_text.text());
    assert_eq!(office.login("son").get(&picture).status, 409, "he has given no reason");

    let entries = office.login("quan").get("/api/audit").json();
    assert_eq!(entries["intact"], true, "{entries}");
    let entries = entries["entries"].as_array().expect("a list").clone();
    let by_lan = |action: &str| entries.iter().any(|entry| entry["who"] == "lan" && entry["action"] == action);
    assert!(by_lan("login") && by_lan("show-record") && by_lan("show-record-file"), "{entries:?}");
    assert_eq!(lan.get("/api/audit").status, 403);
}

#[test]
fn records_are_decided_searched_and_handed_over_to_another_machine() {
    let office = Office::open(2);
    let lan = office.login("lan");
    let decide = |id: &str, body: Value| lan.post(&format!("/api/records/{id}/decide"), &body);
    let [id, other] = [&office.ids[0], &office.ids[1]];
    assert_eq!(lan.forged().post(&format!("/api/records/{id}/decide"), &json!({ "decision": "accept" })).status, 403, "another site");
    let unknown = decide(id, json!({ "decision": "reject", "reason": "because" }));
    assert!(unknown.status == 400 && unknown.text().contains("expected camera_fault, duplicate"), "{}", unknown.text());
    assert_eq!(decide(id, json!({ "decision": "accept" })).json()["state"], "accepted");
    assert_eq!(decide(id, json!({ "decision": "accept" })).status, 409, "accepted already");
    assert_eq!(decide(id, json!({ "decision": "correct", "plate": "75f1-234.58", "note": "số 8" })).json()["state"], "new");
    assert_eq!(decide(id, json!({ "decision": "accept" })).json()["state"], "accepted");
    assert_eq!(decide(other, json!({ "decision": "reject", "reason": "duplicate" })).json()["state"], "rejected");
    assert_eq!(decide(other, json!({ "decision": "accept" })).status, 409, "rejected for good");
    assert_eq!(decide("20251027-120000-cam-001-red_light-000000000000", json!({ "decision": "accept" })).status, 404);

    assert_eq!(lan.post("/api/records/search", &json!(["75F1 23458", "đơn 12"])).status, 422, "values without their names");
    let search = |plate: &str| lan.post("/api/records/search", &json!({ "plate": plate, "why": "đơn 12" })).json();
    assert_eq!(search("75F1 23458")["records"][0]["id"], json!(id));
    let (looks, actions) = (office.looks(), office.actions());
    assert!(looks.last().is_some_and(|look| look.to_string().contains("75F1 23458") && look.to_string().contains("đơn 12")), "{looks:?}");
    assert!(actions.iter().any(|action| action.to_string().contains("search-plate")), "{actions:?}");
    assert!(!actions.iter().any(|action| action.to_string().contains("75F1")), "the plate is for fewer eyes");

    let export =
        |filter: Value| lan.post("/api/records/export", &json!({ "filter": filter, "to": "Phòng CSGT", "purpose": "bàn giao hằng ngày" }));
    for state in ["rejected", "void", "new"] {
        let none = export(json!({ "state": state }));
        assert!(none.status == 404 && none.text().contains(&format!("none that is {state}")), "{} {}", none.status, none.text());
    }
    assert_eq!(export(json!([])).status, 422, "no filter");
    assert_eq!(export(json!({ "limit": 1 })).status, 400, "a package is not cut off");
    let given = export(json!({}));
    assert_eq!((given.status, &*given.header("content-type")), (200, "application/zip"), "{}", given.text());
    let hand_overs = lan.get("/api/handovers").json();
    let hand_over = &hand_overs["handovers"][0];
    assert_eq!((&hand_over["by"], &hand_over["records"]), (&json!("lan"), &json!([id])), "{hand_overs}");
    assert_eq!(given.header("content-disposition"), format!("attachment; filename={}", hand_over["file"]));
    assert_eq!(hand_over["bytes"], json!(given.body.len()));
    let by_plate = export(json!({ "plate": "75F1-234.58" }));
    assert_eq!(by_plate.status, 200, "{}", by_plate.text());
    let hand_overs = lan.get("/api/handovers").json();
    assert_eq!(hand_overs["handovers"][1]["filter"]["plate"], "***", "no look at a plate without a reason");
    assert!(!hand_overs.to_string().contains("75F1"), "{hand_overs}");
    assert_eq!(std::fs::read_dir(office.evidence("outgoing")).expect("a folder").count(), 0, "nothing stays on the way out");

    let package = office.dir.path().join("package.zip");
    std::fs::write(&package, &given.body).expect("written");
    let (ok, told) = verify(&[&package]);
    assert!(ok && told.contains("NGUYÊN VẸN"), "{told}");
    let mut bytes = given.body;
    let picture = bytes.windows(3).position(|three| three == [0xFF, 0xD8, 0xFF]).expect("a picture");
    bytes[picture + 300] ^= 1;
    std::fs::write(&package, bytes).expect("written");
    let (ok, told) = verify(&[&package]);
    assert!(!ok && told.contains(&format!("SAI / WRONG  records/{id}/picture-1.jpg: changed")), "{told}");

    let config = office.huong.dir.path().join("huong.toml").display().to_string();
    let audit = huong(&["evidence", "audit", "--config", &config]);
    assert!(audit.status.success(), "{}{}", stdout(&audit), stderr(&audit));
    assert_eq!(office.login("quan").get("/api/audit").json()["intact"], true);
}

/// Schemathesis makes requests out of the description, right ones and wrong ones, and holds every answer against it.
#[test]
fn the_queue_is_worked_through_in_a_real_browser() {
    let office = Office::open(2);
    let base = format!("http://127.0.0.1:{}", office.huong.wall);
    let script = root().join("crates/wall/ui/tests/review.mjs");
    let output = Command::new("node").arg(script).args([&base, "lan", PASSWORD, "75F1"]).output().expect("node builds the screens, too");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let accepted = office.login("lan").get("/api/records?state=accepted").json();
    assert_eq!(accepted["found"], 1, "{accepted}");
    let looks = office.looks();
    assert!(looks.len() == 1 && looks[0].to_string().contains("khiếu nại 12"), "{looks:?}");
}

#[test]
fn the_description_is_what_the_server_does() {
    let office = Office::open(3);
    let (description, wall) = (office.dir.path().join("openapi.json"), format!("http://127.0.0.1:{}", office.huong.wall));
    let served = Client::bearer(office.huong.wall, TOKEN).get("/api/openapi.json");
    std::fs::write(&description, served.body).expect("written");
    let mut command = Command::new("python3");
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(root().join("tests/fixtures/schemathesis.toml"));
    command.arg("run").arg(&description).args(["--url", &wall, "--header", &format!("Authorization: Bearer {TOKEN}")]);
    command.env("PYTHONPATH", root().join("vendor/pytest")).current_dir(office.dir.path());
    let output = command.output().expect("python starts");
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("Selected: 9/9"), "every operation is tried: {told}");
}
