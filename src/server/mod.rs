//! The doors of the server: PostgreSQL's wire protocol.

pub mod pg;
