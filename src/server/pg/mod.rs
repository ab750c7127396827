//! The PostgreSQL server: a connection loop of our own over pgwire's messages.
//!
//! A connection is two tasks. `front` lives on the network's runtime: it negotiates, cuts the byte
//! stream into frames and writes what comes back. `connection` lives on the engine's runtime with
//! the session: it runs statements and encodes their rows. Between them go a queue of frames,
//! bounded in bytes, and a channel of one piece of output, so that a slow client slows its query
//! and a heavy query never keeps another client's bytes waiting.
//!
//! Everything that waits (a statement, the next batch, room in the output, COPY data) waits through
//! `link`, which at the same time watches for notices, a cancel, a client that went away and the
//! shutdown of the server.

mod cancel;
mod connection;
mod copy;
mod errors;
mod extended;
mod front;
mod link;
mod listener;
mod message;
mod output;
mod rows;
mod simple;
mod startup;

#[cfg(test)]
mod tests;

pub use listener::{Limits, listen, listen_with};
