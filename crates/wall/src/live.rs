//! What holds now: the event stream, the snapshot, the newest readings, the latest pictures.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio_stream::wrappers::ReceiverStream;

use crate::connection::Cut;
use crate::server::{Shared, refusal};

pub(crate) async fn events(State(shared): State<Arc<Shared>>, Extension(cut): Extension<Cut>) -> Response {
    let Some(seat) = shared.desk.seat(shared.config.screen_queue, shared.config.max_screens, cut.0).await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "no room for another screen");
    };
    let first = stream::once(async { seat.snapshot });
    let body = Body::from_stream(first.chain(ReceiverStream::new(seat.events)).map(Ok::<Bytes, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

pub(crate) async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    json_or_stopping(shared.desk.snapshot().await)
}

fn json_or_stopping(json: Option<Bytes>) -> Response {
    match json {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, "the processor is stopping"),
    }
}

/// Of these only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    stream: Option<String>,
    key: Option<String>,
}

/// The newest readings, of one stream, one key, or all; with their age by the processor's clock, in milliseconds.
pub(crate) async fn latest(State(shared): State<Arc<Shared>>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    match wanted {
        Ok(Query(Wanted { stream, key })) => json_or_stopping(shared.desk.latest(stream, key).await),
        Err(rejection) => refusal(rejection.status(), &rejection.body_text()),
    }
}

pub(crate) async fn frame(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.backend.frame(&id) {
        Some(picture) => {
            let captured = (HeaderName::from_static("x-captured-at"), HeaderValue::from(picture.at.as_millis()));
            ([captured, (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))], picture.jpeg).into_response()
        }
        None => refusal(StatusCode::NOT_FOUND, "no frame of this camera"),
    }
}
