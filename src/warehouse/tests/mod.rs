//! Tests of the warehouse as a whole.
