//! The time that a process was away, as its clock sees it afterwards.
//!
//! Invariant: what fell due while nothing could be heard is done when what was sent meanwhile has had time to come, and neither before
//! nor later. What falls due after that keeps its time.

use huong_types::Timestamp;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// Nothing was heard after this,
    from: Timestamp,
    /// .. and by then everything of that time is here.
    until: Timestamp,
}

impl Pause {
    pub(crate) const NONE: Pause = Pause { from: Timestamp::MIN, until: Timestamp::MIN };

    /// A pause may come before all is here that was sent in the one before.
    pub(crate) fn then(self, from: Timestamp, until: Timestamp) -> Pause {
        Pause { from: if from < self.until { self.from } else { from }, until }
    }

    /// Up to when the clock may speak of what has not come.
    pub(crate) fn clock(self, now: Timestamp) -> Timestamp {
        if now < self.until { now.min(self.from) } else { now }
    }

    /// When that is done which falls due at `due`.
    pub(crate) fn due(self, due: Timestamp) -> Timestamp {
        if due > self.from && due < self.until { self.until } else { due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_while_what_was_sent_may_still_come() {
        let at = Timestamp::from_millis;
        let pause = Pause::NONE.then(at(10), at(50));
        for (now, clock) in [(5, 5), (10, 10), (11, 10), (49, 10), (50, 50), (60, 60)] {
            assert_eq!(pause.clock(at(now)), at(clock), "{now}");
        }
        for (due, done) in [(5, 5), (10, 10), (11, 50), (49, 50), (50, 50), (60, 60)] {
            assert_eq!(pause.due(at(due)), at(done), "{due}");
        }
        assert_eq!(pause.then(at(40), at(90)).clock(at(80)), at(10), "again, before all was here");
        assert_eq!(pause.then(at(60), at(90)).clock(at(80)), at(60));
        assert_eq!(Pause::NONE.clock(at(3)), at(3));
    }
}
