//! A SELECT made by hand.

use super::ast::identifier;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SelectFlavor, SelectItem, SetExpr, TableWithJoins,
};

/// `SELECT items FROM from WHERE selection`
pub fn select(
    items: impl IntoIterator<Item = (Expr, String)>,
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
) -> Query {
    let projection = items
        .into_iter()
        .map(|(expr, alias)| SelectItem::ExprWithAlias { expr, alias: identifier(&alias) })
        .collect();
    let select = Select { projection, from, selection, ..empty() };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

fn empty() -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        select_modifiers: None,
        connect_by: Vec::new(),
        distinct: None,
        top: None,
        top_before_distinct: false,
        projection: Vec::new(),
        exclude: None,
        into: None,
        from: Vec::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}
