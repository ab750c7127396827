//! The pass over a query's tree before DataFusion sees it.
//!
//! Two steps, for models and files are read asynchronously and a tree is walked synchronously:
//! [`load_models`] finds and loads what the text names, [`rewrite`] changes the tree.

use super::models::{ResolvedModel, resolve_model};
use super::predict::{self, Question};
use super::{Planner, ast, classes, files, ml_functions, names, parameters};
use crate::error::{Error, Result};
use crate::parser::{ModelReference, TokenSlice, fold_ident, is_reserved, object_name};
use crate::sqlstate::SqlState;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::ScalarUDF;
use sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, LimitClause, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr,
    Spanned, TableFactor, TableVersion, Value, VisitMut, VisitorMut, visit_expressions,
};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A version clause, as written.
#[derive(Debug, Clone)]
pub(super) enum VersionSpec {
    /// `VERSION AS OF n`, `@vN`, `AT (VERSION => n)`
    Version(i64),
    /// `TIMESTAMP AS OF e`, `AT (TIMESTAMP => e)`
    Expression(Box<Expr>),
    /// `AT (SNAPSHOT => n)`
    Snapshot(u64),
}

/// What the rewriting took out of a tree.
#[derive(Default)]
pub(super) struct Rewritten {
    /// Functions that stand for calls of models.
    pub functions: Vec<Arc<ScalarUDF>>,
    /// Relations under generated names.
    pub providers: Vec<(String, Arc<dyn TableProvider>)>,
    /// Tables at a version: generated name, the user's name, the version.
    pub versions: Vec<(String, ObjectName, VersionSpec)>,
    /// The inputs of `ml.predict`, and the columns that it adds to each.
    pub predictions: Vec<(Query, Vec<String>)>,
    /// Identities of the models used.
    pub models: HashSet<String>,
    /// A file that was read, if any.
    pub unpinned: Option<String>,
    /// Types that the text gives to parameters: `$1::integer`, a model's feature.
    pub parameters: HashMap<usize, arrow::datatypes::DataType>,
    /// The text names the hidden column of feature tables.
    pub mentions_committed_at: bool,
}

/// The scalar functions that take a model reference first.
const MODEL_SCALARS: &[&str] = &["predict", "predict_proba", "predict_probs"];

/// Loads every model that the query names.
pub(super) async fn load_models(
    planner: &Planner<'_>,
    slice: Option<&TokenSlice>,
    query: &Query,
) -> Result<HashMap<String, ResolvedModel>> {
    let mut wanted: Vec<(String, Option<usize>)> = Vec::new();
    let place = |span: sqlparser::tokenizer::Span| slice.and_then(|s| s.position(span.start));
    let mut failure = None;
    let _ = visit_expressions(query, |expr| {
        if let Expr::Function(function) = expr
            && is_model_scalar(&function.name)
        {
            match first_argument(function) {
                Some((text, span)) => wanted.push((text, place(span))),
                None => {
                    failure = Some(constant_needed().position_or(place(function.span())));
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::<()>::Continue(())
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    ml_functions::references(query, &mut |text, span| wanted.push((text, place(span))))
        .map_err(|(e, span)| e.position_or(place(span)))?;
    let mut models = HashMap::new();
    for (text, position) in wanted {
        if models.contains_key(&text) {
            continue;
        }
        let reference = ModelReference::from_text(&text).map_err(|e| e.position_or(position))?;
        let model =
            resolve_model(planner, &reference).await.map_err(|e| e.position_or(position))?;
        models.insert(text, model);
    }
    Ok(models)
}

fn is_model_scalar(name: &ObjectName) -> bool {
    let parts = object_name(name);
    match parts.as_slice() {
        [name] => MODEL_SCALARS.contains(&name.as_str()),
        _ => false,
    }
}

fn constant_needed() -> Error {
    Error::new(SqlState::InvalidParameterValue, "the model reference must be a constant")
        .hint("Write it as a string literal, such as predict('churn@champion', c.*).")
}

/// The text of a function's first argument, if it is a string literal.
fn first_argument(function: &Function) -> Option<(String, sqlparser::tokenizer::Span)> {
    let FunctionArguments::List(list) = &function.args else { return None };
    argument_text(list.args.first()?)
}

/// The text of an argument that is a string literal.
pub(super) fn argument_text(
    argument: &FunctionArg,
) -> Option<(String, sqlparser::tokenizer::Span)> {
    let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
    | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
    | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. }) = argument
    else {
        return None;
    };
    match expr {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) => Some((s.clone(), v.span)),
            Value::DollarQuotedString(s) => Some((s.value.clone(), v.span)),
            _ => None,
        },
        _ => None,
    }
}

/// The number of a parameter such as `$1`.
pub(super) fn placeholder(expr: &Expr) -> Option<usize> {
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok().filter(|n| *n > 0),
        _ => None,
    }
}

/// The folded name and the value of a named argument, in either of sqlparser's forms.
pub(super) fn named(argument: &FunctionArg) -> Option<(String, &Expr)> {
    match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
        | FunctionArg::ExprNamed {
            name: Expr::Identifier(name),
            arg: FunctionArgExpr::Expr(value),
            ..
        } => Some((fold_ident(&name.value, name.quote_style), value)),
        _ => None,
    }
}

/// Rewrites a query's tree.
pub(super) fn rewrite(
    planner: &Planner<'_>,
    slice: Option<&TokenSlice>,
    query: &mut Query,
    models: &HashMap<String, ResolvedModel>,
) -> Result<Rewritten> {
    let (out, casts) = (Rewritten::default(), HashMap::new());
    let registered = HashMap::new();
    let mut rewriter = Rewriter { planner, models, out, casts, registered, depth: 0 };
    if let ControlFlow::Break(failure) = VisitMut::visit(query, &mut rewriter) {
        let (error, span) = *failure;
        return Err(error.position_or(slice.and_then(|s| s.position(span.start))));
    }
    // A parameter that is cast in one place has that type in every other, as in PostgreSQL.
    parameters::cast(query, &rewriter.casts);
    Ok(rewriter.out)
}

pub(super) struct Rewriter<'a> {
    planner: &'a Planner<'a>,
    models: &'a HashMap<String, ResolvedModel>,
    pub(super) out: Rewritten,
    /// The types that parameters are cast to.
    casts: HashMap<usize, DataType>,
    /// The names of functions for questions to models.
    registered: HashMap<String, String>,
    depth: usize,
}

/// An error and the place that it is about.
pub(super) type Failure = Box<(Error, sqlparser::tokenizer::Span)>;

fn fail<T>(error: Error, span: sqlparser::tokenizer::Span) -> std::result::Result<T, Failure> {
    Err(Box::new((error, span)))
}

impl VisitorMut for Rewriter<'_> {
    type Break = Failure;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        if let Some(failure) = quoted_alias(&query.body) {
            return ControlFlow::Break(failure);
        }
        super::values::spread(&mut query.body);
        super::membership::spell_out(&mut query.body);
        self.row_counts(query);
        names::name_columns(query, self.depth == 0);
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<Self::Break> {
        match name.0.first() {
            Some(ObjectNamePart::Identifier(word))
                if is_reserved(&word.value, word.quote_style) =>
            {
                let message = format!("syntax error at or near \"{}\"", word.value);
                let error = Error::new(SqlState::SyntaxError, message)
                    .hint("This word is reserved; a name that is spelled so needs double quotes.");
                ControlFlow::Break(Box::new((error, word.span)))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        match self.table(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(failure),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match self.expression(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(failure),
        }
    }
}

/// `1 'x'`: sqlparser takes a text behind an expression for its name.
fn quoted_alias(body: &SetExpr) -> Option<Failure> {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { left, right, .. } => {
            return quoted_alias(left).or_else(|| quoted_alias(right));
        }
        _ => return None,
    };
    for item in &select.projection {
        let SelectItem::ExprWithAlias { alias, .. } = item else { continue };
        if alias.quote_style != Some('\'') {
            continue;
        }
        let (text, span) = (&alias.value, alias.span);
        let message = format!("syntax error at or near \"'{text}'\"");
        let error = Error::new(SqlState::SyntaxError, message)
            .hint("A column's name is written without quotes, or in double quotes.");
        return Some(Box::new((error, span)));
    }
    None
}

impl Rewriter<'_> {
    fn expression(&mut self, expr: &mut Expr) -> std::result::Result<(), Failure> {
        if let Expr::Cast { expr: inner, data_type, .. } = &*expr
            && let Some(number) = placeholder(inner)
            && let Ok(sql_type) = super::sql_type_of(data_type)
        {
            self.out.parameters.entry(number).or_insert_with(|| sql_type.arrow());
            self.casts.entry(number).or_insert_with(|| data_type.clone());
        }
        if let Expr::Like { pattern, escape_char: Some(_), .. }
        | Expr::ILike { pattern, escape_char: Some(_), .. } = &*expr
            && let Some(number) = placeholder(pattern)
        {
            let text = arrow::datatypes::DataType::Utf8View;
            self.out.parameters.entry(number).or_insert(text);
        }
        match expr {
            Expr::Function(function) if is_model_scalar(&function.name) => {
                *expr = self.model_call(function)?;
            }
            Expr::Function(function) if object_name(&function.name) == ["predict_interval"] => {
                let error = Error::unsupported(
                    "predict_interval",
                    "predict gives the value; ml.weights and ml.fit_statistics (sigma) say how sure a linear model is.",
                );
                return fail(error, function.span());
            }
            Expr::Identifier(ident) => self.mention(ident),
            Expr::CompoundIdentifier(parts) => {
                if let Some(last) = parts.last() {
                    self.mention(last);
                }
            }
            _ => {
                if let Some(replacement) =
                    super::literals::rewrite(expr, &self.planner.environment.reading())?
                {
                    *expr = replacement;
                }
            }
        }
        Ok(())
    }

    /// The parameters of LIMIT and OFFSET are bigint.
    fn row_counts(&mut self, query: &Query) {
        let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause else {
            return;
        };
        for count in limit.iter().chain(offset.as_ref().map(|o| &o.value)) {
            if let Some(number) = placeholder(count) {
                let bigint = arrow::datatypes::DataType::Int64;
                self.out.parameters.entry(number).or_insert(bigint);
            }
        }
    }

    fn mention(&mut self, ident: &Ident) {
        if fold_ident(&ident.value, ident.quote_style) == crate::features::COMMITTED_AT {
            self.out.mentions_committed_at = true;
        }
    }

    /// `predict('m', …)` becomes a call of the model's own function with its features by name.
    fn model_call(&mut self, function: &Function) -> std::result::Result<Expr, Failure> {
        let span = function.span();
        let name = object_name(&function.name).pop().unwrap_or_default();
        let Some((reference, _)) = first_argument(function) else {
            return fail(constant_needed(), span);
        };
        let Some(model) = self.models.get(&reference) else {
            return fail(Error::internal("a model was not loaded"), span);
        };
        let FunctionArguments::List(list) = &function.args else {
            return fail(constant_needed(), span);
        };
        let mut rest = &list.args[1..];
        let question = match name.as_str() {
            "predict" => Question::Value,
            "predict_probs" => Question::Probabilities,
            _ => {
                let Some((class, others)) = rest.split_first() else {
                    return fail(classes::needed(), span);
                };
                rest = others;
                let reading = self.planner.environment.reading();
                let index = classes::index(&model.model, class, &reading);
                Question::ClassProbability(index.map_err(|e| Box::new((e, span)))?)
            }
        };
        if question != Question::Value && model.model.classes().is_none() {
            let error = Error::new(
                SqlState::WrongObjectType,
                format!("model \"{}\" is a regression: it has no class probabilities", model.name),
            );
            return fail(error, span);
        }
        let arguments = feature_arguments(model, rest, span)?;
        let arguments = predict::typed(arguments, &model.model)?;
        for (argument, feature) in arguments.iter().zip(&model.model.signature().features) {
            if let Some(number) = placeholder(argument) {
                self.out.parameters.entry(number).or_insert_with(|| feature.data_type.clone());
            }
        }
        let name = self.register(&name, model, question);
        Ok(call(&name, arguments, span))
    }

    /// Makes a function for a question to a model and gives its name.
    pub(super) fn register(
        &mut self,
        user_name: &str,
        model: &ResolvedModel,
        question: Question,
    ) -> String {
        self.out.models.insert(model.id.clone());
        // Equal calls have equal names, so that GROUP BY and ORDER BY find them in the select list.
        let asked = format!("{user_name} {question:?} {}", model.version.path);
        if let Some(name) = self.registered.get(&asked) {
            return name.clone();
        }
        let name = format!("{}{}_{user_name}", predict::PREFIX, self.out.functions.len());
        self.out.functions.push(predict::function(
            name.clone(),
            &model.version.path,
            &model.model,
            question,
            (model.name.to_string(), self.planner.environment.unseen.clone()),
        ));
        self.registered.insert(asked, name.clone());
        name
    }

    fn table(&mut self, factor: &mut TableFactor) -> std::result::Result<(), Failure> {
        super::from_functions::name_columns(factor);
        let TableFactor::Table { name, alias, args, version, sample, .. } = factor else {
            return Ok(());
        };
        let span = name.span();
        let parts = object_name(name);
        let last = parts.last().cloned().unwrap_or_default();
        if let Some(arguments) = args {
            let user_alias = alias.clone();
            if parts.first().is_some_and(|s| s == "ml") && parts.len() == 2 {
                let replacement =
                    ml_functions::table_function(self, &last, &arguments.args, self.models)
                        .map_err(|e| Box::new((e, span)))?;
                *factor = with_alias(replacement, user_alias, &last);
            } else if files::is_reader(&last) && parts.len() == 1 {
                let provider = files::reader(self.planner, &last, &arguments.args)
                    .map_err(|e| Box::new((e, span)))?;
                self.out.unpinned = Some(format!("the file of {last}"));
                let replacement = self.provide(provider);
                *factor = with_alias(replacement, user_alias, &last);
            }
            return Ok(());
        }
        if sample.is_some() {
            return super::sample::spread(factor, &last).map_err(|e| Box::new((e, span)));
        }
        let Some(written) = version.take() else { return Ok(()) };
        let spec = version_spec(written).map_err(|e| Box::new((e, span)))?;
        let generated = format!("__cenote_version_{}", self.out.versions.len());
        let user_name = std::mem::replace(
            name,
            ObjectName(vec![ObjectNamePart::Identifier(ast::identifier(&generated))]),
        );
        if alias.is_none() {
            *alias = Some(ast::table_alias(&last));
        }
        self.out.versions.push((generated, user_name, spec));
        Ok(())
    }

    /// Puts a relation under a generated name.
    pub(super) fn provide(&mut self, provider: Arc<dyn TableProvider>) -> TableFactor {
        let generated = format!("__cenote_relation_{}", self.out.providers.len());
        self.out.providers.push((generated.clone(), provider));
        ast::table_factor(&[&generated], None)
    }
}

fn with_alias(
    mut factor: TableFactor,
    user_alias: Option<sqlparser::ast::TableAlias>,
    default: &str,
) -> TableFactor {
    let new = user_alias.unwrap_or_else(|| ast::table_alias(default));
    if let TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } = &mut factor {
        *alias = Some(new);
    }
    factor
}

/// The expressions for a model's features: from `t.*`, `*`, a row's alias, or named arguments.
fn feature_arguments(
    model: &ResolvedModel,
    arguments: &[FunctionArg],
    span: sqlparser::tokenizer::Span,
) -> std::result::Result<Vec<Expr>, Failure> {
    let features = &model.model.signature().features;
    let column = |prefix: &[Ident], feature: &str| {
        let mut parts = prefix.to_vec();
        parts.push(Ident::with_quote_and_span('"', span, feature));
        match parts.len() {
            1 => Expr::Identifier(parts.remove(0)),
            _ => Expr::CompoundIdentifier(parts),
        }
    };
    let from_row = |prefix: &[Ident]| features.iter().map(|f| column(prefix, &f.name)).collect();
    match arguments {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => return Ok(from_row(&[])),
        [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name))] => {
            let prefix: Vec<Ident> = name.0.iter().filter_map(|p| p.as_ident().cloned()).collect();
            return Ok(from_row(&prefix));
        }
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(alias)))] => {
            return Ok(from_row(std::slice::from_ref(alias)));
        }
        _ => {}
    }
    let mut named: HashMap<String, Expr> = HashMap::new();
    for argument in arguments {
        let Some((name, value)) = self::named(argument) else {
            let error = Error::new(
                SqlState::UndefinedFunction,
                "a model's features bind by name, not by position",
            )
            .hint("Pass t.*, *, a table's alias, or named arguments such as age => 42.");
            return fail(error, span);
        };
        if named.insert(name.clone(), value.clone()).is_some() {
            let message = format!("argument name \"{name}\" used more than once");
            return fail(Error::new(SqlState::SyntaxError, message), span);
        }
    }
    features
        .iter()
        .map(|feature| {
            named.remove(&feature.name).ok_or_else(|| {
                let known: Vec<&String> = named.keys().collect();
                let error = Error::new(
                    SqlState::UndefinedColumn,
                    format!("feature \"{}\" of model \"{}\" is missing", feature.name, model.name),
                )
                .column(&feature.name)
                .maybe_hint(crate::suggest::hint(
                    "argument",
                    &feature.name,
                    &known,
                ));
                Box::new((error, span))
            })
        })
        .collect()
}

/// A call of a generated function.
pub(super) fn call(name: &str, arguments: Vec<Expr>, span: sqlparser::tokenizer::Span) -> Expr {
    let name = Ident::with_quote_and_span('"', span, name);
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments
                .into_iter()
                .map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a)))
                .collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn version_spec(version: TableVersion) -> Result<VersionSpec> {
    let refused = |what: &str| {
        Err(Error::unsupported(
            what,
            "Use VERSION AS OF n, TIMESTAMP AS OF t, t@vN, or AT (VERSION | TIMESTAMP | SNAPSHOT => x).",
        ))
    };
    match version {
        TableVersion::VersionAsOf(expr) => Ok(VersionSpec::Version(number(&expr)?)),
        TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => {
            Ok(VersionSpec::Expression(Box::new(expr)))
        }
        TableVersion::Function(Expr::Function(function)) => {
            let FunctionArguments::List(list) = &function.args else {
                return refused("this form of AT");
            };
            let [argument] = list.args.as_slice() else { return refused("this form of AT") };
            let Some((name, value)) = named(argument) else {
                return refused("this form of AT");
            };
            match name.as_str() {
                "version" => Ok(VersionSpec::Version(number(value)?)),
                "timestamp" => Ok(VersionSpec::Expression(Box::new(value.clone()))),
                "snapshot" => {
                    let n = number(value)?;
                    u64::try_from(n).map(VersionSpec::Snapshot).map_err(|_| not_a_version(value))
                }
                other => refused(&format!("AT ({other} => …)")),
            }
        }
        _ => refused("this version clause"),
    }
}

fn number(expr: &Expr) -> Result<i64> {
    let text = match expr {
        Expr::Value(v) => match &v.value {
            Value::Number(n, _) => n.clone(),
            _ => return Err(not_a_version(expr)),
        },
        _ => return Err(not_a_version(expr)),
    };
    text.parse().map_err(|_| not_a_version(expr))
}

fn not_a_version(expr: &Expr) -> Error {
    Error::new(SqlState::InvalidParameterValue, format!("{expr} is not a version"))
        .hint("A version is a whole number, 0 or more.")
}
