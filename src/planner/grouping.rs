//! Analyser rule: ROLLUP, CUBE and GROUPING SETS of expressions become ones of columns.
//!
//! Rules that give an expression another form keep its name, but not that of one inside of a grouping
//! set, which the select list then does not find.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, GroupingSet, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// The rule of this file.
#[derive(Debug)]
pub(super) struct GroupedColumns;

impl AnalyzerRule for GroupedColumns {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) => by_columns(aggregate),
            other => Ok(Transformed::no(other)),
        })
        .map(|t| t.data)
    }

    fn name(&self) -> &str {
        "grouped_columns"
    }
}

fn by_columns(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut computed: Vec<Expr> = Vec::new();
    let mut add = |e: &Expr| {
        // A cast has its operand's name, and keeps it.
        let is_plain = matches!(e, Expr::Column(_) | Expr::Cast(_) | Expr::TryCast(_));
        if !is_plain && !computed.contains(e) {
            computed.push(e.clone());
        }
    };
    for group in &aggregate.group_expr {
        match group {
            Expr::GroupingSet(GroupingSet::Rollup(set) | GroupingSet::Cube(set)) => {
                set.iter().for_each(&mut add);
            }
            Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
                sets.iter().flatten().for_each(&mut add);
            }
            _ => {}
        }
    }
    if computed.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let named = |e: &Expr| Expr::Column(Column::new_unqualified(e.schema_name().to_string()));
    let replace = |e: Expr| if computed.contains(&e) { named(&e) } else { e };
    let all = |set: Vec<Expr>| set.into_iter().map(replace).collect::<Vec<_>>();
    let groups = aggregate.group_expr.into_iter().map(|group| match group {
        Expr::GroupingSet(GroupingSet::Rollup(set)) => {
            Expr::GroupingSet(GroupingSet::Rollup(all(set)))
        }
        Expr::GroupingSet(GroupingSet::Cube(set)) => Expr::GroupingSet(GroupingSet::Cube(all(set))),
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            Expr::GroupingSet(GroupingSet::GroupingSets(sets.into_iter().map(all).collect()))
        }
        plain => plain,
    });
    let groups = groups.collect();
    let calls = aggregate.aggr_expr.into_iter().map(|call| {
        let name = call.schema_name().to_string();
        let call = call.transform_up(|e| match e {
            Expr::AggregateFunction(AggregateFunction { func, mut params })
                if func.name() == "grouping" =>
            {
                params.args = all(params.args);
                let call = AggregateFunction { func, params };
                Ok(Transformed::yes(Expr::AggregateFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let same = call.data.schema_name().to_string() == name;
        Ok(if same { call.data } else { call.data.alias(name) })
    });
    let calls = calls.collect::<Result<Vec<_>>>()?;
    let mut items: Vec<Expr> =
        aggregate.input.schema().columns().into_iter().map(Expr::Column).collect();
    items.extend(computed.iter().map(|e| e.clone().alias(e.schema_name().to_string())));
    let input = Arc::new(LogicalPlan::Projection(Projection::try_new(items, aggregate.input)?));
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(input, groups, calls)?)))
}
