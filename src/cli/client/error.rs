//! What is wrong with a command line of the client: one line, with what came and the way out.

use std::fmt;

use super::table::{CLIENT_COMMANDS, ClientVerb, FLAGS, TOXIC};
use crate::problem::did_you_mean;

/// Why a command line of the client cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// No command, or `toxic` alone; holds the words before the one that is missing.
    NoCommand(&'static str),
    /// A word that is no command there.
    UnknownCommand(&'static str, String),
    /// A flag that the command, if there is one, does not know.
    UnknownFlag(Option<ClientVerb>, String),
    /// A flag at the end, or before another one.
    NoValue(String, &'static str),
    /// A switch with a value that is neither true nor false.
    SurplusValue(String, String),
    /// More than one of a flag that is meant once.
    Twice(String),
    /// A flag that must be there and is not, or is empty; with what it takes.
    Missing(ClientVerb, String, &'static str),
    /// No name of a proxy.
    NoName(ClientVerb),
    /// More words than the command takes.
    SurplusWord(ClientVerb, String),
    /// Both directions.
    BothStreams,
    /// A value that is not allowed: where it stood, what came, what is allowed.
    Invalid(String, String, &'static str),
    /// A server that cannot be asked: where it was named, and what is wrong with it.
    Server(&'static str, String),
    /// A text that is not UTF-8; the variable it came from, if any.
    NotUtf8(Option<&'static str>, String),
}

impl fmt::Display for Misuse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::NoCommand(group) => {
                let place = if group.is_empty() { "" } else { &format!(" after {group}") };
                write!(out, "no command given{place} ({})", words(group).join(", "))
            }
            Misuse::UnknownCommand(group, came) => {
                let words = words(group);
                let near = did_you_mean(came, words.iter().copied());
                write!(out, "{came:?}: unknown command ({}{near})", words.join(", "))
            }
            Misuse::UnknownFlag(None, came) => {
                write!(out, "{came:?}: unknown option before a command (--host, --json, --help)")
            }
            Misuse::UnknownFlag(Some(verb), came) => {
                let own = FLAGS.iter().filter(|flag| flag.fits(Some(*verb)));
                let own: Vec<String> = own.map(|flag| flag.form()).collect();
                let near = did_you_mean(came, own.iter().map(String::as_str));
                let name = verb.row().name();
                write!(out, "{came:?}: unknown option of {name} ({}{near})", own.join(", "))
            }
            Misuse::NoValue(form, value) => {
                write!(out, "{form}: no value given (write {form} {value})")
            }
            Misuse::SurplusValue(form, came) => {
                write!(out, "{form}: {came:?} (it takes no value: write {form})")
            }
            Misuse::Twice(form) => write!(out, "{form}: given twice (give it once)"),
            Misuse::Missing(verb, form, value) => {
                let usage = usage(*verb);
                write!(out, "{form} {value} is missing (write {usage})")
            }
            Misuse::NoName(verb) => {
                write!(out, "the name of the proxy is missing (write {})", usage(*verb))
            }
            Misuse::SurplusWord(verb, came) => {
                write!(out, "{came:?}: unexpected (write {})", usage(*verb))
            }
            Misuse::BothStreams => {
                out.write_str("--upstream and --downstream contradict each other (give one)")
            }
            Misuse::Invalid(place, came, allowed) => write!(out, "{place}: {came:?} ({allowed})"),
            Misuse::Server(place, why) => write!(out, "{place}: {why}"),
            Misuse::NotUtf8(None, came) => write!(out, "argument \"{came}\" is not UTF-8"),
            Misuse::NotUtf8(Some(place), came) => {
                write!(out, "{place}: \"{came}\" is not UTF-8 (set it to UTF-8 text)")
            }
        }
    }
}

fn usage(verb: ClientVerb) -> String {
    format!("{}{}", verb.row().name(), verb.row().usage)
}

/// The names that may stand there: `toxic` is one of those before any word.
pub(in crate::cli) fn words(group: &str) -> Vec<&'static str> {
    let own = CLIENT_COMMANDS.iter().filter(|row| row.group == group).map(|row| row.words[0]);
    own.chain(TOXIC.first().copied().filter(|_| group.is_empty())).collect()
}

impl std::error::Error for Misuse {}
