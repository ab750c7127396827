//! SHOW name · SHOW ALL

use crate::config::Settings;
use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::statements::{
    Describe, Description, Execution, Kind, Response, Statement, text_batch, text_schema,
};
use std::sync::Arc;

/// SHOW; no name means ALL.
#[derive(Debug)]
pub struct Show {
    name: Option<&'static str>,
}

/// Parses SHOW.
///
/// # Errors
/// 42601 with the position, 42704 for an unknown parameter.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["SHOW"])?;
    let position = cursor.position();
    let name = if cursor.accept(&["ALL"]) {
        None
    } else {
        let name = if cursor.accept(&["TIME", "ZONE"]) {
            "TimeZone".to_owned()
        } else if cursor.accept(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
            "transaction_isolation".to_owned()
        } else {
            cursor.name("a parameter's name")?.join(".")
        };
        Some(Settings::known(&name).map_err(|e| e.position(position))?.name)
    };
    cursor.expect_end()?;
    Ok(Arc::new(Show { name }))
}

#[async_trait::async_trait]
impl Statement for Show {
    fn name(&self) -> &'static str {
        "show"
    }

    fn kind(&self) -> Kind {
        Kind::Session
    }

    async fn describe(&self, _: &Describe<'_>) -> Result<Description> {
        Ok(Description::rows(match self.name {
            Some(name) => text_schema(&[name]),
            None => text_schema(&["name", "setting", "description"]),
        }))
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let batch = match self.name {
            Some(name) => text_batch(&[(name, vec![Some(cx.settings.get(name)?.to_owned())])])?,
            None => {
                let all: Vec<_> = cx.settings.all().collect();
                let of = |f: &dyn Fn(usize) -> String| (0..all.len()).map(|i| Some(f(i))).collect();
                text_batch(&[
                    ("name", of(&|i| all[i].0.name.to_owned())),
                    ("setting", of(&|i| all[i].1.to_owned())),
                    ("description", of(&|i| all[i].0.doc.to_owned())),
                ])?
            }
        };
        Response::rows("SHOW", batch)
    }
}
