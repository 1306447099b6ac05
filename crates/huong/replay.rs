//! `huong replay`: readings from a file through the same brain that runs the city, in virtual time.
//!
//! Whatever falls due between two readings happens at its own time, so on-delays mature and silence is noticed exactly as it would
//! have been.

use huong_types::{Reading, Transition};

use crate::brain::{Brain, Event};

/// Feeds `readings` in the order in which they arrived (ties in the order given) and returns every transition.
pub(crate) fn run(brain: &mut Brain, mut readings: Vec<Reading>) -> anyhow::Result<Vec<Transition>> {
    readings.sort_by_key(|reading| reading.received);
    let mut transitions = Vec::new();
    for reading in &mut readings {
        let at = reading.received;
        brain.on(Event::Reading(reading), at, &mut transitions)?;
    }
    Ok(transitions)
}
