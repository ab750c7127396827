//! The catalog of the tests: what `ddl` at the top of the expected answers creates in PostgreSQL.

use crate::catalog::{
    CatalogOp, CatalogState, Check, Column, FeatureSpec, Model, ModelSpec, ModelVersion, OpContext,
    QualifiedName, SchemaEntry, SqlType, Table, View,
};
use crate::system::{SessionInfo, Setting, System, SystemContext};
use std::collections::BTreeMap;
use std::sync::Arc;

fn table(schema: &str, name: &str, columns: Vec<Column>) -> Table {
    Table {
        id: format!("{schema}-{name}"),
        oid: 0,
        name: QualifiedName::new(schema, name),
        path: format!("tables/{name}"),
        columns,
        checks: Vec::new(),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        feature: None,
        internal: false,
        owner: "cenote".into(),
        comment: None,
    }
}

fn all_types() -> Table {
    let mut name = Column::new("name", SqlType::Varchar(20));
    name.default = Some("'x'::character varying".into());
    let columns = vec![
        Column::new("id", SqlType::BigInt).required(),
        name,
        Column::new("price", SqlType::Numeric(12, 2)),
        Column::new("ok", SqlType::Boolean),
        Column::new("small", SqlType::SmallInt),
        Column::new("n", SqlType::Integer),
        Column::new("r", SqlType::Real),
        Column::new("d", SqlType::Double),
        Column::new("note", SqlType::Text),
        Column::new("day", SqlType::Date),
        Column::new("at", SqlType::Timestamp),
        Column::new("at_tz", SqlType::TimestampTz),
        Column::new("raw", SqlType::Bytea),
        Column::new("tags", SqlType::Array(Box::new(SqlType::Text))),
    ];
    let mut table = table("public", "t", columns);
    table.comment = Some("things".into());
    let expression = "price > 0::numeric".into();
    table.checks.push(Check { name: "t_price_check".into(), expression });
    table
}

fn features() -> Table {
    let columns = vec![
        Column::new("customer_id", SqlType::BigInt).required(),
        Column::new("at", SqlType::TimestampTz).required(),
        Column::new("spend", SqlType::Double),
        Column { hidden: true, ..Column::new("_committed_at", SqlType::TimestampTz) },
    ];
    let mut table = table("public", "customer_features", columns);
    table.feature = Some(FeatureSpec {
        primary_key: vec!["customer_id".into()],
        timestamp_key: Some("at".into()),
        history: "history".into(),
        query: None,
    });
    table
}

fn view(schema: &str, name: &str, query: &str, columns: Vec<Column>) -> CatalogOp {
    CatalogOp::CreateView {
        view: Box::new(View {
            oid: 0,
            name: QualifiedName::new(schema, name),
            query: query.into(),
            search_path: vec!["public".into()],
            columns,
            renamed: false,
            depends_on: Vec::new(),
            owner: "cenote".into(),
        }),
    }
}

fn model() -> Model {
    Model {
        id: "model-churn".into(),
        oid: 0,
        name: QualifiedName::new("sales", "churn"),
        spec: ModelSpec {
            label: "churned".into(),
            algorithm: Some("gbt".into()),
            options: BTreeMap::new(),
            query: Some("SELECT * FROM customers".into()),
            search_path: vec!["public".into()],
            time_zone: "UTC".into(),
            depends_on: Vec::new(),
        },
        default_version: None,
        next_version: 1,
        versions: Vec::new(),
        owner: "cenote".into(),
        created_at: 0,
    }
}

fn version() -> ModelVersion {
    ModelVersion {
        version: 0,
        run_id: "run-1".into(),
        path: "models/1".into(),
        files: Vec::new(),
        artifact_hash: "abc".into(),
        algorithm: "gbt".into(),
        task: "binary_classification".into(),
        label: "churned".into(),
        label_type: SqlType::Boolean,
        features: vec![("age".into(), SqlType::Integer), ("plan".into(), SqlType::Text)],
        params: Vec::new(),
        options: [("trees".to_owned(), serde_json::json!(50))].into(),
        query: "SELECT * FROM customers".into(),
        search_path: vec!["public".into()],
        time_zone: "UTC".into(),
        views: BTreeMap::new(),
        snapshot: 7,
        pins: Vec::new(),
        seed: 42,
        started_at: 0,
        n_rows: 1000,
        engine_version: "0.1.0".into(),
        created_at: 1_000_000,
        created_by: "cenote".into(),
    }
}

/// Two schemas, a table of all types, one with a key, views, and a trained model.
pub(super) fn catalog_fixture() -> CatalogState {
    let schema = |name: &str| CatalogOp::CreateSchema {
        schema: SchemaEntry { name: name.into(), oid: 0, owner: "cenote".into() },
    };
    let create = |table| CatalogOp::CreateTable { table: Box::new(table) };
    let order_id = || Column::new("order_id", SqlType::BigInt);
    let amount = Column::new("amount", SqlType::NUMERIC_DEFAULT);
    let id_and_name =
        vec![Column::new("id", SqlType::BigInt), Column::new("name", SqlType::Varchar(20))];
    let ops = [
        schema("public"),
        schema("sales"),
        create(all_types()),
        create(table("sales", "orders", vec![order_id().required(), amount])),
        view("public", "v", "SELECT t.id,\n    t.name\n   FROM t", id_and_name),
        view(
            "sales",
            "big",
            "SELECT order_id FROM sales.orders WHERE amount > 100",
            vec![order_id()],
        ),
        create(features()),
        CatalogOp::CreateModel { model: Box::new(model()) },
        CatalogOp::AddModelVersion {
            id: "model-churn".into(),
            version: Box::new(version()),
            make_default: true,
        },
    ];
    let mut state = CatalogState::default();
    for (seq, op) in (1..).zip(ops) {
        state.apply(&op, OpContext { seq, time: 2_000_000 }).expect("a valid operation");
    }
    state
}

/// The fixture's catalog as a client of the role `cenote` sees it.
pub(super) fn system() -> Arc<System> {
    system_over(catalog_fixture())
}

/// The fixture's catalog after `sales.orders` got a table property.
pub(super) fn system_with_properties() -> Arc<System> {
    let mut state = catalog_fixture();
    let mut table = table("sales", "orders", vec![Column::new("order_id", SqlType::BigInt)]);
    table.properties = [("delta.appendOnly".to_owned(), "true".to_owned())].into();
    let op = CatalogOp::ReplaceTable { table: Box::new(table) };
    state.apply(&op, OpContext { seq: 99, time: 0 }).expect("a valid operation");
    system_over(state)
}

fn system_over(state: CatalogState) -> Arc<System> {
    let setting = |name: &str, value: &str| Setting {
        name: name.into(),
        value: value.into(),
        description: "A setting.".into(),
    };
    System::new(SystemContext {
        catalog: Arc::new(state),
        role: "cenote".into(),
        database: "cenote".into(),
        search_path: vec!["$user".into(), "public".into()],
        settings: vec![
            setting("search_path", "\"$user\", public"),
            setting("default_table_access_method", "delta"),
            setting("server_version_num", "160006"),
        ],
        sessions: vec![SessionInfo {
            pid: 4711,
            role: "cenote".into(),
            application_name: "psql".into(),
            state: "active".into(),
            query: "SELECT 1".into(),
        }],
        pid: 4711,
        server_version: "16.6".into(),
        started_at: 0,
    })
}
