//! How work passes between threads: the newest-wins [`Mailbox`] for frames, the bounded [`Ring`] for readings, the [`Waker`]
//! that lets their consumers sleep, named [`Worker`] threads, [`Stop`] flags and [`Counter`]s.
//!
//! Invariant: no producer ever waits. There is no mutex on these paths, so a preempted consumer cannot stall the network
//! thread, and every memory ordering of the system is here, checked by loom (`tests/loom.rs`). Nothing here knows what a
//! sensor or a frame is.

mod counter;
mod mailbox;
mod ring;
mod stop;
mod sync;
mod waker;
mod worker;

pub use counter::Counter;
pub use mailbox::{Mailbox, Published};
pub use ring::Ring;
pub use stop::Stop;
pub use waker::Waker;
pub use worker::{Panicked, Worker};
