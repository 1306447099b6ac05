//! `huong replay`: readings from a file through the same brain that runs the city, in virtual time.
//!
//! Between two readings the clock ticks at every deadline the rules have, so on-delays mature and silence is noticed exactly
//! as it would have been.

use huong_types::{Reading, Timestamp, Transition};

use crate::brain::{Brain, Event};

/// Feeds `readings` in order of event time (ties in the order given) and returns every transition.
pub(crate) fn run(brain: &mut Brain, mut readings: Vec<Reading>) -> anyhow::Result<Vec<Transition>> {
    readings.sort_by_key(|reading| reading.at);
    let mut transitions = Vec::new();
    let mut now = Timestamp::MIN;
    for reading in &mut readings {
        tick_until(brain, &mut now, reading.at, &mut transitions)?;
        now = reading.at;
        brain.on(Event::Reading(reading), now, &mut transitions)?;
    }
    Ok(transitions)
}

/// Ticks at each deadline up to `until`; a deadline that does not move on is taken once.
fn tick_until(brain: &mut Brain, now: &mut Timestamp, until: Timestamp, out: &mut Vec<Transition>) -> anyhow::Result<()> {
    while let Some(deadline) = brain.engine().next_deadline() {
        if deadline >= until || deadline <= *now {
            break;
        }
        *now = deadline;
        brain.on(Event::Tick, deadline, out)?;
    }
    Ok(())
}
