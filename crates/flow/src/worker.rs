//! Named threads whose death is noticed.
//!
//! Invariant: a panic in a worker is never silent and never half-handled: it ends that thread, raises its poison flag and is
//! told by `join`. The process is then to stop with an error and be started again, because what the thread owned is lost.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// A running thread. Dropping it leaves the thread running unwatched, so keep it and `join` it.
#[derive(Debug)]
#[must_use = "a worker nobody watches can die unnoticed"]
pub struct Worker {
    name: String,
    poisoned: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

/// A worker ended by a panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker `{name}` panicked: {message}")]
pub struct Panicked {
    pub name: String,
    pub message: String,
}

impl Worker {
    /// Starts a thread called `name` (the system shows the first 15 bytes).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Worker> {
        let poisoned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&poisoned);
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            // Unwind safe because nothing the body owned is looked at again.
            catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
                flag.store(true, Ordering::Release);
                message_of(panic.as_ref())
            })
        })?;
        Ok(Worker { name: name.to_owned(), poisoned, thread })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// True once the body has returned or panicked.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// True once the body has panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Waits for the thread to end.
    ///
    /// # Errors
    /// What its panic said.
    pub fn join(self) -> Result<(), Panicked> {
        let outcome = self.thread.join().unwrap_or_else(|panic| Err(message_of(panic.as_ref())));
        outcome.map_err(|message| Panicked { name: self.name, message })
    }
}

/// Leaves a busy machine to others: the calling thread, and those it starts from now on, get about a tenth less of it per step. What
/// carries alarms stays at 0; 19 is the most.
///
/// # Errors
/// When the system does not let it: nothing has changed then.
pub fn give_way(steps: u8) -> io::Result<()> {
    // Of no process in particular, which on Linux is the calling thread.
    rustix::process::setpriority_process(None, i32::from(steps.min(19))).map_err(io::Error::from)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a text").to_owned()
}
