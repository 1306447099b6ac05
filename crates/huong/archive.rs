//! The past for the screens: curves, an alert's life, the shift report, an hour to be played back.
//!
//! Invariant: what is answered is from the store, bounded like any query; what holds now is from the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use huong_evidence::{Part, paper};
use huong_store::{Asker, Curve, StoreError};
use huong_types::{
    Alert, AlertState, Name, NoteKind, Reading, Severity, Span, Timestamp, Transition, TransitionKind, geo, local_date_time,
};
use huong_wall::{Found, History, Past, Trouble};
use serde_json::{Value, json};

use crate::answers;
use crate::shared::Shared;

/// An alert that nothing has happened to for longer is not looked for.
const BACK: Span = Span::from_mins(30 * 24 * 60);
/// Steps of one alert, or of a shift.
const STEPS: usize = 10_000;
/// Of these, those that a report lists.
const LISTED: usize = 500;
/// Values that are shown at the beginning of a stretch that is played back are of this time before it.
const BEFORE: Span = Span::from_mins(3 * 60);
/// Readings of a stretch that is played back.
const READINGS: usize = 60_000;
/// Cameras beside an alert.
const CAMERAS: usize = 3;
/// Curves beside an alert: its own, and those of the rain and the lakes above it.
const CURVES: usize = 8;

/// Answers `question` for `who`.
pub(crate) async fn answer(shared: &Shared, who: String, question: History) -> Result<Found, Trouble> {
    let asker = Asker { who, via: "screen", at: shared.clock.now() };
    match question {
        History::Curve { stream, key, field, from, to, points } => {
            let unit = shared.streams.iter().find(|known| known.id == stream).and_then(|known| known.fields.get(&field));
            let unit = unit.ok_or_else(|| Trouble::Wrong(format!("no stream `{stream}` with a field `{field}`")))?.unit.clone();
            let curve = Curve { stream, key, field, from, to, points };
            let points = shared.queries.curve(asker, &curve).await.map_err(told)?;
            let points: Vec<Value> = points.iter().map(|point| json!([point.at, point.mean, point.least, point.most])).collect();
            let Curve { stream, key, field, .. } = curve;
            Ok(Found::Json(json!({ "stream": stream, "key": key, "field": field, "unit": unit, "from": from, "to": to, "points": points })))
        }
        History::Alert { id } => alert(shared, asker, &id).await.map(Found::Json),
        History::Alerts { from, to, limit } => {
            let alerts = shared.queries.alerts(asker, (from, to), BACK, limit).await.map_err(told)?;
            Ok(Found::Json(json!({ "alerts": alerts })))
        }
        History::HandOver { from, to } => Ok(Found::Json(Shift::of(shared, asker, from, to).await?.json())),
        History::HandOverSheet { from, to } => {
            let shift = Shift::of(shared, asker, from, to).await?;
            let font = shared.font.clone();
            let sheet = tokio::task::spawn_blocking(move || paper("Giao ca", &shift.parts(), font.as_deref())).await;
            let sheet = sheet.map_err(|error| Trouble::Failed(error.to_string()))?.map_err(|error| Trouble::Failed(error.to_string()))?;
            Ok(Found::Bytes { kind: "application/pdf", bytes: sheet.into() })
        }
    }
}

/// Everything that screens would have shown from `from` to `to`.
pub(crate) async fn past(shared: &Shared, who: String, from: Timestamp, to: Timestamp) -> Result<Past, Trouble> {
    let asker = Asker { who, via: "screen", at: shared.clock.now() };
    let queries = &shared.queries;
    let alerts = queries.alerts(asker.clone(), (from, from), BACK, STEPS).await.map_err(told)?;
    let values = queries.figures(asker.clone(), from - BEFORE, from, BEFORE, READINGS).await.map_err(told)?;
    let steps = queries.steps(asker.clone(), (from, to), None, STEPS).await.map_err(told)?;
    // Ten seconds for an hour: what a screen shows at the speeds that people watch at.
    let every = Span::from_millis((to.since(from).as_millis() / 360).max(1000));
    let readings = queries.figures(asker.clone(), from, to, every, READINGS).await.map_err(told)?;
    let forecasts = forecasts(shared, asker, from, to).await?;
    Ok(Past { alerts, values, steps, readings, forecasts })
}

/// Readings of forecasts that screens had at `from` or got until `to`, in the order of their coming.
pub(crate) async fn forecasts(shared: &Shared, asker: Asker, from: Timestamp, to: Timestamp) -> Result<Vec<Reading>, Trouble> {
    let streams = shared.streams.iter().filter(|stream| stream.forecast.is_some());
    let (names, ahead): (Vec<Name>, Vec<Span>) = streams.map(|stream| (stream.id.clone(), stream.future)).unzip();
    // An issue that came longer ago than one may look ahead speaks of nothing that is to come.
    let Some(ahead) = ahead.into_iter().max() else { return Ok(Vec::new()) };
    shared.queries.arrived(asker, &names, (from - ahead, to), READINGS).await.map_err(told)
}

async fn alert(shared: &Shared, asker: Asker, id: &str) -> Result<Value, Trouble> {
    let now = asker.at;
    let mut steps = shared.queries.steps(asker, (now - BACK, now + Span::from_mins(1)), Some(id), STEPS).await.map_err(told)?;
    // The store is a commit behind what is shown at most.
    let open = shared.open.load().iter().find(|alert| alert.id == *id).cloned();
    let alert = open.or_else(|| steps.last().map(|step| step.alert.clone()));
    let alert = alert.ok_or_else(|| Trouble::Absent(format!("no alert of the last 30 days has the id `{id}`")))?;
    let cause = steps.iter().rev().map(|step| &step.cause).find(|cause| !cause.is_empty()).cloned().unwrap_or_default();
    let skip = steps.len().saturating_sub(LISTED);
    // Up to two files of some megabytes, read on a thread that may wait for them.
    let (office, of) = (Arc::clone(&shared.office), id.to_owned());
    let deliveries = tokio::task::spawn_blocking(move || office.receipts(&of)).await;
    let deliveries = deliveries.map_err(|error| Trouble::Failed(error.to_string()))?.map_err(|error| Trouble::Failed(error.to_string()))?;
    let listed: Vec<Value> = steps.drain(..).skip(skip).map(|step| told_step(&step)).collect();
    Ok(json!({
        "alert": alert,
        "steps": listed,
        "causes": cause,
        "series": series(shared, &alert),
        "cameras": cameras(shared, &alert.key),
        "deliveries": deliveries,
    }))
}

fn told_step(step: &Transition) -> Value {
    let note = (step.kind == TransitionKind::Noted).then(|| step.alert.notes.last()).flatten();
    let note = note.map(|note| json!({ "kind": note.kind, "text": note.text }));
    json!({
        "seq": step.seq, "kind": step.kind, "at": step.at, "decided": step.decided, "by": step.by, "note": note,
        "to": step.alert.assigned.as_ref().filter(|_| step.kind == TransitionKind::Assigned).map(|assigned| &assigned.to),
        "id": step.alert.id, "rule": step.alert.rule, "key": step.alert.key, "text": step.alert.text,
        "values": step.alert.values, "severity": step.alert.severity, "state": step.alert.state,
    })
}

/// The curves that explain an alert: of its own stream and key, then of the rain and the lakes above it.
fn series(shared: &Shared, alert: &Alert) -> Vec<Value> {
    let fields = |stream: &Name| {
        let known = shared.streams.iter().find(|known| known.id == *stream);
        known.map(|known| known.fields.iter().filter(|(_, field)| !field.unit.is_empty()).map(|(name, _)| name.clone()).collect::<Vec<_>>())
    };
    let station = shared.registry.station(&alert.key);
    let mut wanted: Vec<(Name, Name, Name)> =
        fields(&alert.stream).into_iter().flatten().map(|field| (alert.stream.clone(), alert.key.clone(), field)).collect();
    let above = station.and_then(|station| station.links.get("upstream")).into_iter().flatten();
    let above = above.filter_map(|id| shared.registry.station(id));
    let rain =
        shared.registry.stations.iter().filter(|other| other.links.get("downstream").is_some_and(|links| links.contains(&alert.key)));
    for other in rain.filter(|other| other.kind == *"rain").chain(above) {
        for stream in &other.streams {
            let telling = ["value", "level", "q_in", "q_out"];
            let fields = fields(stream).into_iter().flatten().filter(|field| telling.contains(&field.as_str()));
            wanted.extend(fields.map(|field| (stream.clone(), other.id.clone(), field)));
        }
    }
    wanted.truncate(CURVES);
    let levels = |key: &Name| shared.registry.station(key).map(|station| &station.levels);
    wanted.iter().map(|(stream, key, field)| json!({ "stream": stream, "key": key, "field": field, "levels": levels(key) })).collect()
}

/// The cameras nearest to a station, or the camera itself.
fn cameras(shared: &Shared, key: &str) -> Vec<Value> {
    let registry = &shared.registry;
    let place = registry.station(key).map(|s| (s.lat, s.lon)).or_else(|| registry.camera(key).map(|c| (c.lat, c.lon)));
    let Some((lat, lon)) = place else { return Vec::new() };
    let mut near: Vec<_> =
        registry.cameras.iter().map(|camera| (geo::distance_m((lat, lon), (camera.lat, camera.lon)) / 1000.0, camera)).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    let near = near.into_iter().take(CAMERAS);
    near.map(|(km, camera)| json!({ "id": camera.id, "name": camera.name, "name_en": camera.name_en, "km": km })).collect()
}

/// What the next shift must know.
struct Shift {
    from: Timestamp,
    to: Timestamp,
    by: String,
    open: Vec<Alert>,
    steps: Vec<Transition>,
    load: huong_types::LoadFigures,
}

impl Shift {
    async fn of(shared: &Shared, asker: Asker, from: Timestamp, to: Timestamp) -> Result<Shift, Trouble> {
        let by = asker.who.clone();
        let now = asker.at;
        let open = if to >= now {
            shared.open.load().as_ref().clone()
        } else {
            let alerts = shared.queries.alerts(asker.clone(), (to, to), BACK, STEPS).await.map_err(told)?;
            alerts.into_iter().filter(|alert| alert.state != AlertState::Cleared).collect()
        };
        let mut open: Vec<Alert> = open.into_iter().filter(|alert| alert.state != AlertState::Pending).collect();
        open.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.raised));
        let steps = shared.queries.steps(asker, (from, to), None, STEPS).await.map_err(told)?;
        Ok(Shift { from, to, by, open, steps, load: shared.load.load().as_ref().clone() })
    }

    fn with(&self, state: impl Fn(&Alert) -> bool) -> Vec<&Alert> {
        self.open.iter().filter(|alert| state(alert)).collect()
    }

    fn count(&self, kind: TransitionKind) -> usize {
        self.steps.iter().filter(|step| step.kind == kind && (step.announced || kind != TransitionKind::Raised)).count()
    }

    /// Who acknowledged how many.
    fn acknowledged(&self) -> BTreeMap<&str, usize> {
        let mut people = BTreeMap::new();
        for step in self.steps.iter().filter(|step| step.kind == TransitionKind::Acknowledged) {
            *people.entry(step.by.as_deref().unwrap_or_default()).or_default() += 1;
        }
        people
    }

    /// What people did, newest first, and what was raised beside it.
    fn changes(&self) -> impl Iterator<Item = &Transition> {
        use TransitionKind as T;
        let told = |step: &&Transition| match step.kind {
            T::Raised => step.announced,
            T::Acknowledged | T::Shelved | T::Unshelved | T::Assigned | T::Noted | T::Escalated | T::Cleared => {
                step.alert.announced.is_some()
            }
            _ => false,
        };
        self.steps.iter().rev().filter(told).take(LISTED)
    }

    fn json(&self) -> Value {
        let shelved = |alert: &Alert| alert.shelf.is_some();
        let unknown = self.with(|alert| alert.silence);
        json!({
            "from": self.from, "to": self.to, "by": self.by,
            "open": self.with(|alert| !shelved(alert)),
            "shelved": self.with(shelved),
            "unknown": unknown.iter().map(|alert| json!({ "stream": alert.stream, "key": alert.key, "last": alert.since })).collect::<Vec<_>>(),
            "raised": self.count(TransitionKind::Raised),
            "cleared": self.count(TransitionKind::Cleared),
            "acknowledged": self.acknowledged().into_iter().map(|(by, n)| json!({ "by": by, "n": n })).collect::<Vec<_>>(),
            "changes": self.changes().map(told_step).collect::<Vec<_>>(),
            "load": self.load,
        })
    }

    /// The report on paper, in Vietnamese.
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![
            Part::Title("BIÊN BẢN GIAO CA".to_owned()),
            Part::Text(format!("Từ {} đến {}", local_date_time(self.from), local_date_time(self.to))),
            Part::Field("Người lập".to_owned(), if self.by.is_empty() { "…".to_owned() } else { self.by.clone() }),
            Part::Field("Cảnh báo mới".to_owned(), self.count(TransitionKind::Raised).to_string()),
            Part::Field("Đã hết".to_owned(), self.count(TransitionKind::Cleared).to_string()),
        ];
        let people: Vec<String> = self.acknowledged().into_iter().map(|(by, n)| format!("{by}: {n}")).collect();
        parts.push(Part::Field("Đã nhận".to_owned(), if people.is_empty() { "không".to_owned() } else { people.join(", ") }));
        let mut list = |title: &str, alerts: Vec<&Alert>| {
            parts.push(Part::Heading(format!("{title} ({})", alerts.len())));
            for alert in alerts {
                parts.push(Part::Text(format!("[{}] {}", grade(alert.severity), alert.text.vi)));
                parts.push(Part::Small(details(alert)));
            }
        };
        list("Đang mở", self.with(|alert| alert.shelf.is_none() && !alert.silence));
        list("Tạm gác", self.with(|alert| alert.shelf.is_some()));
        list("Không có số liệu", self.with(|alert| alert.silence && alert.shelf.is_none()));
        parts.push(Part::Heading("Việc đã làm trong ca".to_owned()));
        for step in self.changes().filter(|step| step.by.is_some()) {
            let by = step.by.as_deref().unwrap_or_default();
            parts.push(Part::Text(format!("{} {by} {}: {}", local_date_time(step.decided), deed(step), step.alert.text.vi)));
        }
        parts.push(Part::Heading("Chữ ký".to_owned()));
        parts.push(Part::Text("Người giao ca: ……………………………      Người nhận ca: ……………………………".to_owned()));
        parts
    }
}

fn grade(severity: Severity) -> &'static str {
    match severity {
        Severity::Extreme => "1 KHẨN CẤP",
        Severity::Severe => "2 NGHIÊM TRỌNG",
        Severity::Moderate => "3 TRUNG BÌNH",
        Severity::Minor => "4 NHẸ",
    }
}

fn details(alert: &Alert) -> String {
    let mut said = vec![format!("từ {}", local_date_time(alert.since))];
    said.extend(alert.ack.as_ref().map(|ack| format!("đã nhận: {} {}", ack.by, local_date_time(ack.at))));
    said.extend(alert.assigned.as_ref().map(|assigned| format!("giao cho: {}", assigned.to)));
    let shelf = alert.shelf.as_ref();
    said.extend(shelf.map(|shelf| format!("gác đến {} bởi {}: {}", local_date_time(shelf.until), shelf.by, shelf.why)));
    said.extend(alert.notes.iter().map(|note| match note.kind {
        NoteKind::Comment => format!("{}: {}", note.by, note.text),
        NoteKind::Coming => format!("{} đang đến", note.by),
    }));
    said.join("; ")
}

fn deed(step: &Transition) -> String {
    use TransitionKind as T;
    match (step.kind, step.alert.notes.last()) {
        (T::Acknowledged, _) => "nhận".to_owned(),
        (T::Shelved, _) => "tạm gác".to_owned(),
        (T::Unshelved, _) => "bỏ gác".to_owned(),
        (T::Assigned, _) => step.alert.assigned.as_ref().map_or("thu lại".to_owned(), |assigned| format!("giao cho {}", assigned.to)),
        (T::Noted, Some(note)) if note.kind == NoteKind::Coming => "đang đến".to_owned(),
        (T::Noted, Some(note)) => format!("ghi “{}”", note.text),
        _ => step.kind.as_str().to_owned(),
    }
}

fn told(error: StoreError) -> Trouble {
    answers::told(error).into()
}
