//! The catalog as one immutable value, cheap to clone, and the fold that advances it.

use super::{
    CatalogOp, Dependency, Model, ModelVersion, OpContext, QualifiedName, SchemaEntry, Table,
    TableId, View,
};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use imbl::OrdMap;
use std::sync::Arc;

/// OIDs below belong to PostgreSQL's own catalog.
pub const FIRST_USER_OID: u32 = 16384;

/// Everything that exists at one point of the warehouse log.
#[derive(Debug, Clone)]
pub struct CatalogState {
    next_oid: u32,
    schemas: OrdMap<String, Arc<SchemaEntry>>,
    relations: OrdMap<QualifiedName, Relation>,
    tables: OrdMap<TableId, Arc<Table>>,
    models: OrdMap<QualifiedName, Arc<Model>>,
    heads: OrdMap<TableId, i64>,
}

/// A table or a view: they share one namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum Relation {
    /// A Delta table.
    Table(Arc<Table>),
    /// A view.
    View(Arc<View>),
}

impl Relation {
    /// Its name.
    pub fn name(&self) -> &QualifiedName {
        match self {
            Relation::Table(t) => &t.name,
            Relation::View(v) => &v.name,
        }
    }

    /// Its OID.
    pub fn oid(&self) -> u32 {
        match self {
            Relation::Table(t) => t.oid,
            Relation::View(v) => v.oid,
        }
    }

    /// Its columns.
    pub fn columns(&self) -> &[super::Column] {
        match self {
            Relation::Table(t) => &t.columns,
            Relation::View(v) => &v.columns,
        }
    }
}

impl Default for CatalogState {
    fn default() -> Self {
        Self {
            next_oid: FIRST_USER_OID,
            schemas: OrdMap::new(),
            relations: OrdMap::new(),
            tables: OrdMap::new(),
            models: OrdMap::new(),
            heads: OrdMap::new(),
        }
    }
}

impl CatalogState {
    /// The OID that the next object gets.
    pub fn next_oid(&self) -> u32 {
        self.next_oid
    }

    /// The schemas, by name.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<SchemaEntry>> {
        self.schemas.values()
    }

    /// The schema of this name.
    pub fn schema(&self, name: &str) -> Option<&Arc<SchemaEntry>> {
        self.schemas.get(name)
    }

    /// Tables and views, by name.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// The table or view of this name.
    pub fn relation(&self, name: &QualifiedName) -> Option<&Relation> {
        self.relations.get(name)
    }

    /// All tables, by identity.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The table of this identity.
    pub fn table(&self, id: &str) -> Option<&Arc<Table>> {
        self.tables.get(id)
    }

    /// The models, by name.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }

    /// The model of this name.
    pub fn model(&self, name: &QualifiedName) -> Option<&Arc<Model>> {
        self.models.get(name)
    }

    /// The model of this identity.
    pub fn model_by_id(&self, id: &str) -> Option<&Arc<Model>> {
        self.models.values().find(|m| m.id == id)
    }

    /// The Delta version that a table is at.
    pub fn head(&self, id: &str) -> Option<i64> {
        self.heads.get(id).copied()
    }

    /// Every table's Delta version.
    pub fn heads(&self) -> impl Iterator<Item = (&TableId, i64)> {
        self.heads.iter().map(|(id, v)| (id, *v))
    }

    /// Says that a table is at a Delta version: the fold does, for each commit body of a record.
    ///
    /// # Errors
    /// XX001 if the version does not follow the one before.
    pub fn advance_head(&mut self, id: &str, version: i64) -> Result<()> {
        let expected = self.heads.get(id).map_or(0, |v| v + 1);
        if version != expected {
            return Err(corrupted(format!(
                "table {id} goes to version {version} where {expected} is next"
            )));
        }
        self.heads.insert(id.to_owned(), version);
        Ok(())
    }

    /// Applies one operation; nothing changes if it fails.
    ///
    /// # Errors
    /// The SQLSTATE that the statement would answer with (42P07, 42P01, 42704 …), since the same
    /// fold checks a transaction's operations against its own state before they are committed.
    pub fn apply(&mut self, op: &CatalogOp, context: OpContext) -> Result<()> {
        match op {
            CatalogOp::CreateSchema { schema } => self.create_schema(schema),
            CatalogOp::DropSchema { name } => self.drop_schema(name),
            CatalogOp::CreateTable { table } => self.create_table(table),
            CatalogOp::ReplaceTable { table } => self.replace_table(table),
            CatalogOp::DropTable { id } => self.drop_table(id),
            CatalogOp::CreateView { view } => self.create_view(view),
            CatalogOp::DropView { schema, name } => {
                self.drop_view(&QualifiedName::new(schema, name))
            }
            CatalogOp::CreateModel { model } => self.create_model(model, context),
            CatalogOp::ReplaceModelSpec { id, spec } => {
                self.change_model(id, |model| model.spec = (**spec).clone())
            }
            CatalogOp::AddModelVersion { id, version, make_default } => {
                self.add_version(id, version, *make_default)
            }
            CatalogOp::DropModel { id } => self.drop_model(id),
            CatalogOp::DropModelVersion { id, version } => self.drop_version(id, *version),
        }
    }

    fn take_oid(&mut self) -> u32 {
        let oid = self.next_oid;
        self.next_oid += 1;
        oid
    }

    fn require_schema(&self, name: &str) -> Result<()> {
        if self.schemas.contains_key(name) {
            return Ok(());
        }
        Err(Error::new(SqlState::InvalidSchemaName, format!("schema \"{name}\" does not exist")))
    }

    fn require_free(&self, name: &QualifiedName) -> Result<()> {
        if self.relations.contains_key(name) {
            return Err(Error::new(
                SqlState::DuplicateTable,
                format!("relation \"{}\" already exists", name.name),
            ));
        }
        Ok(())
    }

    fn create_schema(&mut self, schema: &SchemaEntry) -> Result<()> {
        if self.schemas.contains_key(&schema.name) {
            return Err(Error::new(
                SqlState::DuplicateSchema,
                format!("schema \"{}\" already exists", schema.name),
            ));
        }
        let entry = SchemaEntry { oid: self.take_oid(), ..schema.clone() };
        self.schemas.insert(entry.name.clone(), Arc::new(entry));
        Ok(())
    }

    fn drop_schema(&mut self, name: &str) -> Result<()> {
        self.require_schema(name)?;
        let occupied = self.relations.keys().any(|k| k.schema == name)
            || self.models.keys().any(|k| k.schema == name);
        if occupied {
            return Err(Error::new(
                SqlState::DependentObjectsStillExist,
                format!("cannot drop schema {name} because other objects depend on it"),
            )
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        self.schemas.remove(name);
        Ok(())
    }

    fn create_table(&mut self, table: &Table) -> Result<()> {
        self.require_schema(&table.name.schema)?;
        self.require_free(&table.name)?;
        if self.tables.contains_key(&table.id) {
            return Err(corrupted(format!("table id {} is used twice", table.id)));
        }
        let entry = Arc::new(Table { oid: self.take_oid(), ..table.clone() });
        self.tables.insert(entry.id.clone(), entry.clone());
        self.relations.insert(entry.name.clone(), Relation::Table(entry));
        Ok(())
    }

    fn replace_table(&mut self, table: &Table) -> Result<()> {
        let old = self.tables.get(&table.id).cloned().ok_or_else(|| undefined(&table.name))?;
        if old.name != table.name {
            self.require_schema(&table.name.schema)?;
            self.require_free(&table.name)?;
            self.relations.remove(&old.name);
        }
        let entry = Arc::new(Table { oid: old.oid, ..table.clone() });
        self.tables.insert(entry.id.clone(), entry.clone());
        self.relations.insert(entry.name.clone(), Relation::Table(entry));
        Ok(())
    }

    fn drop_table(&mut self, id: &str) -> Result<()> {
        let table = self
            .tables
            .remove(id)
            .ok_or_else(|| Error::new(SqlState::UndefinedTable, "relation does not exist"))?;
        self.relations.remove(&table.name);
        self.heads.remove(id);
        Ok(())
    }

    fn create_view(&mut self, view: &View) -> Result<()> {
        self.require_schema(&view.name.schema)?;
        let oid = match self.relations.get(&view.name) {
            Some(Relation::View(old)) => old.oid,
            Some(Relation::Table(_)) => {
                return Err(Error::new(
                    SqlState::WrongObjectType,
                    format!("\"{}\" is not a view", view.name.name),
                ));
            }
            None => self.take_oid(),
        };
        let entry = Arc::new(View { oid, ..view.clone() });
        self.relations.insert(entry.name.clone(), Relation::View(entry));
        Ok(())
    }

    fn drop_view(&mut self, name: &QualifiedName) -> Result<()> {
        match self.relations.get(name) {
            Some(Relation::View(_)) => {
                self.relations.remove(name);
                Ok(())
            }
            _ => Err(Error::new(
                SqlState::UndefinedTable,
                format!("view \"{}\" does not exist", name.name),
            )),
        }
    }

    fn create_model(&mut self, model: &Model, context: OpContext) -> Result<()> {
        self.require_schema(&model.name.schema)?;
        if self.models.contains_key(&model.name) {
            return Err(Error::new(
                SqlState::DuplicateObject,
                format!("model \"{}\" already exists", model.name.name),
            ));
        }
        let entry = Model {
            oid: self.take_oid(),
            default_version: None,
            next_version: 1,
            versions: Vec::new(),
            created_at: context.time,
            ..model.clone()
        };
        self.models.insert(entry.name.clone(), Arc::new(entry));
        Ok(())
    }

    fn change_model(&mut self, id: &str, change: impl FnOnce(&mut Model)) -> Result<()> {
        let mut model = Model::clone(self.model_by_id(id).ok_or_else(|| undefined_model(id))?);
        change(&mut model);
        self.models.insert(model.name.clone(), Arc::new(model));
        Ok(())
    }

    fn add_version(&mut self, id: &str, version: &ModelVersion, make_default: bool) -> Result<()> {
        self.change_model(id, |model| {
            let number = model.next_version;
            model.next_version += 1;
            model.versions.push(Arc::new(ModelVersion { version: number, ..version.clone() }));
            if make_default || model.default_version.is_none() {
                model.default_version = Some(number);
            }
        })
    }

    fn drop_model(&mut self, id: &str) -> Result<()> {
        let name = self.model_by_id(id).ok_or_else(|| undefined_model(id))?.name.clone();
        self.models.remove(&name);
        Ok(())
    }

    fn drop_version(&mut self, id: &str, number: u64) -> Result<()> {
        let model = self.model_by_id(id).ok_or_else(|| undefined_model(id))?;
        if model.version(number).is_none() {
            return Err(Error::new(
                SqlState::UndefinedObject,
                format!("version {number} of model \"{}\" does not exist", model.name.name),
            ));
        }
        self.change_model(id, |model| {
            model.versions.retain(|v| v.version != number);
            if model.default_version == Some(number) {
                model.default_version = model.versions.last().map(|v| v.version);
            }
        })
    }

    /// The views and models that read an object directly.
    pub fn dependents(&self, on: &Dependency) -> (Vec<Arc<View>>, Vec<Arc<Model>>) {
        let views = self
            .relations
            .values()
            .filter_map(|r| match r {
                Relation::View(v) if v.depends_on.contains(on) => Some(v.clone()),
                _ => None,
            })
            .collect();
        let models =
            self.models.values().filter(|m| m.spec.depends_on.contains(on)).cloned().collect();
        (views, models)
    }

    /// The parts of a checkpoint, and the way back: see [`CatalogState::from_parts`].
    pub fn to_parts(&self) -> CatalogParts {
        CatalogParts {
            next_oid: self.next_oid,
            schemas: self.schemas.values().map(|s| (**s).clone()).collect(),
            tables: self.tables.values().map(|t| (**t).clone()).collect(),
            views: self
                .relations
                .values()
                .filter_map(|r| match r {
                    Relation::View(v) => Some((**v).clone()),
                    Relation::Table(_) => None,
                })
                .collect(),
            models: self.models.values().map(|m| (**m).clone()).collect(),
            heads: self.heads.iter().map(|(id, v)| (id.clone(), *v)).collect(),
        }
    }

    /// The state that a checkpoint's parts describe.
    pub fn from_parts(parts: CatalogParts) -> Self {
        let tables: OrdMap<TableId, Arc<Table>> =
            parts.tables.into_iter().map(|t| (t.id.clone(), Arc::new(t))).collect();
        let mut relations: OrdMap<QualifiedName, Relation> =
            tables.values().map(|t| (t.name.clone(), Relation::Table(t.clone()))).collect();
        for view in parts.views {
            relations.insert(view.name.clone(), Relation::View(Arc::new(view)));
        }
        Self {
            next_oid: parts.next_oid,
            schemas: parts.schemas.into_iter().map(|s| (s.name.clone(), Arc::new(s))).collect(),
            relations,
            tables,
            models: parts.models.into_iter().map(|m| (m.name.clone(), Arc::new(m))).collect(),
            heads: parts.heads.into_iter().collect(),
        }
    }
}

/// The whole catalog as plain data, for checkpoints.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogParts {
    next_oid: u32,
    schemas: Vec<SchemaEntry>,
    tables: Vec<Table>,
    views: Vec<View>,
    models: Vec<Model>,
    heads: std::collections::BTreeMap<TableId, i64>,
}

fn undefined(name: &QualifiedName) -> Error {
    Error::new(SqlState::UndefinedTable, format!("relation \"{}\" does not exist", name.name))
}

fn undefined_model(id: &str) -> Error {
    Error::new(SqlState::UndefinedObject, format!("model {id} does not exist"))
}

fn corrupted(message: String) -> Error {
    Error::new(SqlState::DataCorrupted, message)
}
