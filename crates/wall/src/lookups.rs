//! What was, what is kept as evidence, and what is pushed: questions with more behind them than the live picture.
//!
//! Invariant: whoever looks at personal data stands in the audit log before the answer is given.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use huong_types::{Name, Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::auth::Caller;
use crate::model::{Evidence, Found, History, Push, RecordsWanted, Trouble};
use crate::orders::{self, line, parse};
use crate::replay::replay;
use crate::server::{Shared, refusal};

type Here = State<Arc<Shared>>;
type Of<T> = Result<Query<T>, QueryRejection>;

const POINTS: u32 = 600;
const MOST_POINTS: u32 = 5000;
const ALERTS: usize = 1000;
const MOST_ALERTS: usize = 10_000;
const ACTIONS: usize = 500;
const LONGEST_WHY: usize = 200;
/// Of a shift report, and of what is played back in one piece.
const LONGEST_REPORT: Span = Span::from_mins(7 * 24 * 60);
const LONGEST_PAST: Span = Span::from_mins(6 * 60);
const LONGEST_CURVE: Span = Span::from_mins(366 * 24 * 60);
/// 1970 to 2262: what the store can compare, in nanoseconds of 64 bits.
const FIRST: Timestamp = Timestamp::from_millis(0);
const LAST: Timestamp = Timestamp::from_millis(9_214_646_400_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Curve {
    stream: Name,
    key: Name,
    field: Name,
    from: Timestamp,
    to: Timestamp,
    points: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    from: Timestamp,
    to: Timestamp,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    plate: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Export {
    #[serde(default, deserialize_with = "orders::object")]
    filter: RecordsWanted,
    to: String,
    purpose: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    endpoint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Page {
    after: u64,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: 0, limit: ACTIONS }
    }
}

impl Between {
    fn checked(&self, longest: Span) -> Result<(Timestamp, Timestamp), Box<Response>> {
        if FIRST <= self.from && self.to <= LAST && self.from < self.to && self.to.since(self.from) <= longest {
            return Ok((self.from, self.to));
        }
        let why = format!("found from {} to {}, expected at most {longest} in that order, from {FIRST} to {LAST}", self.from, self.to);
        Err(Box::new(refusal(StatusCode::BAD_REQUEST, &why)))
    }
}

pub(crate) async fn series(State(shared): Here, asked: Asked, wanted: Of<Curve>) -> Response {
    let Query(Curve { stream, key, field, from, to, points }) = match wanted {
        Ok(wanted) => wanted,
        Err(rejection) => return refusal(rejection.status(), &rejection.body_text()),
    };
    if let Err(refused) = (Between { from, to, limit: None }).checked(LONGEST_CURVE) {
        return *refused;
    }
    let points = points.unwrap_or(POINTS).clamp(1, MOST_POINTS);
    answer(shared.backend.history(asked.who(), History::Curve { stream, key, field, from, to, points }).await)
}

pub(crate) async fn alert(State(shared): Here, asked: Asked, Path(id): Path<String>) -> Response {
    answer(shared.backend.history(asked.who(), History::Alert { id }).await)
}

pub(crate) async fn alerts(State(shared): Here, asked: Asked, wanted: Of<Between>) -> Response {
    between(wanted, LONGEST_REPORT, async |from, to, limit| {
        let limit = limit.unwrap_or(ALERTS).min(MOST_ALERTS);
        answer(shared.backend.history(asked.who(), History::Alerts { from, to, limit }).await)
    })
    .await
}

pub(crate) async fn hand_over(State(shared): Here, asked: Asked, wanted: Of<Between>) -> Response {
    between(wanted, LONGEST_REPORT, async |from, to, _| answer(shared.backend.history(asked.who(), History::HandOver { from, to }).await))
        .await
}

pub(crate) async fn hand_over_sheet(State(shared): Here, asked: Asked, wanted: Of<Between>) -> Response {
    let sheet = async |from, to, _| answer(shared.backend.history(asked.who(), History::HandOverSheet { from, to }).await);
    between(wanted, LONGEST_REPORT, sheet).await
}

pub(crate) async fn past(State(shared): Here, asked: Asked, wanted: Of<Between>) -> Response {
    between(wanted, LONGEST_PAST, async |from, to, _| match shared.backend.past(asked.who(), from, to).await {
        Ok(past) => {
            let (places, backend) = (Arc::clone(&shared.desk.places), Arc::clone(&shared.backend));
            let json = tokio::task::spawn_blocking(move || replay(&places, &past, &*backend, from)).await;
            match json.map_err(|error| error.to_string()).and_then(|json| json.map_err(|error| error.to_string())) {
                Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
                Err(why) => told(&Trouble::Failed(why)),
            }
        }
        Err(trouble) => told(&trouble),
    })
    .await
}

async fn between(wanted: Of<Between>, longest: Span, ask: impl AsyncFnOnce(Timestamp, Timestamp, Option<usize>) -> Response) -> Response {
    match wanted {
        Ok(Query(wanted)) => match wanted.checked(longest) {
            Ok((from, to)) => ask(from, to, wanted.limit).await,
            Err(refused) => *refused,
        },
        Err(rejection) => refusal(rejection.status(), &rejection.body_text()),
    }
}

pub(crate) async fn boxes(State(shared): Here, Path(id): Path<String>) -> Response {
    match shared.backend.boxes(&id) {
        Some(boxes) => Json(boxes).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "nothing was looked for in this camera's pictures"),
    }
}

pub(crate) async fn records(State(shared): Here, asked: Asked, wanted: Of<RecordsWanted>) -> Response {
    match wanted {
        Ok(Query(wanted)) if wanted.plate.is_some() => refusal(StatusCode::BAD_REQUEST, "search for a plate by POST /api/records/search"),
        Ok(Query(wanted)) => answer(shared.backend.evidence(asked.who(), Evidence::List(wanted)).await),
        Err(rejection) => refusal(rejection.status(), &rejection.body_text()),
    }
}

pub(crate) async fn record_words(State(shared): Here, asked: Asked) -> Response {
    answer(shared.backend.evidence(asked.who(), Evidence::Words).await)
}

pub(crate) async fn record(State(shared): Here, asked: Asked, Path(id): Path<String>, why: Of<Why>) -> Response {
    let why = why.ok().and_then(|Query(Why { why })| why).unwrap_or_default();
    let why = match line("why", &why, LONGEST_WHY) {
        Ok(why) => why,
        Err(refused) => return *refused,
    };
    look(&shared, &asked, "show-record", &id.clone(), Evidence::Show { id, why }).await
}

pub(crate) async fn record_file(State(shared): Here, asked: Asked, Path((id, name)): Path<(String, String)>) -> Response {
    let target = format!("{id}/{name}");
    look(&shared, &asked, "show-record-file", &target, Evidence::File { id, name }).await
}

pub(crate) async fn decide(State(shared): Here, asked: Asked, Path(id): Path<String>, body: orders::Body<Value>) -> Response {
    match parse(body) {
        Ok(decision) => look(&shared, &asked, "decide-record", &id.clone(), Evidence::Decide { id, decision }).await,
        Err(refused) => *refused,
    }
}

pub(crate) async fn search(State(shared): Here, asked: Asked, body: orders::Body<Search>) -> Response {
    let wanted = parse(body).and_then(|body| Ok((line("plate", &body.plate, 16)?, line("why", &body.why, LONGEST_WHY)?)));
    match wanted {
        // The plate itself stands in the log of looks, not in this one, which more people may read.
        Ok((plate, why)) => look(&shared, &asked, "search-plate", &why.clone(), Evidence::Search { plate, why }).await,
        Err(refused) => *refused,
    }
}

pub(crate) async fn export(State(shared): Here, asked: Asked, body: orders::Body<Export>) -> Response {
    let wanted = parse(body).and_then(|body| {
        let (to, purpose) = (line("to", &body.to, LONGEST_WHY)?, line("purpose", &body.purpose, LONGEST_WHY)?);
        Ok(Evidence::Export { filter: body.filter, to, purpose })
    });
    match wanted {
        Ok(wanted) => look(&shared, &asked, "export-records", "", wanted).await,
        Err(refused) => *refused,
    }
}

pub(crate) async fn hand_overs(State(shared): Here, asked: Asked) -> Response {
    answer(shared.backend.evidence(asked.who(), Evidence::HandOvers).await)
}

/// Noted first, then done: a look that cannot be noted is not given.
async fn look(shared: &Shared, asked: &Asked, action: &str, target: &str, question: Evidence) -> Response {
    match asked.note(shared, action, target, "asked").await {
        Ok(()) => answer(shared.backend.evidence(asked.who(), question).await),
        Err(refused) => *refused,
    }
}

pub(crate) async fn actions(State(shared): Here, page: Of<Page>) -> Response {
    match page {
        Ok(Query(page)) => answer(shared.backend.actions(page.after, page.limit.clamp(1, ACTIONS)).await),
        Err(rejection) => refusal(rejection.status(), &rejection.body_text()),
    }
}

pub(crate) async fn push_key(State(shared): Here, asked: Asked) -> Response {
    answer(shared.backend.push(asked.who(), Push::Key).await)
}

pub(crate) async fn subscribe(State(shared): Here, asked: Asked, body: orders::Body<Value>) -> Response {
    match parse(body) {
        Ok(subscription) => step(&shared, &asked, "subscribe", "", Push::Subscribe(subscription)).await,
        Err(refused) => *refused,
    }
}

pub(crate) async fn unsubscribe(State(shared): Here, asked: Asked, body: orders::Body<Endpoint>) -> Response {
    match parse(body) {
        Ok(Endpoint { endpoint }) => step(&shared, &asked, "unsubscribe", "", Push::Unsubscribe { endpoint }).await,
        Err(refused) => *refused,
    }
}

pub(crate) async fn warnings(State(shared): Here, asked: Asked) -> Response {
    answer(shared.backend.push(asked.who(), Push::Warnings).await)
}

pub(crate) async fn release(State(shared): Here, asked: Asked, Path(id): Path<String>) -> Response {
    step(&shared, &asked, "release-warning", &id.clone(), Push::Release { id }).await
}

pub(crate) async fn reject(State(shared): Here, asked: Asked, Path(id): Path<String>) -> Response {
    step(&shared, &asked, "reject-warning", &id.clone(), Push::Reject { id }).await
}

pub(crate) async fn warning(State(shared): Here, asked: Asked, Path(file): Path<String>) -> Response {
    match file.strip_suffix(".xml") {
        Some(id) => answer(shared.backend.push(asked.who(), Push::Warning { id: id.to_owned() }).await),
        None => refusal(StatusCode::NOT_FOUND, "no such file"),
    }
}

pub(crate) async fn atom(State(shared): Here, asked: Asked) -> Response {
    answer(shared.backend.push(asked.who(), Push::Feed).await)
}

/// What a message's link is about. Opening it changes nothing: programs that check mail follow links.
pub(crate) async fn link(State(shared): Here, Path(token): Path<String>) -> Response {
    answer(shared.backend.link(token, false).await)
}

pub(crate) async fn follow_link(State(shared): Here, asked: Asked, Path(token): Path<String>) -> Response {
    // The token is the right itself: it goes into no log, and says itself whose it is.
    let done = shared.backend.link(token, true).await;
    let (person, alert) = claim(&done);
    let asked = Asked { caller: Caller { name: Some(person), ..asked.caller }, ..asked };
    noted(&shared, &asked, "acknowledge-by-link", &alert, done).await
}

/// Whose a link is, and which alert's; nothing of one that is worth nothing.
fn claim(done: &Result<Found, Trouble>) -> (String, String) {
    let Ok(Found::Json(claim)) = done else { return Default::default() };
    let said = |name: &str| claim[name].as_str().unwrap_or_default().to_owned();
    (said("person"), said("id"))
}

async fn step(shared: &Shared, asked: &Asked, action: &str, target: &str, question: Push) -> Response {
    noted(shared, asked, action, target, shared.backend.push(asked.who(), question).await).await
}

async fn noted(shared: &Shared, asked: &Asked, action: &str, target: &str, done: Result<Found, Trouble>) -> Response {
    let outcome = done.as_ref().err().map_or_else(|| "done".to_owned(), ToString::to_string);
    match asked.note(shared, action, target, &outcome).await {
        Ok(()) => answer(done),
        Err(refused) => *refused,
    }
}

fn answer(found: Result<Found, Trouble>) -> Response {
    match found {
        Ok(Found::Json(value)) => Json(value).into_response(),
        Ok(Found::Bytes { kind, bytes }) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Ok(Found::Package { name, kind, bytes }) => {
            let saved = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
            let mut response = ([(header::CONTENT_TYPE, kind)], Body::from_stream(bytes)).into_response();
            response.headers_mut().insert(header::CONTENT_DISPOSITION, saved.unwrap_or(HeaderValue::from_static("attachment")));
            response
        }
        Err(trouble) => told(&trouble),
    }
}

fn told(trouble: &Trouble) -> Response {
    let status = match trouble {
        Trouble::Absent(_) => StatusCode::NOT_FOUND,
        Trouble::Wrong(_) => StatusCode::BAD_REQUEST,
        Trouble::Refused(_) => StatusCode::CONFLICT,
        Trouble::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
        Trouble::Failed(_) => {
            tracing::error!(%trouble, "an answer failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, Json(json!({ "error": trouble.to_string() }))).into_response()
}
