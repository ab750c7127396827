//! TRAIN MODEL name [AS query] [WITH (option = value, …)] [NOT DEFAULT]: a new version.

use super::options;
use super::source::{self, Text, Written};
use super::training::{self, Recipe};
use crate::catalog::Model;
use crate::error::{Error, Result};
use crate::ml::Algorithm;
use crate::parser::{Cursor, ModelReference, Options, TokenSlice, quote_ident};
use crate::planner::{Environment, Planned, find_model};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement};
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// TRAIN MODEL.
#[derive(Debug)]
pub struct TrainModel {
    model: ModelReference,
    position: usize,
    query: Option<Written>,
    options: Options,
    make_default: bool,
}

/// Parses TRAIN MODEL.
///
/// # Errors
/// 42601 with the position, 0A000 for clauses that are not built.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["TRAIN", "MODEL"])?;
    let position = cursor.position();
    let model = ModelReference::parse(&mut cursor)?;
    if model.version.is_some() {
        return Err(Error::new(SqlState::SyntaxError, "TRAIN MODEL takes no version")
            .position(position)
            .hint("It makes a new version. RETRAIN MODEL m VERSION n proves an old one."));
    }
    let mut out = TrainModel {
        model,
        position,
        query: None,
        options: Options::default(),
        make_default: true,
    };
    if cursor.peek_words(&["WITH"]) && cursor.peek_nth(1) == Some(&Token::LParen) {
        cursor.advance();
        out.options = Options::parse(&mut cursor)?;
    }
    if cursor.accept(&["AS"]) {
        let tail = source::tail(&cursor)?;
        if !tail.with_data {
            return Err(Error::new(SqlState::SyntaxError, "WITH NO DATA belongs to CREATE MODEL")
                .position(position));
        }
        for (name, value, position) in tail.options.iter().flat_map(Options::iter) {
            out.options.insert(name.to_owned(), value.clone(), position)?;
        }
        out.query = Some(tail.query);
        out.make_default = tail.make_default;
    } else {
        out.make_default = !cursor.accept(&["NOT", "DEFAULT"]);
        cursor.expect_end()?;
    }
    Ok(Arc::new(out))
}

#[async_trait::async_trait]
impl Statement for TrainModel {
    fn name(&self) -> &'static str {
        "train_model"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    /// A training is not run again unasked: it may have taken an hour.
    fn runs_again(&self) -> bool {
        false
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let model =
            find_model(&cx.planner(), &self.model).map_err(|e| e.position(self.position))?;
        let recipe = self.recipe(&model)?;
        let prepared = self.prepare(cx, &model, &recipe).await;
        let (environment, planned) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                training::record_failure(cx, &recipe, &error).await;
                return Err(error);
            }
        };
        training::add_version(cx, &model, &recipe, &environment, planned, self.make_default)
            .await?;
        Response::done("TRAIN MODEL")
    }
}

impl TrainModel {
    fn text<'a>(&'a self, model: &'a Model) -> Result<Text<'a>> {
        match (&self.query, &model.spec.query) {
            (Some(written), _) => Ok(Text::Written(written)),
            (None, Some(stored)) => Ok(Text::Stored(stored)),
            (None, None) => Err(Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!("model \"{}\" has no training query", model.name.name),
            )
            .position(self.position)
            .hint(format!("Use TRAIN MODEL {} AS SELECT …", quote_ident(&model.name.name)))),
        }
    }

    fn recipe(&self, model: &Model) -> Result<Recipe> {
        let mut options = model.spec.options.clone();
        options.extend(self.options.to_json());
        Ok(Recipe {
            model: model.name.clone(),
            label: model.spec.label.clone(),
            algorithm: match &model.spec.algorithm {
                Some(name) => Some(Algorithm::from_name(name)?),
                None => None,
            },
            options,
            query: self.text(model)?.text().to_owned(),
        })
    }

    /// Plans the query and checks the options against it.
    async fn prepare(
        &self,
        cx: &Execution<'_>,
        model: &Model,
        recipe: &Recipe,
    ) -> Result<(Environment, Planned)> {
        let (environment, planned) = self.plan(cx, model).await?;
        self.check(recipe, &planned)?;
        Ok((environment, planned))
    }

    /// Plans the query: one that stands here with the session's settings, the model's own one with
    /// those of its creation.
    async fn plan(&self, cx: &Execution<'_>, model: &Model) -> Result<(Environment, Planned)> {
        let text = self.text(model)?;
        let session = cx.environment;
        let (search_path, time_zone) = match text {
            Text::Written(_) => (&session.search_path, &session.time_zone),
            Text::Stored(_) => (&model.spec.search_path, &model.spec.time_zone),
        };
        let now = session.now.timestamp_micros();
        let environment = training::frozen(session, search_path, time_zone, now);
        let work = source::plan(&environment, cx.transaction, text);
        let planned = cx.canceller.guard(work).await.map_err(|e| match text {
            Text::Written(_) => e,
            Text::Stored(_) => e.context(format!("training query of model \"{}\"", model.name)),
        })?;
        Ok((environment, planned))
    }

    /// Checks the options; a missing label is the training's own error.
    fn check(&self, recipe: &Recipe, planned: &Planned) -> Result<()> {
        let Recipe { algorithm, options, .. } = recipe;
        let schema = planned.schema();
        match schema.field_with_name(&recipe.label) {
            Ok(label) => {
                options::check(*algorithm, Some(label.data_type()), options, &self.options)?;
                options::check_columns(&schema, options, &self.options)
            }
            Err(_) => options::check(*algorithm, None, options, &self.options),
        }
    }
}
