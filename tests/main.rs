//! Every test that drives the finished program from outside, in one binary so that it is linked once.

mod cli;
mod concurrency;
mod crash;
mod demo;
mod harness;
mod memory;
mod shell;
mod slt;
mod tidy;
mod wire;
