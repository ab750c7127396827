//! Single expressions: operators, casts, arrays and names that only PostgreSQL has.

use super::casts::{cast, out_of};
use super::touches::BARE_FUNCTIONS;
use super::{Rewriter, call, call_parts, strip_pg_catalog, subqueries};
use crate::error::Result;
use crate::parser;
use crate::system::rows::definition;
use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CastKind, DataType, Expr, FunctionArguments, Ident,
    Subscript, Value, ValueWithSpan,
};

/// Rewrites one expression whose parts are rewritten already.
pub(super) fn rewrite(rewriter: &Rewriter<'_>, expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Function(function) => {
            strip_pg_catalog(&mut function.name);
            if function.name.0.len() == 2
                && function.name.0[0].as_ident().is_some_and(|i| i.value == "information_schema")
            {
                function.name.0.remove(0);
            }
            if function.name.to_string() == "generate_subscripts" {
                *expr = subscripts(expr);
            } else if function.name.to_string() == "_pg_expandarray" {
                *expr = expanded_array(expr);
            } else if let FunctionArguments::Subquery(query) = &function.args {
                if let Some(array) = subqueries::array_of(query) {
                    *expr = array;
                }
            } else if matches!(function.args, FunctionArguments::None) {
                bare_function(expr);
            }
        }
        Expr::Identifier(ident) => {
            if let Some(alias) = rewriter.table_with(&ident.value) {
                let alias = Ident::with_quote('"', alias);
                *expr = Expr::CompoundIdentifier(vec![alias, ident.clone()]);
            } else if ident.quote_style.is_none() {
                bare_function(expr);
            }
        }
        Expr::CompoundIdentifier(parts) => {
            if parts.len() == 3 && rewriter.relation_of(&parts[1].value).is_some() {
                parts.remove(0);
            }
            if let Some(oid) = table_oid(rewriter, parts) {
                *expr = number(oid);
            }
        }
        Expr::Collate { expr: inner, .. } => {
            let inner = inner.as_ref().clone();
            *expr = inner;
        }
        Expr::BinaryOp { left, op, right } => {
            plain_operator(op);
            compare_names(left, right);
            compare_booleans(rewriter, left, right);
        }
        Expr::AnyOp { left, compare_op, right, .. } => {
            plain_operator(compare_op);
            plain_array(right);
            if let Some(membership) = in_subquery(left, compare_op, right) {
                *expr = membership;
            }
        }
        Expr::AllOp { compare_op, right, .. } => {
            plain_operator(compare_op);
            plain_array(right);
        }
        Expr::Cast { .. } => cast(expr),
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            if let Some(plain) = with_backslash(pattern, escape_char) {
                **pattern = plain;
                *escape_char = None;
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            if let Some(part) = part_of_struct(root, access_chain) {
                *expr = part;
            } else if is_vector(root) {
                access_chain.iter_mut().for_each(count_from_one);
            }
        }
        _ => {}
    }
    Ok(())
}

fn number(n: u32) -> Expr {
    Expr::value(Value::Number(n.to_string(), false))
}

/// `current_user` and its like are calls without brackets.
fn bare_function(expr: &mut Expr) {
    let name = match &*expr {
        Expr::Identifier(ident) => ident.value.to_lowercase(),
        other => match call_parts(other) {
            Some((name, _)) => name.to_lowercase(),
            None => return,
        },
    };
    if BARE_FUNCTIONS.contains(&name.as_str()) {
        *expr = call(&name, Vec::new());
    }
}

/// `generate_subscripts(a, 1)`: the numbers of the elements, one a row.
fn subscripts(expr: &Expr) -> Expr {
    let array = call_parts(expr).and_then(|(_, arguments)| arguments.first().copied().cloned());
    let length = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(call("array_length", array.into_iter().collect())),
        data_type: DataType::BigInt(None),
        array: false,
        format: None,
    };
    call("unnest", vec![call("generate_series", vec![number(1), length])])
}

/// `_pg_expandarray(a)`: a record of element `x` and number `n` for each element.
fn expanded_array(expr: &Expr) -> Expr {
    let array = call_parts(expr).and_then(|(_, arguments)| arguments.first().copied().cloned());
    let elements = call("unnest", array.into_iter().collect());
    let name = |name: &str| Expr::value(Value::SingleQuotedString(name.to_owned()));
    call("named_struct", vec![name("x"), elements, name("n"), subscripts(expr)])
}

/// `(named_struct('x', a, 'n', b)).n` is `b`.
fn part_of_struct(root: &Expr, access: &[AccessExpr]) -> Option<Expr> {
    let Expr::Nested(inner) = root else { return None };
    let [AccessExpr::Dot(field)] = access else { return None };
    let (name, arguments) = call_parts(inner)?;
    let position = arguments.iter().position(|argument| *argument == field)?;
    (name == "named_struct").then(|| arguments.get(position + 1).copied().cloned())?
}

/// `a.b[1]` is an element of the column `b` of the table `a`, and the names of fields are no columns:
/// said before the parts are visited.
pub(super) fn settle_access(rewriter: &Rewriter<'_>, expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    if let (Expr::Identifier(table), [AccessExpr::Dot(Expr::Identifier(column)), ..]) =
        (root.as_ref(), access_chain.as_slice())
        && rewriter.is_table(&table.value)
    {
        **root = Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
        access_chain.remove(0);
    }
    for access in access_chain {
        if let AccessExpr::Dot(Expr::Identifier(field)) = access {
            let name = Value::SingleQuotedString(field.value.clone());
            *access = AccessExpr::Dot(Expr::value(name));
        }
    }
}

/// Columns of the types int2vector and oidvector, which count from 0.
fn is_vector(expr: &Expr) -> bool {
    const VECTORS: [&str; 5] = ["indkey", "indclass", "indcollation", "indoption", "proargtypes"];
    match expr {
        Expr::Identifier(ident) => VECTORS.contains(&ident.value.as_str()),
        Expr::CompoundIdentifier(parts) => {
            parts.last().is_some_and(|ident| VECTORS.contains(&ident.value.as_str()))
        }
        _ => false,
    }
}

fn count_from_one(access: &mut AccessExpr) {
    if let AccessExpr::Subscript(Subscript::Index { index }) = access {
        *index = Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(index.clone()))),
            op: BinaryOperator::Plus,
            right: Box::new(number(1)),
        };
    }
}

/// `alias.tableoid`: the OID of the relation that the alias stands for.
fn table_oid(rewriter: &Rewriter<'_>, parts: &[Ident]) -> Option<u32> {
    let [alias, column] = parts else { return None };
    if column.value != "tableoid" {
        return None;
    }
    let (schema, name) = rewriter.relation_of(&alias.value)?;
    definition(schema, name).map(|d| d.oid)
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn plain_operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    let Some(symbol) = parts.last() else { return };
    *op = match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "||" => BinaryOperator::StringConcat,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        _ => return,
    };
}

/// Where one side is an OID given by name, a text on the other side is a name too.
fn compare_names(left: &mut Expr, right: &mut Expr) {
    for (one, other) in [(*left).clone(), (*right).clone()].into_iter().zip([right, left]) {
        if let Some((name, _)) = call_parts(&one)
            && name.ends_with("in")
            && out_of(name).is_some()
            && is_text(other)
        {
            *other = call(name, vec![other.clone()]);
        }
    }
}

/// `indisprimary = 't'` compares booleans.
fn compare_booleans(rewriter: &Rewriter<'_>, left: &mut Expr, right: &mut Expr) {
    let boolean = |expr: &Expr| match expr {
        Expr::CompoundIdentifier(parts) => rewriter.type_of(parts) == Some("bool"),
        _ => false,
    };
    let text = match (boolean(left), boolean(right)) {
        (true, false) => right,
        (false, true) => left,
        _ => return,
    };
    let Expr::Value(value) = &*text else { return };
    let Value::SingleQuotedString(word) = &value.value else { return };
    *text = match word.as_str() {
        "t" | "true" | "1" | "y" | "yes" | "on" => Expr::value(Value::Boolean(true)),
        "f" | "false" | "0" | "n" | "no" | "off" => Expr::value(Value::Boolean(false)),
        _ => return,
    };
}

/// A constant pattern that is escaped by another character than the backslash, escaped by that.
fn with_backslash(pattern: &Expr, escape: &Option<ValueWithSpan>) -> Option<Expr> {
    let Value::SingleQuotedString(escape) = &escape.as_ref()?.value else { return None };
    let mut escape = escape.chars();
    let (escape, None) = (escape.next(), escape.next()) else { return None };
    let plain = parser::with_backslash(&parser::constant_text(pattern)?, escape);
    Some(Expr::value(Value::SingleQuotedString(plain)))
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_)))
}

/// `'{a,b}'` and `'{a,b}'::text[]` as the right side of ANY or ALL.
pub(super) fn plain_array(expr: &mut Expr) {
    while let Expr::Nested(inner) = expr {
        let inner = inner.as_ref().clone();
        *expr = inner;
    }
    let text = match &*expr {
        Expr::Cast { expr: inner, data_type: DataType::Array(_), .. } => inner.as_ref(),
        other => other,
    };
    let Expr::Value(value) = text else { return };
    let Value::SingleQuotedString(text) = &value.value else { return };
    let Some(list) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else { return };
    let element = |item: &str| {
        let item = item.trim().trim_matches('"');
        match item.parse::<i64>() {
            Ok(_) => Expr::value(Value::Number(item.to_owned(), false)),
            Err(_) => Expr::value(Value::SingleQuotedString(item.to_owned())),
        }
    };
    let elem = list.split(',').filter(|item| !item.trim().is_empty()).map(element).collect();
    *expr = Expr::Array(Array { elem, named: true });
}

/// `x = ANY (ARRAY(SELECT …))` is `x IN (SELECT …)`.
fn in_subquery(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let Expr::Subquery(query) = right else { return None };
    let subquery = subqueries::without_array_agg(query)?;
    (*op == BinaryOperator::Eq).then(|| Expr::InSubquery {
        expr: Box::new(left.clone()),
        subquery: Box::new(subquery),
        negated: false,
    })
}
