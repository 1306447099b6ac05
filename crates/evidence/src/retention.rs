//! The deleting of records that were kept long enough.
//!
//! Invariant: a record's deletion is a line of the chain before anything of it goes, with the rule; its hashes stay in the chain. By a
//! clock that ran ahead nothing is deleted.

use std::path::PathBuf;

use huong_types::{LocalDay, Name, Span, Timestamp};

use crate::EvidenceError;
use crate::chain::Step;
use crate::records::Records;

/// The chain ends at most so long before the clock, or else the clock is not to be believed: a wrong year is, a long quiet is told.
const QUIET: Span = Span::from_mins(30 * 24 * 60);

impl Records {
    /// Deletes what is older than `keep_days` says and returns the ids.
    ///
    /// # Errors
    /// [`EvidenceError::ClockAhead`] when nothing happened for a month before `now`, unless `clock_is_right`.
    pub fn expire(&mut self, now: Timestamp, clock_is_right: bool) -> Result<Vec<Name>, EvidenceError> {
        let _lock = self.lock()?;
        let keep = self.config.keep_days;
        let today = LocalDay::of(now).number();
        let outdated =
            self.ledger.records.values().filter(|entry| today - LocalDay::of(entry.touched).number() > i64::from(keep.of(entry.state)));
        let outdated: Vec<_> = outdated.cloned().collect();
        let newest = self.ledger.last_at.unwrap_or(now);
        if !outdated.is_empty() && now.since(newest) > QUIET && !clock_is_right {
            return Err(EvidenceError::ClockAhead { now, newest });
        }
        for entry in &outdated {
            let rule = format!("{}: {} days after the last step", entry.state.as_str(), keep.of(entry.state));
            let from = self.place(entry)?;
            self.change(now, Step::Expired { record: entry.id.clone(), rule }, from, PathBuf::from("staged/gone"))?;
        }
        Ok(outdated.into_iter().map(|entry| entry.id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOON, folder, violation};
    use crate::{Decision, State};

    fn days(days: i64) -> Span {
        Span::from_mins(days * 24 * 60)
    }

    #[test]
    fn each_state_has_its_time() {
        let folder = folder();
        let mut records = folder.open();
        let mut void = violation(2);
        void.void.push(huong_types::VoidReason::TwoVehicles);
        let ids: Vec<Name> = [violation(1), void, violation(3), violation(4)].iter().map(|one| folder.keep(&mut records, one)).collect();
        let rejected = Decision::Reject { reasons: vec![Name::new("duplicate")] };
        records.decide(&ids[2], "lan", rejected, None, NOON + days(10)).expect("new");
        records.decide(&ids[3], "lan", Decision::Accept, None, NOON + days(10)).expect("new");
        assert_eq!(records.expire(NOON + days(30), false).expect("works"), Vec::<Name>::new(), "the thirtieth day is kept");
        let mut gone = records.expire(NOON + days(31), false).expect("works");
        gone.sort();
        let mut expected = vec![ids[0].clone(), ids[1].clone()];
        expected.sort();
        assert_eq!(gone, expected, "undecided and void");
        assert_eq!(records.expire(NOON + days(41), false).expect("works"), [ids[2].clone()], "rejected");
        let error = records.expire(NOON + days(400), false).expect_err("a clock that ran away").to_string();
        assert!(error.starts_with("nothing is deleted: the clock says"), "{error}");
        assert_eq!(records.expire(NOON + days(400), true).expect("works"), [ids[3].clone()], "accepted");
        assert_eq!(records.counts().expect("readable").expired, 4);
        assert!(records.audit().expect("readable").faults.is_empty());
        let chain = std::fs::read_to_string(folder.config.dir.join("chain.jsonl")).expect("there");
        assert_eq!(chain.matches("\"kept\"").count(), 4, "the hashes stay");
        assert!(chain.contains("\"rule\":\"void: 30 days after the last step\""), "{chain}");
        assert!(!chain.contains("75A"), "no personal data in the chain");
    }

    #[test]
    fn a_hand_over_begins_the_time_anew() {
        let folder = folder();
        let mut records = folder.open();
        let id = folder.keep(&mut records, &violation(1));
        assert_eq!(records.decide(&id, "lan", Decision::Accept, None, NOON).expect("new"), State::Accepted);
        folder.export(&mut records, NOON + days(300));
        assert!(records.expire(NOON + days(660), true).expect("works").is_empty());
        assert_eq!(records.expire(NOON + days(667), true).expect("works"), [id]);
    }
}
