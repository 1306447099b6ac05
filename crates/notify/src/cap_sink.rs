//! The CAP sink: steps of alerts onto the desk.
//!
//! Invariant: it waits for no network and for no person; only a disk that refuses makes it try again.

use std::sync::Arc;

use huong_types::{AlertState, Text, Transition, TransitionKind};
use serde::Deserialize;

use crate::cap_xml::Info;
use crate::channel::Failure;
use crate::office::Office;
use crate::steps::System;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapConfig {
    pub audience: Audience,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Drafts, which a named person releases.
    Public,
    /// Files at once.
    Staff,
}

pub(crate) struct CapSink {
    pub(crate) audience: Audience,
    pub(crate) office: Arc<Office>,
}

impl System for CapSink {
    fn tell(&self, step: &Transition) -> Result<(), Failure> {
        let over = step.alert.state == AlertState::Cleared;
        // What happened once is over when it is told: nothing to cancel comes after it.
        let once = over && step.kind == TransitionKind::Raised;
        if !(over || matches!(step.kind, TransitionKind::Raised | TransitionKind::Updated)) {
            return Ok(());
        }
        let info = self.office.cap_info(step, self.audience);
        let desk = self.office.cap();
        let (alert, over) = (&step.alert.id, over && !once);
        let told = match self.audience {
            Audience::Public => desk.draft(step.seq, alert, info, over),
            Audience::Staff => desk.tell_staff(step.seq, alert, &info, over),
        };
        told.map_err(Failure::later)
    }
}

impl Office {
    /// What a CAP message about the step says.
    pub(crate) fn cap_info(&self, step: &Transition, audience: Audience) -> Info {
        let alert = &step.alert;
        let guide = self.guide(&alert.rule);
        let row = self.registry.row(&alert.key);
        let ward = row.and_then(|row| row.ward).and_then(|id| self.registry.wards.iter().find(|ward| ward.id == *id));
        let both = |vi: &str, en: &str| Text { vi: vi.to_owned(), en: en.to_owned() };
        let area = match (row, ward) {
            (Some(row), Some(ward)) => both(&format!("{}, {}", row.name, ward.name), &format!("{}, {}", row.name_en, ward.name_en)),
            (Some(row), None) => both(row.name, row.name_en),
            (None, _) => self.cap().settings().area.clone(),
        };
        let event = guide.map(|guide| guide.event.clone()).filter(|event| !event.vi.is_empty());
        let instruction = guide.map(|guide| match audience {
            Audience::Public => guide.public.clone(),
            Audience::Staff => guide.advice.clone(),
        });
        Info {
            category: guide.map_or_else(|| "Other".to_owned(), |guide| guide.category.clone()),
            event: event.unwrap_or_else(|| both(&alert.rule, &alert.rule)),
            severity: alert.severity,
            ahead: guide.is_some_and(|guide| guide.ahead),
            exercise: alert.exercise,
            onset: alert.since,
            headline: alert.text.clone(),
            text: alert.text.clone(),
            instruction: instruction.unwrap_or_default(),
            // The wall is for staff.
            web: if audience == Audience::Staff { self.links().alert(&alert.id).unwrap_or_default() } else { String::new() },
            figures: alert.values.iter().map(|(name, value)| (name.to_string(), *value)).filter(|(_, value)| value.is_finite()).collect(),
            area,
            place: row.map(|row| (row.lat, row.lon)),
        }
    }
}
