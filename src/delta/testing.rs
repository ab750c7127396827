//! A Delta table in memory or a temporary folder, for the tests of this folder.

use super::actions::{Action, Add, to_bytes};
use super::location::TableLocation;
use super::scan::{DeltaTableScan, ScanOptions};
use super::schema::{metadata_for, protocol_for};
use super::state::TableState;
use super::writer::{WriteTarget, write};
use crate::catalog::{Column, QualifiedName, Table};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct TestTable {
    pub(super) table: Table,
    pub(super) state: TableState,
    pub(super) target: WriteTarget,
    pub(super) url: ObjectStoreUrl,
    pub(super) store: Arc<dyn ObjectStore>,
}

impl TestTable {
    pub(super) fn new(columns: Vec<Column>, partition_by: &[&str]) -> Self {
        Self::on(Arc::new(InMemory::new()), columns, partition_by)
    }

    pub(super) fn on(
        store: Arc<dyn ObjectStore>,
        columns: Vec<Column>,
        partition_by: &[&str],
    ) -> Self {
        let table = Table {
            id: crate::catalog::random_id(),
            oid: 1,
            name: QualifiedName::new("public", "t"),
            path: "public/t".into(),
            columns,
            checks: vec![],
            partition_by: partition_by.iter().map(|c| (*c).to_owned()).collect(),
            properties: BTreeMap::new(),
            feature: None,
            internal: false,
            owner: "o".into(),
            comment: None,
        };
        let metadata = metadata_for(&table, 0).expect("valid columns");
        let state = TableState::empty(protocol_for(&table), metadata);
        let target = WriteTarget::new(&table, Arc::clone(&store), Path::from("w/t"))
            .expect("valid properties");
        let url = ObjectStoreUrl::parse("test://warehouse").expect("a URL");
        Self { table, state, target, url, store }
    }

    /// Rows from SQL in the table's column order, as one file per call (without partitions).
    pub(super) async fn insert(&mut self, query: &str) -> Vec<Add> {
        let stream = self.rows(query).await;
        let adds = write(stream, &self.target).await.expect("rows that can be written");
        self.apply(&adds.iter().cloned().map(Action::Add).collect::<Vec<_>>());
        adds
    }

    pub(super) fn apply(&mut self, actions: &[Action]) {
        self.state.change(actions).expect("actions that fit");
    }

    /// A query over the table `t` and, with row ids, `r`.
    pub(super) async fn rows(&self, query: &str) -> SendableRecordBatchStream {
        let plan = self.context(2).sql(query).await.expect("a query");
        plan.execute_stream().await.expect("a plan")
    }

    pub(super) fn scan(&self, row_ids: bool) -> Arc<DeltaTableScan> {
        let location = TableLocation {
            object_store_url: self.url.clone(),
            prefix: self.target.prefix.clone(),
        };
        DeltaTableScan::new(
            &self.state,
            &self.table.schema(),
            &self.table.partition_by,
            location,
            ScanOptions { row_ids },
        )
        .expect("a readable table")
    }

    pub(super) fn context(&self, partitions: usize) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(partitions);
        let context = SessionContext::new_with_config(config);
        context.runtime_env().register_object_store(self.url.as_ref(), Arc::clone(&self.store));
        context.register_table("t", self.scan(false)).expect("a new name");
        context.register_table("r", self.scan(true)).expect("a new name");
        context
    }

    /// The result of a query as a table of text.
    pub(super) async fn show(&self, query: &str) -> String {
        show(&self.context(2), query).await
    }

    /// Writes a Delta log of what the table is now, for other readers.
    pub(super) async fn publish(&self) {
        let mut actions = vec![
            Action::Protocol(self.state.protocol().as_ref().clone()),
            Action::MetaData(self.state.metadata().as_ref().clone()),
        ];
        actions.extend(self.state.files().map(|add| Action::Add(add.as_ref().clone())));
        let path = Path::from("w/t/_delta_log/00000000000000000000.json");
        self.store.put(&path, to_bytes(&actions).into()).await.expect("a free path");
    }
}

pub(super) async fn show(context: &SessionContext, query: &str) -> String {
    let batches = context.sql(query).await.expect("a query").collect().await.expect("rows");
    pretty_format_batches(&batches).expect("text").to_string()
}

pub(super) fn stream_of(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    let rows = futures::stream::iter(batches.into_iter().map(Ok));
    Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, rows))
}
