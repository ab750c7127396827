//! The PostgreSQL protocol as a driver uses it: binary values, prepared statements, portals, COPY, cancel, error fields.

mod binary;
mod cancel;
mod copy;
mod errors;
mod sessions;
