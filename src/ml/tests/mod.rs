//! Tests of whole trainings.
