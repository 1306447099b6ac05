//! What operators may order over HTTP. Invariant: an order that reaches the alert table names a person, in a line fit for a list.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use huong_types::{Order, Span};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::auth::Caller;
use crate::model::OrderError;
use crate::server::{Shared, refusal};

/// How long the alert table may take to decide before the operator is told that it did not.
const DECIDE_WITHIN: Duration = Duration::from_secs(5);
/// A name is for people to read in a list.
const LONGEST_NAME: usize = 64;
const LONGEST_REASON: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct By {
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shelve {
    by: String,
    why: String,
    /// From now on.
    r#for: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exercise {
    on: bool,
    by: String,
}

type Body<T> = Result<Json<T>, JsonRejection>;

pub(crate) async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(alert): Path<String>,
    body: Body<By>,
) -> Response {
    let order = parse(body).and_then(|body| Ok(Order::Acknowledge { alert, by: line("by", &body.by, LONGEST_NAME)? }));
    obey(&shared, &caller, order).await
}

pub(crate) async fn shelve(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(alert): Path<String>,
    body: Body<Shelve>,
) -> Response {
    let order = parse(body).and_then(|body| {
        let (by, why) = (line("by", &body.by, LONGEST_NAME)?, line("why", &body.why, LONGEST_REASON)?);
        Ok(Order::Shelve { alert, by, why, until: shared.backend.clock().now + body.r#for })
    });
    obey(&shared, &caller, order).await
}

pub(crate) async fn unshelve(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(alert): Path<String>,
    body: Body<By>,
) -> Response {
    let order = parse(body).and_then(|body| Ok(Order::Unshelve { alert, by: line("by", &body.by, LONGEST_NAME)? }));
    obey(&shared, &caller, order).await
}

pub(crate) async fn exercise(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>, body: Body<Exercise>) -> Response {
    let order = parse(body).and_then(|body| Ok(Order::Exercise { on: body.on, by: line("by", &body.by, LONGEST_NAME)? }));
    obey(&shared, &caller, order).await
}

fn parse<T>(body: Body<T>) -> Result<T, Box<Response>> {
    body.map(|Json(body)| body).map_err(|rejection| Box::new(refusal(rejection.status(), &rejection.body_text())))
}

/// A line of 1 to `longest` characters.
fn line(field: &str, text: &str, longest: usize) -> Result<String, Box<Response>> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        let why = format!("`{field}` must be a line of 1 to {longest} characters");
        return Err(Box::new(refusal(StatusCode::BAD_REQUEST, &why)));
    }
    Ok(text.to_owned())
}

/// Answers when the alert table has decided and the decision is on disk.
async fn obey(shared: &Shared, caller: &Caller, order: Result<Order, Box<Response>>) -> Response {
    let order = match order {
        Ok(order) => order,
        Err(refused) => return *refused,
    };
    let (status, why) = match timeout(DECIDE_WITHIN, shared.backend.order(order.clone())).await {
        Ok(Ok(())) => {
            tracing::info!(?order, token = caller.name, "an operator's order was followed");
            return Json(answer(&order)).into_response();
        }
        Ok(Err(error @ OrderError::NotFound(_))) => (StatusCode::NOT_FOUND, error.to_string()),
        Ok(Err(error @ OrderError::Refused(_))) => (StatusCode::CONFLICT, error.to_string()),
        Ok(Err(error @ OrderError::Stopping)) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "the processor did not answer in time: look whether the screen shows it".to_owned()),
    };
    refusal(status, &why)
}

fn answer(order: &Order) -> serde_json::Value {
    match order {
        Order::Acknowledge { alert, by } | Order::Unshelve { alert, by } => json!({ "alert": alert, "by": by }),
        Order::Shelve { alert, by, why, until } => json!({ "alert": alert, "by": by, "why": why, "until": until }),
        Order::Exercise { on, by } => json!({ "on": on, "by": by }),
    }
}
