//! SQL over HTTP: the statement in, rows out as they are found.
//!
//! Invariant: an answer that ends well is whole. What goes wrong before the first rows is told as a status; after that the connection is
//! broken off, so that no client takes a part for the whole.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde_json::json;

use crate::asked::Asked;
use crate::server::{Shared, refusal};

/// Bytes of a statement.
pub(crate) const LONGEST_SQL: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryFormat {
    /// An Arrow IPC stream.
    Arrow,
    Csv,
    Json,
}

/// The bytes of an answer; an error breaks it off.
pub type Rows = BoxStream<'static, Result<Bytes, QueryError>>;

/// Why a query was not answered, by what the client can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The statement is wrong: at this line and column from 1, where that is known.
    #[error("{message}")]
    Statement { message: String, place: Option<(u64, u64)> },
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    TooSlow(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Store(String),
}

impl QueryFormat {
    /// The first that `Accept` names; JSON for whoever takes everything.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else { return Some(Self::Json) };
        accept.split(',').find_map(|kind| match kind.split(';').next().unwrap_or_default().trim() {
            "application/vnd.apache.arrow.stream" => Some(Self::Arrow),
            "text/csv" => Some(Self::Csv),
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            _ => None,
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// What stands behind the `?`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    sql: Option<String>,
    format: Option<QueryFormat>,
}

/// The statement is the parameter `sql` of a GET, and the body of a POST.
pub(crate) async fn query(
    State(shared): State<Arc<Shared>>,
    asked: Asked,
    method: Method,
    question: Result<Query<Question>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let question = match question {
        Ok(Query(question)) => question,
        Err(rejection) => return refusal(rejection.status(), &rejection.body_text()),
    };
    let Some(format) = question.format.or_else(|| QueryFormat::accepted(&headers)) else {
        let kinds = "an answer is application/vnd.apache.arrow.stream, text/csv or application/json";
        return refusal(StatusCode::NOT_ACCEPTABLE, kinds);
    };
    let sql = match (method == Method::POST, body) {
        (true, Err(rejection)) => return refusal(rejection.status(), &rejection.body_text()),
        (true, Ok(body)) => String::from_utf8(body.to_vec()).ok(),
        (false, _) => question.sql,
    };
    let Some(sql) = sql.filter(|sql| !sql.trim().is_empty()) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "no statement: give it as the parameter `sql` of a GET, or as the body of a POST in UTF-8",
        );
    };
    match shared.backend.query(asked.who(), sql, format).await {
        Ok(rows) => ([(header::CONTENT_TYPE, format.content_type())], Body::from_stream(rows)).into_response(),
        Err(error) => told(&error),
    }
}

fn told(error: &QueryError) -> Response {
    let status = match error {
        QueryError::Statement { place, .. } => {
            let (line, column) = place.unzip();
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string(), "line": line, "column": column }))).into_response();
        }
        QueryError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        QueryError::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
        QueryError::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
        QueryError::Store(_) => {
            tracing::error!(%error, "a query failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let mut response = refusal(status, &error.to_string());
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
