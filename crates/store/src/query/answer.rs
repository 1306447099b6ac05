//! An answer on its way.
//!
//! Invariant: it ends without an error only when every row has come; what was cut, by a limit or by a fault, ends with one.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures_util::Stream;
use futures_util::stream::unfold;
use huong_types::Span;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::StoreError;

/// `None` says that all rows were sent.
pub(super) type Piece = Result<Option<RecordBatch>, StoreError>;

/// Rows as the query finds them. Dropping it gives the query up.
#[derive(Debug)]
pub struct Answer {
    schema: SchemaRef,
    pieces: mpsc::Receiver<Piece>,
    deadline: Instant,
    time: Span,
    ended: bool,
}

impl Answer {
    pub(super) fn new(schema: SchemaRef, pieces: mpsc::Receiver<Piece>, deadline: Instant, time: Span) -> Self {
        Self { schema, pieces, deadline, time, ended: false }
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The next rows; `None` behind the last, and behind an error.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, StoreError>> {
        if self.ended {
            return None;
        }
        let piece = match timeout_at(self.deadline, self.pieces.recv()).await {
            Ok(Some(piece)) => piece,
            Ok(None) => Err(StoreError::Task("its thread stopped".to_owned())),
            Err(_) => Err(StoreError::TooSlow(self.time)),
        };
        self.ended = !matches!(piece, Ok(Some(_)));
        piece.transpose()
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch, StoreError>> + Send + 'static {
        unfold(self, async |mut answer| Some((answer.next().await?, answer)))
    }

    /// All rows; at least one batch, so that the columns are known when there are none.
    pub async fn gather(mut self) -> Result<Vec<RecordBatch>, StoreError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(self.schema));
        }
        Ok(batches)
    }
}
