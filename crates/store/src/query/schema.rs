//! The tables that statements may name.
//!
//! Invariant: what is seen of a rollup are whole bins, whatever partials they are kept as. That view is planned only for those who ask for it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionContext;

use super::provider::SnapshotTable;
use crate::rollup;

#[derive(Debug)]
pub(super) struct SnapshotSchema {
    tables: Vec<Arc<SnapshotTable>>,
    /// For the plans of views.
    state: SessionState,
}

impl SnapshotSchema {
    pub(super) fn new(tables: Vec<SnapshotTable>, state: SessionState) -> Self {
        Self { tables: tables.into_iter().map(Arc::new).collect(), state }
    }

    fn find(&self, name: &str) -> Option<&Arc<SnapshotTable>> {
        self.tables.iter().find(|table| table.table.name() == name)
    }
}

#[async_trait]
impl SchemaProvider for SnapshotSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = self.find(name) else { return Ok(None) };
        if table.table.bin().is_none() {
            return Ok(Some(Arc::clone(table) as Arc<dyn TableProvider>));
        }
        let context = SessionContext::new_with_state(self.state.clone());
        let view = context.read_table(Arc::clone(table) as Arc<dyn TableProvider>)?;
        Ok(Some(rollup::merged(view)?.into_view()))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        Ok(self.find(name).map(|table| if table.table.bin().is_some() { TableType::View } else { TableType::Base }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
