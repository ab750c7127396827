//! The catalog seen as PostgreSQL's objects: namespaces, classes, constraints, roles, each with its OID.

use super::SystemContext;
use super::rows::{Definition, definitions};
use super::types;
use crate::catalog::{Column, Model, QualifiedName, Relation, Table, View};
use crate::parser::quote_ident;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The OID of the bootstrap role and of everything that the system itself owns.
pub(super) const BOOTSTRAP_OID: u32 = 10;
/// The name of the bootstrap role.
pub(super) const BOOTSTRAP_ROLE: &str = "cenote";
/// The OID of the one database.
pub(super) const DATABASE_OID: u32 = 5;
/// The schema that every search path begins with.
pub(super) const PG_CATALOG: &str = "pg_catalog";

const SYSTEM_NAMESPACES: [(&str, u32); 5] = [
    (PG_CATALOG, 11),
    ("pg_toast", 99),
    ("information_schema", 13207),
    ("ml", 15001),
    ("system", 15002),
];

/// OIDs of things that have none in our catalog, made from the OID of the table that they belong to.
/// The highest bits tell the kind, so that they never meet the catalog's own.
#[derive(Debug, Clone, Copy)]
enum Derived {
    Function = 0x2,
    Role = 0x3,
    PrimaryIndex = 0x4,
    PrimaryKey = 0x5,
    Check = 0x6,
    Default = 0x7,
}

fn derived(kind: Derived, low: u32) -> u32 {
    (kind as u32) << 28 | low & 0x0fff_ffff
}

/// FNV-1a, because these OIDs must be the same in every build and after every restart.
fn stable_hash(parts: &[&str]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The OID of a system function that PostgreSQL numbers otherwise.
pub(super) fn function_oid(name: &str) -> u32 {
    derived(Derived::Function, stable_hash(&[name]))
}

/// A schema.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) owner: u32,
}

/// A role.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) oid: u32,
    pub(super) name: String,
}

/// What stands behind a row of pg_class.
#[derive(Debug)]
pub(super) enum Source {
    System,
    Table(Arc<Table>),
    View(Arc<View>),
    /// The primary key's index, which exists in the catalog alone.
    Index,
}

/// A column of a class.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) typmod: i32,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    pub(super) dimensions: i16,
}

/// A row of pg_class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) namespace: u32,
    pub(super) name: String,
    pub(super) kind: char,
    pub(super) owner: u32,
    pub(super) attributes: Vec<Attribute>,
    pub(super) source: Source,
}

impl Class {
    /// The OID of the default of a column, counted from 1.
    pub(super) fn default_oid(&self, attnum: usize) -> u32 {
        derived(Derived::Default, stable_hash(&[&self.oid.to_string(), &attnum.to_string()]))
    }

    /// The numbers of columns given by name, counted from 1.
    fn numbers(&self, names: &[&str]) -> Vec<i16> {
        let position = |name: &&str| self.attributes.iter().position(|a| a.name == *name);
        let number = |name| position(name).and_then(|p| i16::try_from(p + 1).ok());
        names.iter().filter_map(number).collect()
    }

    /// True for relations of the system itself.
    pub(super) fn is_system(&self) -> bool {
        matches!(self.source, Source::System)
    }
}

/// A row of pg_constraint.
#[derive(Debug)]
pub(super) struct Constraint {
    pub(super) oid: u32,
    pub(super) name: String,
    /// `c` or `p`.
    pub(super) kind: char,
    /// The position of its class.
    pub(super) class: usize,
    /// The numbers of its columns.
    pub(super) key: Vec<i16>,
    /// The names of its columns.
    pub(super) columns: Vec<String>,
    /// The index that stands for it, or 0.
    pub(super) index: u32,
    /// What `pg_get_constraintdef` prints.
    pub(super) definition: String,
}

/// All objects of one catalog state.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) roles: Vec<Role>,
    pub(super) classes: Vec<Class>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) models: Vec<Arc<Model>>,
    by_oid: HashMap<u32, usize>,
}

impl Objects {
    /// Reads everything out of the catalog.
    pub(super) fn new(context: &SystemContext) -> Self {
        let roles = roles_of(context);
        let mut objects = Self {
            namespaces: Vec::new(),
            roles,
            classes: Vec::new(),
            constraints: Vec::new(),
            models: context.catalog.models().cloned().collect(),
            by_oid: HashMap::new(),
        };
        objects.namespaces = objects.namespaces_of(context);
        objects.classes = definitions().iter().map(|d| objects.system_class(d)).collect();
        for relation in context.catalog.relations() {
            objects.add_relation(relation);
        }
        objects.by_oid = objects.classes.iter().enumerate().map(|(i, c)| (c.oid, i)).collect();
        objects
    }

    fn namespaces_of(&self, context: &SystemContext) -> Vec<Namespace> {
        let system = SYSTEM_NAMESPACES.iter().map(|(name, oid)| Namespace {
            oid: *oid,
            name: (*name).to_owned(),
            owner: BOOTSTRAP_OID,
        });
        let own = context.catalog.schemas().filter(|s| system_namespace(&s.name).is_none());
        let own = own.map(|s| Namespace {
            oid: s.oid,
            name: s.name.clone(),
            owner: self.role_oid(&s.owner).unwrap_or(BOOTSTRAP_OID),
        });
        system.chain(own).collect()
    }

    fn system_class(&self, definition: &'static Definition) -> Class {
        let attribute = |column: &super::rows::ColumnDefinition| Attribute {
            name: column.name.to_owned(),
            type_oid: types::by_name(column.pg_type).map_or(25, |t| t.oid),
            typmod: -1,
            not_null: column.not_null,
            default: None,
            dimensions: column.pg_type.starts_with('_').into(),
        };
        Class {
            oid: definition.oid,
            schema: definition.schema.to_owned(),
            namespace: system_namespace(definition.schema).unwrap_or_default(),
            name: definition.name.to_owned(),
            kind: definition.kind,
            owner: BOOTSTRAP_OID,
            attributes: definition.columns.iter().map(attribute).collect(),
            source: Source::System,
        }
    }

    fn add_relation(&mut self, relation: &Relation) {
        match relation {
            // Written by the system alone, and named so that nobody is meant to see it.
            Relation::Table(table) if table.internal => {}
            Relation::Table(table) => {
                let source = Source::Table(table.clone());
                let class =
                    self.class(&table.name, table.oid, 'r', &table.owner, &table.columns, source);
                self.classes.push(class);
                self.add_constraints(table);
            }
            Relation::View(view) => {
                let source = Source::View(view.clone());
                let class =
                    self.class(&view.name, view.oid, 'v', &view.owner, &view.columns, source);
                self.classes.push(class);
            }
        }
    }

    fn class(
        &self,
        name: &QualifiedName,
        oid: u32,
        kind: char,
        owner: &str,
        columns: &[Column],
        source: Source,
    ) -> Class {
        Class {
            oid,
            schema: name.schema.clone(),
            namespace: self.namespace(&name.schema).map_or(0, |n| n.oid),
            name: name.name.clone(),
            kind,
            owner: self.role_oid(owner).unwrap_or(BOOTSTRAP_OID),
            attributes: columns.iter().filter(|c| !c.hidden).map(attribute_of).collect(),
            source,
        }
    }

    /// Adds the constraints of the table whose class was added last, and its primary key's index.
    fn add_constraints(&mut self, table: &Arc<Table>) {
        let position = self.classes.len() - 1;
        for check in &table.checks {
            let low = stable_hash(&[&table.id, &check.name]);
            self.constraints.push(Constraint {
                oid: derived(Derived::Check, low),
                name: check.name.clone(),
                kind: 'c',
                class: position,
                key: Vec::new(),
                columns: Vec::new(),
                index: 0,
                definition: format!("CHECK ({})", check.expression),
            });
        }
        let Some(feature) = &table.feature else { return };
        let key = feature.key();
        let quoted: Vec<String> = key.iter().map(|name| quote_ident(name)).collect();
        let index_oid = derived(Derived::PrimaryIndex, table.oid);
        let name = format!("{}_pkey", table.name.name);
        self.constraints.push(Constraint {
            oid: derived(Derived::PrimaryKey, table.oid),
            name: name.clone(),
            kind: 'p',
            class: position,
            key: self.classes[position].numbers(&key),
            columns: key.iter().map(|name| (*name).to_owned()).collect(),
            index: index_oid,
            definition: format!("PRIMARY KEY ({})", quoted.join(", ")),
        });
        let columns: Vec<Column> = key.iter().filter_map(|n| table.column(n)).cloned().collect();
        let name = QualifiedName::new(&table.name.schema, name);
        let source = Source::Index;
        let index = self.class(&name, index_oid, 'i', &table.owner, &columns, source);
        self.classes.push(index);
    }

    /// The class of this OID.
    pub(super) fn class_by_oid(&self, oid: u32) -> Option<&Class> {
        self.by_oid.get(&oid).map(|i| &self.classes[*i])
    }

    /// The class of this name in this schema.
    pub(super) fn class_by_name(&self, schema: &str, name: &str) -> Option<&Class> {
        self.classes.iter().find(|c| c.schema == schema && c.name == name)
    }

    /// The schema of this name.
    pub(super) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|n| n.name == name)
    }

    /// The schema of this OID.
    pub(super) fn namespace_by_oid(&self, oid: u32) -> Option<&Namespace> {
        self.namespaces.iter().find(|n| n.oid == oid)
    }

    /// The OID of the role of this name.
    pub(super) fn role_oid(&self, name: &str) -> Option<u32> {
        self.roles.iter().find(|r| r.name == name).map(|r| r.oid)
    }

    /// The name of the role of this OID.
    pub(super) fn role_name(&self, oid: u32) -> Option<&str> {
        self.roles.iter().find(|r| r.oid == oid).map(|r| r.name.as_str())
    }

    /// Classes with columns that are users' own, and the system's.
    pub(super) fn relations(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter().filter(|c| matches!(c.kind, 'r' | 'v'))
    }

    /// A constraint and its class.
    pub(super) fn constraint(&self, oid: u32) -> Option<(&Constraint, &Class)> {
        self.constraints_of().find(|(constraint, _)| constraint.oid == oid)
    }

    /// All constraints, each with its class.
    pub(super) fn constraints_of(&self) -> impl Iterator<Item = (&Constraint, &Class)> {
        self.constraints.iter().map(|c| (c, &self.classes[c.class]))
    }
}

/// The OID of a schema that the system brings.
pub(super) fn system_namespace(name: &str) -> Option<u32> {
    SYSTEM_NAMESPACES.iter().find(|(n, _)| *n == name).map(|(_, oid)| *oid)
}

fn attribute_of(column: &Column) -> Attribute {
    let (type_oid, typmod) = types::of_sql_type(&column.sql_type);
    let dimensions = column.sql_type.to_string().matches("[]").count();
    Attribute {
        name: column.name.clone(),
        type_oid,
        typmod,
        not_null: column.not_null,
        default: column.default.clone(),
        dimensions: i16::try_from(dimensions).unwrap_or(i16::MAX),
    }
}

/// Every role that is known: the bootstrap role, the session's, and all owners.
fn roles_of(context: &SystemContext) -> Vec<Role> {
    let catalog = &context.catalog;
    let mut names: BTreeSet<&str> = [context.role.as_str()].into();
    names.extend(catalog.schemas().map(|s| s.owner.as_str()));
    names.extend(catalog.models().map(|m| m.owner.as_str()));
    names.extend(catalog.relations().map(|r| match r {
        Relation::Table(t) => t.owner.as_str(),
        Relation::View(v) => v.owner.as_str(),
    }));
    names.extend(context.sessions.iter().map(|s| s.role.as_str()));
    names.remove(BOOTSTRAP_ROLE);
    names.remove("");
    let bootstrap = Role { oid: BOOTSTRAP_OID, name: BOOTSTRAP_ROLE.to_owned() };
    let others = names.into_iter().map(|name| Role {
        oid: derived(Derived::Role, stable_hash(&[name])),
        name: name.to_owned(),
    });
    [bootstrap].into_iter().chain(others).collect()
}
