//! PREDICT name[@alias | @version] ON {table | (query)}: short for SELECT * FROM ml.predict(…).

use crate::error::{Error, Result};
use crate::parser::{Cursor, ModelReference, TokenSlice};
use crate::planner::{Parameters, Planned, Planner, parse_query};
use crate::statements::query::select::{self, parameter_types};
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, ObjectNamePart, Query, SetExpr, TableFactor, Value,
};
use sqlparser::tokenizer::{Span, Token};
use std::sync::Arc;

/// PREDICT.
#[derive(Debug)]
pub struct Predict {
    query: Query,
}

/// Parses PREDICT.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["PREDICT"])?;
    let spans = |i: usize| slice.tokens().get(i).map_or_else(Span::empty, |t| t.span);
    let span = spans(cursor.index());
    let model = ModelReference::parse(&mut cursor)?;
    cursor.expect(&["ON"])?;
    let input = input(&cursor)?;
    Ok(Arc::new(Predict { query: query(&model, span, input)? }))
}

/// The rows to predict, as a query.
fn input(cursor: &Cursor<'_>) -> Result<Query> {
    let rest = cursor.slice().from(cursor.index());
    let start = Cursor::new(&rest);
    let is_query = start.peek() == Some(&Token::LParen)
        && start.closing_parenthesis().is_ok_and(|end| end == rest.tokens().len());
    if is_query {
        return select::parse_query(&rest.range(1, rest.tokens().len() - 1));
    }
    let skipped = usize::from(start.peek_words(&["TABLE"]));
    let source = rest.from(skipped).parse_all(|p| p.parse_table_factor())?;
    let mut query = parse_query("SELECT * FROM t")?;
    *first_source(&mut query)? = source;
    Ok(query)
}

/// `SELECT * FROM ml.predict('model', (input))`, where errors about the model stand at its name.
fn query(model: &ModelReference, span: Span, input: Query) -> Result<Query> {
    let text = model.to_string().replace('\'', "''");
    let mut query = parse_query(&format!("SELECT * FROM ml.predict('{text}', (SELECT 1))"))?;
    let TableFactor::Table { name, args: Some(args), .. } = first_source(&mut query)? else {
        return Err(Error::internal("PREDICT made no function call"));
    };
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            ident.span = span;
        }
    }
    for argument in &mut args.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else { continue };
        match expr {
            Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => {
                value.span = span;
            }
            other => *other = Expr::Subquery(Box::new(input.clone())),
        }
    }
    Ok(query)
}

fn first_source(query: &mut Query) -> Result<&mut TableFactor> {
    match query.body.as_mut() {
        SetExpr::Select(select) => select.from.first_mut().map(|f| &mut f.relation),
        _ => None,
    }
    .ok_or_else(|| Error::internal("PREDICT made no query"))
}

impl Predict {
    async fn plan(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        parameters: &Parameters,
    ) -> Result<Planned> {
        planner.plan(slice, self.query.clone(), parameters).await
    }
}

#[async_trait::async_trait]
impl Statement for Predict {
    fn name(&self) -> &'static str {
        "predict"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let planned = self.plan(cx.slice, &cx.planner(), cx.parameters).await?;
        Ok(Description {
            columns: Some(planned.schema()),
            parameters: parameter_types(&planned, &cx.parameters.types)?,
        })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let planned = self.plan(cx.slice, &cx.planner(), cx.parameters).await?;
        Ok(Response::Rows {
            schema: planned.schema(),
            stream: planned.stream(cx.services(), cx.canceller).await?,
            tag: "SELECT",
            counted: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::Script;

    #[test]
    fn every_kind_of_input_parses() {
        for text in [
            "PREDICT m ON t",
            "PREDICT s.m@2 ON s.t",
            "PREDICT 'm@latest' ON (SELECT 1 AS x)",
            "PREDICT m ON TABLE t",
            "PREDICT m ON read_csv('a.csv')",
            "PREDICT m ON (SELECT 1 AS x) AS q",
        ] {
            let slice = Script::split(text).expect("tokens").remove(0);
            assert!(parse(&slice).is_ok(), "{text}");
        }
    }
}
