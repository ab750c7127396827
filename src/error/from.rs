//! What the errors of the libraries underneath mean to a user.

use super::Error;
use crate::sqlstate::SqlState;
use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError, TableReference};
use datafusion::error::DataFusionError;

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        from_datafusion(error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        from_arrow(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => SqlState::UndefinedFile,
            std::io::ErrorKind::StorageFull => SqlState::DiskFull,
            std::io::ErrorKind::PermissionDenied => SqlState::InsufficientPrivilege,
            _ => SqlState::IoError,
        };
        Error::new(code, error.to_string()).source(error)
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::Generic { store, source } => match source.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(source) => {
                    let error = object_store::Error::Generic { store, source };
                    Error::new(SqlState::IoError, error.to_string()).source(error)
                }
            },
            object_store::Error::NotFound { .. } => {
                Error::new(SqlState::UndefinedFile, error.to_string()).source(error)
            }
            _ => Error::new(SqlState::IoError, error.to_string()).source(error),
        }
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        match error {
            parquet::errors::ParquetError::External(inner) => from_boxed(inner),
            other => Error::new(SqlState::DataCorrupted, other.to_string()).source(other),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        ArrowError::ExternalError(Box::new(error))
    }
}

/// Finds our own error inside of a library's wrapper, or wraps what is there.
fn from_boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(other) => other,
    };
    let error = match error.downcast::<DataFusionError>() {
        Ok(inner) => return from_datafusion(*inner),
        Err(other) => other,
    };
    let error = match error.downcast::<ArrowError>() {
        Ok(inner) => return from_arrow(*inner),
        Err(other) => other,
    };
    match error.downcast::<object_store::Error>() {
        Ok(inner) => Error::from(*inner),
        Err(other) if other.to_string().contains("regex") => bad_regex(&other.to_string()),
        Err(other) => Error::internal(other.to_string()),
    }
}

fn from_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_boxed(inner),
        ArrowError::DivideByZero => Error::new(SqlState::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(detail) => overflow(&detail),
        ArrowError::CastError(message) => cast(message),
        ArrowError::ParseError(message) => {
            Error::new(SqlState::InvalidTextRepresentation, lower_first(&message))
        }
        ArrowError::InvalidArgumentError(message) if message.contains("too large to store") => {
            overflow(&message)
        }
        ArrowError::InvalidArgumentError(message)
            if message.contains("non-UTF-8") || message.contains("non UTF-8") =>
        {
            Error::new(
                SqlState::CharacterNotInRepertoire,
                "invalid byte sequence for encoding \"UTF8\"",
            )
            .detail(sentence(&message))
        }
        ArrowError::CsvError(message) => Error::new(SqlState::BadCopyFileFormat, message),
        ArrowError::IoError(message, source) => Error::from(source).with_message(message),
        ArrowError::ComputeError(message) => from_compute(&message),
        ArrowError::NotYetImplemented(message) => {
            Error::new(SqlState::FeatureNotSupported, lower_first(&message))
        }
        other => Error::internal(other.to_string()).source(other),
    }
}

/// What a kernel of Arrow could not do with the values it was given.
fn from_compute(message: &str) -> Error {
    let lower = message.to_ascii_lowercase();
    if lower.contains("regular expression") {
        return bad_regex(message);
    }
    if lower.contains("timestamp") || lower.contains("date") {
        return Error::new(SqlState::DatetimeFieldOverflow, lower_first(message));
    }
    if lower.contains("overflow") || lower.contains("out of range") {
        return overflow(message);
    }
    let message = message.strip_prefix("Execution error: ").unwrap_or(message);
    let code = match lower.contains("square root") || lower.contains("negative power") {
        true => SqlState::InvalidArgumentForPower,
        false => SqlState::InvalidParameterValue,
    };
    Error::new(code, lower_first(message))
}

fn bad_regex(detail: &str) -> Error {
    Error::new(SqlState::InvalidRegularExpression, "invalid regular expression")
        .detail(sentence(detail))
}

fn overflow(detail: &str) -> Error {
    let message = if detail.contains("Decimal") {
        "numeric field overflow"
    } else {
        "value out of range for its type"
    };
    Error::new(SqlState::NumericValueOutOfRange, message).detail(sentence(detail))
}

/// Arrow's cast errors: the value's text is kept, the code depends on what failed.
fn cast(message: String) -> Error {
    let lower = message.to_ascii_lowercase();
    if lower.contains("can't cast value")
        || lower.contains("overflow")
        || lower.contains("out of range")
        || lower.contains("too large")
    {
        return overflow(&message);
    }
    if lower.contains("timestamp") || lower.contains("date") || lower.contains("time") {
        return Error::new(SqlState::InvalidDatetimeFormat, lower_first(&message));
    }
    if lower.contains("not supported") || lower.contains("unsupported") {
        return Error::new(SqlState::CannotCoerce, lower_first(&message));
    }
    Error::new(SqlState::InvalidTextRepresentation, lower_first(&message))
}

fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => from_boxed(inner),
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        DataFusionError::ParquetError(inner) => Error::from(*inner),
        DataFusionError::ObjectStore(inner) => Error::from(*inner),
        DataFusionError::IoError(inner) => Error::from(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_datafusion(*inner)
        }
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            from_datafusion(errors.swap_remove(0))
        }
        DataFusionError::SchemaError(schema_error, _) => from_schema(&schema_error),
        DataFusionError::ResourcesExhausted(message) => {
            let short = message.lines().next().unwrap_or("out of memory").to_owned();
            Error::new(SqlState::OutOfMemory, "out of memory")
                .detail(sentence(&short))
                .hint("Raise the memory limit, or make the statement touch less data at once.")
        }
        DataFusionError::NotImplemented(message) => super::words::unbuilt(strip(&message)),
        DataFusionError::Plan(message) => from_plan(&message),
        DataFusionError::SQL(parser_error, _) => {
            Error::new(SqlState::SyntaxError, parser_error.to_string())
        }
        DataFusionError::Configuration(message) => {
            Error::new(SqlState::InvalidParameterValue, lower_first(&message))
        }
        DataFusionError::Execution(message) => from_execution(&message),
        DataFusionError::ExecutionJoin(join) => {
            Error::internal(format!("a task of the statement ended early: {join}"))
        }
        other => Error::internal(strip(&other.to_string()).to_owned()).source(other),
    }
}

/// A shared error cannot be taken apart by value: what stands inside is read by reference.
fn from_shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::internal(inner.to_string()),
        },
        DataFusionError::Shared(inner) => from_shared(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_shared(inner)
        }
        DataFusionError::ArrowError(inner, _) => match &**inner {
            ArrowError::ExternalError(boxed) => match boxed.downcast_ref::<Error>() {
                Some(ours) => ours.clone(),
                None => Error::internal(boxed.to_string()),
            },
            ArrowError::DivideByZero => from_arrow(ArrowError::DivideByZero),
            ArrowError::ArithmeticOverflow(d) => overflow(d),
            ArrowError::CastError(m) => cast(m.clone()),
            ArrowError::ParseError(m) => from_arrow(ArrowError::ParseError(m.clone())),
            ArrowError::ComputeError(m) => from_compute(m),
            other => Error::internal(other.to_string()),
        },
        DataFusionError::ResourcesExhausted(m) => {
            from_datafusion(DataFusionError::ResourcesExhausted(m.clone()))
        }
        DataFusionError::Execution(m) => from_execution(m),
        DataFusionError::Plan(m) => from_plan(m),
        DataFusionError::NotImplemented(m) => {
            from_datafusion(DataFusionError::NotImplemented(m.clone()))
        }
        other => Error::internal(strip(&other.to_string()).to_owned()),
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let shown = match &field.relation {
                Some(relation) => format!("{}.{}", relation.table(), field.name),
                None => format!("\"{}\"", field.name),
            };
            let missing = |relation: &TableReference| {
                let named =
                    |c: &Column| c.relation.as_ref().is_some_and(|r| r.table() == relation.table());
                !valid_fields.iter().any(named)
            };
            // The aliases under which DataFusion joins what stood in a condition.
            let joined = |r: &TableReference| {
                r.table().starts_with("__cenote_")
                    || (r.table().starts_with("__") && r.table().contains("_sq"))
            };
            if field.relation.as_ref().is_some_and(joined)
                || valid_fields.iter().any(|c| c.relation.as_ref().is_some_and(joined))
            {
                return super::words::unbuilt("OuterReferenceColumn(");
            }
            if let Some(relation) = field.relation.as_ref().filter(|r| missing(r)) {
                return Error::new(
                    SqlState::UndefinedTable,
                    format!("missing FROM-clause entry for table \"{}\"", relation.table()),
                );
            }
            // Behind a control character stands what keeps columns of one name apart.
            let twice = valid_fields
                .iter()
                .filter(|c| c.name.split_once('\u{1}').is_some_and(|(n, _)| n == field.name));
            if twice.count() > 1 {
                return ambiguous(&field.name);
            }
            let names = valid_fields.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
            Error::new(SqlState::UndefinedColumn, format!("column {shown} does not exist"))
                .column(field.name.clone())
                .maybe_hint(crate::suggest::hint("column", &field.name, &names))
        }
        SchemaError::AmbiguousReference { field } => ambiguous(&field.name),
        SchemaError::DuplicateQualifiedField { qualifier, .. } => Error::new(
            SqlState::DuplicateAlias,
            format!("table name \"{}\" specified more than once", qualifier.table()),
        ),
        SchemaError::DuplicateUnqualifiedField { name } => Error::new(
            SqlState::DuplicateColumn,
            format!("column \"{name}\" specified more than once"),
        ),
    }
}

/// DataFusion's report of a function that refused its arguments: what the function itself said.
fn refused_arguments(message: &str) -> Option<&str> {
    let (_, said) = message.split_once("user-defined coercion failed with: ")?;
    let said = said.strip_prefix("Error during planning: ").unwrap_or(said);
    Some(said.split(" No function matches").next().unwrap_or(said))
}

fn ambiguous(name: &str) -> Error {
    Error::new(SqlState::AmbiguousColumn, format!("column reference \"{name}\" is ambiguous"))
}

fn from_plan(message: &str) -> Error {
    if let Some(error) = super::words::planned(message) {
        return error;
    }
    let message = &super::words::sql_types(message);
    if let Some(said) = refused_arguments(message) {
        return Error::new(SqlState::UndefinedFunction, lower_first(said));
    }
    let lower = message.to_ascii_lowercase();
    if let Some(name) = quoted_after(message, "Invalid function ") {
        return Error::new(SqlState::UndefinedFunction, format!("function {name} does not exist"))
            // The library names the nearest function however far it is.
            .maybe_hint(
                quoted_after(message, "Did you mean ")
                    .and_then(|near| crate::suggest::hint("function", name, &[near])),
            );
    }
    if lower.contains("non-boolean predicate") {
        return Error::new(SqlState::DatatypeMismatch, "argument of WHERE must be type boolean")
            .detail(sentence(message));
    }
    if lower.contains(" takes (") {
        return Error::new(SqlState::UndefinedFunction, lower_first(message));
    }
    if lower.contains("invalid function") || lower.contains("no function matches") {
        return Error::new(SqlState::UndefinedFunction, lower_first(message));
    }
    if lower.contains("group by") && lower.contains("must") {
        return Error::new(SqlState::GroupingError, lower_first(message));
    }
    if lower.contains("table '") && lower.contains("not found") {
        return Error::new(SqlState::UndefinedTable, lower_first(message));
    }
    if lower.contains("coerce") || lower.contains("cannot infer common") || lower.contains("type") {
        return Error::new(SqlState::DatatypeMismatch, lower_first(message));
    }
    Error::new(SqlState::SyntaxError, lower_first(message))
}

/// The text between single quotes behind some words.
fn quoted_after<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(words)?;
    rest.strip_prefix('\'')?.split('\'').next()
}

fn from_execution(message: &str) -> Error {
    let message = &super::words::sql_types(message);
    if let Some(said) = refused_arguments(message) {
        return Error::new(SqlState::UndefinedFunction, lower_first(said));
    }
    let lower = message.to_ascii_lowercase();
    if lower.contains("negative count not allowed") {
        return Error::new(SqlState::SubstringError, "negative substring length not allowed");
    }
    if lower.contains("divide by zero") {
        return Error::new(SqlState::DivisionByZero, "division by zero");
    }
    if lower.contains("overflow") {
        return overflow(message);
    }
    if lower.contains("more than one row") || lower.contains("returned more than one") {
        return Error::new(
            SqlState::CardinalityViolation,
            "more than one row returned by a subquery used as an expression",
        );
    }
    if lower.contains("error parsing") || lower.contains("timestamp") {
        return Error::new(SqlState::InvalidDatetimeFormat, lower_first(message));
    }
    Error::new(SqlState::InvalidParameterValue, lower_first(message))
}

fn strip(message: &str) -> &str {
    message.split("\n\nbacktrace").next().unwrap_or(message)
}

pub(super) fn lower_first(message: &str) -> String {
    let message = strip(message).trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + chars.as_str()
        }
        _ => message.to_owned(),
    }
}

fn sentence(text: &str) -> String {
    let text = strip(text).trim_end();
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
