//! The program: arguments and environment to a command, a command to an exit code.
//!
//! It begins at the C runtime's `main`. The standard library's own beginning would give every
//! thread a second stack for its overflow handler: two mappings more, so that 8,000 connections
//! (16,000 threads) would pass Linux's default of 65,530 mappings, where the process is aborted.
//! What is lost is a line of text when a stack overflows; the guard page still ends the process.
//! What else the library would have done is done here: standard descriptors, SIGPIPE.
#![no_main]
#![allow(unsafe_code, reason = "to be called by the C runtime, and by nobody else")]

use std::env;
use std::ffi::{c_char, c_int};

use chaos_proxy::cli;
use chaos_proxy::shell::sys;

/// Called once by the C runtime.
// SAFETY: the name is the one that the C runtime looks for, and nothing else defines it.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: they are the arguments of main, as the C standard gives them.
    let args = unsafe { sys::arguments(argc, argv) };
    sys::fill_standard_descriptors();
    sys::ignore_signals();
    let code = match cli::parse_called(args, &|name| env::var_os(name)) {
        Ok(command) => cli::execute(command),
        Err(error) => cli::Failure::misuse(&error).tell(),
    };
    c_int::from(code)
}
