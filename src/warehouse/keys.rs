//! The names and objects that catalog operations rely on and change, as conflict keys.
//!
//! A key is `r:<thing>` (relied on) or `w:<thing>` (changed). Two transactions conflict where one
//! changes what the other relies on or changes; two that only rely on the same thing do not.

use crate::catalog::{CatalogOp, CatalogState, Dependency, QualifiedName, Relation};

/// The key for relying on a thing.
pub(super) fn read(thing: &str) -> String {
    format!("r:{thing}")
}

/// The key for changing a thing.
pub(super) fn write(thing: &str) -> String {
    format!("w:{thing}")
}

/// The thing that a table is.
pub(super) fn table(id: &str) -> String {
    format!("table:{id}")
}

fn schema(name: &str) -> String {
    format!("schema:{name}")
}

fn relation(name: &QualifiedName) -> String {
    format!("relation:{name}")
}

fn model(id: &str) -> String {
    format!("model:{id}")
}

fn model_name(name: &QualifiedName) -> String {
    format!("model-name:{name}")
}

fn dependency(on: &Dependency) -> String {
    match on {
        Dependency::Table(id) => table(id),
        Dependency::View(oid) => format!("view:{oid}"),
        Dependency::Model(id) => model(id),
    }
}

/// True if one of the two transactions changes what the other relies on or changes.
pub(super) fn clash<'a>(mine: &[String], theirs: &'a [String]) -> Option<&'a str> {
    let thing = |key: &'a str| key.get(2..).unwrap_or(key);
    let writes = |key: &str| key.starts_with("w:");
    theirs
        .iter()
        .map(String::as_str)
        .find(|their| {
            mine.iter().any(|my| my.get(2..) == Some(thing(their)) && (writes(my) || writes(their)))
        })
        .map(thing)
}

/// The thing that the numbers of a model's versions are: whoever relies on them was told one before the commit.
pub(super) fn version_numbers(id: &str) -> String {
    format!("model-versions:{id}")
}

/// A model whose next version, which someone was told the number of, is another one now.
pub(super) fn renumbered<'a>(mine: &[String], theirs: &'a [CatalogOp]) -> Option<&'a str> {
    theirs.iter().find_map(|op| match op {
        CatalogOp::AddModelVersion { id, .. } => {
            mine.contains(&read(&version_numbers(id))).then_some(id.as_str())
        }
        _ => None,
    })
}

/// The keys of one operation on a catalog.
pub(super) fn of(op: &CatalogOp, before: &CatalogState) -> Vec<String> {
    match op {
        CatalogOp::CreateSchema { schema: s } => vec![write(&schema(&s.name))],
        CatalogOp::DropSchema { name } => vec![write(&schema(name))],
        CatalogOp::CreateTable { table: t } => {
            vec![write(&table(&t.id)), write(&relation(&t.name)), read(&schema(&t.name.schema))]
        }
        CatalogOp::ReplaceTable { table: t } => {
            let mut keys = vec![write(&table(&t.id)), read(&schema(&t.name.schema))];
            keys.extend(before.table(&t.id).map(|old| write(&relation(&old.name))));
            keys.push(write(&relation(&t.name)));
            keys
        }
        CatalogOp::DropTable { id } => {
            let mut keys = vec![write(&table(id))];
            keys.extend(before.table(id).map(|old| write(&relation(&old.name))));
            keys
        }
        CatalogOp::CreateView { view } => {
            let mut keys = vec![write(&relation(&view.name)), read(&schema(&view.name.schema))];
            keys.extend(view_key(before, &view.name));
            keys.extend(view.depends_on.iter().map(|d| read(&dependency(d))));
            keys
        }
        CatalogOp::DropView { schema, name } => {
            let name = QualifiedName::new(schema, name);
            let mut keys = vec![write(&relation(&name))];
            keys.extend(view_key(before, &name));
            keys
        }
        CatalogOp::CreateModel { model: m } => {
            let mut keys = vec![
                write(&model(&m.id)),
                write(&model_name(&m.name)),
                read(&schema(&m.name.schema)),
            ];
            keys.extend(m.spec.depends_on.iter().map(|d| read(&dependency(d))));
            keys
        }
        CatalogOp::ReplaceModelSpec { id, spec } => {
            let mut keys = vec![write(&model(id))];
            keys.extend(spec.depends_on.iter().map(|d| read(&dependency(d))));
            keys
        }
        // Two trainings of one model add two versions; neither takes anything from the other.
        CatalogOp::AddModelVersion { id, .. } => vec![read(&model(id))],
        CatalogOp::DropModel { id } => {
            let mut keys = vec![write(&model(id))];
            keys.extend(before.model_by_id(id).map(|old| write(&model_name(&old.name))));
            keys
        }
        CatalogOp::DropModelVersion { id, version } => {
            vec![read(&model(id)), write(&format!("model-version:{id}/{version}"))]
        }
    }
}

fn view_key(before: &CatalogState, name: &QualifiedName) -> Option<String> {
    match before.relation(name) {
        Some(Relation::View(old)) => Some(write(&format!("view:{}", old.oid))),
        _ => None,
    }
}

/// A key in words, for the detail of an error.
pub(super) fn words(thing: &str) -> String {
    let (kind, name) = thing.split_once(':').unwrap_or(("object", thing));
    match kind {
        "model-name" => format!("model {name}"),
        "model-version" => format!("model version {name}"),
        kind => format!("{kind} {name}"),
    }
}
