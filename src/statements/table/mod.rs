//! Schemas, tables, views, and the statements that write rows.

pub mod change;
pub mod columns;
pub mod copy;
pub mod create_schema;
pub mod create_table;
pub mod create_view;
pub mod delete;
pub mod describe;
pub mod drop_schema;
pub mod drop_table;
pub mod drop_view;
pub mod insert;
pub mod merge;
mod merge_scope;
pub mod names;
pub mod rows;
pub mod show_tables;
pub mod truncate;
pub mod update;
