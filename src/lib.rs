//! chaos-proxy: a TCP proxy that makes a link misbehave on purpose, reproducibly.
//!
//! Modules in the order in which they may use each other: each only those before it. See
//! ARCHITECTURE.md for the map and `tests/it/tidy.rs` for what holds it.

pub mod units;

pub mod dice;

pub mod problem;

pub mod http;

pub mod limit;

pub mod fault;

pub mod exchange;

pub mod config;

pub mod journal;

pub mod control;

pub mod admin;

pub mod shell;

pub mod embed;

pub mod cli;
