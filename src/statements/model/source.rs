//! The training query: cut out of a statement, planned, and refused where it could not be repeated.

use crate::error::{Error, Result};
use crate::parser::{Cursor, Options, TokenSlice};
use crate::planner::{Environment, Parameters, Planned, Planner, World};
use crate::sqlstate::SqlState;
use crate::statements::query::select::parse_query;
use crate::statements::table::create_table::without_with_data;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Volatility};
use sqlparser::ast::Query;
use sqlparser::tokenizer::Token;

/// A training query as it stands in a statement.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its tree.
    pub query: Query,
    /// Its tokens.
    pub slice: TokenSlice,
}

/// What stands behind AS: a query, then clauses that belong to the statement.
#[derive(Debug)]
pub struct Tail {
    /// The query.
    pub query: Written,
    /// `WITH (…)` behind the query.
    pub options: Option<Options>,
    /// False for NOT DEFAULT at the end.
    pub make_default: bool,
    /// False for WITH NO DATA at the end.
    pub with_data: bool,
}

/// Reads from the token behind AS to the end of the statement.
///
/// The clauses are cut off from the end: to sqlparser a `WITH (…)` behind a table is its hints.
///
/// # Errors
/// 42601 with the position, 0A000 for TRAINING SET.
pub fn tail(cursor: &Cursor<'_>) -> Result<Tail> {
    if cursor.peek_words(&["TRAINING", "SET"]) {
        return Err(Error::unsupported(
            "TRAINING SET",
            "Join the tables in the model's own query.",
        )
        .position(cursor.position()));
    }
    let slice = cursor.slice();
    let (mut end, with_data) = without_with_data(slice);
    let mut behind = cursor.clone();
    let make_default = !(end >= 2 && {
        behind.seek(end - 2);
        behind.peek_words(&["NOT", "DEFAULT"])
    });
    if !make_default {
        end -= 2;
    }
    let mut options = None;
    if let Some(start) = trailing_options(slice, cursor.index(), end) {
        behind.seek(start + 1);
        options = Some(Options::parse(&mut behind)?);
        end = start;
    }
    let slice = slice.range(cursor.index(), end);
    let query = Written { query: parse_query(&slice)?, slice };
    Ok(Tail { query, options, make_default, with_data })
}

/// Where a `WITH (…)` begins that ends at `end`, outside of all parentheses.
fn trailing_options(slice: &TokenSlice, from: usize, end: usize) -> Option<usize> {
    let mut cursor = Cursor::new(slice);
    let mut depth = 0usize;
    for i in from..end {
        match slice.tokens()[i].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ => {
                cursor.seek(i);
                if cursor.peek_words(&["WITH"]) && cursor.peek_nth(1) == Some(&Token::LParen) {
                    cursor.advance();
                    if cursor.closing_parenthesis().is_ok_and(|close| close == end) {
                        return Some(i);
                    }
                }
            }
        }
    }
    None
}

/// The text of a training query and, where the client sent it just now, its tokens.
#[derive(Clone, Copy)]
pub enum Text<'a> {
    /// Part of the statement that runs.
    Written(&'a Written),
    /// From the catalog.
    Stored(&'a str),
}

impl Text<'_> {
    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Text::Written(written) => written.slice.text(),
            Text::Stored(text) => text,
        }
    }

    fn place(&self, word: &str, error: Error) -> Error {
        match self {
            Text::Written(written) => {
                let found = written.slice.tokens().iter().position(
                    |t| matches!(&t.token, Token::Word(w) if w.value.eq_ignore_ascii_case(word)),
                );
                error.position_or(found.map(|i| written.slice.position_of(i)))
            }
            Text::Stored(_) => error,
        }
    }
}

/// Plans a training query so that it can be repeated: one partition where the order of work would
/// show in the result.
///
/// # Errors
/// What planning finds; 0A000 for random() and system relations, 42P02 for parameters.
pub async fn plan(environment: &Environment, world: &dyn World, text: Text<'_>) -> Result<Planned> {
    let planned = plan_once(environment, world, text).await?;
    let findings = inspect(&planned.plan)?;
    if let Some(function) = findings.volatile {
        let error = Error::unsupported(
            format_args!("{function}() in a training query"),
            "Training must be repeatable: store the random values in a table, or use the options seed and split.",
        );
        return Err(text.place(&function, error));
    }
    if let Some(relation) =
        planned.reads.unpinned.as_deref().filter(|r| r.starts_with("the system"))
    {
        return Err(Error::unsupported(
            format_args!("training on {relation}"),
            "Copy its rows with CREATE TABLE … AS SELECT, and train on the copy.",
        ));
    }
    if !planned.parameter_types()?.is_empty() {
        return Err(Error::new(
            SqlState::UndefinedParameter,
            "a training query cannot have parameters",
        )
        .hint("It is kept as text: write the values into it."));
    }
    if !findings.depends_on_order {
        return Ok(planned);
    }
    let single = Environment { target_partitions: Some(1), ..environment.clone() };
    plan_once(&single, world, text).await
}

async fn plan_once(
    environment: &Environment,
    world: &dyn World,
    text: Text<'_>,
) -> Result<Planned> {
    let planner = Planner::new(environment, world);
    match text {
        Text::Written(Written { query, slice }) => {
            planner.plan(slice, query.clone(), &Parameters::default()).await
        }
        Text::Stored(text) => planner.plan_text(text).await,
    }
}

#[derive(Default)]
struct Findings {
    /// A function whose value changes from call to call.
    volatile: Option<String>,
    /// The rows may depend on how the work is divided.
    depends_on_order: bool,
}

fn inspect(plan: &LogicalPlan) -> Result<Findings> {
    let mut findings = Findings::default();
    visit(plan, &mut findings)?;
    Ok(findings)
}

fn visit(plan: &LogicalPlan, findings: &mut Findings) -> datafusion::common::Result<()> {
    plan.apply_with_subqueries(|node| {
        findings.depends_on_order |= shows_order(node);
        if let LogicalPlan::TableScan(scan) = node
            && let Some(inner) = scan.source.get_logical_plan()
        {
            visit(&inner, findings)?;
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && call.func.signature().volatility == Volatility::Volatile
                {
                    findings.volatile.get_or_insert_with(|| call.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// True where rows or values depend on the order in which rows come: cuts without a total order,
/// and aggregates that are not exact.
fn shows_order(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Limit(_) | LogicalPlan::Window(_) | LogicalPlan::Distinct(Distinct::On(_)) => {
            true
        }
        LogicalPlan::Aggregate(aggregate) => {
            let values = aggregate.schema.fields().iter().skip(aggregate.group_expr.len());
            !values.map(|f| f.data_type()).all(is_exact)
        }
        _ => false,
    }
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Decimal32(..)
                | DataType::Decimal64(..)
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Date32
                | DataType::Timestamp(..)
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::Script;

    fn cut(text: &str) -> Tail {
        let slice = Script::split(text).expect("tokens").remove(0);
        let mut cursor = Cursor::new(&slice);
        cursor.expect(&["AS"]).expect("AS");
        tail(&cursor).expect("a query")
    }

    #[test]
    fn clauses_behind_a_query_are_not_its_own() {
        let tail = cut("AS SELECT * FROM t WITH (seed = 7) NOT DEFAULT");
        assert_eq!(tail.query.slice.text(), "SELECT * FROM t");
        assert!(tail.options.is_some_and(|o| o.position("seed").is_some()));
        assert!(!tail.make_default && tail.with_data);
        let tail = cut("AS WITH c AS (SELECT 1 AS x) SELECT x FROM c WITH NO DATA");
        assert_eq!(tail.query.slice.text(), "WITH c AS (SELECT 1 AS x) SELECT x FROM c");
        assert!(tail.options.is_none() && tail.make_default && !tail.with_data);
    }
}
