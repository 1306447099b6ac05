//! Somebody at the wall over HTTP: with a token, signed in with a password, or nobody. Every answer is given as it is, whatever its status.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

/// Requests of one person, script or device.
pub(crate) struct Client {
    wall: u16,
    /// What says who it is.
    headers: Vec<(&'static str, String)>,
    agent: Agent,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The body of an answer that must be 200.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Client {
    pub(crate) fn nobody(wall: u16) -> Self {
        // The server closes what is idle for ten seconds, which a busy machine makes of two requests; a POST is not sent again.
        let agent = Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build().into();
        Self { wall, headers: Vec::new(), agent }
    }

    pub(crate) fn bearer(wall: u16, token: &str) -> Self {
        Self { headers: vec![("authorization", format!("Bearer {token}"))], ..Self::nobody(wall) }
    }

    /// Signs in as a page does: with the cookie, and the token that changes need beside it.
    pub(crate) fn login(wall: u16, user: &str, password: &str) -> Self {
        let mut client = Self::nobody(wall);
        let answer = client.post("/api/login", &json!({ "user": user, "password": password }));
        let csrf = answer.json()["csrf"].as_str().expect("a token").to_owned();
        let cookie = answer.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        client.headers = vec![("cookie", cookie), ("x-csrf-token", csrf)];
        client
    }

    /// The same without the token that changes need: what another site could have a browser send.
    pub(crate) fn forged(&self) -> Self {
        let headers = self.headers.iter().filter(|(name, _)| *name != "x-csrf-token").cloned().collect();
        Self { headers, ..Self::nobody(self.wall) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &body.to_string())
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://127.0.0.1:{}{path}", self.wall));
        request = request.header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut answer = self.agent.run(request.body(body.to_owned()).expect("a request")).expect("an answer");
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.body_mut().read_to_vec().expect("the body"),
        }
    }
}

/// A line of the users' file, as `huong user` prints it.
pub(crate) fn user_line(role: &str, name: &str, password: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_huong"));
    let mut child = command.args(["user", role, name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts");
    writeln!(child.stdin.take().expect("is piped"), "{password}").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}
