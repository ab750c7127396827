//! The binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cenote::cli::main()
}
