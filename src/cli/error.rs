//! What is wrong with a command line: one line, with what came and the way out.

use std::fmt;

use super::client::Misuse;
use super::command_hint;
use super::options::{CONFIG, OPTIONS, Opt, Verb};
use super::toxiproxy_server::{self, ServerMisuse};
use crate::problem::did_you_mean;

/// Why a command line cannot be understood. Prints as one line without the program's name.
#[derive(Debug, PartialEq)]
pub enum UsageError {
    /// What is wrong for toxiproxy-server; its usage stands below.
    ToxiproxyServer(ServerMisuse),
    /// An option nobody knows.
    Unknown(String),
    /// An option of other commands.
    Foreign(&'static Opt, Verb),
    /// An option at the end, or before another one.
    NoValue(&'static Opt),
    /// A switch with a value.
    SurplusValue(&'static Opt, String),
    /// More than one of an option that is meant once.
    Twice(&'static Opt),
    /// A value that is not allowed.
    Invalid {
        /// The flag or the variable it came from.
        place: &'static str,
        /// The row that says what is allowed.
        opt: &'static Opt,
        /// What came.
        came: String,
    },
    /// An argument or a variable that is not UTF-8.
    NotUtf8 {
        /// The variable, or nothing for an argument.
        place: Option<&'static str>,
        /// What came, as far as it can be shown.
        came: String,
    },
    /// Two options that say opposite things.
    Contradiction(&'static Opt, &'static Opt),
    /// Nothing to serve.
    NoConfig(Verb),
    /// Nothing to explain.
    NoRequest,
    /// Nothing to replay.
    NoEvents,
    /// A configuration and `--route`.
    ConfigAndRoute(String),
    /// `CONFIG` and `--config`, or two words.
    TwoConfigs(String, String),
    /// `--latency-ms` and its kin without `--route`.
    KnobWithoutRoute(&'static Opt),
    /// A word after a command that takes none.
    SurplusWord(Verb, String),
    /// `help` with a word that is no command.
    UnknownTopic(String),
    /// The client would not understand it; with true, a program wants to know.
    Client(Misuse, bool),
}

impl fmt::Display for UsageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Unknown(came) => {
                let near = did_you_mean(came, OPTIONS.iter().map(|opt| opt.name));
                write!(out, "{came:?}: unknown option (see chaos-proxy --help{near})")
            }
            UsageError::Foreign(opt, verb) => {
                let own: Vec<&str> = opt.verbs.iter().map(|verb| verb.row().name).collect();
                let (name, verb) = (opt.name, verb.row().name);
                write!(out, "{name}: not an option of {verb} (only of {})", own.join(", "))
            }
            UsageError::NoValue(opt) => {
                let value = opt.takes.placeholder().unwrap_or_default();
                let (name, allowed) = (opt.name, opt.takes.allowed());
                write!(out, "{name}: no value given (write {name} {value}: {allowed})")
            }
            UsageError::SurplusValue(opt, came) => {
                write!(out, "{0}: {came:?} (it takes no value: write {0})", opt.name)
            }
            UsageError::Twice(opt) => write!(out, "{}: given twice (give it once)", opt.name),
            UsageError::Invalid { place, opt, came } => invalid(place, opt, came, out),
            UsageError::NotUtf8 { place: Some(place), came } => {
                write!(out, "{place}: \"{came}\" is not UTF-8 (set it to UTF-8 text)")
            }
            UsageError::NotUtf8 { place: None, came } => {
                let way_out = "rename the file, or read it from standard input with -c -";
                write!(out, "argument \"{came}\" is not UTF-8 ({way_out})")
            }
            UsageError::Contradiction(one, other) => {
                write!(out, "{} and {} contradict each other (give one)", one.name, other.name)
            }
            UsageError::NoConfig(verb) => no_config(*verb, out),
            UsageError::NoRequest => {
                let example = "chaos-proxy explain CONFIG 'GET /api/users'";
                write!(out, "no request given (a configuration and a request: {example})")
            }
            UsageError::NoEvents => {
                out.write_str("no events given (name a file: chaos-proxy replay EVENTS)")
            }
            UsageError::ConfigAndRoute(config) => {
                write!(out, "{config:?} and --route: two configurations (give one of them)")
            }
            UsageError::TwoConfigs(first, second) => {
                let near = command_hint(first);
                let way_out = "give one; a command comes first";
                write!(out, "{first:?} and {second:?}: two configurations ({way_out}{near})")
            }
            UsageError::KnobWithoutRoute(opt) => {
                let way_out = "in a configuration each route has its own";
                write!(out, "{}: only with --route ({way_out})", opt.name)
            }
            UsageError::SurplusWord(verb, word) => {
                let usage = verb.row().usage[0];
                write!(out, "{word:?}: unexpected (write chaos-proxy {usage})")
            }
            UsageError::Client(misuse, _) => misuse.fmt(out),
            UsageError::ToxiproxyServer(misuse) => {
                write!(out, "{misuse}\n{}", toxiproxy_server::usage("toxiproxy-server").trim_end())
            }
            UsageError::UnknownTopic(word) => {
                let names: Vec<&str> = super::COMMANDS.iter().map(|row| row.name).collect();
                let near = command_hint(word);
                write!(out, "{word:?}: unknown command ({}{near})", names.join(", "))
            }
        }
    }
}

fn invalid(place: &str, opt: &Opt, came: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let near = match opt.takes {
        super::Takes::Word { words, .. } => did_you_mean(came, words.iter().copied()),
        _ => String::new(),
    };
    write!(out, "{place}: {came:?} ({}{near})", opt.takes.allowed())
}

fn no_config(verb: Verb, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let command = match verb {
        Verb::Run => String::new(),
        other => format!(" {}", other.row().name),
    };
    write!(
        out,
        "no configuration given (name a file: chaos-proxy{command} CONFIG; or a route: \
         chaos-proxy{command} --route 6380=127.0.0.1:6379; or set {})",
        CONFIG.env.unwrap_or_default()
    )
}

impl std::error::Error for UsageError {}
