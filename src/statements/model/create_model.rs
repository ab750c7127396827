//! CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name PREDICT label [USING algorithm] [WITH (…)]
//! [AS query] [WITH NO DATA], and BigQuery ML's CREATE MODEL name OPTIONS (…) AS query
//!
//! The query is stored as the user wrote it. With data, version 1 is trained by the same statement.

use super::bigquery;
use super::options::{self, Stored};
use super::source::{self, Text, Written};
use super::training::{self, Recipe};
use crate::catalog::{CatalogOp, Model, ModelSpec, QualifiedName, random_id};
use crate::error::{Error, Notice, Result};
use crate::ml::Algorithm;
use crate::parser::{Cursor, Options, TokenSlice};
use crate::planner::{Environment, Planned};
use crate::sqlstate::SqlState;
use crate::statements::table::create_table::without_with_data;
use crate::statements::table::names;
use crate::statements::{Execution, Kind, Response, Statement};
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// CREATE MODEL.
#[derive(Debug)]
pub struct CreateModel {
    name: Vec<String>,
    position: usize,
    or_replace: bool,
    if_not_exists: bool,
    definition: Definition,
    query: Option<Written>,
    with_data: bool,
}

/// What stands between the name and AS.
#[derive(Debug, Default)]
struct Definition {
    label: Option<(String, usize)>,
    algorithm: Option<Algorithm>,
    options: Options,
}

/// Parses CREATE MODEL.
///
/// # Errors
/// 42601 with the position; 42704 and 0A000 for the algorithm and for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let (end, with_data) = without_with_data(slice);
    let head = slice.range(0, end);
    let mut cursor = Cursor::new(&head);
    cursor.expect(&["CREATE"])?;
    let or_replace = cursor.accept(&["OR", "REPLACE"]);
    cursor.expect(&["MODEL"])?;
    if or_replace && cursor.peek_words(&["IF", "NOT", "EXISTS"]) {
        return Err(
            cursor.error(Some("a model's name: OR REPLACE and IF NOT EXISTS exclude each other"))
        );
    }
    let if_not_exists = cursor.if_not_exists();
    let position = cursor.position();
    let name = cursor.name("a model's name")?;
    let mut definition = Definition::default();
    while !cursor.at_end() && !cursor.peek_words(&["AS"]) {
        clause(&mut cursor, &mut definition)?;
    }
    let mut query = None;
    if cursor.accept(&["AS"]) {
        let tail = source::tail(&cursor)?;
        if !tail.make_default {
            return Err(Error::new(SqlState::SyntaxError, "NOT DEFAULT belongs to TRAIN MODEL")
                .position(slice.position_of(end - 2)));
        }
        for (name, value, position) in tail.options.iter().flat_map(Options::iter) {
            definition.options.insert(name.to_owned(), value.clone(), position)?;
        }
        query = Some(tail.query);
    } else if with_data {
        return Err(cursor.error(Some("AS and a query, or WITH NO DATA")));
    }
    if definition.label.is_none() {
        return Err(Error::unsupported(
            "a model without a label",
            "Name the column to predict: CREATE MODEL m PREDICT y AS SELECT …",
        )
        .position(position));
    }
    let out =
        CreateModel { name, position, or_replace, if_not_exists, definition, query, with_data };
    Ok(Arc::new(out))
}

fn clause(cursor: &mut Cursor<'_>, out: &mut Definition) -> Result<()> {
    let position = cursor.position();
    if cursor.accept(&["PREDICT"]) {
        let label_position = cursor.position();
        out.label = Some((cursor.identifier("the label's column")?, label_position));
        if cursor.peek() == Some(&Token::Comma) {
            return Err(bigquery::several_labels(cursor.position()));
        }
        return Ok(());
    }
    if cursor.accept(&["USING"]) {
        let position = cursor.position();
        let name = cursor.identifier("an algorithm")?;
        out.algorithm = Some(options::algorithm(&name, position, &mut out.options)?);
        return Ok(());
    }
    if cursor.peek_words(&["WITH"]) && cursor.peek_nth(1) == Some(&Token::LParen) {
        cursor.advance();
        return take_options(out, &Options::parse(cursor)?);
    }
    if cursor.peek_words(&["OPTIONS"]) && cursor.peek_nth(1) == Some(&Token::LParen) {
        cursor.advance();
        return bigquery_options(out, &Options::parse(cursor)?);
    }
    let later = [
        ("TRANSFORM", "Compute the columns in the query."),
        ("PARTITION", "Make one model for each group, with WHERE in its query."),
        ("TRAINING", "Join the tables in the model's own query."),
    ];
    match later.iter().find(|(word, _)| cursor.peek_words(&[word])) {
        Some((word, hint)) => Err(Error::unsupported(*word, *hint).position(position)),
        None => Err(cursor.error(Some("PREDICT, USING, WITH (…) or AS"))),
    }
}

fn take_options(out: &mut Definition, given: &Options) -> Result<()> {
    for (name, value, position) in given.iter() {
        // What the algorithm's name says gives way to what the user says.
        if name == "task" {
            out.options.take("task");
        }
        out.options.insert(name.to_owned(), value.clone(), position)?;
    }
    Ok(())
}

fn bigquery_options(out: &mut Definition, given: &Options) -> Result<()> {
    let translated = bigquery::translate(given)?;
    if let Some((name, position)) = &translated.algorithm {
        out.algorithm = Some(options::algorithm(name, *position, &mut out.options)?);
        // BigQuery's default label.
        if out.label.is_none() {
            out.label = Some(("label".to_owned(), *position));
        }
    }
    if translated.label.is_some() {
        out.label = translated.label;
    }
    take_options(out, &translated.options)
}

#[async_trait::async_trait]
impl Statement for CreateModel {
    fn name(&self) -> &'static str {
        "create_model"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    /// A training is not run again unasked: it may have taken an hour.
    fn runs_again(&self) -> bool {
        !self.with_data
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: Error| e.position_or(Some(self.position));
        let name = names::new_name(cx, &self.name).map_err(place)?;
        let existing = cx.transaction.catalog().model(&name).cloned();
        if existing.is_some() && self.if_not_exists {
            cx.notice(Notice::notice(format!("model \"{}\" already exists, skipping", name.name)));
            return Response::done("CREATE MODEL");
        }
        if existing.is_some() && !self.or_replace {
            return Err(place(already_there(&name)));
        }
        let environment = training::frozen(
            cx.environment,
            &cx.environment.search_path,
            &cx.environment.time_zone,
            cx.environment.now.timestamp_micros(),
        );
        let stored = self.definition.options.to_json();
        let planned = match self.prepare(cx, &environment, &stored).await {
            Ok(planned) => planned,
            Err(error) => {
                if let Some(recipe) = self.recipe(&name, &stored)? {
                    training::record_failure(cx, &recipe, &error).await;
                }
                return Err(error);
            }
        };
        let spec = self.spec(&environment, planned.as_ref(), &stored)?;
        let model = define(cx, name, existing.as_deref(), spec).map_err(place)?;
        if let (Some(recipe), Some(planned)) = (self.recipe(&model.name, &stored)?, planned) {
            training::add_version(cx, &model, &recipe, &environment, planned, true).await?;
        }
        Response::done("CREATE MODEL")
    }
}

fn already_there(name: &QualifiedName) -> Error {
    Error::new(SqlState::DuplicateObject, format!("model \"{}\" already exists", name.name))
        .hint("Use TRAIN MODEL for a new version, CREATE OR REPLACE MODEL, or IF NOT EXISTS.")
}

/// Adds the model to the transaction, or gives an existing one its new specification.
fn define(
    cx: &Execution<'_>,
    name: QualifiedName,
    existing: Option<&Model>,
    spec: ModelSpec,
) -> Result<Model> {
    if let Some(model) = existing {
        let id = model.id.clone();
        cx.transaction.apply(CatalogOp::ReplaceModelSpec { id, spec: Box::new(spec) })?;
        return Ok(model.clone());
    }
    let model = Model {
        id: random_id(),
        oid: 0,
        name,
        spec,
        default_version: None,
        next_version: 1,
        versions: Vec::new(),
        owner: cx.environment.role.clone(),
        created_at: 0,
    };
    cx.transaction.apply(CatalogOp::CreateModel { model: Box::new(model.clone()) })?;
    Ok(model)
}

impl CreateModel {
    /// What is trained at once; nothing WITH NO DATA.
    fn recipe(&self, model: &QualifiedName, stored: &Stored) -> Result<Option<Recipe>> {
        let Some(query) = self.query.as_ref().filter(|_| self.with_data) else { return Ok(None) };
        Ok(Some(Recipe {
            model: model.clone(),
            label: self.label()?.0.clone(),
            algorithm: self.definition.algorithm,
            options: stored.clone(),
            query: query.slice.text().to_owned(),
        }))
    }

    /// Plans the query and checks label and options against it.
    async fn prepare(
        &self,
        cx: &Execution<'_>,
        environment: &Environment,
        stored: &Stored,
    ) -> Result<Option<Planned>> {
        let planned = self.plan(cx, environment).await?;
        self.check(planned.as_ref(), stored)?;
        Ok(planned)
    }

    async fn plan(&self, cx: &Execution<'_>, environment: &Environment) -> Result<Option<Planned>> {
        match &self.query {
            Some(query) => {
                let text = Text::Written(query);
                let work = source::plan(environment, cx.transaction, text);
                Ok(Some(cx.canceller.guard(work).await?))
            }
            None => Ok(None),
        }
    }

    fn label(&self) -> Result<&(String, usize)> {
        self.definition.label.as_ref().ok_or_else(|| Error::internal("a model has no label"))
    }

    /// Checks label and options against the query's columns, before anything is trained.
    fn check(&self, planned: Option<&Planned>, stored: &Stored) -> Result<()> {
        let Definition { algorithm, options: written, .. } = &self.definition;
        let Some(planned) = planned else {
            return options::check(*algorithm, None, stored, written);
        };
        let (label, position) = self.label()?;
        let schema = planned.schema();
        let Ok(place) = schema.index_of(label) else {
            return Err(options::missing_column(&schema, label, "label").position(*position));
        };
        let label_type = schema.field(place).data_type();
        options::check(*algorithm, Some(label_type), stored, written)?;
        options::check_columns(&schema, stored, written)
    }

    fn spec(
        &self,
        environment: &Environment,
        planned: Option<&Planned>,
        stored: &Stored,
    ) -> Result<ModelSpec> {
        Ok(ModelSpec {
            label: self.label()?.0.clone(),
            algorithm: self.definition.algorithm.map(|a| a.name().to_owned()),
            options: stored.clone(),
            query: self.query.as_ref().map(|q| q.slice.text().to_owned()),
            search_path: environment.search_path.clone(),
            time_zone: environment.time_zone.clone(),
            depends_on: planned
                .map(|p| p.reads.direct.iter().cloned().collect())
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::Script;

    fn parsed(text: &str) -> Result<Arc<dyn Statement>> {
        parse(&Script::split(text).expect("tokens").remove(0))
    }

    #[test]
    fn both_dialects_parse() {
        for text in [
            "CREATE MODEL m PREDICT y USING linear_regression WITH (l2 = 1) AS SELECT * FROM t",
            "CREATE OR REPLACE MODEL s.m PREDICT y AS SELECT * FROM t WITH NO DATA",
            "CREATE MODEL IF NOT EXISTS s.m PREDICT y AS SELECT * FROM t WITH NO DATA",
            "CREATE MODEL m PREDICT y WITH NO DATA",
            "CREATE MODEL m PREDICT y AS SELECT * FROM t WITH (seed = 7)",
            "CREATE MODEL m OPTIONS(model_type='linear_reg', input_label_cols=['y']) AS SELECT 1 AS y",
        ] {
            assert!(parsed(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_where() {
        for (text, code, position) in [
            ("CREATE MODEL m PREDICT y", SqlState::SyntaxError, 25),
            ("CREATE OR REPLACE MODEL IF NOT EXISTS m PREDICT y", SqlState::SyntaxError, 25),
            ("CREATE MODEL m AS SELECT 1", SqlState::FeatureNotSupported, 14),
            ("CREATE MODEL m PREDICT a, b AS SELECT 1", SqlState::FeatureNotSupported, 25),
            (
                "CREATE MODEL m PREDICT y USING kmeans AS SELECT 1",
                SqlState::FeatureNotSupported,
                32,
            ),
            ("CREATE MODEL m PREDICT y USING liner_reg AS SELECT 1", SqlState::UndefinedObject, 32),
            (
                "CREATE MODEL m TRANSFORM (a) PREDICT y AS SELECT 1",
                SqlState::FeatureNotSupported,
                16,
            ),
        ] {
            let error = parsed(text).expect_err(text);
            assert_eq!((error.code(), error.get_position()), (code, Some(position)), "{text}");
        }
    }
}
