//! SQL over the parts and the open log, through DataFusion.
//!
//! Invariants: reading only — a plan that would change anything, in the data or in the session, is refused before it runs; and never at
//! the cost of the alarms — each query runs on a thread and a single-threaded runtime of its own, a fixed number at once, and all of them
//! share one bound on memory and on spill. One that is given up but does not yield costs its own slot until it does, nothing else.

mod answer;
mod latest;
mod log;
mod open;
mod provider;
mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use huong_types::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

pub use answer::Answer;
pub use log::QueryLog;

use crate::error::Context;
use crate::objects;
use crate::rollup;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::{QueryLimits, StoreError};
use log::Entry;
use open::OpenLog;
use provider::SnapshotTable;
use run::Run;

/// A statement is written by a person or a tool; what is longer is neither.
const LONGEST_SQL: usize = 64 << 10;

/// Answers SQL over one data directory, for this process. Cheap to clone; clones share limits and what is cached.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

pub(crate) struct Inner {
    dir: PathBuf,
    limits: QueryLimits,
    /// Memory, spill files and the footers of parts, of all queries together.
    runtime: Arc<RuntimeEnv>,
    open: OpenLog,
    log: Option<QueryLog>,
    /// A permit for each query that runs or waits, and one for each that runs.
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// On whose behalf a query runs, for the log of queries.
#[derive(Clone, Debug)]
pub struct Asker {
    pub who: String,
    /// The way in, such as `http`.
    pub via: &'static str,
    pub at: Timestamp,
}

impl Queries {
    /// As statements may name it in full: `huong.public.readings`.
    pub const CATALOG: &str = "huong";
    pub const SCHEMA: &str = "public";

    /// Over `dir`, which may not exist yet. Every query that is asked is noted in `log`.
    pub fn new(dir: impl Into<PathBuf>, limits: QueryLimits, log: Option<QueryLog>) -> Result<Queries, StoreError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_max_temp_directory_size(limits.spill))
            .build_arc()?;
        let (admitted, running) = (Semaphore::new(limits.concurrent + limits.waiting), Semaphore::new(limits.concurrent));
        let open = OpenLog::new(&runtime.memory_pool, limits.memory);
        let inner = Inner { dir: dir.into(), limits, runtime, open, log, admitted: Arc::new(admitted), running: Arc::new(running) };
        Ok(Queries(Arc::new(inner)))
    }

    /// Begins to answer `sql` over the tables as they are now; comes back when the columns are known. Must be called within a tokio
    /// runtime that has its time driver on: the clock is watched from there. Dropping the future, or the [`Answer`], gives the query up.
    ///
    /// # Errors
    /// [`StoreError::TooManyQueries`] at once, when no more may wait, and later, when the wait was as long as a query may run; mistakes
    /// in the SQL; and whatever keeps the store from being read.
    pub async fn ask(&self, asker: Asker, sql: String) -> Result<Answer, StoreError> {
        let limits = &self.0.limits;
        let refused = || StoreError::TooManyQueries { running: limits.concurrent, waiting: limits.waiting };
        let entry = Entry::new(self.0.log.as_ref(), asker, &sql);
        let place = Arc::clone(&self.0.admitted).try_acquire_owned().map_err(|_| refused())?;
        let turn = timeout(limits.time.to_std(), Arc::clone(&self.0.running).acquire_owned()).await;
        let turn = turn.map_err(|_| refused())?.map_err(|_| refused())?;
        let deadline = Instant::now() + limits.time.to_std();
        let (head, schema) = oneshot::channel();
        let (batches, rows) = mpsc::channel(1);
        let run = Run { inner: Arc::clone(&self.0), sql, deadline, head: Some(head), batches, entry };
        let body = move || {
            run.run();
            // Given back only here: a query that was given up and goes on is still one that runs.
            drop((place, turn));
        };
        std::thread::Builder::new().name("query".to_owned()).spawn(body).map_err(|error| StoreError::Task(error.to_string()))?;
        let schema = timeout_at(deadline, schema).await.map_err(|_| StoreError::TooSlow(limits.time))?;
        let schema = schema.map_err(|_| StoreError::Task("its thread stopped".to_owned()))??;
        Ok(Answer::new(schema, rows, deadline, limits.time))
    }

    /// The columns that the answer to `sql` would have. Plans only: no row is read.
    pub async fn columns(&self, sql: &str) -> Result<SchemaRef, StoreError> {
        let context = self.planning().await?;
        let plan = plan(&context, sql).await?;
        // The physical plan's, which the rows will have: the two may differ in what can be null.
        Ok(context.state().create_physical_plan(&plan).await?.schema())
    }

    /// The tables that there are, with their columns.
    pub async fn tables(&self) -> Result<Vec<(&'static str, SchemaRef)>, StoreError> {
        let context = self.planning().await?;
        let mut tables = Vec::new();
        for name in Table::all().map(Table::name) {
            tables.push((name, context.table_provider(name).await?.schema()));
        }
        Ok(tables)
    }

    /// A session in which nothing can be read.
    async fn planning(&self) -> Result<SessionContext, StoreError> {
        let dir: Arc<Path> = self.0.dir.as_path().into();
        self.0.context(Table::all().map(|table| SnapshotTable::empty(table, &dir)).collect()).await
    }
}

impl Inner {
    /// Takes one state of the directory. Blocking.
    fn load(&self) -> Result<Vec<SnapshotTable>, StoreError> {
        let dir: Arc<Path> = std::path::absolute(&self.dir).during("resolve", &self.dir)?.into();
        let Snapshot { parts, logs } = Snapshot::take(&self.dir)?;
        let bucket = parts.iter().any(|part| part.remote).then(|| objects::bucket(&dir)).transpose()?;
        if let Some(bucket) = &bucket {
            self.runtime.register_object_store(bucket.url.as_ref(), Arc::clone(&bucket.store));
        }
        let empty = |table| SnapshotTable { bucket: bucket.clone(), ..SnapshotTable::empty(table, &dir) };
        let mut tables: Vec<SnapshotTable> = Table::all().map(empty).collect();
        parts.into_iter().for_each(|part| tables[part.table as usize].parts.push(part));
        for (table, open) in tables.iter_mut().zip(self.open.rows(&logs)?) {
            table.open = open;
        }
        Ok(tables)
    }

    /// A session of its own for each query: none can leave anything behind for the next.
    async fn context(&self, tables: Vec<SnapshotTable>) -> Result<SessionContext, StoreError> {
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(Queries::CATALOG, Queries::SCHEMA)
            .with_information_schema(true)
            .with_target_partitions(1);
        config.options_mut().sql_parser.collect_spans = true;
        let context = SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime));
        for table in tables {
            let (kind, name) = (table.table, table.table.name());
            context.register_table(name, Arc::new(table))?;
            if kind.bin().is_some() {
                // What is seen under the name are whole bins.
                let merged = context.sql(&rollup::merged_sql(kind)).await?.into_view();
                context.deregister_table(name)?;
                context.register_table(name, merged)?;
            }
        }
        Ok(context)
    }
}

/// Plans `sql`, which may only read.
async fn plan(context: &SessionContext, sql: &str) -> Result<LogicalPlan, StoreError> {
    if sql.len() > LONGEST_SQL {
        return Err(StoreError::Sql { message: format!("the statement has {} bytes, at most {LONGEST_SQL}", sql.len()), place: None });
    }
    let state = context.state();
    let plan = state.create_logical_plan(sql).await.map_err(StoreError::sql)?;
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(&plan).map_err(|error| StoreError::ReadOnly(error.message().into_owned()))?;
    // Types are checked here, so that a mistake in the statement is told before anything runs.
    state.optimize(&plan).map_err(StoreError::sql)
}

#[cfg(test)]
mod tests;
