//! What operators may order over HTTP. Invariant: an order that reaches the alert table names a person, in a line fit for a list.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use huong_types::{NoteKind, Order, Span};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio::time::timeout;

use crate::asked::Asked;
use crate::model::OrderError;
use crate::server::{Shared, refusal};

/// How long the alert table may take to decide before the operator is told that it did not.
const DECIDE_WITHIN: Duration = Duration::from_secs(5);
/// A name is for people to read in a list.
pub(crate) const LONGEST_NAME: usize = 64;
const LONGEST_REASON: usize = 200;
const LONGEST_COMMENT: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct By {
    by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shelve {
    by: Option<String>,
    why: String,
    /// From now on.
    r#for: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comment {
    by: Option<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assign {
    by: Option<String>,
    /// Empty: to nobody.
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exercise {
    on: bool,
    by: Option<String>,
}

/// What a request says, one JSON object.
pub(crate) type Body<T> = Result<Json<Object<T>>, JsonRejection>;
type Alert = Path<String>;
type Here = State<Arc<Shared>>;
type Made = Result<Order, Box<Response>>;

pub(crate) async fn acknowledge(State(shared): Here, asked: Asked, Path(alert): Alert, body: Body<By>) -> Response {
    let order = |By { by }| Ok(Order::Acknowledge { alert, by: asked.by(by)? });
    obey(&shared, &asked, parse(body).and_then(order)).await
}

pub(crate) async fn shelve(State(shared): Here, asked: Asked, Path(alert): Alert, body: Body<Shelve>) -> Response {
    let order = |body: Shelve| {
        let (by, why) = (asked.by(body.by)?, line("why", &body.why, LONGEST_REASON)?);
        Ok(Order::Shelve { alert, by, why, until: shared.backend.clock().now + body.r#for })
    };
    obey(&shared, &asked, parse(body).and_then(order)).await
}

pub(crate) async fn unshelve(State(shared): Here, asked: Asked, Path(alert): Alert, body: Body<By>) -> Response {
    let order = |By { by }| Ok(Order::Unshelve { alert, by: asked.by(by)? });
    obey(&shared, &asked, parse(body).and_then(order)).await
}

pub(crate) async fn comment(State(shared): Here, asked: Asked, Path(alert): Alert, body: Body<Comment>) -> Response {
    let order = |body: Comment| {
        let (by, text) = (asked.by(body.by)?, line("text", &body.text, LONGEST_COMMENT)?);
        Ok(Order::Note { alert, by, kind: NoteKind::Comment, text })
    };
    obey(&shared, &asked, parse(body).and_then(order)).await
}

pub(crate) async fn coming(State(shared): Here, asked: Asked, Path(alert): Alert, body: Body<By>) -> Response {
    let order = |By { by }| Ok(Order::Note { alert, by: asked.by(by)?, kind: NoteKind::Coming, text: String::new() });
    obey(&shared, &asked, parse(body).and_then(order)).await
}

pub(crate) async fn assign(State(shared): Here, asked: Asked, Path(alert): Alert, body: Body<Assign>) -> Response {
    let order = |body: Assign| {
        let to = if body.to.trim().is_empty() { None } else { Some(line("to", &body.to, LONGEST_NAME)?) };
        Ok(Order::Assign { alert, by: asked.by(body.by)?, to })
    };
    obey(&shared, &asked, parse(body).and_then(order)).await
}

pub(crate) async fn exercise(State(shared): Here, asked: Asked, body: Body<Exercise>) -> Response {
    let order = |body: Exercise| Ok(Order::Exercise { on: body.on, by: asked.by(body.by)? });
    obey(&shared, &asked, parse(body).and_then(order)).await
}

impl Asked {
    /// The person who acts: who is signed in, whatever the request says; else whom a script or device names; else itself.
    fn by(&self, named: Option<String>) -> Result<String, Box<Response>> {
        let name = if self.caller.person { self.caller.name.clone() } else { named.or_else(|| self.caller.name.clone()) };
        line("by", &name.unwrap_or_default(), LONGEST_NAME)
    }
}

/// An object alone: for a struct serde would take an array of its fields' values as well, which nobody describes or means.
pub(crate) struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// The same for a field of one.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(body)| body)
}

pub(crate) fn parse<T>(body: Body<T>) -> Result<T, Box<Response>> {
    body.map(|Json(Object(body))| body).map_err(|rejection| Box::new(refusal(rejection.status(), &rejection.body_text())))
}

/// A line of 1 to `longest` characters.
pub(crate) fn line(field: &str, text: &str, longest: usize) -> Result<String, Box<Response>> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        let why = format!("`{field}` must be a line of 1 to {longest} characters");
        return Err(Box::new(refusal(StatusCode::BAD_REQUEST, &why)));
    }
    Ok(text.to_owned())
}

/// Answers when the alert table has decided and the decision is on disk.
async fn obey(shared: &Shared, asked: &Asked, order: Made) -> Response {
    let order = match order {
        Ok(order) => order,
        Err(refused) => return *refused,
    };
    let (action, target) = name(&order);
    let (status, why) = match timeout(DECIDE_WITHIN, shared.backend.order(order.clone())).await {
        Ok(Ok(())) => {
            return match asked.note(shared, action, target, "done").await {
                Ok(()) => Json(answer(&order)).into_response(),
                Err(refused) => *refused,
            };
        }
        Ok(Err(error @ OrderError::NotFound(_))) => (StatusCode::NOT_FOUND, error.to_string()),
        Ok(Err(error @ OrderError::Refused(_))) => (StatusCode::CONFLICT, error.to_string()),
        Ok(Err(error @ OrderError::Stopping)) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "the processor did not answer in time: look whether the screen shows it".to_owned()),
    };
    match asked.note(shared, action, target, &why).await {
        Ok(()) => refusal(status, &why),
        Err(refused) => *refused,
    }
}

/// What an order is called in the audit log, and what it is about.
fn name(order: &Order) -> (&'static str, &str) {
    match order {
        Order::Acknowledge { alert, .. } => ("acknowledge", alert),
        Order::Assign { alert, .. } => ("assign", alert),
        Order::Note { alert, kind: NoteKind::Comment, .. } => ("comment", alert),
        Order::Note { alert, kind: NoteKind::Coming, .. } => ("coming", alert),
        Order::Shelve { alert, .. } => ("shelve", alert),
        Order::Unshelve { alert, .. } => ("unshelve", alert),
        Order::Exercise { on: true, .. } => ("exercise", "on"),
        Order::Exercise { on: false, .. } => ("exercise", "off"),
    }
}

fn answer(order: &Order) -> serde_json::Value {
    match order {
        Order::Assign { alert, by, to } => json!({ "alert": alert, "by": by, "to": to }),
        Order::Note { alert, by, kind, text } => json!({ "alert": alert, "by": by, "kind": kind, "text": text }),
        Order::Acknowledge { alert, by } | Order::Unshelve { alert, by } => json!({ "alert": alert, "by": by }),
        Order::Shelve { alert, by, why, until } => json!({ "alert": alert, "by": by, "why": why, "until": until }),
        Order::Exercise { on, by } => json!({ "on": on, "by": by }),
    }
}
