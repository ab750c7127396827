//! SHOW TABLES | VIEWS [{FROM | IN} schema] [LIKE 'pattern'] · SHOW SCHEMAS [LIKE 'pattern']

use super::names::missing_schema;
use crate::catalog::Relation;
use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::statements::{
    Describe, Description, Execution, Kind, Response, Statement, text_batch, text_schema,
};
use arrow::array::{Scalar, StringArray};
use arrow::compute::kernels::comparison::like;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Tables,
    Views,
    Schemas,
}

/// SHOW TABLES, SHOW VIEWS, SHOW SCHEMAS.
#[derive(Debug)]
pub struct ShowTables {
    what: What,
    schema: Option<(String, usize)>,
    pattern: Option<String>,
}

/// Parses SHOW TABLES and its kin.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["SHOW"])?;
    let what = match cursor.identifier("TABLES, VIEWS or SCHEMAS")?.as_str() {
        "tables" => What::Tables,
        "views" => What::Views,
        _ => What::Schemas,
    };
    let mut schema = None;
    if what != What::Schemas && (cursor.accept(&["FROM"]) || cursor.accept(&["IN"])) {
        let position = cursor.position();
        schema = Some((cursor.identifier("a schema's name")?, position));
    }
    let pattern = match cursor.accept(&["LIKE"]) {
        true => Some(cursor.string("a pattern")?),
        false => None,
    };
    cursor.expect_end()?;
    Ok(Arc::new(ShowTables { what, schema, pattern }))
}

impl ShowTables {
    fn columns(&self) -> &'static [&'static str] {
        match self.what {
            What::Schemas => &["schema_name", "owner"],
            _ => &["schema_name", "table_name", "type"],
        }
    }

    fn matches(&self, name: &str) -> Result<bool> {
        let Some(pattern) = &self.pattern else { return Ok(true) };
        let found = like(
            &StringArray::from(vec![name]),
            &Scalar::new(StringArray::from(vec![pattern.as_str()])),
        )?;
        Ok(found.value(0))
    }
}

#[async_trait::async_trait]
impl Statement for ShowTables {
    fn name(&self) -> &'static str {
        "show_tables"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, _: &Describe<'_>) -> Result<Description> {
        Ok(Description::rows(text_schema(self.columns())))
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let catalog = cx.transaction.catalog();
        let mut rows: Vec<Vec<String>> = Vec::new();
        if self.what == What::Schemas {
            for schema in catalog.schemas() {
                if !schema.name.starts_with('_') && self.matches(&schema.name)? {
                    rows.push(vec![schema.name.clone(), schema.owner.clone()]);
                }
            }
        } else {
            if let Some((schema, position)) = &self.schema
                && catalog.schema(schema).is_none()
            {
                return Err(missing_schema(&catalog, schema).position(*position));
            }
            for relation in catalog.relations() {
                let name = relation.name();
                let kind = match relation {
                    Relation::Table(t) if t.internal => continue,
                    Relation::Table(_) if self.what == What::Views => continue,
                    Relation::Table(t) if t.feature.is_some() => "feature table",
                    Relation::Table(_) => "table",
                    Relation::View(_) => "view",
                };
                let here = self.schema.as_ref().is_none_or(|(s, _)| *s == name.schema);
                if here && self.matches(&name.name)? {
                    rows.push(vec![name.schema.clone(), name.name.clone(), kind.to_owned()]);
                }
            }
        }
        let columns: Vec<(&str, Vec<Option<String>>)> = self
            .columns()
            .iter()
            .enumerate()
            .map(|(i, name)| (*name, rows.iter().map(|r| Some(r[i].clone())).collect()))
            .collect();
        Response::rows("SHOW", text_batch(&columns)?)
    }
}
