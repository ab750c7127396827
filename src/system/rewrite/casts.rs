//! Casts to PostgreSQL's own types: object identifiers become calls, the others become types that exist here.

use super::expressions::plain_array;
use super::{call, call_parts};
use crate::system::functions::{
    OID_IN, REGCLASS_IN, REGCLASS_OUT, REGNAMESPACE_IN, REGNAMESPACE_OUT, REGPROC_IN, REGPROC_OUT,
    REGROLE_IN, REGROLE_OUT, REGTYPE_IN, REGTYPE_OUT,
};
use sqlparser::ast::{ArrayElemTypeDef, CastKind, DataType, Expr, Ident, SelectItem, Value};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// The function that reads a `reg*` type, and the one that prints it.
const REG_TYPES: [(&str, &str, &str); 6] = [
    ("regclass", REGCLASS_IN, REGCLASS_OUT),
    ("regtype", REGTYPE_IN, REGTYPE_OUT),
    ("regnamespace", REGNAMESPACE_IN, REGNAMESPACE_OUT),
    ("regproc", REGPROC_IN, REGPROC_OUT),
    ("regprocedure", REGPROC_IN, REGPROC_OUT),
    ("regrole", REGROLE_IN, REGROLE_OUT),
];

/// The function that prints what a reader of a `reg*` type gives.
pub(super) fn out_of(reader: &str) -> Option<&'static str> {
    REG_TYPES.iter().find(|(_, input, _)| *input == reader).map(|(_, _, output)| *output)
}

/// The function that prints what `to_regclass` and its like find.
fn out_of_search(expr: &Expr) -> Option<&'static str> {
    let (name, _) = call_parts(expr)?;
    let wanted = name.strip_prefix("to_")?;
    REG_TYPES.iter().find(|(name, _, _)| *name == wanted).map(|(_, _, output)| *output)
}

/// Columns of type regproc: as text they are the function's name.
const REGPROC_COLUMNS: [&str; 14] = [
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typanalyze",
    "typsubscript",
    "oprcode",
    "oprrest",
    "oprjoin",
    "amhandler",
    "prosupport",
    "evtfoid",
];

/// Rewrites a cast whose expression is rewritten already.
pub(super) fn cast(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    let Some(target) = target(data_type) else { return };
    let source = inner.as_ref().clone();
    let reg = REG_TYPES.iter().find(|(name, _, _)| *name == target);
    *expr = match (reg, call_parts(&source).and_then(|(name, _)| out_of(name))) {
        (Some((_, input, _)), _) => call(input, vec![source]),
        (None, Some(output)) if is_textual(&target) => renamed(source, output),
        (None, None) if is_textual(&target) && out_of_search(&source).is_some() => {
            call(out_of_search(&source).unwrap_or_default(), vec![source])
        }
        _ if target == "oid" && !is_placeholder(&source) => call(OID_IN, vec![source]),
        _ if is_textual(&target) && regproc_column(&source).is_some() => {
            call(REGPROC_OUT, vec![source])
        }
        _ => match data_type_of(&target) {
            Some(data_type) => Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(source),
                data_type,
                array: false,
                format: None,
            },
            None => return,
        },
    };
    if let Expr::Cast { expr: inner, data_type: DataType::Array(_), .. } = expr {
        let mut array = inner.as_ref().clone();
        plain_array(&mut array);
        if array != **inner {
            *expr = array;
        }
    }
}

/// A parameter takes its type from the cast, which a call would hide.
fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(v) if matches!(v.value, Value::Placeholder(_)))
}

fn renamed(expr: Expr, name: &str) -> Expr {
    let arguments = call_parts(&expr).map(|(_, args)| args.into_iter().cloned().collect());
    call(name, arguments.unwrap_or_default())
}

fn is_textual(target: &str) -> bool {
    matches!(target, "text" | "varchar" | "name" | "bpchar" | "cstring")
}

fn regproc_column(expr: &Expr) -> Option<&str> {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    REGPROC_COLUMNS.contains(&ident.value.as_str()).then_some(ident.value.as_str())
}

/// The name in pg_type of a type written in SQL, `[]` after it for arrays.
fn target(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Text => Some("text".to_owned()),
        DataType::Custom(name, _) => {
            let ident = name.0.last()?.as_ident()?;
            let quoted = ident.quote_style.is_some();
            Some(if quoted { ident.value.clone() } else { ident.value.to_lowercase() })
        }
        DataType::Array(ArrayElemTypeDef::SquareBracket(inner, _)) => {
            Some(format!("{}[]", target(inner).unwrap_or_else(|| inner.to_string().to_lowercase())))
        }
        _ => None,
    }
}

/// The type that holds values of a PostgreSQL type here; none if it is unknown.
fn data_type_of(target: &str) -> Option<DataType> {
    if let Some(element) = target.strip_suffix("[]") {
        let element = data_type_of(element)?;
        return Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None)));
    }
    Some(match target {
        "text" | "name" | "char" | "bpchar" | "cstring" | "sql_identifier" | "character_data"
        | "yes_or_no" | "regclass" | "regtype" | "regproc" | "aclitem" | "pg_node_tree" => {
            DataType::Text
        }
        "oid" | "xid" | "cid" => DataType::IntUnsigned(None),
        "cardinal_number" => DataType::Int(None),
        "int2vector" => return data_type_of("int2[]"),
        "oidvector" => return data_type_of("oid[]"),
        other => {
            let parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(other);
            match parser.and_then(|mut p| p.parse_data_type()) {
                Ok(DataType::Custom(..)) | Err(_) => return None,
                Ok(data_type) => data_type,
            }
        }
    })
}

/// In a result column an object identifier is shown by its name. `outermost`: columns of functions too,
/// which further in may still be joined by their OIDs.
pub(super) fn print_names(projection: &mut [SelectItem], outermost: bool) {
    for item in projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && outermost
            && let Some(column) = regproc_column(expr)
        {
            let (alias, expr) = (Ident::with_quote('"', column), expr.clone());
            *item = SelectItem::ExprWithAlias { expr: call(REGPROC_OUT, vec![expr]), alias };
        }
        if let SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) = item
            && let Some(output) = call_parts(expr).and_then(|(name, _)| out_of(name))
        {
            *expr = renamed(expr.clone(), output);
        }
    }
}
