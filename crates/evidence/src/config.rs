//! `[evidence]` of the configuration.

use std::path::PathBuf;

use huong_types::Problems;
use serde::Deserialize;

use crate::{BlurConfig, State};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceConfig {
    pub dir: PathBuf,
    /// Provisions, names of acts, reasons: `config/violations.toml`.
    pub laws: PathBuf,
    /// Whether two persons must accept a record.
    pub two_person: bool,
    /// A candidate with fewer pictures is void.
    pub frames: usize,
    pub keep_days: KeepDays,
    /// What is hidden in the pictures of sheets.
    pub blur: BlurConfig,
    /// A TrueType font with Vietnamese letters for the sheets; the first of [`crate::FONTS`] that is there when absent.
    pub font: Option<PathBuf>,
    /// Who detects: stands on the sheets and in the table.
    pub unit: String,
    /// Where a case is settled: stands in the table.
    pub settled_at: String,
}

/// Whole days after the last thing that happened to a record: kept, decided or handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepDays {
    pub void: u16,
    pub rejected: u16,
    /// Not decided by all who must.
    pub undecided: u16,
    pub accepted: u16,
}

impl Default for KeepDays {
    /// The figures are this project's, within the duty of Luật Bảo vệ dữ liệu cá nhân 91/2025/QH15 to keep personal data no longer than
    /// its purpose needs: a month to look at candidates; a year after the hand-over, as long as a fine may follow.
    fn default() -> Self {
        Self { void: 30, rejected: 30, undecided: 30, accepted: 366 }
    }
}

impl KeepDays {
    pub(crate) fn of(self, state: State) -> u16 {
        match state {
            State::Void => self.void,
            State::Rejected => self.rejected,
            State::New | State::Seconding => self.undecided,
            State::Accepted => self.accepted,
        }
    }
}

impl Default for EvidenceConfig {
    fn default() -> Self {
        Self {
            dir: "data/evidence".into(),
            laws: "config/violations.toml".into(),
            two_person: false,
            // Before the line, on it and behind it.
            frames: 3,
            keep_days: KeepDays::default(),
            blur: BlurConfig::default(),
            font: None,
            unit: "Trung tâm Giám sát, điều hành đô thị thông minh thành phố Huế".to_owned(),
            settled_at: String::new(),
        }
    }
}

impl EvidenceConfig {
    /// Adds every mistake to `problems`.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let days = self.keep_days;
        let fields = [("void", days.void), ("rejected", days.rejected), ("undecided", days.undecided), ("accepted", days.accepted)];
        for (name, days) in fields {
            if days == 0 {
                problems.add(file, format!("{path}.keep_days.{name}"), "`0`", "at least 1");
            }
        }
        self.blur.check(file, &format!("{path}.blur"), problems);
        if self.frames == 0 {
            problems.add(file, format!("{path}.frames"), "`0`", "at least 1");
        }
        if self.unit.trim().is_empty() {
            problems.add(file, format!("{path}.unit"), "an empty text", "the name of the unit that detects");
        }
        if let Some(font) = self.font.as_ref().filter(|font| !font.is_file()) {
            problems.add(file, format!("{path}.font"), format!("no file `{}`", font.display()), "a TrueType font");
        }
    }
}
