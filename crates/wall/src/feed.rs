//! The end of the hub that the thread judging readings holds.
//!
//! Invariant: nothing here waits, and nothing is lost that a screen must show. Values go into a newest-wins slot per stream
//! and key, so a thousand readings of one gauge between two beats of the wall cost one. Alert transitions go through a bounded
//! channel; were it ever full, the newest transition of each alert is kept here and goes first when there is room again. Readings of
//! forecasts are put together here to curves, which have slots of their own.

use std::collections::VecDeque;
use std::sync::Arc;

use huong_flow::Mailbox;
use huong_types::{Flag, Map, Name, Reading, Timestamp, Transition};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::forecasts::{Forecast, Forecasts};
use crate::hub::HubStats;

/// Made by [`crate::Hub::new`]; owned by the one thread that judges readings and moves alerts.
pub struct Feed {
    slots: Map<(Name, Name), Slot>,
    latest: Arc<Mailbox<Reading>>,
    capacity: usize,
    forecasts: Forecasts,
    foretold: Arc<Mailbox<Forecast>>,
    alerts: Sender<Transition>,
    behind: VecDeque<Transition>,
    stats: Arc<HubStats>,
}

struct Slot {
    index: usize,
    /// Event time of the newest reading told, so that one out of order does not replace it.
    at: Timestamp,
}

impl Feed {
    /// `keys` are the (stream, key) pairs expected; `capacity` of the mailbox beyond them is for unknown stations.
    pub(crate) fn new(
        keys: Vec<(Name, Name)>,
        latest: Arc<Mailbox<Reading>>,
        capacity: usize,
        (forecasts, foretold): (Forecasts, Arc<Mailbox<Forecast>>),
        alerts: Sender<Transition>,
        stats: Arc<HubStats>,
    ) -> Self {
        let slots = keys.into_iter().enumerate().map(|(index, key)| (key, Slot { index, at: Timestamp::MIN })).collect();
        Self { slots, latest, capacity, forecasts, foretold, alerts, behind: VecDeque::new(), stats }
    }

    /// Tells the screens of an alert's step, at once. Call it after the step is journalled.
    pub fn alert(&mut self, transition: &Transition) {
        self.behind.retain(|waiting| waiting.alert.id != transition.alert.id);
        self.behind.push_back(transition.clone());
        self.catch_up();
    }

    /// Keeps a judged reading as its key's latest; screens see it at the next beat. Older than the last told, or late: nothing.
    pub fn value(&mut self, reading: &Reading) {
        if !self.behind.is_empty() {
            self.catch_up();
        }
        if self.forecasts.has(&reading.stream) {
            if let Some((place, forecast)) = self.forecasts.take(reading) {
                self.foretold.publish(place, forecast.clone());
            }
            return;
        }
        if reading.flag() == Flag::Late {
            return;
        }
        let known = self.slots.len();
        let key = (reading.stream.clone(), reading.key.clone());
        let slot = match self.slots.get_mut(&key) {
            Some(slot) => slot,
            // Unknown stations, or a hostile sender of new ids: bounded, and counted beyond.
            None if known == self.capacity => return self.stats.keys_over_limit.add(1),
            None => self.slots.entry(key).or_insert(Slot { index: known, at: Timestamp::MIN }),
        };
        if reading.at < slot.at {
            return;
        }
        slot.at = reading.at;
        self.latest.publish(slot.index, reading.clone());
    }

    fn catch_up(&mut self) {
        while let Some(transition) = self.behind.pop_front() {
            match self.alerts.try_send(transition) {
                Ok(()) => {}
                Err(TrySendError::Full(transition)) => {
                    self.behind.push_front(transition);
                    return;
                }
                // The wall is off or has stopped: there is no one to tell.
                Err(TrySendError::Closed(_)) => self.behind.clear(),
            }
        }
    }
}
