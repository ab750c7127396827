//! The PostgreSQL protocol as drivers use it and as nobody should: binary values, prepared statements, portals, COPY,
//! cancel, error fields; crowds, clients that stall, break off or send noise.

mod binary;
mod cancel;
mod copy;
mod crowd;
mod errors;
mod hostile;
mod interrupted;
mod sessions;
mod stalled;
mod streams;
