//! Metric aggregates for DataFusion.
