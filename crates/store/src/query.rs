//! SQL over the parts and the open log, through DataFusion.
//!
//! Invariant: reading only. A plan that would change anything, in the data or in the session, is refused before it runs; memory, spill,
//! rows and time are bounded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::{ColumnStatistics, Precision};
use datafusion::common::{DataFusionError, ScalarValue, Statistics, ToDFSchema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as Location;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures_util::StreamExt;

use crate::error::Context;
use crate::manifest::Part;
use crate::objects::{self, Bucket};
use crate::rollup;
use crate::rows::Rows;
use crate::snapshot::Snapshot;
use crate::table::{Partition, Table};
use crate::{QueryLimits, StoreError};

/// Answers `sql` over the tables readings, observations, alerts and quarantine of `dir` as they are now. At least one batch comes
/// back, so that the columns are known when there are no rows.
///
/// Runs on the caller's tokio runtime, which must have its time driver on and more than one worker: a join over rows in memory may
/// not yield for long, so the clock is watched from another thread. After [`StoreError::TooSlow`] such a join goes on in the
/// background until it yields; a caller who is done shuts the runtime down in the background.
pub async fn query(dir: &Path, sql: &str, limits: &QueryLimits) -> Result<Vec<RecordBatch>, StoreError> {
    let mut answer = tokio::spawn(answer(dir.to_owned(), sql.to_owned(), limits.clone()));
    match tokio::time::timeout(limits.time.to_std(), &mut answer).await {
        Ok(answer) => answer.map_err(|error| StoreError::Task(error.to_string()))?,
        Err(_) => {
            answer.abort();
            Err(StoreError::TooSlow(limits.time))
        }
    }
}

async fn answer(dir: PathBuf, sql: String, limits: QueryLimits) -> Result<Vec<RecordBatch>, StoreError> {
    let memory = limits.memory;
    let loaded = tokio::task::spawn_blocking(move || load(&dir, memory)).await.map_err(|error| StoreError::Task(error.to_string()))?;
    let (tables, used, bucket) = loaded?;
    let context = context(&limits, used)?;
    if let Some(bucket) = bucket {
        context.register_object_store(bucket.url.as_ref(), Arc::clone(&bucket.store));
    }
    for table in tables {
        let kind = table.table;
        context.register_table(kind.name(), Arc::new(table))?;
        if kind.bin().is_some() {
            // What is seen under the name are whole bins.
            let merged = context.sql(&rollup::merged_sql(kind)).await?.into_view();
            context.deregister_table(kind.name())?;
            context.register_table(kind.name(), merged)?;
        }
    }
    let plan = context.state().create_logical_plan(&sql).await?;
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(&plan).map_err(|error| StoreError::ReadOnly(error.message().into_owned()))?;
    let mut stream = context.execute_logical_plan(plan).await?.execute_stream().await?;
    let mut batches = Vec::new();
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        if rows > limits.rows {
            return Err(StoreError::TooManyRows { limit: limits.rows });
        }
        batches.push(batch);
    }
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(stream.schema()));
    }
    Ok(batches)
}

fn context(limits: &QueryLimits, used: usize) -> Result<SessionContext, StoreError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory - used)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_max_temp_directory_size(limits.spill))
        .build_arc()?;
    Ok(SessionContext::new_with_config_rt(SessionConfig::new().with_information_schema(true), runtime))
}

/// One table as it is now: sealed parts and the rows of the open log.
#[derive(Debug)]
struct SnapshotTable {
    table: Table,
    /// Files here,
    parts: Vec<PartitionedFile>,
    /// .. and in the bucket, with their place.
    remote: Vec<PartitionedFile>,
    bucket: Option<ObjectStoreUrl>,
    open: Vec<RecordBatch>,
}

type Loaded = (Vec<SnapshotTable>, usize, Option<Arc<Bucket>>);

/// Reads the open log, decides which parts there are, and says how many bytes the former takes.
fn load(dir: &Path, memory: usize) -> Result<Loaded, StoreError> {
    let mut used = 0;
    let Snapshot { parts, logs } = Snapshot::take(dir)?;
    let bucket = parts.iter().any(|part| part.remote).then(|| objects::bucket(dir)).transpose()?;
    let url = bucket.as_ref().map(|bucket| bucket.url.clone());
    let empty = |table| SnapshotTable { table, parts: Vec::new(), remote: Vec::new(), bucket: url.clone(), open: Vec::new() };
    let mut tables: Vec<SnapshotTable> = Table::all().map(empty).collect();
    for part in &parts {
        let table = &mut tables[part.table as usize];
        match &bucket {
            Some(bucket) if part.remote => table.remote.push(part_file(bucket.key(&part.path), part)?),
            _ => table.parts.push(part_file(here(dir, part)?, part)?),
        }
    }
    for log in logs {
        let mut rows = Table::RECORDS.map(Rows::new);
        for (seq, record) in log.read()?.records() {
            rows[Partition::of(&record).table as usize].push(seq, &record)?;
        }
        for (table, rows) in Table::RECORDS.into_iter().zip(rows) {
            let batch = rows.finish()?;
            let partials = Table::ROLLUPS.into_iter().filter(|_| table == Table::Readings);
            for rollup in partials {
                if let Some(partials) = rollup::of_readings(rollup, &batch)? {
                    used += partials.get_array_memory_size();
                    tables[rollup as usize].open.extend(slices(&partials));
                }
            }
            used += batch.get_array_memory_size();
            tables[table as usize].open.extend(slices(&batch));
        }
        if used >= memory {
            return Err(StoreError::LogTooLarge { used, limit: memory });
        }
    }
    Ok((tables, used, bucket))
}

/// In pieces of the size that DataFusion works in, so that they spread over its threads.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    const ROWS: usize = 8192;
    (0..batch.num_rows()).step_by(ROWS).map(|from| batch.slice(from, ROWS.min(batch.num_rows() - from)))
}

fn here(dir: &Path, part: &Part) -> Result<Location, StoreError> {
    let path: PathBuf = std::path::absolute(dir.join(&part.path)).during("resolve", dir)?;
    Ok(Location::from_absolute_path(&path).map_err(|error| DataFusionError::ObjectStore(Box::new(error.into())))?)
}

/// With statistics from the manifest, so that the file is passed over unopened when the filters exclude it.
fn part_file(location: Location, part: &Part) -> Result<PartitionedFile, StoreError> {
    let meta = ObjectMeta { location, last_modified: Default::default(), size: part.bytes, e_tag: None, version: None };
    let schema = part.table.schema();
    let mut statistics = Statistics::new_unknown(&schema);
    statistics.num_rows = Precision::Exact(part.rows as usize);
    let mut set = |column: &str, min: ScalarValue, max: ScalarValue| -> Result<(), StoreError> {
        let statistics: &mut ColumnStatistics = &mut statistics.column_statistics[schema.index_of(column)?];
        statistics.null_count = Precision::Exact(0);
        statistics.min_value = Precision::Exact(min);
        statistics.max_value = Precision::Exact(max);
        Ok(())
    };
    let time = |at: i64| ScalarValue::TimestampMillisecond(Some(at), Some("UTC".into()));
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    set("seq", ScalarValue::UInt64(Some(part.seq.0)), ScalarValue::UInt64(Some(part.seq.1)))?;
    set("day", ScalarValue::Date32(Some(part.day)), ScalarValue::Date32(Some(part.day)))?;
    set(part.table.arrival_column(), time(part.arrived.0), time(part.arrived.1))?;
    set(part.table.time_column(), time(part.at.0), time(part.at.1))?;
    set(part.table.key_column(), text(&part.key.0), text(&part.key.1))?;
    if let Some(stream) = &part.stream {
        set("stream", text(stream), text(stream))?;
    }
    Ok(PartitionedFile::new_from_meta(meta).with_statistics(Arc::new(statistics)))
}

impl SnapshotTable {
    /// The parts that may hold rows which pass `filters`.
    fn parts_for(
        &self,
        parts: &[PartitionedFile],
        session: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<PartitionedFile>, DataFusionError> {
        let Some(filter) = conjunction(filters.to_vec()) else { return Ok(parts.to_vec()) };
        let schema = self.table.schema();
        let filter = session.create_physical_expr(filter, &schema.clone().to_dfschema()?)?;
        let statistics = parts.iter().filter_map(|part| part.statistics.clone()).collect();
        let keep = PruningPredicateBuilder::new()
            .with_file_schema(schema.clone())
            .try_build(filter)?
            .prune(&PrunableStatistics::new(statistics, schema))?;
        Ok(parts.iter().zip(keep).filter(|(_, keep)| *keep).map(|(part, _)| part.clone()).collect())
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters choose the parts here; rows within are chosen by the Parquet source, into which the physical optimiser pushes them.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = self.schema();
        let open: Arc<dyn ExecutionPlan> =
            MemorySourceConfig::try_new_exec(std::slice::from_ref(&self.open), schema.clone(), projection.cloned())?;
        let mut inputs = vec![open];
        let remote = self.bucket.clone().map(|bucket| (bucket, &self.remote));
        for (store, parts) in [(ObjectStoreUrl::local_filesystem(), &self.parts)].into_iter().chain(remote) {
            let parts = self.parts_for(parts, session, filters)?;
            if parts.is_empty() {
                continue;
            }
            let source = Arc::new(ParquetSource::new(schema.clone()).with_pushdown_filters(true));
            let groups = FileGroup::new(parts).split_files(session.config().target_partitions());
            let config =
                FileScanConfigBuilder::new(store, source).with_file_groups(groups).with_projection_indices(projection.cloned())?.build();
            inputs.insert(0, DataSourceExec::from_data_source(config));
        }
        if inputs.len() == 1 { Ok(inputs.remove(0)) } else { UnionExec::try_new(inputs) }
    }
}

#[cfg(test)]
mod tests;
