//! `record.json`: everything that is known of a candidate, and the hash of each of its pictures.
//!
//! Invariant: it is written once and never changed; what people decide later lies beside it. The pictures are the bytes that the camera
//! sent. The same candidate gives the same id.

use std::collections::BTreeMap;

use huong_types::{Act, BoundingBox, Camera, Candidate, Detection, ModelId, Name, PlateText, SignalSight, Timestamp, VoidReason};
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::crop::{self, Method};
use crate::law::{LawText, Laws};
use crate::seal::sha256;
use crate::{EvidenceConfig, EvidenceError};

pub(crate) const FORMAT: &str = "huong-evidence-record/1";

/// What the pictures do not say: the caller knows it.
#[derive(Clone, Debug)]
pub struct Scene {
    pub camera: CameraFacts,
    pub clock: Option<ClockOffset>,
    /// What decided, by name, such as `score` or `plate_confidence`.
    pub thresholds: BTreeMap<Name, f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraFacts {
    pub id: Name,
    pub name: String,
    /// WGS84 degrees.
    pub lat: f64,
    pub lon: f64,
    /// Degrees clockwise from north.
    pub heading: Option<f64>,
    /// Number of the certificate of a device on the police's list; without one its pictures are information that police verify.
    pub certificate: Option<String>,
}

impl From<&Camera> for CameraFacts {
    /// The certificate is the camera's label `certificate`.
    fn from(camera: &Camera) -> Self {
        Self {
            id: camera.id.clone(),
            name: camera.name.clone(),
            lat: camera.lat,
            lon: camera.lon,
            heading: camera.heading,
            certificate: camera.labels.get("certificate").cloned(),
        }
    }
}

/// How far the camera's clock is from ours, as far as known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// The camera's less ours.
    pub millis: i64,
    /// How it was found, such as `median of arrival less capture over 10 minutes`.
    pub source: String,
}

/// An instant as a computer and as people read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Epoch ms.
    pub millis: Timestamp,
    pub utc: String,
    /// UTC+7.
    pub local: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    pub file: String,
    /// `before`, `on`, `after`, `first`, `last`, ...
    pub moment: Name,
    pub at: Moment,
    pub received: Moment,
    /// The vehicle or the heap, in pixels.
    pub bbox: BoundingBox,
    /// Who and what else is in it; absent in records of before it was written down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub others: Option<Vec<Detection>>,
    pub signal: Option<SignalSight>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crop {
    pub file: String,
    /// The picture that it was cut from.
    pub from: String,
    pub method: Method,
    /// What was cut out of it, in pixels.
    pub area: BoundingBox,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFact {
    pub sha256: String,
    pub bytes: u64,
    pub kind: Kind,
}

/// What a file is to a court.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The bytes that the camera sent.
    Original,
    /// Made from originals, and could be made again.
    Derived,
    /// What was written down: records, reviews, journals.
    Written,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub format: String,
    pub id: Name,
    /// The candidate's own id.
    pub candidate: Name,
    pub act: Act,
    /// The code that the candidate was given, and what the configuration says of it.
    pub code: Option<Name>,
    pub law: Option<LawText>,
    /// What speaks against it.
    pub void: Vec<VoidReason>,
    pub camera: CameraFacts,
    /// The zone, line or signal of the camera's view.
    pub place: Name,
    pub began: Moment,
    pub at: Moment,
    pub kept: Moment,
    pub clock: Option<ClockOffset>,
    pub track: Option<u64>,
    pub label: Name,
    pub plate: Option<PlateText>,
    pub pictures: Vec<Picture>,
    pub crop: Option<Crop>,
    pub rule_version: Name,
    pub view_version: Name,
    pub models: Vec<ModelId>,
    pub thresholds: BTreeMap<Name, f64>,
    /// All but this one, by name.
    pub files: BTreeMap<String, FileFact>,
}

impl Moment {
    /// # Errors
    /// When the calendar has no such time.
    pub(crate) fn of(at: Timestamp) -> Result<Moment, EvidenceError> {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).map_err(|_| EvidenceError::Time(at))?;
        let local = instant.to_zoned(TimeZone::fixed(LOCAL)).strftime("%Y-%m-%d %H:%M:%S%.3f +07:00").to_string();
        Ok(Moment { millis: at, utc: instant.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(), local })
    }

    /// Such as 2025-10-27.
    pub(crate) fn day(&self) -> &str {
        self.local.split(' ').next().unwrap_or_default()
    }

    /// `08:30:05, 27/10/2025`: as public look-ups of violations write it, with seconds.
    pub(crate) fn vietnamese(&self) -> String {
        let (day, time) = self.local.split_once(' ').unwrap_or_default();
        let turned: Vec<&str> = day.rsplit('-').collect();
        format!("{}, {}", time.split('.').next().unwrap_or_default(), turned.join("/"))
    }
}

/// Asia/Ho_Chi_Minh has had no daylight saving time since 1975: a fixed offset is exact.
const LOCAL: Offset = jiff::tz::offset(7);

/// The id of a candidate's record: day, time, camera and act for people, and the hash of what makes it this one.
pub(crate) fn id(candidate: &Candidate) -> Result<Name, EvidenceError> {
    let began = Moment::of(candidate.began)?;
    let digits: String = began.local.chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, time) = digits.split_at_checked(8).ok_or(EvidenceError::Time(candidate.began))?;
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let camera: String = candidate.camera.chars().map(plain).take(32).collect();
    let whole = serde_json::to_vec(&(&candidate.camera, candidate.act, candidate.track, candidate.began, &candidate.id))?;
    let hash = sha256(&whole);
    Ok(Name::from(format!("{day}-{time}-{camera}-{}-{}", candidate.act.as_str(), hash.get(..12).unwrap_or_default())))
}

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// The record of a candidate and the files beside it.
pub(crate) fn make(
    candidate: &Candidate,
    scene: &Scene,
    laws: &Laws,
    config: &EvidenceConfig,
    now: Timestamp,
) -> Result<(Record, Files), EvidenceError> {
    let mut files = Files::new();
    let mut facts = BTreeMap::new();
    let mut add = |name: &str, bytes: Vec<u8>, kind: Kind| {
        facts.insert(name.to_owned(), FileFact { sha256: sha256(&bytes), bytes: bytes.len() as u64, kind });
        files.push((name.to_owned(), bytes));
    };
    let mut pictures = Vec::with_capacity(candidate.frames.len());
    for (i, frame) in candidate.frames.iter().enumerate() {
        let file = format!("picture-{}.jpg", i + 1);
        add(&file, frame.jpeg.to_vec(), Kind::Original);
        pictures.push(Picture {
            file,
            moment: frame.moment.clone(),
            at: Moment::of(frame.at)?,
            received: Moment::of(frame.received)?,
            bbox: frame.bbox,
            others: Some(frame.others.clone()),
            signal: frame.signal.clone(),
        });
    }
    let seen = candidate.plate.as_ref().and_then(|plate| plate.crop);
    let crop = seen.and_then(|(at, bbox)| {
        let (frame, picture) = candidate.frames.iter().zip(&pictures).find(|(frame, _)| frame.at == at)?;
        let cut = crop::cut(&frame.jpeg, &bbox)?;
        add("plate.jpg", cut.jpeg, Kind::Derived);
        Some(Crop { file: "plate.jpg".to_owned(), from: picture.file.clone(), method: cut.method, area: cut.area })
    });
    let mut void = candidate.void.clone();
    if candidate.frames.len() < config.frames && !void.contains(&VoidReason::TooFewFrames) {
        void.push(VoidReason::TooFewFrames);
    }
    let law = laws.find(candidate.code.as_ref(), candidate.act, &candidate.label);
    let record = Record {
        format: FORMAT.to_owned(),
        id: id(candidate)?,
        candidate: candidate.id.clone(),
        act: candidate.act,
        code: candidate.code.clone().or_else(|| law.as_ref().map(|law| law.provision.code.clone())),
        law,
        void,
        camera: scene.camera.clone(),
        place: candidate.place.clone(),
        began: Moment::of(candidate.began)?,
        at: Moment::of(candidate.at)?,
        kept: Moment::of(now)?,
        clock: scene.clock.clone(),
        track: candidate.track,
        label: candidate.label.clone(),
        plate: candidate.plate.clone(),
        pictures,
        crop,
        rule_version: candidate.rule_version.clone(),
        view_version: candidate.view_version.clone(),
        models: candidate.models.clone(),
        thresholds: scene.thresholds.clone(),
        files: facts,
    };
    Ok((record, files))
}
