//! TABLESAMPLE, which DataFusion reads and leaves out: each row is drawn by itself.

use super::ast;
use crate::error::{Error, Result};
use sqlparser::ast::{BinaryOperator, Expr, SetExpr, TableFactor, TableSample, TableSampleKind};

/// Turns `t TABLESAMPLE method (p) AS a` into `(SELECT * FROM t WHERE random() * 100 < p) AS a`;
/// `name` is what an unnamed one is called. SYSTEM draws rows too: there are no pages here.
///
/// # Errors
/// 0A000 for what is more than a percentage.
pub(super) fn spread(factor: &mut TableFactor, name: &str) -> Result<()> {
    let TableFactor::Table { alias, sample, .. } = factor else { return Ok(()) };
    let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
        sample.take()
    else {
        return Ok(());
    };
    let percentage = percentage(*sample)?;
    let alias = alias.take().unwrap_or_else(|| ast::table_alias(name));
    let mut query = ast::parse_query("SELECT * FROM sampled WHERE random() * 100 < 0")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a SELECT is none"));
    };
    if let Some(Expr::BinaryOp { right, op: BinaryOperator::Lt, .. }) = &mut select.selection {
        **right = Expr::Nested(Box::new(percentage));
    }
    let mut derived = ast::derived(ast::parse_query("SELECT 1")?, name);
    std::mem::swap(factor, &mut derived);
    select.from[0].relation = derived;
    if let TableFactor::Derived { subquery, alias: outer, .. } = factor {
        **subquery = query;
        *outer = Some(alias);
    }
    Ok(())
}

fn percentage(sample: TableSample) -> Result<Expr> {
    let plain = sample.seed.is_none() && sample.bucket.is_none() && sample.offset.is_none();
    match sample.quantity {
        Some(quantity) if plain && quantity.unit.is_none() => Ok(quantity.value),
        _ => Err(Error::unsupported(
            "this form of TABLESAMPLE",
            "Write TABLESAMPLE BERNOULLI (percentage), without REPEATABLE.",
        )),
    }
}
