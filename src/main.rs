//! The program: arguments and environment to a command, a command to an exit code.

use std::env;
use std::process::ExitCode;

use chaos_proxy::cli;

fn main() -> ExitCode {
    match cli::parse(env::args_os().skip(1), &|name| env::var_os(name)) {
        Ok(command) => cli::execute(command),
        Err(error) => cli::Failure::usage(&error).tell(),
    }
}
