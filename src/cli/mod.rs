//! The command line: arguments and environment in, a `Command` or one clear line out.
//!
//! ```text
//! args, env --> parse --> Command --> (main) run | check | print a text
//! ```
//!
//! `serve`, `signals`, `demo`, `health` and `client::run` carry a command out; the rest is pure.

mod admin;
pub mod client;
mod demo;
mod error;
mod explain;
mod faults;
mod health;
mod help;
mod options;
mod parse;
mod presets;
mod replay;
mod serve;
mod signals;
pub mod toxiproxy_server;

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::plan::{Endpoint, LogFormat, LogLevel};
use crate::problem::did_you_mean;
use crate::units::Span;

pub use error::UsageError;
pub use faults::{faults_json, faults_text};
pub use help::{help, version};
pub use options::{COMMANDS, CommandRow, OPTIONS, Opt, Takes, Verb};
pub use parse::{parse, parse_called};
pub use presets::{presets_json, presets_text};
pub use replay::ReplayAsked;
pub use serve::{Failure, execute};

/// What the caller asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve until a signal.
    Run(RunOptions),
    /// Validate what `Run` with the same options would serve, and print it.
    Check(RunOptions),
    /// Tell which faults a request would meet.
    Explain(RunOptions, ExplainAsked),
    /// List the faults.
    Faults {
        /// For programs instead of people.
        json: bool,
    },
    /// List the profiles.
    Presets {
        /// For programs instead of people.
        json: bool,
    },
    /// Serve the built-in example.
    Demo(Overrides),
    /// Ask a running proxy whether it is well.
    Health(HealthAsked),
    /// Make the decisions of a recording again.
    Replay(ReplayAsked),
    /// Ask a running server, as toxiproxy-cli does.
    Client(client::Asked),
    /// Be Toxiproxy's server.
    ToxiproxyServer(toxiproxy_server::ServerAsked),
    /// Explain one command, or all of it.
    Help(Option<Verb>),
    /// Tell the version.
    Version,
}

/// A request to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainAsked {
    /// `GET /api?q=1`, or a path alone.
    pub request: String,
    /// Fields of its head: `X-Test: 1`.
    pub headers: Vec<String>,
    /// The address it comes from; else 127.0.0.1.
    pub from: Option<IpAddr>,
}

/// What to serve, and what is said about it outside its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Where the configuration comes from.
    pub source: Source,
    /// What goes over it.
    pub overrides: Overrides,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// The command line itself: `--route` and its knobs, as written; the configuration's own
    /// rules judge them. A knob counts for every route.
    Inline {
        /// `LISTEN=UPSTREAM`; at least one.
        routes: Vec<String>,
        /// What `latencyMs` would say.
        latency_ms: Option<String>,
        /// What `dropRate` would say.
        drop_rate: Option<String>,
        /// What `timeoutMs` would say.
        timeout_ms: Option<String>,
    },
}

/// Values that go over those of the configuration: from a flag, or else from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The seed of every decision.
    pub seed: Option<u64>,
    /// Which events are logged; `--quiet` and `--verbose` are levels too.
    pub log_level: Option<LogLevel>,
    /// How they are logged.
    pub log_format: Option<LogFormat>,
    /// How long a stop waits.
    pub grace: Option<Span>,
    /// Where a port without an address listens.
    pub bind: Option<IpAddr>,
    /// Where the admin API listens.
    pub admin: Option<Endpoint>,
    /// Whether it may do so beyond this machine without a token.
    pub insecure_admin: bool,
    /// The file that gets all events.
    pub event_log: Option<PathBuf>,
}

/// What is asked of a running proxy, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAsked {
    /// Where its admin API listens.
    pub admin: Endpoint,
    /// How long to ask again while the answer is no.
    pub wait: Span,
    /// Whether it lives; not whether it is ready.
    pub live: bool,
}

/// For a file that is not there and may have been meant as a command:
/// `", did you mean \"check\"?"`, or nothing.
pub fn command_hint(word: &str) -> String {
    if COMMANDS.iter().any(|row| row.name == word) {
        return String::new();
    }
    did_you_mean(word, COMMANDS.iter().map(|row| row.name).chain(client::words("")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_missing_file_may_be_a_command() {
        assert_eq!(super::command_hint("chekc"), r#", did you mean "check"?"#);
        assert_eq!(super::command_hint("inspekt"), r#", did you mean "inspect"?"#);
        assert_eq!(super::command_hint("chaos.yaml"), "");
    }
}
