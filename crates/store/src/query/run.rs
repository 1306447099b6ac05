//! One query on its thread, from the snapshot to the last row.
//!
//! Invariant: it ends by itself at the deadline and when nobody listens any more, as soon as what it computes yields.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::answer::Piece;
use super::log::Entry;
use super::{Inner, plan};
use crate::StoreError;

/// Threads that read files for one query.
const READERS: usize = 2;

pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) sql: String,
    pub(super) deadline: Instant,
    /// Taken once the columns are known, or an error.
    pub(super) head: Option<oneshot::Sender<Result<SchemaRef, StoreError>>>,
    pub(super) batches: mpsc::Sender<Piece>,
    pub(super) entry: Entry,
}

impl Run {
    pub(super) fn run(mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READERS).build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return self.entry.ends(&StoreError::Task(error.to_string()).to_string()),
        };
        let (listener, deadline) = (self.batches.clone(), self.deadline);
        let outcome = runtime.block_on(async {
            tokio::select! {
                () = listener.closed() => "given up by the asker".to_owned(),
                ended = timeout_at(deadline, self.answer()) => ended.unwrap_or_else(|_| "cut at the limit of time".to_owned()),
            }
        });
        self.entry.ends(&outcome);
        // A read may be under way that nobody needs any more.
        runtime.shutdown_background();
    }

    /// How it ended, for the log of queries.
    async fn answer(&mut self) -> String {
        let last = match self.send_rows().await {
            Ok(()) => Ok(None),
            Err(error) => Err(error),
        };
        let outcome = last.as_ref().map_or_else(ToString::to_string, |_: &Option<_>| "complete".to_owned());
        // Whoever asked may be gone; then there is nobody to tell.
        match (self.head.take(), last) {
            (Some(head), Err(error)) => drop(head.send(Err(error))),
            (_, last) => drop(self.batches.send(last).await),
        }
        outcome
    }

    async fn send_rows(&mut self) -> Result<(), StoreError> {
        let context = self.inner.context(self.inner.load()?)?;
        let plan = plan(&context, &self.sql).await?;
        let mut stream = context.execute_logical_plan(plan).await?.execute_stream().await?;
        if let Some(head) = self.head.take() {
            drop(head.send(Ok(stream.schema())));
        }
        let (limit, mut rows) = (self.inner.limits.rows, 0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            if rows > limit {
                return Err(StoreError::TooManyRows { limit });
            }
            self.entry.rows = rows;
            if self.batches.send(Ok(Some(batch))).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}
