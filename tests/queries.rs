//! Asking a running processor: over HTTP and Flight SQL, within limits, noted, and never at the cost of an alarm.

use std::time::{SystemTime, UNIX_EPOCH};

use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables, SqlInfo};
use futures_util::TryStreamExt;
use huong_store::RecordBatch;
use huong_types::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use ureq::{Agent, Body, http::Response};

use crate::support::{Huong, Mosquitto, Publisher, free_port, wait_for};

const OPERATOR: &str = "operator-token-0123456789";
const VIEWER: &str = "viewer-token-0123456789";

/// Pairs of pairs of pairs: far more than anyone waits for, and nothing comes of them.
const ENDLESS: &str = "SELECT count(*) FROM readings a, readings b, readings c, readings d, readings e WHERE a.value + b.value + c.value + d.value + e.value < 0";

fn tokens() -> (TempDir, String) {
    let dir = tempfile::tempdir().expect("a folder for the tokens");
    let file = dir.path().join("tokens");
    std::fs::write(&file, format!("operator duty {OPERATOR}\nviewer tv {VIEWER}\n")).expect("the tokens are written");
    let line = format!("tokens_file = {:?}\n", file.display().to_string());
    (dir, line)
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).build().into()
}

fn ask(wall: u16, sql: &str, format: &str) -> Response<Body> {
    let url = format!("http://127.0.0.1:{wall}/api/query?format={format}");
    agent().post(url).header("authorization", format!("Bearer {OPERATOR}")).send(sql).expect("the wall answers")
}

fn csv(wall: u16, sql: &str) -> String {
    let mut answer = ask(wall, sql, "csv");
    let text = answer.body_mut().read_to_string().expect("a whole answer");
    assert_eq!(answer.status(), 200, "{sql}: {text}");
    text
}

fn seen(wall: u16, path: &str) -> String {
    let url = format!("http://127.0.0.1:{wall}{path}");
    let mut answer = agent().get(url).header("authorization", format!("Bearer {VIEWER}")).call().expect("the wall answers");
    answer.body_mut().read_to_string().expect("a whole answer")
}

fn latest(wall: u16, key: &str) -> Value {
    let all: Value = serde_json::from_str(&seen(wall, &format!("/api/latest?stream=water_level&key={key}"))).expect("JSON");
    all["values"][0].clone()
}

/// `minutes` before now.
fn ago(minutes: i64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    Timestamp::from_millis(i64::try_from(now).expect("the clock is sane") - minutes * 60_000)
}

fn level(publisher: &Publisher, station: &str, at: Timestamp, metres: f64) {
    let payload = format!("{{\"ts\":{},\"value\":{metres},\"unit\":\"m\"}}", at.as_millis());
    publisher.publish(&format!("hue/sensors/water_level/{station}"), payload);
}

#[test]
fn a_query_without_end_is_cut_while_alarms_go_on_and_all_is_noted() {
    let (_tokens, line) = tokens();
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, &format!("{line}[query]\ntime = \"4s\"\n"));
    let wall = huong.wall;
    wait_for("the subscription", || seen(wall, "/api/snapshot").contains("\"broker_connected\":true").then_some(()));
    let publisher = Publisher::connect(broker.port);
    for minute in (100..300).rev() {
        level(&publisher, "kimlong", ago(minute), 0.5);
    }
    wait_for("the readings", || {
        (csv(wall, "SELECT count(*) FROM readings WHERE key = 'kimlong'").lines().nth(1) == Some("200")).then_some(())
    });

    let endless = std::thread::spawn(move || ask(wall, ENDLESS, "json"));
    for (minute, metres) in [(40, 2.9), (30, 3.1), (20, 3.3), (10, 3.5)] {
        level(&publisher, "kimlong", ago(minute), metres);
    }
    wait_for("the alarm", || csv(wall, "SELECT rule FROM alerts WHERE kind = 'raised'").contains("river-bd3").then_some(()));
    let mut cut = endless.join().expect("an answer");
    let told = cut.body_mut().read_to_string().expect("a whole answer");
    assert_eq!(cut.status(), 408, "{told}");
    assert!(told.contains("longer than the limit, 4s"), "{told}");

    let mut wrong = ask(wall, "SELECT nothing FROM readings", "json");
    assert_eq!(wrong.status(), 400);
    let told: Value = serde_json::from_str(&wrong.body_mut().read_to_string().expect("a whole answer")).expect("JSON");
    assert_eq!((&told["line"], &told["column"]), (&1.into(), &8.into()), "{told}");
    let noted = wait_for("the query log", || {
        let text = std::fs::read_to_string(huong.dir.path().join("store/queries.jsonl")).ok()?;
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        lines.iter().find(|line| line["sql"] == "SELECT nothing FROM readings").cloned()
    });
    assert_eq!((&noted["who"], &noted["via"], &noted["rows"]), (&"duty".into(), &"http".into(), &0.into()));
    assert!(huong.is_alive());
}

#[test]
fn what_was_last_known_is_known_after_a_restart() {
    let (_tokens, line) = tokens();
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, &line);
    let publisher = Publisher::connect(broker.port);
    wait_for("the reading", || {
        // A broker keeps nothing for a session that it has never seen: until then it is sent again.
        level(&publisher, "phuoc", ago(50), 1.25);
        (latest(huong.wall, "phuoc")["fields"][0]["number"] == 1.25).then_some(())
    });
    huong.kill();
    huong.restart();
    let value = wait_for("the value of before", || Some(latest(huong.wall, "phuoc")).filter(|value| !value.is_null()));
    assert_eq!(value["fields"][0]["number"], 1.25);
    assert!(value["age"].as_i64().is_some_and(|age| age >= 50 * 60_000), "{value}");
}

/// A tool's way: what is there, a statement, a prepared one, and the same roles and limits as over HTTP.
#[test]
fn a_notebook_asks_over_flight_sql() {
    let (_tokens, line) = tokens();
    let (broker, port) = (Mosquitto::start(), free_port());
    let huong = Huong::start(broker.port, &format!("{line}[query]\nrows = 1000\n[flight]\nlisten = \"127.0.0.1:{port}\"\n"));
    let publisher = Publisher::connect(broker.port);
    wait_for("the reading", || {
        level(&publisher, "phuoc", ago(50), 1.25);
        csv(huong.wall, "SELECT value FROM readings WHERE key = 'phuoc' LIMIT 1").contains("1.25").then_some(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address").connect().await;
        let mut client = FlightSqlServiceClient::new(channel.expect("Flight SQL listens"));
        let sql = "SELECT DISTINCT key, value FROM huong.public.readings WHERE key = 'phuoc'".to_owned();
        let refused = client.execute(sql.clone(), None).await.expect_err("without a token").to_string();
        assert!(refused.contains("give a token"), "{refused}");
        let refused = client.handshake("tv", VIEWER).await.expect_err("a viewer").to_string();
        assert!(refused.contains("your role does not have this right"), "{refused}");
        client.handshake("anyone", OPERATOR).await.expect("an operator");

        let info = client.execute(sql.clone(), None).await.expect("a statement");
        assert_eq!(info.clone().try_decode_schema().expect("a schema").fields().len(), 2);
        assert_eq!(fetch(&mut client, info).await.expect("rows"), 1);
        let mut prepared = client.prepare(sql, None).await.expect("a prepared statement");
        assert_eq!(prepared.dataset_schema().expect("a schema").field(1).name(), "value");
        let info = prepared.execute().await.expect("the prepared statement");
        assert_eq!(fetch(&mut client, info).await.expect("rows"), 1);
        prepared.close().await.expect("it is closed");
        let request = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
        let info = client.get_tables(request).await.expect("the tables");
        assert_eq!(fetch(&mut client, info).await.expect("rows"), 7);
        for info in [client.get_catalogs().await, client.get_table_types().await] {
            assert_eq!(fetch(&mut client, info.expect("what there is")).await.expect("rows"), 1);
        }
        let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.expect("the schemas");
        assert_eq!(fetch(&mut client, info).await.expect("rows"), 1);
        let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly]).await.expect("what it can");
        assert_eq!(fetch(&mut client, info).await.expect("rows"), 1);

        for (sql, words) in [("SELECT nothing FROM readings", "nothing"), ("DROP TABLE readings", "only reading is allowed")] {
            let refused = client.execute(sql.to_owned(), None).await.expect_err(sql).to_string();
            assert!(refused.contains(words), "{refused}");
        }
        let many = "SELECT a.column_name FROM information_schema.columns a, information_schema.columns b".to_owned();
        let info = client.execute(many, None).await.expect("it is planned");
        let cut = fetch(&mut client, info).await.expect_err("too many rows").to_string();
        assert!(cut.contains("more rows than the limit"), "{cut}");
    });
    let noted = std::fs::read_to_string(huong.dir.path().join("store/queries.jsonl")).expect("the log of queries");
    assert!(noted.contains("\"via\":\"flight\",\"who\":\"duty\""), "{noted}");
}

/// How many rows come.
async fn fetch(client: &mut FlightSqlServiceClient<Channel>, info: FlightInfo) -> Result<usize, String> {
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let rows = client.do_get(ticket).await.map_err(|error| error.to_string())?;
    let batches: Vec<_> = rows.try_collect().await.map_err(|error| error.to_string())?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}
