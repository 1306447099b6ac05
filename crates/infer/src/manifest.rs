//! `models/*.toml`: which file a model is, what it takes and gives, and the thresholds chosen for it.

use std::path::{Path, PathBuf};

use huong_types::{Name, Problems, load_toml};
use huong_vision::{ChannelOrder, InputSpec};
use serde::Deserialize;

use crate::InferError;

/// A model as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// Readings carry it as their source.
    pub name: Name,
    /// Beside the manifest.
    pub file: PathBuf,
    /// Of the file, in lower case hexadecimal.
    pub sha256: String,
    pub layout: Layout,
    /// In the order of the model's class scores.
    pub labels: Vec<Name>,
    input: Input,
    pub thresholds: Thresholds,
    /// Where the model comes from: training data, licence, measured scores.
    pub origin: String,
}

/// What a model gives and how it is to be read: see [`huong_vision::Layout`] for boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    Yolox,
    Yolov5,
    Yolov8,
    Yolov10,
    RtDetr,
    /// `[1, cells, 13]`, see [`huong_vision::PlateHead`].
    PlateCorners,
    /// `[1, steps, 1 + labels]` probabilities, the blank first; beside it, if the model tells, `two_lines`.
    PlateCtc,
}

impl Layout {
    /// The layout of boxes with labels; `None` for what gives something else.
    pub fn boxes(self) -> Option<huong_vision::Layout> {
        Some(match self {
            Self::Yolox => huong_vision::Layout::Yolox,
            Self::Yolov5 => huong_vision::Layout::Yolov5,
            Self::Yolov8 => huong_vision::Layout::Yolov8,
            Self::Yolov10 => huong_vision::Layout::Yolov10,
            Self::RtDetr => huong_vision::Layout::RtDetr,
            Self::PlateCorners | Self::PlateCtc => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    width: u32,
    height: u32,
    channels: ChannelOrder,
    scale: f32,
    pad: u8,
    /// The model's sides are open: see [`InputSpec::step`].
    step: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// The least score of a detection, or probability of a reading, 0 to 1.
    pub score: f32,
    /// The overlap (IoU, 0 to 1) past which the lesser of two boxes of one label is dropped; without it none is.
    pub nms: Option<f32>,
    /// How the two were chosen.
    pub note: String,
}

impl ModelManifest {
    /// # Errors
    /// When there is no such file, and with every mistake in it at once.
    pub fn read(path: &Path) -> Result<Self, InferError> {
        let text =
            std::fs::read_to_string(path).map_err(|reason| InferError::Read { what: "model manifest", path: path.to_owned(), reason })?;
        let file = path.display().to_string();
        let mut problems = Problems::default();
        let manifest: Option<Self> = load_toml(&file, &text, &mut problems);
        if let Some(manifest) = &manifest {
            manifest.check(&file, &mut problems);
        }
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(InferError::Manifest(problems)),
        }
    }

    pub fn input(&self) -> InputSpec {
        let Input { width, height, channels, scale, pad, step } = self.input;
        InputSpec { width, height, channels, scale, pad, step }
    }

    /// The mistake of a model in another one's place.
    pub(crate) fn not_a(&self, path: &Path, expected: &str) -> InferError {
        let mut problems = Problems::default();
        problems.add(&path.display().to_string(), "layout", format!("`{:?}`", self.layout), expected);
        InferError::Manifest(problems)
    }

    fn check(&self, file: &str, problems: &mut Problems) {
        for (name, side) in [("width", self.input.width), ("height", self.input.height)] {
            // The coarsest grid has cells of 32 pixels; 4096 bounds the buffers.
            if side == 0 || side % 32 != 0 || side > 4096 {
                problems.add(file, format!("input.{name}"), format!("`{side}`"), "a multiple of 32 up to 4096");
            }
        }
        if let Some(step) = self.input.step.filter(|step| *step == 0 || step % 32 != 0 || *step > self.input.width.min(self.input.height)) {
            problems.add(file, "input.step", format!("`{step}`"), "a multiple of 32, at most the shorter side");
        }
        if !(self.input.scale.is_finite() && self.input.scale > 0.0) {
            problems.add(file, "input.scale", format!("`{}`", self.input.scale), "a number above 0");
        }
        for (name, value) in [("score", self.thresholds.score), ("nms", self.thresholds.nms.unwrap_or(1.0))] {
            if !(value > 0.0 && value <= 1.0) {
                problems.add(file, format!("thresholds.{name}"), format!("`{value}`"), "above 0, at most 1");
            }
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            problems.add(file, "sha256", format!("`{}`", self.sha256), "64 lower case hexadecimal digits");
        }
        if self.labels.is_empty() {
            problems.add(file, "labels", "none", "at least one");
        }
        let grids = matches!(self.layout, Layout::Yolox | Layout::Yolov5 | Layout::Yolov8);
        if grids && self.thresholds.nms.is_none() {
            problems.add(file, "thresholds.nms", "nothing", "above 0, at most 1: the model gives each object several times");
        }
        let character = |label: &Name| label.len() == 1 && label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if self.layout == Layout::PlateCtc && !self.labels.iter().all(character) {
            problems.add(file, "labels", "a text", "characters: capital letters and digits");
        }
        for (i, label) in self.labels.iter().enumerate() {
            if self.labels[..i].contains(label) {
                problems.add(file, format!("labels[{i}]"), format!("`{label}` again"), "each label once");
            }
        }
    }
}
