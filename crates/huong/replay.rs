//! `huong replay`: readings from a file through the same brain that runs the city, in virtual time.
//!
//! Between two readings the clock ticks at every deadline the rules have, so on-delays mature and silence is noticed exactly
//! as it would have been.

use huong_types::{Reading, Timestamp, Transition};

use crate::brain::{Brain, Event};

/// Feeds `readings` in the order in which they arrived (ties in the order given) and returns every transition.
pub(crate) fn run(brain: &mut Brain, mut readings: Vec<Reading>) -> anyhow::Result<Vec<Transition>> {
    readings.sort_by_key(|reading| reading.received);
    let mut transitions = Vec::new();
    let mut now = Timestamp::MIN;
    for reading in &mut readings {
        step(brain, &mut now, reading, &mut transitions)?;
    }
    Ok(transitions)
}

/// Lets the clock run from `now` until `reading` arrives, and takes it.
pub(crate) fn step(brain: &mut Brain, now: &mut Timestamp, reading: &mut Reading, out: &mut Vec<Transition>) -> anyhow::Result<()> {
    tick_until(brain, now, reading.received, out)?;
    *now = (*now).max(reading.received);
    brain.on(Event::Reading(reading), *now, out)?;
    Ok(())
}

/// Ticks at each deadline up to `until`; a deadline that does not move on is taken once.
pub(crate) fn tick_until(brain: &mut Brain, now: &mut Timestamp, until: Timestamp, out: &mut Vec<Transition>) -> anyhow::Result<()> {
    while let Some(deadline) = brain.engine().next_deadline() {
        if deadline >= until || deadline <= *now {
            break;
        }
        *now = deadline;
        brain.on(Event::Tick, deadline, out)?;
    }
    Ok(())
}
