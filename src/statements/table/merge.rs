//! MERGE INTO target USING source ON condition
//!   WHEN MATCHED [AND c] THEN {UPDATE SET … | UPDATE SET * | DELETE}
//!   WHEN NOT MATCHED [BY TARGET] [AND c] THEN {INSERT [(…)] VALUES (…) | INSERT DEFAULT VALUES | INSERT *}
//!   WHEN NOT MATCHED BY SOURCE [AND c] THEN {UPDATE SET … | DELETE}
//!
//! The first clause that fits a pair of rows decides. A target row that two source rows would
//! change is 21000.

use super::change::{Change, Target, carry_out};
use super::update::{refuse_key_change, refuse_qualified};
use super::{columns, insert::default_of, merge_scope, rows};
use crate::catalog::Table;
use crate::delta::changes::{ChangeKind, DELETE, DuplicatePolicy, INSERT, KIND_COLUMN, UPDATE};
use crate::delta::scan::ROW_COLUMN;
use crate::error::{Error, Result};
use crate::parser::{
    DEFAULTS_MARKER, NOTHING_MARKER, STAR_MARKER, TokenSlice, fold_ident, object_name,
};
use crate::planner::{
    Parameters, Planned, Planner, Resolved, identifier, parse_expression, parse_query,
    resolve_relation, select,
};
use crate::sqlstate::SqlState;
use crate::statements::query::select::parameter_types;
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use serde_json::json;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    self, AssignmentTarget, BinaryOperator, CaseWhen, CastKind, Expr, Ident, Join, JoinConstraint,
    JoinOperator, MergeAction, MergeClauseKind, MergeInsertKind, ObjectName, SetExpr, TableFactor,
    TableWithJoins,
};
use std::collections::HashMap;
use std::sync::Arc;

/// True in every row of the source, so that NULL says that there was none.
const SOURCE_MARK: &str = "__cenote_source";

/// MERGE.
#[derive(Debug)]
pub struct Merge {
    target: TableFactor,
    source: TableFactor,
    on: Expr,
    clauses: Vec<Clause>,
}

#[derive(Debug, Clone)]
struct Clause {
    when: When,
    condition: Option<Expr>,
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Matched,
    NotMatched,
    NotMatchedBySource,
}

#[derive(Debug, Clone)]
enum Action {
    /// None is `SET *`.
    Update(Option<Vec<(ObjectName, Expr)>>),
    Delete,
    /// The pair is left alone, and no later clause takes it.
    Nothing,
    /// Columns and values; none is `INSERT *`.
    Insert(Option<(Vec<ObjectName>, Vec<Expr>)>),
}

/// Parses MERGE.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let ast::Statement::Merge(merge) = slice.parse_all(|p| p.parse_statement())? else {
        return Err(slice.syntax_error(0, Some("MERGE")));
    };
    let clauses = merge
        .clauses
        .into_iter()
        .map(|clause| {
            let when = match clause.clause_kind {
                MergeClauseKind::Matched => When::Matched,
                MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => {
                    When::NotMatched
                }
                MergeClauseKind::NotMatchedBySource => When::NotMatchedBySource,
            };
            let action = action(slice, clause.action)?;
            let fits = matches!(
                (&action, when),
                (Action::Nothing, _)
                    | (Action::Insert(_), When::NotMatched)
                    | (
                        Action::Update(_) | Action::Delete,
                        When::Matched | When::NotMatchedBySource
                    )
            );
            match fits {
                true => Ok(Clause { when, condition: clause.predicate, action }),
                false => Err(Error::new(
                    SqlState::SyntaxError,
                    "WHEN NOT MATCHED takes INSERT, the other clauses take UPDATE or DELETE",
                )
                .position(slice.position_of(0))),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    if clauses.is_empty() {
        return Err(slice.syntax_error(slice.tokens().len(), Some("WHEN")));
    }
    refuse_unreachable(slice, &clauses)?;
    Ok(Arc::new(Merge { target: merge.table, source: merge.source, on: *merge.on, clauses }))
}

/// Refuses a clause behind one of its kind that takes everything.
fn refuse_unreachable(slice: &TokenSlice, clauses: &[Clause]) -> Result<()> {
    let takes_all = |clause: &Clause, when: When| clause.when == when && clause.condition.is_none();
    let hidden = |(i, clause): (usize, &Clause)| {
        clauses[..i].iter().any(|before| takes_all(before, clause.when))
    };
    if !clauses.iter().enumerate().any(hidden) {
        return Ok(());
    }
    let message = "unreachable WHEN clause specified after unconditional WHEN clause";
    Err(Error::new(SqlState::SyntaxError, message).position(slice.position_of(0)))
}

fn is_nothing(name: &ObjectName) -> bool {
    object_name(name).last().is_some_and(|n| n == NOTHING_MARKER)
}

fn is_star(name: &ObjectName) -> bool {
    object_name(name).last().is_some_and(|n| n == STAR_MARKER)
}

fn action(slice: &TokenSlice, action: MergeAction) -> Result<Action> {
    let refuse = |what: &str| {
        Err(Error::unsupported(what, "Use UPDATE SET, DELETE, or INSERT VALUES.")
            .position(slice.position_of(0)))
    };
    match action {
        MergeAction::Delete { .. } => Ok(Action::Delete),
        MergeAction::Update(update) => {
            if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                return refuse("WHERE inside of a MERGE clause");
            }
            let mut out = Vec::new();
            for assignment in update.assignments {
                match assignment.target {
                    AssignmentTarget::ColumnName(name) if is_nothing(&name) => {
                        return Ok(Action::Nothing);
                    }
                    AssignmentTarget::ColumnName(name) if is_star(&name) => {
                        return Ok(Action::Update(None));
                    }
                    AssignmentTarget::ColumnName(name) => out.push((name, assignment.value)),
                    AssignmentTarget::Tuple(_) => return refuse("assigning a row"),
                }
            }
            Ok(Action::Update(Some(out)))
        }
        MergeAction::Insert(insert) => {
            if insert.insert_predicate.is_some() {
                return refuse("WHERE inside of a MERGE clause");
            }
            let MergeInsertKind::Values(mut values) = insert.kind else {
                return refuse("INSERT ROW");
            };
            if values.rows.len() != 1 {
                return refuse("INSERT of several rows");
            }
            let row = values.rows.remove(0).content;
            let word =
                |marker: &str| matches!(row.as_slice(), [Expr::Identifier(i)] if i.value == marker);
            if word(NOTHING_MARKER) {
                return Ok(Action::Nothing);
            }
            if word(DEFAULTS_MARKER) {
                return Ok(Action::Insert(Some((Vec::new(), Vec::new()))));
            }
            let star = matches!(row.as_slice(), [Expr::Identifier(i)] if i.value == STAR_MARKER);
            Ok(Action::Insert((!star).then_some((insert.columns, row))))
        }
    }
}

#[async_trait::async_trait]
impl Statement for Merge {
    fn name(&self) -> &'static str {
        "merge"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn describe(&self, cx: &Describe<'_>) -> Result<Description> {
        let target = Target::resolve(cx.slice, &cx.planner(), &self.target).await?;
        let planned = self.plan(cx.slice, &cx.planner(), &target, cx.parameters).await?;
        let parameters = parameter_types(&planned, &cx.parameters.types)?;
        Ok(Description { columns: None, parameters })
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let target = Target::resolve(cx.slice, &cx.planner(), &self.target).await?;
        let planned = self.plan(cx.slice, &cx.planner(), &target, cx.parameters).await?;
        let change = Change {
            operation: "MERGE",
            parameters: rows::object(&[("predicate", json!(self.on.to_string()))]),
            kind: ChangeKind::Merge,
            duplicates: DuplicatePolicy::Error21000,
        };
        let outcome = carry_out(cx, &target, planned, change).await?;
        let n = outcome.deleted + outcome.updated + outcome.inserted;
        Response::done(format!("MERGE {n}"))
    }
}

impl Merge {
    fn has(&self, when: When) -> bool {
        self.clauses.iter().any(|c| c.when == when)
    }

    /// Plans `SELECT __file, __row, __kind, <new row> FROM source JOIN target ON …`, without the
    /// pairs that no clause takes.
    async fn plan(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        target: &Target,
        parameters: &Parameters,
    ) -> Result<Planned> {
        let (source, alias) = self.marked_source(slice, planner)?;
        let table = &target.table;
        let source_columns = match self.needs_source_columns(table) {
            true => self.source_columns(slice, planner, parameters).await?,
            false => Vec::new(),
        };
        let clauses = self.scoped(slice, target, &alias, &source_columns)?;
        let conditions: Vec<Expr> = clauses.iter().map(|c| condition(c, target, &alias)).collect();
        let mut items: Vec<(Expr, String)> =
            target.row_ids().into_iter().map(|(e, name)| (e, name.to_owned())).collect();
        let kinds = clauses.iter().map(|c| match c.action {
            Action::Nothing => Expr::value(ast::Value::Null),
            Action::Delete => number(DELETE),
            Action::Update(_) => number(UPDATE),
            Action::Insert(_) => number(INSERT),
        });
        let kind = case(&conditions, kinds.collect(), None);
        // Pairs that no clause takes, and those that one leaves alone, have no kind.
        let taken = Expr::IsNotNull(Box::new(kind.clone()));
        items.push((cast(kind, ast::DataType::TinyInt(None)), KIND_COLUMN.to_owned()));
        let news = clauses
            .iter()
            .map(|clause| new_row(slice, table, target, clause, &source_columns, &alias))
            .collect::<Result<Vec<_>>>()?;
        for (i, column) in table.columns.iter().enumerate() {
            let values = news
                .iter()
                .map(|new| typed(new.get(&i).cloned(), table, i))
                .collect::<Result<Vec<_>>>()?;
            let kept =
                if column.hidden { typed(None, table, i)? } else { target.column(&column.name) };
            items.push((case(&conditions, values, Some(kept)), format!("\u{1}{i}")));
        }
        let join = Join {
            relation: target.factor(),
            global: false,
            join_operator: self.join(JoinConstraint::On(self.on.clone())),
        };
        let from = vec![TableWithJoins { relation: source, joins: vec![join] }];
        target.plan(slice, planner, select(items, from, Some(taken)), parameters).await
    }

    fn join(&self, on: JoinConstraint) -> JoinOperator {
        match (self.has(When::NotMatched), self.has(When::NotMatchedBySource)) {
            (true, true) => JoinOperator::FullOuter(on),
            (true, false) => JoinOperator::LeftOuter(on),
            (false, true) => JoinOperator::RightOuter(on),
            (false, false) => JoinOperator::Inner(on),
        }
    }

    /// The source with a column that is true in each of its rows, under its own alias.
    fn marked_source(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
    ) -> Result<(TableFactor, Ident)> {
        let (alias, inner) = match &self.source {
            TableFactor::Table { name, alias, .. } => {
                let last = name.0.last().and_then(|p| p.as_ident()).cloned();
                let alias = alias.as_ref().map(|a| a.name.clone()).or(last);
                (alias, self.source.clone())
            }
            TableFactor::Derived { alias, .. } => {
                (alias.as_ref().map(|a| a.name.clone()), self.source.clone())
            }
            other => (None, other.clone()),
        };
        let alias = alias.ok_or_else(|| {
            Error::new(SqlState::SyntaxError, "the source of MERGE must have an alias")
                .position(slice.position_of(0))
        })?;
        // `*` is without the hidden column, which the clauses may name all the same.
        let hidden = match self.is_feature_table(planner) {
            true => format!(", {}", crate::features::COMMITTED_AT),
            false => String::new(),
        };
        let text = format!("SELECT *{hidden}, true AS {SOURCE_MARK} FROM placeholder");
        let mut query = parse_query(&text)?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.from[0].relation = inner;
        }
        let name = fold_ident(&alias.value, alias.quote_style);
        Ok((crate::planner::derived(query, &name), alias))
    }

    /// Whether the source is a feature table by name.
    fn is_feature_table(&self, planner: &Planner<'_>) -> bool {
        let TableFactor::Table { name, args: None, .. } = &self.source else { return false };
        let path = &planner.environment.search_path;
        match resolve_relation(planner.world, path, &object_name(name)) {
            Ok(Resolved::Table(table)) => table.columns.iter().any(|c| c.hidden),
            _ => false,
        }
    }

    /// For `*`, and to tell what a bare name means that the target has too.
    fn needs_source_columns(&self, table: &Table) -> bool {
        self.clauses.iter().any(|c| {
            let names_target = |e: &Expr| merge_scope::names_target(e, table);
            let not_matched = c.when == When::NotMatched;
            match &c.action {
                Action::Update(None) | Action::Insert(None) => true,
                _ if not_matched && c.condition.as_ref().is_some_and(names_target) => true,
                Action::Insert(Some((_, values))) => values.iter().any(names_target),
                _ => false,
            }
        })
    }

    /// The clauses; those without a row of the target name the source alone.
    fn scoped(
        &self,
        slice: &TokenSlice,
        target: &Target,
        source: &Ident,
        source_columns: &[String],
    ) -> Result<Vec<Clause>> {
        let resolve = |e: &Expr| merge_scope::source_only(slice, target, source, source_columns, e);
        let one = |clause: &Clause| -> Result<Clause> {
            let mut clause = clause.clone();
            if clause.when == When::NotMatched {
                if let Some(condition) = &mut clause.condition {
                    *condition = resolve(condition)?;
                }
                if let Action::Insert(Some((_, values))) = &mut clause.action {
                    for value in values {
                        *value = resolve(value)?;
                    }
                }
            }
            Ok(clause)
        };
        self.clauses.iter().map(one).collect()
    }

    /// The names of the source's columns.
    async fn source_columns(
        &self,
        slice: &TokenSlice,
        planner: &Planner<'_>,
        parameters: &Parameters,
    ) -> Result<Vec<String>> {
        let mut query = parse_query("SELECT * FROM placeholder")?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.from[0].relation = self.source.clone();
        }
        let planned = planner.plan(slice, query, parameters).await?;
        Ok(planned.schema().fields().iter().map(|f| f.name().clone()).collect())
    }
}

/// When a clause takes a pair of rows, as long as none before it does.
fn condition(clause: &Clause, target: &Target, source: &Ident) -> Expr {
    let there = |expr: Expr| Expr::IsNotNull(Box::new(expr));
    let gone = |expr: Expr| Expr::IsNull(Box::new(expr));
    let row = target.column(ROW_COLUMN);
    let mark = Expr::CompoundIdentifier(vec![source.clone(), identifier(SOURCE_MARK)]);
    let pair = match clause.when {
        When::Matched => and(there(row), there(mark)),
        When::NotMatched => gone(row),
        When::NotMatchedBySource => gone(mark),
    };
    match &clause.condition {
        Some(condition) => and(pair, Expr::Nested(Box::new(condition.clone()))),
        None => pair,
    }
}

/// The values that a clause gives to columns, by place.
fn new_row(
    slice: &TokenSlice,
    table: &Table,
    target: &Target,
    clause: &Clause,
    source_columns: &[String],
    source: &Ident,
) -> Result<HashMap<usize, Expr>> {
    let visible = |i: &usize| !table.columns[*i].hidden;
    let from_source = || -> Result<HashMap<usize, Expr>> {
        (0..table.columns.len())
            .filter(visible)
            .map(|i| {
                let name = &table.columns[i].name;
                if !source_columns.contains(name) {
                    return Err(Error::new(
                        SqlState::UndefinedColumn,
                        format!("column \"{name}\" does not exist in the source of MERGE"),
                    )
                    .column(name)
                    .position(slice.position_of(0))
                    .maybe_hint(crate::suggest::hint(
                        "column",
                        name,
                        source_columns,
                    )));
                }
                Ok((i, Expr::CompoundIdentifier(vec![source.clone(), identifier(name)])))
            })
            .collect()
    };
    let value = |i: usize, expr: &Expr| match expr {
        Expr::Identifier(w)
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case("default") =>
        {
            default_of(table, i)
        }
        other => Ok(other.clone()),
    };
    match &clause.action {
        Action::Delete | Action::Nothing => Ok(HashMap::new()),
        Action::Update(None) | Action::Insert(None) => from_source(),
        Action::Update(Some(assignments)) => {
            let names: Vec<ObjectName> = assignments.iter().map(|(n, _)| n.clone()).collect();
            refuse_foreign(slice, target, &names)?;
            let places = columns::places(slice, table, &names)?;
            refuse_key_change(slice, table, &places)?;
            let mut row: HashMap<usize, Expr> = (0..table.columns.len())
                .filter(visible)
                .map(|i| (i, target.column(&table.columns[i].name)))
                .collect();
            for (place, (_, expr)) in places.into_iter().zip(assignments) {
                row.insert(place, value(place, expr)?);
            }
            Ok(row)
        }
        Action::Insert(Some((names, values))) => {
            refuse_foreign(slice, target, names)?;
            let places: Vec<usize> = match names.is_empty() {
                true => (0..table.columns.len()).filter(visible).collect(),
                false => columns::places(slice, table, names)?,
            };
            if places.len() < values.len() || (!names.is_empty() && places.len() > values.len()) {
                return Err(Error::new(
                    SqlState::SyntaxError,
                    match places.len() < values.len() {
                        true => "INSERT has more expressions than target columns",
                        false => "INSERT has more target columns than expressions",
                    },
                )
                .position(slice.position_of(0)));
            }
            let mut row = HashMap::new();
            for i in (0..table.columns.len()).filter(visible) {
                row.insert(i, default_of(table, i)?);
            }
            for (place, expr) in places.into_iter().zip(values) {
                row.insert(place, value(place, expr)?);
            }
            Ok(row)
        }
    }
}

/// What is written are columns of the target. Its own name may stand before them, as Delta's users
/// write it; PostgreSQL takes none.
fn refuse_foreign(slice: &TokenSlice, target: &Target, names: &[ObjectName]) -> Result<()> {
    let alias = fold_ident(&target.alias.value, target.alias.quote_style);
    let is_foreign = |name: &&ObjectName| {
        let parts = object_name(name);
        parts.len() > 1 && parts[parts.len() - 2] != alias
    };
    match names.iter().find(is_foreign) {
        Some(name) => refuse_qualified(slice, &target.table, std::slice::from_ref(name)),
        None => Ok(()),
    }
}

/// A value with its column's type, so that the branches of a CASE agree. Texts are not cut here:
/// the table's own check says that they are too long.
fn typed(value: Option<Expr>, table: &Table, place: usize) -> Result<Expr> {
    use crate::catalog::SqlType;
    let sql_type = match &table.columns[place].sql_type {
        SqlType::Varchar(_) => SqlType::Text,
        other => other.clone(),
    };
    let text = format!("CAST(NULL AS {sql_type})");
    let Expr::Cast { kind, data_type, array, format, .. } = parse_expression(&text)? else {
        return Err(Error::internal("a cast was not parsed as one"));
    };
    let expr = value.unwrap_or_else(|| Expr::value(ast::Value::Null));
    Ok(Expr::Cast { kind, expr: Box::new(expr), data_type, array, format })
}

fn cast(expr: Expr, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn number(n: i8) -> Expr {
    Expr::value(ast::Value::Number(n.to_string(), false))
}

fn case(conditions: &[Expr], results: Vec<Expr>, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: conditions
            .iter()
            .zip(results)
            .map(|(condition, result)| CaseWhen { condition: condition.clone(), result })
            .collect(),
        else_result: otherwise.map(Box::new),
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}
