//! The table functions of schema `ml`, as the queries and relations that they stand for.

use super::models::ResolvedModel;
use super::predict::Question;
use super::rewrite::{Rewriter, argument_text, call};
use super::{Planner, ast};
use crate::catalog::QualifiedName;
use crate::error::{Error, Result};
use crate::ml::{MAX_EMPTY_CELLS, Task, metric_names};
use crate::parser::{object_name, quote_ident};
use crate::sqlstate::SqlState;
use crate::warehouse::RUN_VERSION;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::{MemTable, ViewTable};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Query, SetExpr, TableFactor, Visit, Visitor,
};
use sqlparser::tokenizer::Span;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The table functions that are built.
const BUILT: &[&str] = &["predict", "evaluate", "confusion_matrix", "weights", "fit_statistics"];

/// Those that the design has and this version does not.
const LATER: &[&str] = &[
    "roc_curve",
    "pr_curve",
    "calibration",
    "feature_importance",
    "explain_predict",
    "centroids",
    "principal_components",
    "training_info",
    "trials",
    "forecast",
    "detect_anomalies",
    "recommend",
    "describe_data",
    "drift",
    "lineage",
    "verify",
    "features_at",
];

/// Calls `found` with every model reference of an `ml` table function.
pub(super) fn references(
    query: &Query,
    found: &mut dyn FnMut(String, Span),
) -> std::result::Result<(), (Error, Span)> {
    struct Finder<'a>(&'a mut dyn FnMut(String, Span));
    impl Visitor for Finder<'_> {
        type Break = (Error, Span);

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
            let TableFactor::Table { name, args: Some(args), .. } = factor else {
                return ControlFlow::Continue(());
            };
            let parts = object_name(name);
            let [schema, function] = parts.as_slice() else { return ControlFlow::Continue(()) };
            if schema != "ml" {
                return ControlFlow::Continue(());
            }
            let span = sqlparser::ast::Spanned::span(name);
            if let Err(e) = known(function) {
                return ControlFlow::Break((e, span));
            }
            match args.args.first().and_then(argument_text) {
                Some((text, span)) => (self.0)(text, span),
                None => return ControlFlow::Break((reference_needed(function), span)),
            }
            ControlFlow::Continue(())
        }
    }
    match query.visit(&mut Finder(found)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(failure) => Err(failure),
    }
}

fn known(function: &str) -> Result<()> {
    if BUILT.contains(&function) {
        return Ok(());
    }
    if LATER.contains(&function) {
        return Err(Error::unsupported(
            format_args!("ml.{function}"),
            format!("Built are ml.{}.", BUILT.join(", ml.")),
        ));
    }
    Err(Error::new(SqlState::UndefinedFunction, format!("function ml.{function} does not exist"))
        .maybe_hint(crate::suggest::hint("function", function, BUILT)))
}

fn reference_needed(function: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("the first argument of ml.{function} must be a model reference"),
    )
    .hint(format!("Such as ml.{function}('churn@latest')."))
}

/// The relation that a call stands for.
pub(super) fn table_function(
    rewriter: &mut Rewriter<'_>,
    function: &str,
    arguments: &[FunctionArg],
    models: &HashMap<String, ResolvedModel>,
) -> Result<TableFactor> {
    known(function)?;
    let (reference, rest) = arguments.split_first().ok_or_else(|| reference_needed(function))?;
    let (text, _) = argument_text(reference).ok_or_else(|| reference_needed(function))?;
    let model = models.get(&text).ok_or_else(|| Error::internal("a model was not loaded"))?;
    let input = rest.iter().find_map(input_of).transpose()?;
    if rest.len() > usize::from(input.is_some()) {
        return Err(Error::new(
            SqlState::UndefinedFunction,
            format!("ml.{function} does not take these arguments"),
        )
        .hint(format!("Use ml.{function}(reference [, TABLE name | (query)]).")));
    }
    match (function, input) {
        ("predict", Some(input)) => predict(rewriter, model, input),
        ("predict", None) => {
            Err(Error::new(SqlState::UndefinedFunction, "ml.predict needs the rows to predict")
                .hint("Use ml.predict('m', TABLE t) or ml.predict('m', (SELECT …))."))
        }
        ("evaluate", Some(input)) => evaluate(rewriter, model, input),
        ("confusion_matrix", Some(input)) => confusion(rewriter, model, input),
        ("evaluate", None) => stored(rewriter, model.model.metrics()?),
        ("confusion_matrix", None) => {
            require_classes(model)?;
            stored(rewriter, model.model.confusion_matrix()?)
        }
        ("weights", None) => stored(rewriter, model.model.weights()?),
        ("fit_statistics", None) => stored(rewriter, model.model.fit_statistics()?),
        _ => Err(Error::new(
            SqlState::UndefinedFunction,
            format!("ml.{function} takes a model reference only"),
        )),
    }
}

/// The input of a table function: `(query)`, `TABLE t`, or a name.
fn input_of(argument: &FunctionArg) -> Option<Result<Query>> {
    let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
    | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
    | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. }) = argument
    else {
        return None;
    };
    let from_name = |name: String| ast::parse_query(&format!("SELECT * FROM {name}"));
    match expr {
        Expr::Subquery(query) => Some(Ok((**query).clone())),
        Expr::Nested(inner) => match inner.as_ref() {
            Expr::Subquery(query) => Some(Ok((**query).clone())),
            _ => None,
        },
        Expr::Identifier(name) => Some(from_name(name.to_string())),
        Expr::CompoundIdentifier(parts) => {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            Some(from_name(parts.join(".")))
        }
        _ => argument_text(argument).map(|(text, _)| from_text(&text)),
    }
}

/// A relation by its name in a text.
fn from_text(text: &str) -> Result<Query> {
    let query = ast::parse_query(&format!("SELECT * FROM {text}")).ok().filter(|query| {
        let SetExpr::Select(select) = query.body.as_ref() else { return false };
        let [from] = select.from.as_slice() else { return false };
        // Nothing but the name, which may carry a version.
        matches!(&from.relation, TableFactor::Table { args: None, alias: None, .. })
            && query.to_string() == format!("SELECT * FROM {}", from.relation)
    });
    query.ok_or_else(|| {
        let message = format!("\"{text}\" is not the name of a relation");
        Error::new(SqlState::UndefinedTable, message)
            .hint("Rows of a query are given as (SELECT …) in parentheses.")
    })
}

fn stored(rewriter: &mut Rewriter<'_>, batch: RecordBatch) -> Result<TableFactor> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    Ok(rewriter.provide(Arc::new(table)))
}

fn require_classes(model: &ResolvedModel) -> Result<()> {
    if model.model.task().is_classification() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::WrongObjectType,
        format!("model \"{}\" is a regression: it has no confusion matrix", model.name),
    )
    .hint("Use ml.evaluate."))
}

/// The alias of the input inside of a generated query.
const INPUT: &str = "__input";
/// How the error about a column begins that the input lacks.
pub(super) const MISSING: &str = "column __input.";

/// `f(__input.feature, …)` as text.
fn question(rewriter: &mut Rewriter<'_>, model: &ResolvedModel, question: Question) -> Expr {
    let takes_label = matches!(question, Question::ActualProbability | Question::ActualNumber);
    let takes_features = question != Question::ActualNumber;
    let name = rewriter.register("predict", model, question);
    let mut arguments = Vec::new();
    let column =
        |name: &str| Expr::CompoundIdentifier(vec![ast::identifier(INPUT), ast::identifier(name)]);
    if takes_label {
        arguments.push(column(&model.model.label().name));
    }
    if takes_features {
        arguments.extend(model.model.signature().features.iter().map(|f| column(&f.name)));
    }
    call(&name, arguments, Span::empty())
}

/// A generated query whose FROM is the user's own input, in place of the table `__input`.
fn over_input(text: &str, input: Query) -> Result<TableFactor> {
    let mut query = ast::parse_query(text)?;
    let mut input = Some(input);
    place_input(&mut query, &mut input);
    Ok(ast::derived(query, INPUT))
}

fn place_input(query: &mut Query, input: &mut Option<Query>) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    for table in &mut select.from {
        match &mut table.relation {
            TableFactor::Derived { subquery, .. } => place_input(subquery, input),
            TableFactor::Table { .. } => {
                if let Some(input) = input.take() {
                    table.relation = ast::derived(input, INPUT);
                }
            }
            _ => {}
        }
    }
}

fn predict(
    rewriter: &mut Rewriter<'_>,
    model: &ResolvedModel,
    input: Query,
) -> Result<TableFactor> {
    let label = &model.model.label().name;
    let is_classification = model.model.task().is_classification();
    let suffixes: &[&str] = if is_classification { &["", "_proba", "_probs"] } else { &[""] };
    let added = suffixes.iter().map(|suffix| format!("predicted_{label}{suffix}")).collect();
    rewriter.out.predictions.push((input.clone(), added));
    let name = |suffix: &str| quote_ident(&format!("predicted_{label}{suffix}"));
    let value = question(rewriter, model, Question::Value);
    let mut columns = format!("{value} AS {}", name(""));
    if is_classification {
        let proba = question(rewriter, model, Question::PredictedProbability);
        let probs = question(rewriter, model, Question::Probabilities);
        columns += &format!(", {proba} AS {}, {probs} AS {}", name("_proba"), name("_probs"));
    }
    over_input(&format!("SELECT {INPUT}.*, {columns} FROM {INPUT}"), input)
}

fn is_about_twice(code: SqlState) -> bool {
    matches!(code, SqlState::AmbiguousColumn | SqlState::DuplicateColumn | SqlState::DuplicateAlias)
}

/// In place of an error about a name that stands twice: 42701 where an input of ml.predict has a column that
/// ml.predict adds. The inputs are planned by themselves to see it.
pub(super) async fn name_taken(
    planner: &Planner<'_>,
    error: Error,
    predictions: Vec<(Query, Vec<String>)>,
) -> Error {
    if !is_about_twice(error.code()) {
        return error;
    }
    for (input, added) in predictions {
        let Ok(planned) = Box::pin(planner.plan_tree(None, input, &[])).await else { continue };
        let schema = planned.schema();
        if let Some(name) = added.iter().find(|name| schema.index_of(name).is_ok()) {
            return Error::new(
                SqlState::DuplicateColumn,
                format!("the input of ml.predict has a column \"{name}\", which ml.predict adds"),
            )
            .column(name)
            .hint("Rename it with AS in the input, or leave it out there.")
            .position_or(error.get_position());
        }
    }
    error
}

/// The actual and predicted columns of an evaluation, over rows that have a label.
fn scored(rewriter: &mut Rewriter<'_>, model: &ResolvedModel) -> String {
    let label = quote_ident(&model.model.label().name);
    let predicted = question(rewriter, model, Question::Value);
    let actual = match model.model.task().is_classification() {
        true => format!("{INPUT}.{label}"),
        false => question(rewriter, model, Question::ActualNumber).to_string(),
    };
    let mut columns = format!("{actual} AS y, {predicted} AS p");
    if model.model.task().is_classification() {
        let probability = question(rewriter, model, Question::ActualProbability);
        columns += &format!(", {probability} AS q");
        for class in score_classes(model) {
            let score = question(rewriter, model, Question::ClassProbability(class));
            columns += &format!(", {score} AS s{class}");
        }
    }
    let weight = match weight_column(model) {
        Some(weight) => format!("CAST({INPUT}.{} AS double precision)", quote_ident(weight)),
        None => "CAST(1 AS double precision)".to_owned(),
    };
    format!(
        "(SELECT {columns}, {weight} AS w FROM {INPUT} WHERE {INPUT}.{label} IS NOT NULL) AS scored"
    )
}

/// The scored rows that metrics use: with a prediction and a weight. NaN sorts behind infinity.
const USED: &str = "p IS NOT NULL AND w > 0 AND w < CAST('Infinity' AS double precision)";

/// The column of the option weight_column, if it was given.
fn weight_column(model: &ResolvedModel) -> Option<&str> {
    model.version.options.get("weight_column").and_then(serde_json::Value::as_str)
}

/// The classes whose one-against-the-rest curves are averaged: the positive one of two, else all.
fn score_classes(model: &ResolvedModel) -> Vec<usize> {
    match model.model.task() {
        Task::BinaryClassification => vec![1],
        _ => (0..model.model.class_names().len()).collect(),
    }
}

fn evaluate(
    rewriter: &mut Rewriter<'_>,
    model: &ResolvedModel,
    input: Query,
) -> Result<TableFactor> {
    let is_classification = model.model.task().is_classification();
    let n_rows = format!("count(*) FILTER (WHERE {USED}) AS n_rows");
    let mut columns = vec!["'input' AS split".to_owned(), n_rows];
    for metric in metric_names(is_classification) {
        columns.push(format!("{} AS {metric}", metric_expression(metric, model)));
    }
    let from = scored(rewriter, model);
    over_input(&format!("SELECT {} FROM {from}", columns.join(", ")), input)
}

/// The aggregate that computes a column of `ml.evaluate`.
fn metric_expression(metric: &str, model: &ResolvedModel) -> String {
    let aggregate = match metric {
        "mean_absolute_error" => "mae(y, p, w)",
        "mean_squared_error" => "mse(y, p, w)",
        "root_mean_squared_error" => "rmse(y, p, w)",
        "mean_squared_log_error" => "msle(y, p, w)",
        "median_absolute_error" => "median_ae(y, p, w)",
        "r2_score" => "r2(y, p, w)",
        "explained_variance" => "explained_variance(y, p, w)",
        "accuracy" => "accuracy(y, p, w)",
        "precision" => return of_classes("precision", model),
        "recall" => return of_classes("recall", model),
        "f1_score" => return of_classes("f1", model),
        // The probability of the true class, of which there is one a row.
        "log_loss" => "log_loss(q IS NOT NULL, q, w)",
        "roc_auc" => return roc_auc(model),
        other => return format!("CAST(NULL AS double precision) /* {other} */"),
    };
    aggregate.to_owned()
}

/// A metric of classes: of the positive one of two, else the mean over those that occur. The model's classes count,
/// not those that the input happens to have.
fn of_classes(aggregate: &str, model: &ResolvedModel) -> String {
    match (model.model.task(), model.model.class_names()) {
        (Task::BinaryClassification, [_, positive]) => {
            let is = |column: &str| {
                format!("CAST({column} AS text) = '{}'", positive.replace('\'', "''"))
            };
            format!("{aggregate}({}, {}, 'binary', w)", is("y"), is("p"))
        }
        _ => format!("{aggregate}(y, p, 'macro', w)"),
    }
}

/// The area under the curve; beyond two classes the mean over one class against the rest.
fn roc_auc(model: &ResolvedModel) -> String {
    let classes = score_classes(model);
    let parts: Vec<String> = classes
        .iter()
        .map(|class| {
            let name = model.model.class_names()[*class].replace('\'', "''");
            format!("auc(CAST(y AS text) = '{name}', s{class}, w)")
        })
        .collect();
    format!("({}) / {}", parts.join(" + "), f64::from(u32::try_from(classes.len()).unwrap_or(1)))
}

fn confusion(
    rewriter: &mut Rewriter<'_>,
    model: &ResolvedModel,
    input: Query,
) -> Result<TableFactor> {
    require_classes(model)?;
    let from = scored(rewriter, model);
    let names = model.model.class_names();
    let rows = names.iter().enumerate();
    let rows: Vec<String> =
        rows.map(|(place, name)| format!("('{}', {place})", name.replace('\'', "''"))).collect();
    let (classes, n) = (rows.join(", "), names.len());
    // As the stored one: every pair, but of very many classes only those that occur. A class of the input that
    // training never saw stands at the end.
    let shown = if n * n > MAX_EMPTY_CELLS { "c.n > 0" } else { "true" };
    over_input(
        &format!(
            "SELECT 'input' AS split, coalesce(c.actual, k.actual) AS actual, \
             coalesce(c.predicted, k.predicted) AS predicted, coalesce(c.n, 0) AS n \
             FROM (SELECT CAST(y AS text) AS actual, CAST(p AS text) AS predicted, count(*) AS n \
             FROM {from} WHERE {USED} GROUP BY 1, 2) AS c \
             FULL JOIN (SELECT a.label AS actual, b.label AS predicted, a.place * {n} + b.place AS place \
             FROM (VALUES {classes}) AS a(label, place) CROSS JOIN (VALUES {classes}) AS b(label, place)) AS k \
             ON c.actual = k.actual AND c.predicted = k.predicted \
             WHERE {shown} ORDER BY k.place NULLS LAST, 2, 3"
        ),
        input,
    )
}

/// Relations whose rows stand in internal tables or in the log itself.
pub(super) async fn history_relation(
    planner: &Planner<'_>,
    name: &QualifiedName,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let text = match (name.schema.as_str(), name.name.as_str()) {
        // The catalog's version, and behind the model's end the one that the run wrote down.
        ("ml", "runs") => format!(
            "SELECT r.run_id, r.model, coalesce(v.version, CAST(p.value AS bigint)) AS version, r.experiment, r.status, r.started_at, r.ended_at, \
             r.role, r.query, r.snapshot, r.seed, r.engine_version, r.n_rows, r.artifact_hash, \
             r.error FROM _system.runs r LEFT JOIN ml.model_versions v ON v.run_id = r.run_id \
             LEFT JOIN _system.run_params p ON p.run_id = r.run_id AND p.key = '{RUN_VERSION}'"
        ),
        ("ml", "run_params") => format!(
            "SELECT run_id, key, value FROM _system.run_params WHERE key <> '{RUN_VERSION}'"
        ),
        ("ml", "run_metrics") => {
            "SELECT run_id, key, value, step, ts FROM _system.run_metrics".to_owned()
        }
        ("system", "commits") => {
            let batch = super::commits::batch(planner.world.snapshot()).await?;
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
            return Ok(Some(Arc::new(table)));
        }
        _ => return Ok(None),
    };
    let planned = Box::pin(planner.plan_text(&text)).await?;
    Ok(Some(Arc::new(ViewTable::new(planned.plan, None))))
}
