//! The SQL dialect: PostgreSQL's, with table versions.
//!
//! sqlparser asks a dialect's `TypeId` in many places, so this one answers with PostgreSQL's and
//! forwards every method that PostgreSQL overrides (`derive_dialect!` works only inside sqlparser).

use sqlparser::ast::{Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;
use std::any::TypeId;

/// PostgreSQL's dialect plus `VERSION AS OF`, `TIMESTAMP AS OF` and `AT (…)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CenoteDialect {
    /// The statement has a NATURAL JOIN. Such a join has no ON, so that `a NATURAL JOIN b JOIN c ON …`
    /// cannot be told from `a JOIN b JOIN c ON … ON …`, and the latter is then not understood.
    pub natural: bool,
}

const PG: PostgreSqlDialect = PostgreSqlDialect {};

/// Forwards the listed yes-or-no methods to PostgreSQL's dialect.
macro_rules! forward {
    ($($method:ident),* $(,)?) => {
        $(fn $method(&self) -> bool { PG.$method() })*
    };
}

impl Dialect for CenoteDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        PG.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        PG.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        PG.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        PG.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        PG.is_reserved_for_identifier(kw)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        PG.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        PG.get_next_precedence(parser)
    }

    /// sqlparser takes everything behind `IS DISTINCT FROM` for its right side, AND and OR included.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let distinct = parser.parse_keywords(&[IS, DISTINCT, FROM]);
        if !distinct && !parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]) {
            return PG.parse_infix(parser, expr, precedence);
        }
        let left = Box::new(expr.clone());
        let right = parser.parse_subexpr(precedence).map(Box::new);
        Some(right.map(|right| match distinct {
            true => Expr::IsDistinctFrom(left, right),
            false => Expr::IsNotDistinctFrom(left, right),
        }))
    }

    /// A sign binds tighter than `^`, as in PostgreSQL: `-2 ^ 2` is 4.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if parser.peek_token_ref().token != Token::Minus {
            return PG.parse_prefix(parser);
        }
        parser.advance_token();
        let operand = parser.parse_subexpr(PG.prec_value(Precedence::AtTz));
        Some(operand.map(|e| Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(e) }))
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        PG.prec_value(prec)
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        self.natural
    }

    forward! {
        supports_unicode_string_literal, supports_filter_during_aggregation,
        supports_group_by_expr, allow_extract_custom, allow_extract_single_quotes,
        supports_create_index_with_clause, supports_explain_with_utility_options,
        supports_listen_notify, supports_factorial_operator, supports_bitwise_shift_operators,
        supports_comment_on, supports_load_extension,
        supports_named_fn_args_with_colon_operator, supports_named_fn_args_with_expr_name,
        supports_empty_projections, supports_nested_comments, supports_string_escape_constant,
        supports_numeric_literal_underscores, supports_array_typedef_with_brackets,
        supports_geometric_types, supports_set_names, supports_alter_column_type_using,
        supports_notnull_operator, supports_interval_options, supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_comma_separated_trim, supports_xml_expressions, supports_comment_optimizer_hint,
    }
}
