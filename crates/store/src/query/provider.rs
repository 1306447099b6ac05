//! A table of one snapshot: its sealed parts, chosen by the manifest's figures, and its rows of the open log.
//!
//! Invariant: a part is left unopened only when its figures exclude every row that the filters could pass.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, DataFusionError, ScalarValue, Statistics, ToDFSchema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as Location;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use crate::manifest::{Manifest, Part};
use crate::objects::Bucket;
use crate::table::Table;

/// One table as it is now: sealed parts and the rows of the open log.
#[derive(Debug)]
pub(super) struct SnapshotTable {
    pub(super) table: Table,
    /// The data directory, absolute.
    pub(super) dir: Arc<Path>,
    /// Where the parts are that are not there.
    pub(super) bucket: Option<Arc<Bucket>>,
    pub(super) manifest: Arc<Manifest>,
    pub(super) open: Vec<RecordBatch>,
}

/// What the manifest knows of parts, in columns: made only of those that a filter asks for.
struct Figures<'a> {
    table: Table,
    parts: &'a [&'a Part],
}

impl SnapshotTable {
    /// The parts that may hold rows which pass `filters`.
    fn parts_for(&self, session: &dyn Session, filters: &[Expr]) -> Result<Vec<&Part>, DataFusionError> {
        let parts: Vec<&Part> = self.manifest.parts.iter().filter(|part| part.table == self.table).collect();
        let Some(filter) = conjunction(filters.to_vec()) else { return Ok(parts) };
        let schema = self.table.schema();
        let filter = session.create_physical_expr(filter, &schema.clone().to_dfschema()?)?;
        let figures = Figures { table: self.table, parts: &parts };
        let keep = PruningPredicateBuilder::new().with_file_schema(schema).try_build(filter)?.prune(&figures)?;
        Ok(parts.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(part, _)| part).collect())
    }

    /// A scan of `parts`, each at its `place` in `store`.
    fn files(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        store: ObjectStoreUrl,
        parts: &[&Part],
        place: &dyn Fn(&Part) -> Result<Location, DataFusionError>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let runtime = session.runtime_env();
        // Footers are read once for all queries.
        let reader = CachedParquetFileReaderFactory::new(runtime.object_store(&store)?, runtime.cache_manager.get_file_metadata_cache());
        let source = ParquetSource::new(self.table.schema()).with_pushdown_filters(true);
        let source = source.with_parquet_file_reader_factory(Arc::new(reader));
        let files = parts.iter().map(|part| part_file(place(part)?, part)).collect::<Result<Vec<_>, DataFusionError>>()?;
        let groups = FileGroup::new(files).split_files(session.config().target_partitions());
        let config = FileScanConfigBuilder::new(store, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

impl Figures<'_> {
    /// Smallest or largest values of `column` as the parts' figures give them; `None` when they do not.
    fn ends(&self, column: &str, low: bool) -> Option<ArrayRef> {
        let end = |(min, max): (i64, i64)| if low { min } else { max };
        let times = |figure: &dyn Fn(&Part) -> (i64, i64)| -> ArrayRef {
            let times = self.parts.iter().map(|part| end(figure(part)));
            Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
        };
        let table = self.table;
        let figures: ArrayRef = match column {
            "seq" => Arc::new(self.parts.iter().map(|part| if low { part.seq.0 } else { part.seq.1 }).collect::<UInt64Array>()),
            "day" => Arc::new(Date32Array::from_iter_values(self.parts.iter().map(|part| part.day))),
            "stream" if self.parts.iter().any(|part| part.stream.is_some()) => {
                Arc::new(self.parts.iter().map(|part| part.stream.as_deref()).collect::<StringArray>())
            }
            column if column == table.key_column() => {
                let keys = self.parts.iter().map(|part| if low { part.key.0.as_str() } else { part.key.1.as_str() });
                Arc::new(keys.map(Some).collect::<StringArray>())
            }
            column if column == table.time_column() => times(&|part| part.at),
            column if column == table.arrival_column() => times(&|part| part.arrived),
            _ => return None,
        };
        Some(figures)
    }
}

impl PruningStatistics for Figures<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(&column.name, true)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(&column.name, false)
    }

    fn num_containers(&self) -> usize {
        self.parts.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        // What has figures is never null.
        self.ends(&column.name, true).map(|_| Arc::new(UInt64Array::from(vec![0; self.parts.len()])) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.parts.iter().map(|part| part.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// With its figures, by which a scan that is under way passes over files that no row is wanted of any more.
fn part_file(location: Location, part: &Part) -> Result<PartitionedFile, DataFusionError> {
    let meta = ObjectMeta { location, last_modified: Default::default(), size: part.bytes, e_tag: None, version: None };
    let schema = part.table.schema();
    let mut statistics = Statistics::new_unknown(&schema);
    statistics.num_rows = Precision::Exact(part.rows as usize);
    let figures = Figures { table: part.table, parts: &[part] };
    for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        if let (Some(low), Some(high)) = (figures.ends(field.name(), true), figures.ends(field.name(), false)) {
            column.null_count = Precision::Exact(0);
            column.min_value = Precision::Exact(ScalarValue::try_from_array(&low, 0)?);
            column.max_value = Precision::Exact(ScalarValue::try_from_array(&high, 0)?);
        }
    }
    Ok(PartitionedFile::new_from_meta(meta).with_statistics(Arc::new(statistics)))
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
        let (remote, local): (Vec<&Part>, Vec<&Part>) = self.parts_for(session, filters)?.into_iter().partition(|part| part.remote);
        let mut inputs = Vec::new();
        if !local.is_empty() {
            let place = |part: &Part| {
                Location::from_absolute_path(self.dir.join(&part.path))
                    .map_err(|error| DataFusionError::ObjectStore(Box::new(error.into())))
            };
            inputs.push(self.files(session, projection, ObjectStoreUrl::local_filesystem(), &local, &place)?);
        }
        if let Some(bucket) = self.bucket.as_ref().filter(|_| !remote.is_empty()) {
            inputs.push(self.files(session, projection, bucket.url.clone(), &remote, &|part| Ok(bucket.key(&part.path)))?);
        }
        inputs.push(open);
        if inputs.len() == 1 { Ok(inputs.remove(0)) } else { UnionExec::try_new(inputs) }
    }
}
