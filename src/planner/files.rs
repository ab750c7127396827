//! `read_csv` and `read_parquet`: files as relations.

use super::Planner;
use super::rewrite::{argument_text, named};
use crate::error::{Error, Result};
use crate::format::{
    CopyDecoder, CopyFormat, CopyOptions, EncodeSettings, Header, SessionZone, infer_csv_schema,
};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a CSV file that its column types are told from.
const SAMPLE_BYTES: usize = 1 << 20;
/// Bytes read from a CSV file at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Rows of a batch of a CSV file.
const BATCH_ROWS: usize = 8192;

/// True for the functions of this file.
pub(super) fn is_reader(name: &str) -> bool {
    matches!(name, "read_csv" | "read_parquet" | "read_json" | "delta_scan")
}

/// The relation that a call of a reader stands for.
pub(super) fn reader(
    planner: &Planner<'_>,
    name: &str,
    arguments: &[FunctionArg],
) -> Result<Arc<dyn TableProvider>> {
    refuse_several(planner, name, arguments)?;
    let (path, options) = arguments
        .split_first()
        .and_then(|(first, rest)| Some((argument_text(first)?.0, rest)))
        .ok_or_else(|| {
            Error::new(
                SqlState::InvalidParameterValue,
                format!("the first argument of {name} must be a path, as a constant"),
            )
        })?;
    let path = resolve_path(planner.environment.file_search_path.as_deref(), &path)?;
    match name {
        "read_csv" => {
            let source =
                CsvSource::open(&path, &csv_options(options)?, &planner.environment.time_zone)?;
            Ok(Arc::new(datafusion::catalog::streaming::StreamingTable::try_new(
                source.schema.clone(),
                vec![Arc::new(source)],
            )?))
        }
        "read_parquet" => {
            if let Some(option) = options.first() {
                return Err(unknown_option(&option.to_string(), &[]));
            }
            parquet(&path)
        }
        other => Err(Error::unsupported(other, "Use read_csv or read_parquet.")),
    }
}

/// Refuses a list of files, and a pattern that is no file's name.
fn refuse_several(planner: &Planner<'_>, name: &str, arguments: &[FunctionArg]) -> Result<()> {
    let refused = |what: &str| {
        let one = |file: &str| format!("SELECT * FROM {name}('{file}')");
        let hint = format!("Read them one by one: {} UNION ALL {}.", one("a"), one("b"));
        Err(Error::unsupported(format_args!("{what} of files in {name}"), hint))
    };
    let Some(first) = arguments.first() else { return Ok(()) };
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(_))) = first {
        return refused("a list");
    }
    let Some((path, _)) = argument_text(first) else { return Ok(()) };
    if !path.contains(['*', '?', '[']) || path.contains("://") {
        return Ok(());
    }
    match resolve_path(planner.environment.file_search_path.as_deref(), &path)?.exists() {
        true => Ok(()),
        false => refused("a pattern"),
    }
}

/// The error of a folder where a file is wanted.
pub fn is_a_directory(path: &Path) -> Error {
    let message = format!("\"{}\" is a directory", path.display());
    Error::new(SqlState::WrongObjectType, message).hint("Name a file in it.")
}

/// The file of a path: relative ones start at the search path's folder, else at the process's own.
///
/// # Errors
/// 0A000 for a URL of another scheme than file.
pub fn resolve_path(search: Option<&Path>, path: &str) -> Result<PathBuf> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    if path.contains("://") {
        return Err(Error::unsupported(
            format_args!("the URL \"{path}\""),
            "Files of the server's own file system can be read.",
        ));
    }
    let given = PathBuf::from(path);
    match search {
        Some(folder) if given.is_relative() => Ok(folder.join(given)),
        _ => Ok(given),
    }
}

fn unknown_option(name: &str, known: &[&str]) -> Error {
    Error::new(SqlState::InvalidParameterValue, format!("option \"{name}\" is unknown"))
        .maybe_hint(crate::suggest::hint("option", name, known))
}

/// How a CSV file is written.
#[derive(Debug, Clone)]
pub(super) struct CsvArguments {
    copy: CopyOptions,
    all_text: bool,
}

fn csv_options(arguments: &[FunctionArg]) -> Result<CsvArguments> {
    const KNOWN: &[&str] = &[
        "header",
        "delim",
        "delimiter",
        "sep",
        "nullstr",
        "null",
        "quote",
        "escape",
        "all_varchar",
    ];
    let mut out = CsvArguments {
        copy: CopyOptions { header: Header::Skip, ..CopyOptions::new(CopyFormat::Csv) },
        all_text: false,
    };
    for argument in arguments {
        let Some((name, value)) = named(argument) else {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                "options of read_csv have names",
            )
            .hint("Such as read_csv('file.csv', header => true, nullstr => 'NA')."));
        };
        match name.as_str() {
            "header" => {
                let header = truth(&name, value)?;
                out.copy.header = if header { Header::Skip } else { Header::None };
            }
            "delim" | "delimiter" | "sep" => out.copy.delimiter = byte(&name, value)?,
            "quote" => out.copy.quote = byte(&name, value)?,
            "escape" => out.copy.escape = byte(&name, value)?,
            "nullstr" | "null" => out.copy.nulls = texts(&name, value)?,
            "all_varchar" => out.all_text = truth(&name, value)?,
            _ => return Err(unknown_option(&name, KNOWN)),
        }
    }
    Ok(out)
}

fn bad_value(name: &str, value: &Expr) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("{value} is no value for option \"{name}\""),
    )
}

fn text(name: &str, value: &Expr) -> Result<String> {
    argument_text(&FunctionArg::Unnamed(FunctionArgExpr::Expr(value.clone())))
        .map(|(text, _)| text)
        .ok_or_else(|| bad_value(name, value))
}

fn texts(name: &str, value: &Expr) -> Result<Vec<String>> {
    match value {
        Expr::Array(array) => array.elem.iter().map(|e| text(name, e)).collect(),
        other => Ok(vec![text(name, other)?]),
    }
}

fn truth(name: &str, value: &Expr) -> Result<bool> {
    match value {
        Expr::Value(v) => match v.value {
            Value::Boolean(b) => Ok(b),
            _ => Err(bad_value(name, value)),
        },
        _ => Err(bad_value(name, value)),
    }
}

fn byte(name: &str, value: &Expr) -> Result<u8> {
    match text(name, value)?.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(bad_value(name, value).hint("One single-byte character is needed.")),
    }
}

/// A CSV file with known columns, read by the decoder that COPY uses.
#[derive(Debug)]
pub struct CsvSource {
    path: PathBuf,
    schema: SchemaRef,
    options: CopyOptions,
    settings: EncodeSettings,
}

impl CsvSource {
    fn open(path: &Path, arguments: &CsvArguments, time_zone: &str) -> Result<Self> {
        let mut sample = Vec::new();
        open_file(path)?.take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
        let whole = sample.len() < SAMPLE_BYTES;
        let columns = infer_csv_schema(&sample, whole, &arguments.copy).map_err(|e| {
            let line = e.get_context().unwrap_or_default().to_owned();
            e.context(format!("read_csv of \"{}\", {line}", path.display()))
        })?;
        let fields: Vec<Field> = columns
            .into_iter()
            .map(|(name, t)| {
                Field::new(name, if arguments.all_text { DataType::Utf8View } else { t }, true)
            })
            .collect();
        Ok(Self {
            path: path.to_owned(),
            schema: Arc::new(Schema::new(fields)),
            options: arguments.copy.clone(),
            settings: EncodeSettings {
                time_zone: SessionZone::parse(time_zone).unwrap_or_else(SessionZone::utc),
                ..EncodeSettings::default()
            },
        })
    }
}

fn open_file(path: &Path) -> Result<std::fs::File> {
    if path.is_dir() {
        return Err(is_a_directory(path));
    }
    std::fs::File::open(path).map_err(|e| {
        let shown = path.display();
        let error = Error::from(e);
        let text = match error.code() {
            SqlState::UndefinedFile => "No such file or directory".to_owned(),
            SqlState::InsufficientPrivilege => "Permission denied".to_owned(),
            _ => error.message().to_owned(),
        };
        error
            .with_message(format!("could not open file \"{shown}\" for reading: {text}"))
            .hint("The file is read by the server; for a file of the client use COPY … FROM STDIN.")
    })
}

impl PartitionStream for CsvSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let sender = builder.tx();
        let (path, schema) = (self.path.clone(), self.schema.clone());
        let (options, settings) = (self.options.clone(), self.settings.clone());
        builder.spawn_blocking(move || {
            let columns =
                schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
            let target = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut decoder = CopyDecoder::new(target, columns, options, &settings)?;
            let mut file = open_file(&path)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            let give = |batch: RecordBatch| sender.blocking_send(Ok(batch)).is_ok();
            loop {
                let n = file.read(&mut chunk)?;
                if n == 0 {
                    break;
                }
                decoder.push(&chunk[..n])?;
                while let Some(batch) = decoder.take_batch(BATCH_ROWS) {
                    if !give(batch) {
                        return Ok(());
                    }
                }
            }
            if let Some(batch) = decoder.finish()? {
                give(batch);
            }
            Ok(())
        });
        builder.build()
    }
}

/// A Parquet file, or a folder of them.
fn parquet(path: &Path) -> Result<Arc<dyn TableProvider>> {
    let first = first_parquet(path)?;
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(open_file(&first)?)
            .map_err(|e| not_parquet(&first, Error::from(e)))?;
    // Parquet's own field ids and extension names mean nothing outside of their file.
    let fields: Vec<Field> = reader
        .schema()
        .fields()
        .iter()
        .map(|f| {
            let data_type = match f.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
                DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
                other => other.clone(),
            };
            Field::new(f.name(), data_type, true)
        })
        .collect();
    let absolute = std::path::absolute(path)?;
    let url = if absolute.is_dir() {
        ListingTableUrl::parse(format!("{}/", absolute.display()))?
    } else {
        ListingTableUrl::parse(absolute.display().to_string())?
    };
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
    let config = ListingTableConfig::new(url)
        .with_listing_options(options)
        .with_schema(Arc::new(Schema::new(fields)));
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// A file that cannot be read as Parquet is its writer's fault, not damage in the warehouse.
fn not_parquet(path: &Path, error: Error) -> Error {
    let message = format!("file \"{}\" cannot be read as Parquet", path.display());
    let detail = format!("{}.", error.message().trim_end_matches('.'));
    Error::new(SqlState::BadCopyFileFormat, message).detail(detail).source(error)
}

fn first_parquet(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
        .collect();
    files.sort();
    files.into_iter().next().ok_or_else(|| {
        Error::new(
            SqlState::UndefinedFile,
            format!("folder \"{}\" holds no Parquet file", path.display()),
        )
    })
}
