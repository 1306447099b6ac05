//! The store's answers for those who ask from outside, in their words.
//!
//! Invariant: whatever goes wrong before the first rows is an error instead of an answer.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{once, unfold};
use huong_store::{Answer, Asker, Encoder, Fault, Format, Queries, StoreError};
use huong_wall::{QueryError, QueryFormat, Rows};

/// Asks, and gives the rows as bytes while they come.
pub(crate) async fn encoded(queries: Queries, asker: Asker, sql: String, format: QueryFormat) -> Result<Rows, QueryError> {
    let format = match format {
        QueryFormat::Arrow => Format::Arrow,
        QueryFormat::Csv => Format::Csv,
        QueryFormat::Json => Format::Json,
    };
    let mut answer = queries.ask(asker, sql).await.map_err(told)?;
    let mut encoder = Encoder::new(format, answer.schema()).map_err(told)?;
    let first = answer.next().await.transpose().map_err(told)?;
    let begin = match first {
        Some(batch) => encoder.push(batch).map_err(told)?,
        None => Vec::new(),
    };
    let rest = unfold(Some((answer, encoder)), async |state| {
        let (answer, encoder) = state?;
        Some(match piece(answer, encoder).await {
            Ok((bytes, state)) => (Ok(Bytes::from(bytes)), state),
            Err(error) => (Err(told(error)), None),
        })
    });
    Ok(once(async { Ok(Bytes::from(begin)) }).chain(rest).boxed())
}

/// The next bytes, and what is needed to go on; nothing behind the last.
async fn piece(mut answer: Answer, mut encoder: Encoder) -> Result<(Vec<u8>, Option<(Answer, Encoder)>), StoreError> {
    match answer.next().await.transpose()? {
        Some(batch) => Ok((encoder.push(batch)?, Some((answer, encoder)))),
        None => Ok((encoder.finish()?, None)),
    }
}

fn told(error: StoreError) -> QueryError {
    let words = error.to_string();
    match (error.fault(), error) {
        (_, StoreError::Sql { message, place }) => QueryError::Statement { message, place },
        (Fault::Asker, _) => QueryError::Statement { message: words, place: None },
        (Fault::TooLarge, _) => QueryError::TooLarge(words),
        (Fault::TooSlow, _) => QueryError::TooSlow(words),
        (Fault::Busy, _) => QueryError::Busy(words),
        (Fault::Store, _) => QueryError::Store(words),
    }
}
