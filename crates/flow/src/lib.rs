//! How work passes between threads: the newest-wins [`Mailbox`] for frames, the bounded [`Ring`] for readings, the [`Waker`]
//! that lets their consumers sleep, named [`Worker`] threads, [`Stop`] flags, [`Counter`]s, [`Histogram`]s and the [`Backoff`] of
//! whoever must try again.
//!
//! Invariant: no producer ever waits. There is no mutex on these paths, so a preempted consumer cannot stall the network
//! thread, and every memory ordering of the system is here, checked by loom (`tests/loom.rs`). Nothing here knows what a
//! sensor or a frame is.

mod backoff;
mod counter;
mod histogram;
mod mailbox;
mod ring;
mod stop;
mod sync;
mod waker;
mod worker;

pub use backoff::Backoff;
pub use counter::Counter;
pub use histogram::{Buckets, Histogram};
pub use mailbox::{Mailbox, Published};
pub use ring::Ring;
pub use stop::Stop;
pub use waker::Waker;
pub use worker::{Panicked, Worker, give_way};
