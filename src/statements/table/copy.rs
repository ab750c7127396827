//! COPY table [(column, …)] FROM {STDIN | 'file'} [[WITH] (option, …)]
//! COPY {table [(column, …)] | table version | (query)} TO STDOUT [[WITH] (option, …)]
//!
//! Nothing is inserted unless all of the data is right. Columns of a Parquet file bind by name.

use super::{columns, rows};
use crate::catalog::{SqlType, Table};
use crate::delta::constraints::assign;
use crate::delta::writer;
use crate::error::{Error, Result};
use crate::format::{CopyDecoder, CopyFormat, CopyOptions, EncodeSettings, Header};
use crate::parser::{Cursor, OptionValue, Options, TokenSlice, quote_ident};
use crate::planner::{Environment, Planner, Services, resolve_path, resolve_table};
use crate::sqlstate::SqlState;
use crate::statements::query::select::{parse_query, whole_table};
use crate::statements::{CopyIn, Execution, Kind, Response, Statement};
use crate::warehouse::Transaction;
use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use sqlparser::ast::Query;
use sqlparser::tokenizer::Token;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// COPY.
#[derive(Debug)]
pub struct Copy {
    what: What,
    position: usize,
    options: CopyOptions,
    parquet: bool,
}

#[derive(Debug)]
enum What {
    FromStdin(Vec<String>, Vec<String>),
    FromFile(Vec<String>, Vec<String>, String),
    ToStdout(Box<Query>, TokenSlice),
}

/// Parses COPY.
///
/// # Errors
/// 42601 with the position, 0A000 for COPY TO a file.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["COPY"])?;
    let position = cursor.position();
    let mut source = None;
    let (mut table, mut names) = (Vec::new(), Vec::new());
    if cursor.peek() == Some(&Token::LParen) {
        let close = cursor.closing_parenthesis()?;
        let query = slice.range(cursor.index() + 1, close - 1);
        source = Some((parse_query(&query)?, query));
        cursor.seek(close);
    } else {
        let start = cursor.index();
        table = cursor.name("a table's name")?;
        if let Some((query, end)) = versioned(&cursor, start) {
            source = Some((query, slice.range(start, end)));
            cursor.seek(end);
        } else if cursor.accept_token(&Token::LParen) {
            loop {
                names.push(cursor.identifier("a column's name")?);
                if !cursor.accept_token(&Token::Comma) {
                    break;
                }
            }
            cursor.expect_token(&Token::RParen)?;
        }
    }
    let from = source.is_none() && cursor.accept(&["FROM"]);
    if !from {
        cursor.expect(&["TO"])?;
    }
    let place = cursor.position();
    let file = match cursor.peek() {
        Some(Token::SingleQuotedString(file)) => Some(file.clone()),
        _ if cursor.peek_words(&[if from { "STDIN" } else { "STDOUT" }]) => None,
        _ => {
            return Err(cursor.error(Some(if from { "STDIN or a file's name" } else { "STDOUT" })));
        }
    };
    cursor.advance();
    let ends = |ending: &str| file.as_ref().is_some_and(|f| f.ends_with(ending));
    let format = match (ends(".csv"), ends(".parquet")) {
        (true, _) => "csv",
        (_, true) => "parquet",
        _ => "text",
    };
    let (options, parquet) = options(&mut cursor, format)?;
    cursor.expect_end()?;
    if parquet && file.is_none() {
        return Err(Error::unsupported(
            "COPY in parquet format through the connection",
            "Use text, csv or binary; COPY … FROM 'file.parquet' reads a file.",
        )
        .position(place));
    }
    let what = match (from, file) {
        (true, None) => What::FromStdin(table, names),
        (true, Some(file)) => What::FromFile(table, names, file),
        (false, Some(_)) => {
            return Err(Error::unsupported(
                "COPY TO a file",
                "Use COPY … TO STDOUT, or psql's \\copy.",
            )
            .position(place));
        }
        (false, None) => {
            let (query, query_slice) = match source {
                Some(source) => source,
                None => (table_query(&table, &names)?, slice.range(1, 2)),
            };
            What::ToStdout(Box::new(query), query_slice)
        }
    };
    Ok(Arc::new(Copy { what, position, options, parquet }))
}

/// The query for a table at a version, whose name begins at `start`, and the index of the TO behind it.
fn versioned(cursor: &Cursor<'_>, start: usize) -> Option<(Query, usize)> {
    if ["FROM", "TO"].iter().any(|word| cursor.peek_words(&[*word])) {
        return None;
    }
    let mut ahead = cursor.clone();
    while !ahead.at_end() && !ahead.peek_words(&["TO"]) {
        ahead.advance();
    }
    let end = ahead.index();
    let query = whole_table(&cursor.slice().range(start, end)).ok()?;
    (!ahead.at_end()).then_some((query, end))
}

/// `SELECT columns FROM table`
fn table_query(table: &[String], names: &[String]) -> Result<Query> {
    let quoted = |names: &[String]| names.iter().map(|n| quote_ident(n)).collect::<Vec<_>>();
    let list = if names.is_empty() { "*".to_owned() } else { quoted(names).join(", ") };
    crate::planner::parse_query(&format!("SELECT {list} FROM {}", quoted(table).join(".")))
}

/// `WITH (FORMAT csv, …)`, `(…)`, or the old `WITH CSV HEADER`; `default` is the format where none
/// is given.
fn options(cursor: &mut Cursor<'_>, default: &str) -> Result<(CopyOptions, bool)> {
    const KNOWN: &[&str] = &[
        "format",
        "delimiter",
        "null",
        "header",
        "quote",
        "escape",
        "encoding",
        "force_quote",
        "force_not_null",
        "force_null",
    ];
    cursor.accept(&["WITH"]);
    let mut given = if cursor.peek() == Some(&Token::LParen) {
        Options::parse(cursor)?
    } else {
        old_options(cursor)?
    };
    let (format, at) = match given.take("format") {
        Some((value, at)) => (text(&value).to_lowercase(), Some(at)),
        None => (default.to_owned(), None),
    };
    let mut parquet = false;
    let mut options = CopyOptions::new(match format.as_str() {
        "text" => CopyFormat::Text,
        "csv" => CopyFormat::Csv,
        "binary" => CopyFormat::Binary,
        "parquet" => {
            parquet = true;
            CopyFormat::Binary
        }
        other => {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("COPY format \"{other}\" not recognized"),
            )
            .position_or(at)
            .hint("The formats are text, csv, binary and, from files, parquet."));
        }
    });
    for name in KNOWN {
        if parquet && let Some((_, at)) = given.take(name) {
            return Err(Error::unsupported(
                format_args!("COPY {name} in parquet format"),
                "A Parquet file says itself how it is written; leave the option out.",
            )
            .position(at));
        }
    }
    for name in ["quote", "escape", "force_quote", "force_not_null", "force_null"] {
        if options.format != CopyFormat::Csv
            && let Some((_, at)) = given.take(name)
        {
            return Err(Error::new(
                SqlState::FeatureNotSupported,
                format!("COPY {name} available only in CSV mode"),
            )
            .position(at));
        }
    }
    for name in KNOWN {
        if let Some((value, at)) = given.take(name) {
            set_option(&mut options, name, &value).map_err(|e| e.position(at))?;
        }
    }
    given.expect_none(KNOWN)?;
    Ok((options, parquet))
}

/// The syntax of before PostgreSQL 9: `CSV`, `BINARY`, `HEADER`, `DELIMITER AS ';'`, `NULL AS ''`.
fn old_options(cursor: &mut Cursor<'_>) -> Result<Options> {
    let mut out = Options::default();
    while !cursor.at_end() {
        let at = cursor.position();
        let word = cursor.identifier("an option")?;
        let value = match word.as_str() {
            "csv" | "binary" | "text" | "parquet" => {
                out.insert("format".into(), OptionValue::Text(word), at)?;
                continue;
            }
            "header" => OptionValue::Bool(true),
            "delimiter" | "null" | "quote" | "escape" | "encoding" => {
                cursor.accept(&["AS"]);
                OptionValue::Text(cursor.string("a string")?)
            }
            _ => return Err(cursor.slice().syntax_error(cursor.index() - 1, None)),
        };
        out.insert(word, value, at)?;
    }
    Ok(out)
}

fn text(value: &OptionValue) -> String {
    match value {
        OptionValue::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

fn bad_header() -> Error {
    Error::new(SqlState::SyntaxError, "header requires a Boolean value or \"match\"")
}

fn set_option(options: &mut CopyOptions, name: &str, value: &OptionValue) -> Result<()> {
    let byte = || match text(value).as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::new(
            SqlState::FeatureNotSupported,
            format!("COPY {name} must be a single one-byte character"),
        )
        .hint("Write it as a string of one character.")),
    };
    let list = || match value {
        OptionValue::List(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    };
    match name {
        "delimiter" => options.delimiter = byte()?,
        "quote" => options.quote = byte()?,
        "escape" => options.escape = byte()?,
        "null" => options.nulls = vec![text(value)],
        "header" => {
            options.header = match value {
                OptionValue::Bool(false) | OptionValue::Int(0) => Header::None,
                OptionValue::Bool(true) | OptionValue::Int(1) => Header::Skip,
                OptionValue::Text(t) => match t.to_lowercase().as_str() {
                    "match" => Header::Match,
                    "true" | "on" => Header::Skip,
                    "false" | "off" => Header::None,
                    _ => return Err(bad_header()),
                },
                _ => return Err(bad_header()),
            }
        }
        "force_quote" => options.force_quote = list(),
        "force_not_null" => options.force_not_null = list(),
        "force_null" => options.force_null = list(),
        _ => {
            let encoding = text(value).to_lowercase().replace('-', "");
            if encoding != "utf8" {
                return Err(Error::unsupported(
                    format_args!("encoding {encoding}"),
                    "Data must be UTF-8.",
                ));
            }
        }
    }
    Ok(())
}

#[async_trait::async_trait]
impl Statement for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn kind(&self) -> Kind {
        match self.what {
            What::ToStdout(..) => Kind::Read,
            _ => Kind::Write,
        }
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: Error| e.position_or(Some(self.position));
        match &self.what {
            What::ToStdout(query, slice) => {
                let planned = cx.planner().plan(slice, Query::clone(query), cx.parameters).await?;
                Ok(Response::CopyOut {
                    schema: planned.schema(),
                    stream: planned.stream(cx.services(), cx.canceller).await?,
                    options: self.options.clone(),
                })
            }
            What::FromStdin(table, names) => {
                let loader = self.loader(cx, table, names).await.map_err(place)?;
                Ok(Response::CopyIn(Box::new(loader)))
            }
            What::FromFile(table, names, file) => {
                let path = resolve_path(cx.environment.file_search_path.as_deref(), file)?;
                let n = if self.parquet {
                    self.copy_parquet(cx, table, names, &path).await.map_err(place)?
                } else {
                    let loader = self.loader(cx, table, names).await.map_err(place)?;
                    from_file(loader, cx, &path).await?
                };
                Response::done(format!("COPY {n}"))
            }
        }
    }
}

impl Copy {
    /// The table, and the places of the columns that the data has.
    fn target(
        &self,
        cx: &Execution<'_>,
        table: &[String],
        names: &[String],
    ) -> Result<(Arc<Table>, Vec<usize>)> {
        let table = resolve_table(cx.transaction, &cx.environment.search_path, table)?;
        let places = if names.is_empty() {
            (0..table.columns.len()).filter(|i| !table.columns[*i].hidden).collect()
        } else {
            let mut places = Vec::new();
            for name in names {
                let place = columns::place(&table, name)?;
                if places.contains(&place) {
                    return Err(columns::duplicate(name));
                }
                places.push(place);
            }
            places
        };
        Ok((table, places))
    }

    async fn loader(
        &self,
        cx: &Execution<'_>,
        table: &[String],
        names: &[String],
    ) -> Result<Loader> {
        let (table, places) = self.target(cx, table, names)?;
        let columns = places
            .iter()
            .map(|p| {
                let column = &table.columns[*p];
                (column.name.clone(), column.sql_type.arrow())
            })
            .collect();
        let settings: EncodeSettings = cx.settings.encode();
        let decoder =
            CopyDecoder::new(table.name.name.clone(), columns, self.options.clone(), &settings)?;
        let format = i8::from(self.options.format == CopyFormat::Binary);
        Loader::start(cx, table, places, decoder, format).await
    }

    async fn copy_parquet(
        &self,
        cx: &Execution<'_>,
        table: &[String],
        names: &[String],
        path: &std::path::Path,
    ) -> Result<u64> {
        let (table, places) = self.target(cx, table, names)?;
        let file = path.display().to_string().replace('\'', "''");
        let planned =
            cx.planner().plan_text(&format!("SELECT * FROM read_parquet('{file}')")).await?;
        let places = by_name(&planned.schema(), &table, &places, path)?;
        rows::check_assignments(
            &planned,
            places.iter().enumerate().map(|(source, place)| (&table.columns[*place], source)),
        )?;
        let stream = whole(planned.stream(cx.services(), cx.canceller).await?, path);
        let stream = arranged(stream, Arrange::new(&cx.planner(), &table, places).await?);
        if table.feature.is_some() {
            return super::super::feature::upsert::upsert(cx, &table, stream).await;
        }
        let adds =
            rows::write(cx.environment, cx.transaction, cx.canceller, &table, stream).await?;
        rows::append(cx.transaction, &table, adds, "Append")
    }
}

/// The places in the table of a Parquet file's columns, which bind by name; `places` are those that
/// the statement names, or all.
///
/// # Errors
/// 42703 for a column that one of the two lacks.
fn by_name(
    file: &Schema,
    table: &Table,
    places: &[usize],
    path: &std::path::Path,
) -> Result<Vec<usize>> {
    let unfit = |name: &str, message: String, hint: &str| {
        Error::new(SqlState::UndefinedColumn, message)
            .table(&table.name.name)
            .column(name)
            .detail(format!("The file is \"{}\"; its columns bind by name.", path.display()))
            .hint(hint)
    };
    let mut found = Vec::with_capacity(places.len());
    for field in file.fields() {
        let name = field.name();
        let place = places.iter().find(|p| table.columns[**p].name == *name);
        let Some(place) = place else {
            let table = &table.name.name;
            return Err(unfit(
                name,
                format!("relation \"{table}\" has no column \"{name}\" to be copied to"),
                "Choose columns: INSERT INTO t (a, b) SELECT a, b FROM read_parquet('file').",
            ));
        };
        found.push(*place);
    }
    if let Some(missing) = places.iter().find(|p| !found.contains(p)) {
        let name = &table.columns[*missing].name;
        return Err(unfit(
            name,
            format!("the file has no column \"{name}\""),
            "List the columns that it has: COPY t (a, b) FROM …; the others take their defaults.",
        ));
    }
    Ok(found)
}

/// The rows of a Parquet file; what is broken in it is the file's fault, and names it.
fn whole(stream: SendableRecordBatchStream, path: &std::path::Path) -> SendableRecordBatchStream {
    use futures::StreamExt;
    let schema = stream.schema();
    let message = format!("could not read file \"{}\"", path.display());
    let explain = move |e: DataFusionError| {
        let error = Error::from(e);
        if error.code() != SqlState::DataCorrupted {
            return DataFusionError::from(error);
        }
        let detail = format!("{}.", error.message().trim_end_matches('.'));
        let error = error.with_code(SqlState::BadCopyFileFormat).with_message(&message);
        DataFusionError::from(error.detail(detail))
    };
    let batches = stream.map(move |batch| batch.map_err(&explain));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// Reads a text or csv file through the decoder that STDIN uses.
async fn from_file(mut loader: Loader, cx: &Execution<'_>, path: &std::path::Path) -> Result<u64> {
    use tokio::io::AsyncReadExt;
    if path.is_dir() {
        return Err(crate::planner::is_a_directory(path));
    }
    let open = async {
        let mut file = tokio::fs::File::open(path).await.map_err(|e| {
            let error = Error::from(e);
            let text = error.message().to_owned();
            error.with_message(format!(
                "could not open file \"{}\" for reading: {text}",
                path.display()
            ))
        })?;
        let mut chunk = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut chunk).await?;
            if n == 0 {
                return Ok(());
            }
            loader.push(&chunk[..n]).await?;
        }
    };
    cx.canceller.guard(open).await?;
    cx.canceller.guard(loader.insert(cx.transaction)).await
}

/// Brings decoded columns into the table's order and fills in the others.
#[derive(Clone)]
struct Arrange {
    relation: String,
    schema: SchemaRef,
    types: Vec<SqlType>,
    places: Vec<usize>,
    /// The defaults of columns that are not in the data, over no columns, by the columns' places.
    defaults: HashMap<usize, Arc<dyn PhysicalExpr>>,
}

impl Arrange {
    async fn new(planner: &Planner<'_>, table: &Table, places: Vec<usize>) -> Result<Self> {
        let defaults = match rows::defaults(planner, table, &places).await? {
            Some((wanted, planned)) => wanted.into_iter().zip(planned.physical()?).collect(),
            None => HashMap::new(),
        };
        // What is not NOT NULL-checked yet is nullable.
        let fields: Vec<_> = table.columns.iter().map(|c| c.field().with_nullable(true)).collect();
        let types = table.columns.iter().map(|c| c.sql_type.clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { relation: table.name.name.clone(), schema, types, places, defaults })
    }

    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(i, field)| {
                let assigned = |values: &ArrayRef| {
                    assign(values, &self.types[i]).map_err(|e| {
                        let context = format!("COPY {}, column {}", self.relation, field.name());
                        e.table(&self.relation).column(field.name()).context(context)
                    })
                };
                if let Some(source) = self.places.iter().position(|p| *p == i) {
                    return assigned(batch.column(source));
                }
                match self.defaults.get(&i) {
                    Some(default) => assigned(&values(default, rows)?),
                    None => Ok(new_null_array(field.data_type(), rows)),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// The values of a default for so many rows: random() has another one for each.
fn values(default: &Arc<dyn PhysicalExpr>, rows: usize) -> Result<ArrayRef> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let empty = Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(empty, Vec::new(), &options)?;
    Ok(default.evaluate(&batch)?.into_array(rows)?)
}

fn arranged(stream: SendableRecordBatchStream, arrange: Arrange) -> SendableRecordBatchStream {
    use futures::StreamExt;
    let schema = arrange.schema.clone();
    let batches = stream.map(move |batch| Ok(arrange.apply(&batch?)?));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// Takes pieces of text, and has their rows written while more come.
struct Loader {
    table: Arc<Table>,
    decoder: CopyDecoder,
    arrange: Arrange,
    format: i8,
    columns: usize,
    sender: mpsc::Sender<RecordBatch>,
    writing: AbortOnDropHandle<Result<Vec<crate::delta::actions::Add>>>,
    services: Arc<Services>,
    /// A feature table's rows, which replace others by key at the end.
    upserts: Option<(Environment, Vec<RecordBatch>)>,
}

impl Loader {
    async fn start(
        cx: &Execution<'_>,
        table: Arc<Table>,
        places: Vec<usize>,
        decoder: CopyDecoder,
        format: i8,
    ) -> Result<Self> {
        let services = cx.services().clone();
        let columns = places.len();
        let arrange = Arrange::new(&cx.planner(), &table, places).await?;
        let target = rows::target(&services, cx.transaction, &table)?;
        let checks = rows::checks(&cx.planner(), &table).await?;
        let (sender, mut receiver) = mpsc::channel::<RecordBatch>(2);
        let batches = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|b| b.map(Ok)));
        let stream = Box::pin(RecordBatchStreamAdapter::new(arrange.schema.clone(), batches));
        let writing = AbortOnDropHandle::new(
            services
                .compute()
                .spawn(async move { writer::write(checks.stream(stream), &target).await }),
        );
        let upserts = table.feature.is_some().then(|| (cx.environment.clone(), Vec::new()));
        Ok(Self { table, decoder, arrange, format, columns, sender, writing, services, upserts })
    }

    async fn send(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.arrange.apply(batch)?;
        if let Some((_, kept)) = &mut self.upserts {
            kept.push(batch);
            return Ok(());
        }
        // A writer that failed has gone; its error comes from `insert`.
        if self.sender.send(batch).await.is_err() {
            return Err(self.failure().await);
        }
        Ok(())
    }

    async fn failure(&mut self) -> Error {
        match (&mut self.writing).await {
            Ok(Err(error)) => error,
            _ => Error::internal("the writer of a COPY ended early"),
        }
    }

    /// Writes what is left and adds the rows to the transaction.
    async fn insert(mut self, transaction: &Transaction) -> Result<u64> {
        if let Some(batch) = self.decoder.finish()? {
            self.send(&batch).await?;
        }
        if let Some((environment, kept)) = self.upserts.take() {
            let batches = futures::stream::iter(kept.into_iter().map(Ok));
            let rows =
                Box::pin(RecordBatchStreamAdapter::new(self.arrange.schema.clone(), batches));
            return super::super::feature::upsert::upsert_in(
                &environment,
                transaction,
                &self.table,
                rows,
            )
            .await;
        }
        let Self { sender, writing, table, services, .. } = self;
        drop(sender);
        let adds = writing
            .await
            .map_err(|e| Error::internal(format!("the writer of a COPY ended early: {e}")))??;
        drop(services);
        rows::append(transaction, &table, adds, "Append")
    }
}

#[async_trait::async_trait]
impl CopyIn for Loader {
    fn format(&self) -> i8 {
        self.format
    }

    fn columns(&self) -> usize {
        self.columns
    }

    async fn push(&mut self, data: &[u8]) -> Result<()> {
        self.decoder.push(data)?;
        while let Some(batch) = self.decoder.take_batch(BATCH_ROWS) {
            self.send(&batch).await?;
        }
        Ok(())
    }

    async fn finish(self: Box<Self>, transaction: &Transaction) -> Result<String> {
        Ok(format!("COPY {}", self.insert(transaction).await?))
    }
}
