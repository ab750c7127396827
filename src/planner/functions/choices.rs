//! `coalesce`, `greatest`, `least` and `nullif`, which answer with one of their arguments: an untyped
//! literal among them is read as the type of the others.

use crate::catalog::SqlType;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{ExprSchema, Result, plan_err};
use datafusion::functions::core;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [core::coalesce(), core::greatest(), core::least(), core::nullif()]
        .into_iter()
        .map(|inner| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::new_from_impl(Choice { inner, signature }))
        })
        .collect()
}

/// True for the names of these functions.
pub(in crate::planner) fn is_choice(name: &str) -> bool {
    ["coalesce", "greatest", "least", "nullif"].contains(&name)
}

/// Refuses text that is no literal beside other types, which the functions accept until all is known.
///
/// # Errors
/// 42804 with PostgreSQL's words.
pub(in crate::planner) fn refuse_mixed(expr: &Expr, schema: &dyn ExprSchema) -> Result<()> {
    let Expr::ScalarFunction(call) = expr else { return Ok(()) };
    if !is_choice(call.func.name()) {
        return Ok(());
    }
    let is_open = |e: &Expr| matches!(e, Expr::Placeholder(_) | Expr::Literal(..) | Expr::Cast(_));
    let types = call.args.iter().map(|e| (is_open(e), e.get_type(schema)));
    let types: Vec<_> = types.filter_map(|(open, t)| Some((open, t.ok()?))).collect();
    let text = types.iter().find(|(open, t)| t.is_string() && !open);
    let other = types.iter().find(|(open, t)| !t.is_string() && !t.is_null() && !open);
    let (Some((_, text)), Some((_, other))) = (text, other) else { return Ok(()) };
    let name = |t: &DataType| SqlType::from_arrow(t).map_or(t.to_string(), |t| t.to_string());
    let (function, other, text) = (call.func.name().to_uppercase(), name(other), name(text));
    let message = format!("{function} types {other} and {text} cannot be matched");
    Err(Error::new(SqlState::DatatypeMismatch, message).hint("Cast one of them.").into())
}

/// One of the functions, with its own coercion.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Choice {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Choice {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let takes = if self.name() == "nullif" { 2..=2 } else { 1..=usize::MAX };
        if !takes.contains(&types.len()) {
            return plan_err!("{} does not take {} arguments", self.name(), types.len());
        }
        let others: Vec<DataType> =
            types.iter().filter(|t| !t.is_string() && !t.is_null()).cloned().collect();
        let common = match others.as_slice() {
            [] => type_union_resolution(types),
            others => type_union_resolution(others),
        };
        let Some(common) = common else {
            return plan_err!("{} types cannot be matched", self.name());
        };
        Ok(vec![common; types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, context)
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }
}
