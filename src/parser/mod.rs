//! Text to tokens with positions, and from tokens to sqlparser's trees.
//!
//! A client's text is tokenised once. It is cut at its semicolons; each piece is a [`TokenSlice`]
//! that knows where it stands, so that every error can point at a character of what the client
//! sent. Our own statements are parsed by a [`Cursor`]; all else is handed to sqlparser after the
//! token rewrite (`rewrite.rs`). This folder knows no statement.

mod clauses;
mod cursor;
mod dialect;
mod like;
mod rewrite;
mod tokens;

pub use clauses::{
    ModelReference, OptionValue, Options, fold_ident, is_reserved, object_name, quote_ident,
};
pub use cursor::Cursor;
pub use dialect::CenoteDialect;
pub use like::{constant_text, with_backslash};
pub use rewrite::{DEFAULTS_MARKER, NOTHING_MARKER, STAR_MARKER, rewrite_tokens};
pub use tokens::{Script, TokenSlice};
