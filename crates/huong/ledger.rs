//! The ledger: what came in, and what became of it, by stream and source. Received = stored + rejected + shed + in flight, always.
//! Shed is only what found no room while stopping, and refused frames that found the ring full.
//!
//! The two sides are counted by different hands: the entrance of the whole by whoever decodes (ingest, vision), that of each account at
//! the brain's door, the exit by the writer after the records are on disk. A difference that does not go back to zero at rest is a
//! bug, and shows.
//!
//! Invariant: a count costs its thread one look-up and one atomic addition, however many accounts there are; nothing is copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use huong_flow::Counter;
use huong_ingest::{Shed, ShedOf};
use huong_store::StreamSource;
use huong_types::{Map, Name, RejectReason};
use huong_wall::{AccountLedger, Ledger};

/// One moment's sum of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) rejected: u64,
    pub(crate) shed: u64,
}

/// Accounts of their own; beyond, a stream's further sources share one. Both are of the configuration, so this is far away: it bounds
/// what a registry gone wrong costs in memory and in `/metrics`.
const ACCOUNTS: usize = 1000;
const OTHERS: &str = "(others)";

/// Since the start.
#[derive(Debug, Default)]
pub(crate) struct Book {
    lines: ArcSwap<BTreeMap<StreamSource, Arc<Line>>>,
}

#[derive(Debug, Default)]
struct Line {
    received: Counter,
    stored: Counter,
    rejected: Tally<RejectReason>,
}

/// Counts of a few kinds, which one thread adds to and anyone reads.
#[derive(Debug)]
pub(crate) struct Tally<K>(ArcSwap<BTreeMap<K, Arc<Counter>>>);

/// One thread's way to the lines of the book.
pub(crate) struct Pen {
    book: Arc<Book>,
    known: Map<StreamSource, Arc<Line>>,
}

impl Balance {
    /// `None` when more left than came in: the one thing that can never be right.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        self.received.checked_sub(self.stored + self.rejected + self.shed)
    }
}

impl Book {
    /// Every account, by stream and source.
    pub(crate) fn accounts(&self, shed: &Shed) -> Vec<AccountLedger> {
        let lines = self.lines.load();
        let mut accounts: BTreeMap<StreamSource, AccountLedger> = BTreeMap::new();
        let blank = |StreamSource { stream, source }: StreamSource| AccountLedger { stream, source, ..AccountLedger::default() };
        // The exit first: what leaves in between has come in before.
        for (account, line) in lines.iter() {
            let rejected = line.rejected.read().into_iter().map(|(reason, count)| (Name::new(reason.as_str()), count)).collect();
            accounts.insert(account.clone(), AccountLedger { stored: line.stored.get(), rejected, ..blank(account.clone()) });
        }
        for (account, line) in lines.iter() {
            if let Some(ledger) = accounts.get_mut(account) {
                ledger.received = line.received.get();
                ledger.in_flight = ledger.received.saturating_sub(ledger.stored + ledger.rejected.values().sum::<u64>());
            }
        }
        // What was shed never came to the brain's door.
        for (ShedOf { stream, source, reason }, count) in shed.read() {
            let account = StreamSource { stream, source };
            let ledger = accounts.entry(account.clone()).or_insert_with(|| blank(account));
            ledger.received += count;
            *ledger.shed.entry(reason.as_str().into()).or_default() += count;
        }
        accounts.into_values().collect()
    }

    /// (stored, rejected) over all accounts.
    pub(crate) fn left(&self) -> (u64, u64) {
        let lines = self.lines.load();
        let rejected = |line: &Line| line.rejected.read().values().sum::<u64>();
        lines.values().fold((0, 0), |(stored, refused), line| (stored + line.stored.get(), refused + rejected(line)))
    }

    fn line(&self, account: &StreamSource) -> Arc<Line> {
        let mut found = None;
        self.lines.rcu(|lines| {
            let account = if lines.len() < ACCOUNTS || lines.contains_key(account) {
                account.clone()
            } else {
                StreamSource { stream: account.stream.clone(), source: Some(OTHERS.into()) }
            };
            let mut lines = BTreeMap::clone(lines);
            found = Some(Arc::clone(lines.entry(account).or_default()));
            lines
        });
        found.unwrap_or_default()
    }
}

impl<K: Copy + Ord> Tally<K> {
    /// For the one thread that counts.
    pub(crate) fn add(&self, kind: K, more: u64) {
        let kinds = self.0.load();
        if let Some(count) = kinds.get(&kind) {
            return count.add(more);
        }
        let mut kinds = BTreeMap::clone(&kinds);
        kinds.entry(kind).or_default().add(more);
        self.0.store(Arc::new(kinds));
    }

    pub(crate) fn read(&self) -> BTreeMap<K, u64> {
        self.0.load().iter().map(|(kind, count)| (*kind, count.get())).collect()
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl Pen {
    pub(crate) fn new(book: &Arc<Book>) -> Self {
        Self { book: Arc::clone(book), known: Map::default() }
    }

    pub(crate) fn received(&mut self, account: StreamSource) {
        self.line(account).received.add(1);
    }

    pub(crate) fn stored(&mut self, account: StreamSource, count: u64) {
        self.line(account).stored.add(count);
    }

    pub(crate) fn rejected(&mut self, account: StreamSource, reason: RejectReason, count: u64) {
        self.line(account).rejected.add(reason, count);
    }

    fn line(&mut self, account: StreamSource) -> &Line {
        let book = &self.book;
        self.known.entry(account).or_insert_with_key(|account| book.line(account))
    }
}

/// By stream alone, `?` where none is known.
pub(crate) fn by_stream(accounts: &[AccountLedger]) -> BTreeMap<Name, Ledger> {
    let mut streams: BTreeMap<Name, Ledger> = BTreeMap::new();
    for account in accounts {
        let stream = account.stream.clone().unwrap_or_else(|| Name::new("?"));
        let ledger = streams.entry(stream).or_default();
        ledger.received += account.received;
        ledger.stored += account.stored;
        ledger.rejected += account.rejected.values().sum::<u64>();
        ledger.shed += account.shed.values().sum::<u64>();
        ledger.in_flight += account.in_flight;
    }
    streams
}

#[cfg(test)]
mod tests {
    use huong_ingest::ShedReason;
    use huong_types::{Inbound, Reject, Timestamp};

    use super::*;

    fn account(stream: &str, source: &str) -> StreamSource {
        StreamSource { stream: Some(stream.into()), source: Some(source.into()) }
    }

    #[test]
    fn both_sides_meet_by_stream_and_source() {
        let (book, shed) = (Arc::new(Book::default()), Shed::default());
        let (mut door, mut writer) = (Pen::new(&book), Pen::new(&book));
        for (source, came, stored, refused) in [("vrain", 5, 3, 1), ("tt10", 2, 2, 0)] {
            (0..came).for_each(|_| door.received(account("rain", source)));
            writer.stored(account("rain", source), stored);
            (0..refused).for_each(|_| writer.rejected(account("rain", source), RejectReason::Duplicate, 1));
        }
        let refused = Reject::new(RejectReason::BadFrame, "x").quarantine(Timestamp::MIN, "t", Some("frames".into()), None, &[]);
        shed.add(&Inbound { rejected: vec![refused], ..Inbound::default() }, ShedReason::Full);
        let accounts = book.accounts(&shed);
        let lines: Vec<_> = accounts
            .iter()
            .map(|line| (line.source.as_deref().unwrap_or(""), line.received, line.stored, line.in_flight, line.shed.get("full").copied()))
            .collect();
        assert_eq!(lines, [("frames", 1, 0, 0, Some(1)), ("tt10", 2, 2, 0, None), ("vrain", 5, 3, 1, None)]);
        assert_eq!(accounts[2].rejected, [("duplicate".into(), 1)].into());
        let streams = by_stream(&accounts);
        assert_eq!(streams["rain"], Ledger { received: 7, stored: 5, rejected: 1, shed: 0, in_flight: 1 });
        assert!(streams.values().all(Ledger::balanced));
        assert_eq!(book.left(), (5, 1));
    }

    #[test]
    fn accounts_beyond_the_bound_share_one_of_their_stream() {
        let (book, shed) = (Arc::new(Book::default()), Shed::default());
        let mut pen = Pen::new(&book);
        for source in 0..ACCOUNTS + 10 {
            pen.received(account(if source % 2 == 0 { "rain" } else { "wind" }, &source.to_string()));
        }
        let accounts = book.accounts(&shed);
        assert_eq!(accounts.len(), ACCOUNTS + 2);
        assert_eq!(accounts.iter().map(|line| line.received).sum::<u64>(), (ACCOUNTS + 10) as u64);
        let others = accounts.iter().filter(|line| line.source == Some(OTHERS.into()));
        assert_eq!(others.map(|line| line.received).collect::<Vec<_>>(), [5, 5]);
    }
}
