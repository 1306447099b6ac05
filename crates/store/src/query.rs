//! SQL over the parts and the open log, through DataFusion.
//!
//! Invariants: reading only — a plan that would change anything, in the data or in the session, is refused before it runs; and never at
//! the cost of the alarms — each query runs on a thread and a single-threaded runtime of its own, a fixed number at once, and all of them
//! share one bound on memory and on spill. One that is given up but does not yield costs its own slot until it does, nothing else.

mod answer;
mod history;
mod latest;
mod log;
mod open;
mod provider;
mod run;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList};
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use huong_flow::give_way;
use huong_types::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

pub use answer::Answer;
pub use history::{Curve, Point};
pub use log::QueryLog;

use crate::error::Context;
use crate::manifest::ManifestCache;
use crate::objects;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::{QueryLimits, StoreError};
use log::Entry;
use open::OpenLog;
use provider::SnapshotTable;
use run::Run;
use schema::SnapshotSchema;

/// A statement is written by a person or a tool; what is longer is neither.
const LONGEST_SQL: usize = 64 << 10;

/// Answers SQL over one data directory, for this process. Cheap to clone; clones share limits and what is cached.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

pub(crate) struct Inner {
    dir: PathBuf,
    limits: QueryLimits,
    /// What all sessions begin as: the functions that there are, and the memory, spill files and footers of parts of all together.
    state: SessionState,
    manifests: ManifestCache,
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

/// Queries read what is safe already: what carries alarms comes first, on a busy machine by about nine to one.
const QUIET: u8 = 10;

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
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(Queries::CATALOG, Queries::SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_target_partitions(1);
        config.options_mut().sql_parser.collect_spans = true;
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        let (dir, manifests, admitted, running) = (dir.into(), ManifestCache::default(), Arc::new(admitted), Arc::new(running));
        let inner = Inner { dir, limits, state, manifests, open, log, admitted, running };
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
            if let Err(error) = give_way(QUIET) {
                tracing::warn!(%error, "queries cannot give way to what carries alarms");
            }
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
        let context = self.planning()?;
        let plan = plan(&context, sql).await?;
        // The physical plan's, which the rows will have: the two may differ in what can be null.
        Ok(context.state().create_physical_plan(&plan).await?.schema())
    }

    /// The tables that there are, with their columns.
    pub async fn tables(&self) -> Result<Vec<(&'static str, SchemaRef)>, StoreError> {
        let context = self.planning()?;
        let mut tables = Vec::new();
        for name in Table::all().map(Table::name) {
            tables.push((name, context.table_provider(name).await?.schema()));
        }
        Ok(tables)
    }

    /// A session in which nothing can be read.
    fn planning(&self) -> Result<SessionContext, StoreError> {
        let dir: Arc<Path> = self.0.dir.as_path().into();
        let table = |table| SnapshotTable { table, dir: Arc::clone(&dir), bucket: None, manifest: Arc::default(), open: Vec::new() };
        self.0.context(Table::all().map(table).collect())
    }
}

impl Inner {
    /// Takes one state of the directory. Blocking.
    fn load(&self) -> Result<Vec<SnapshotTable>, StoreError> {
        let dir: Arc<Path> = std::path::absolute(&self.dir).during("resolve", &self.dir)?.into();
        let Snapshot { manifest, logs } = Snapshot::take_by(&self.manifests, &self.dir)?;
        let bucket = manifest.parts.iter().any(|part| part.remote).then(|| objects::bucket(&dir)).transpose()?;
        if let Some(bucket) = &bucket {
            self.state.runtime_env().register_object_store(bucket.url.as_ref(), Arc::clone(&bucket.store));
        }
        let table =
            |(table, open)| SnapshotTable { table, dir: Arc::clone(&dir), bucket: bucket.clone(), manifest: Arc::clone(&manifest), open };
        Ok(Table::all().zip(self.open.rows(&logs)?).map(table).collect())
    }

    /// A session of its own for each query: none can leave anything behind for the next.
    fn context(&self, tables: Vec<SnapshotTable>) -> Result<SessionContext, StoreError> {
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(Queries::SCHEMA, Arc::new(SnapshotSchema::new(tables, self.state.clone())))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(Queries::CATALOG.to_owned(), Arc::new(catalog));
        let state = SessionStateBuilder::new_from_existing(self.state.clone()).with_catalog_list(Arc::new(catalogs));
        Ok(SessionContext::new_with_state(state.build()))
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
