//! The store's answers for those who ask from outside, over HTTP or Flight SQL, in their words.
//!
//! Invariant: whatever goes wrong before the first rows is an error instead of an answer.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{once, unfold};
use huong_flight::{Catalog, Database, Refusal, SqlError};
use huong_store::{Answer, Asker, Encoder, Fault, Format, Queries, SchemaRef, StoreError};
use huong_wall::{QueryError, QueryFormat, Right, Rows, Tokens};

use crate::clock::Clock;

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

pub(crate) fn told(error: StoreError) -> QueryError {
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

/// The store as Flight SQL sees it: whoever may ask over HTTP may ask here, by the same tokens.
pub(crate) struct Tables {
    pub(crate) queries: Queries,
    pub(crate) tokens: Tokens,
    pub(crate) clock: Clock,
}

impl Database for Tables {
    fn admit(&self, token: Option<&str>) -> Result<String, Refusal> {
        let caller =
            self.tokens.admit(token, Right::Operate).map_err(|denied| Refusal { unknown: denied.unknown(), why: denied.to_string() })?;
        Ok(caller.name.unwrap_or_default())
    }

    fn catalog(&self) -> BoxFuture<'static, Result<Catalog, SqlError>> {
        let queries = self.queries.clone();
        Box::pin(async move {
            let tables = queries.tables().await.map_err(told_in_flight)?;
            Ok(Catalog { name: Queries::CATALOG, schema: Queries::SCHEMA, tables })
        })
    }

    fn columns(&self, sql: String) -> BoxFuture<'static, Result<SchemaRef, SqlError>> {
        let queries = self.queries.clone();
        Box::pin(async move { queries.columns(&sql).await.map_err(told_in_flight) })
    }

    fn ask(&self, who: String, sql: String) -> BoxFuture<'static, Result<huong_flight::Answer, SqlError>> {
        let (queries, asker) = (self.queries.clone(), Asker { who, via: "flight", at: self.clock.now() });
        Box::pin(async move {
            let answer = queries.ask(asker, sql).await.map_err(told_in_flight)?;
            let (schema, rows) = (answer.schema(), answer.into_stream().map(|batch| batch.map_err(told_in_flight)));
            Ok(huong_flight::Answer { schema, rows: rows.boxed() })
        })
    }
}

fn told_in_flight(error: StoreError) -> SqlError {
    let fault = match error.fault() {
        Fault::Asker => huong_flight::Fault::Statement,
        Fault::TooLarge => huong_flight::Fault::TooLarge,
        Fault::TooSlow => huong_flight::Fault::TooSlow,
        Fault::Busy => huong_flight::Fault::Busy,
        Fault::Store => huong_flight::Fault::Store,
    };
    SqlError { fault, message: error.to_string() }
}
