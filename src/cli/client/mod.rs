//! The client of a running server: the commands of toxiproxy-cli, for its API.
//!
//! ```text
//! words --> parse --> Call --> plan --> Request --> (shell) --> Answer --> output --> text
//! ```
//!
//! Only `run` touches the world. What toxiproxy-cli does wrong is not done again: an update without
//! `--tox` leaves the toxicity alone, whole numbers are sent as such, `-a key` without a value is
//! refused, an error is one line.

mod error;
mod help;
mod output;
mod parse;
mod plan;
mod run;
mod table;

use serde_json::{Map, Value};

use crate::config::plan::Endpoint;

pub use error::Misuse;
pub(in crate::cli) use error::words;
pub use help::{client_commands, client_help, client_version};
pub use parse::{is_meant, parse, wants_json};
pub use table::{CLIENT_COMMANDS, ClientRow, ClientVerb, FLAGS, Flag};

pub(in crate::cli) use output::error_json;
pub(in crate::cli) use run::run;

/// The version of Toxiproxy whose client this is: what `--version` tells where it is called so.
pub const TOXIPROXY_VERSION: &str = "2.12.0";

/// By which name the program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By its own: `-h` explains.
    Chaos,
    /// As toxiproxy-cli: `-h` names the server, `-v` tells the version.
    Toxiproxy,
}

/// What the caller asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Something of the server.
    Call(Call),
    /// An explanation of one command, or of all.
    Help(Style, Option<ClientVerb>),
    /// The version.
    Version(Style),
}

/// Something asked of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who is asked.
    pub server: Server,
    /// What for.
    pub task: Task,
    /// True when the server's JSON is wanted instead of text.
    pub json: bool,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host and port.
    pub endpoint: Endpoint,
    /// What stands before each path; without a slash at its end.
    pub prefix: String,
}

/// What is asked. Names are never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// All proxies.
    List,
    /// The toxics of one.
    Inspect {
        /// Its name.
        proxy: String,
    },
    /// A new one.
    Create {
        /// Its name.
        proxy: String,
        /// Where it listens; the server judges it.
        listen: String,
        /// Where it leads to; the server judges it.
        upstream: String,
        /// What it speaks; the server has a default, and judges it.
        protocol: Option<String>,
    },
    /// Disable it when it is enabled, enable it when it is not.
    Toggle {
        /// Its name.
        proxy: String,
    },
    /// Delete it.
    Delete {
        /// Its name.
        proxy: String,
    },
    /// A new toxic.
    AddToxic {
        /// The proxy.
        proxy: String,
        /// What the toxic is called; the server has a name for it without one.
        name: Option<String>,
        /// What it does; the server judges it.
        kind: String,
        /// The direction.
        stream: Stream,
        /// How much of it.
        dose: Dose,
    },
    /// Another dose of a toxic.
    UpdateToxic {
        /// The proxy.
        proxy: String,
        /// The toxic.
        name: String,
        /// How much of it.
        dose: Dose,
    },
    /// Remove a toxic.
    RemoveToxic {
        /// The proxy.
        proxy: String,
        /// The toxic.
        name: String,
    },
}

/// A direction, by Toxiproxy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// To the upstream.
    Upstream,
    /// To the client.
    Downstream,
}

/// How much of a toxic. What is not given is not sent, so that the server keeps its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dose {
    /// What stands beside the attributes: `toxicity`, a share, and `ttl`.
    pub beside: Map<String, Value>,
    /// Numbers are numbers, and whole ones integers; the rest is text.
    pub attributes: Map<String, Value>,
}
