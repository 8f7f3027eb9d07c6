//! The one table of commands and options: the parser, `--help`, the completions and the man page
//! are read from it. To add an option, write its row, put it into `OPTIONS`, and use its value in
//! `parse`; then run `make dist`.

use crate::config::plan::{LogFormat, LogLevel};
use crate::units::Span;

/// A command word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Serve; what is meant when no command is written.
    Run,
    /// Validate and print the plan.
    Check,
    /// Tell which faults a request would meet.
    Explain,
    /// List the faults.
    Faults,
    /// List the profiles.
    Presets,
    /// Serve a built-in example.
    Demo,
    /// Ask a running proxy whether it is well.
    Health,
    /// Make the decisions of a recording again.
    Replay,
    /// Explain.
    Help,
}

/// The row of a command.
#[derive(Debug)]
pub struct CommandRow {
    /// Which command it is.
    pub verb: Verb,
    /// The word for it.
    pub name: &'static str,
    /// How it is written, one form a line, without the name of the program.
    pub usage: &'static [&'static str],
    /// One line for people.
    pub about: &'static str,
}

/// Every command, in the order in which they are shown.
pub static COMMANDS: &[CommandRow] = &[
    CommandRow {
        verb: Verb::Run,
        name: "run",
        usage: &[
            "[run] [CONFIG | -c FILE | -c -] [--admin ADDR] [--seed N] [--log-level LEVEL]",
            "[run] --route LISTEN=UPSTREAM [--latency-ms N] [--drop-rate F] [--timeout-ms N]",
        ],
        about: "serve the routes until SIGTERM or SIGINT, then drain; the word may be left out",
    },
    CommandRow {
        verb: Verb::Check,
        name: "check",
        usage: &["check CONFIG"],
        about: "validate what run would serve and print it as JSON; takes the options of run",
    },
    CommandRow {
        verb: Verb::Explain,
        name: "explain",
        usage: &["explain CONFIG 'METHOD PATH' [-H 'NAME: VALUE'] [--from IP]"],
        about: "say which faults of http routes a request would meet, how likely, and why not",
    },
    CommandRow {
        verb: Verb::Faults,
        name: "faults",
        usage: &["faults [--json]"],
        about: "list every fault with its attributes, their units, ranges and defaults",
    },
    CommandRow {
        verb: Verb::Presets,
        name: "presets",
        usage: &["presets [--json]"],
        about: "list the links for `profile` of a route, with the sources of their figures",
    },
    CommandRow {
        verb: Verb::Demo,
        name: "demo",
        usage: &["demo [--seed N] [--log-level LEVEL] [--log-format FORMAT] [--grace-ms N]"],
        about: "serve a built-in upstream behind faulty routes, and say what to try",
    },
    CommandRow {
        verb: Verb::Health,
        name: "health",
        usage: &["health [--admin ADDR] [--wait TIME] [--live]"],
        about: "ask a running proxy, by its admin API, whether it is ready; exit 0 says yes",
    },
    CommandRow {
        verb: Verb::Replay,
        name: "replay",
        usage: &["replay EVENTS [--json]"],
        about: "make the decisions of an --event-log again; exit 1 when any differs",
    },
    CommandRow {
        verb: Verb::Help,
        name: "help",
        usage: &["help [COMMAND]"],
        about: "explain the program or one command, as --help does",
    },
];

impl Verb {
    /// The command with this name.
    pub fn find(name: &str) -> Option<Verb> {
        COMMANDS.iter().find(|row| row.name == name).map(|row| row.verb)
    }

    /// Its row.
    pub fn row(self) -> &'static CommandRow {
        let row = COMMANDS.iter().find(|row| row.verb == self);
        row.expect("every command has a row")
    }
}

/// The row of an option.
#[derive(Debug)]
pub struct Opt {
    /// The long form, with its dashes.
    pub name: &'static str,
    /// The short form, with its dash.
    pub short: Option<&'static str>,
    /// What must follow it.
    pub takes: Takes,
    /// The variable that stands for it where it is not written.
    pub env: Option<&'static str>,
    /// True when it may be written more than once.
    pub repeatable: bool,
    /// The commands that know it.
    pub verbs: &'static [Verb],
    /// What holds when neither the option, the variable nor the file says anything.
    pub default: Option<&'static str>,
    /// One line for people.
    pub about: &'static str,
}

/// What follows an option.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Nothing: a switch.
    Nothing,
    /// A file, or `-` for standard input.
    File,
    /// A whole number up to a highest one, in a unit (which may be empty).
    Whole {
        /// The highest number allowed.
        max: u64,
        /// Its unit, or nothing.
        unit: &'static str,
    },
    /// One of these words.
    Word {
        /// How it is called in usage lines.
        placeholder: &'static str,
        /// The words.
        words: &'static [&'static str],
    },
    /// A text that the configuration's own rules will judge.
    Text {
        /// How it is called in usage lines.
        placeholder: &'static str,
        /// What those rules will take, in words.
        allowed: &'static str,
    },
}

impl Takes {
    /// How the value is called in usage lines; nothing for a switch.
    pub fn placeholder(self) -> Option<&'static str> {
        match self {
            Takes::Nothing => None,
            Takes::File => Some("FILE"),
            Takes::Whole { .. } => Some("N"),
            Takes::Word { placeholder, .. } | Takes::Text { placeholder, .. } => Some(placeholder),
        }
    }

    /// What may be written, in words, for messages.
    pub fn allowed(self) -> String {
        match self {
            Takes::Nothing => "nothing".to_owned(),
            Takes::File => "a file name, or - for standard input".to_owned(),
            Takes::Whole { max, unit: "" } => format!("a whole number, 0..{max}"),
            Takes::Whole { max, unit } => format!("a whole number of {unit}, 0..{max}"),
            Takes::Word { words, .. } => words.join(", "),
            Takes::Text { allowed, .. } => allowed.to_owned(),
        }
    }
}

/// Two rows are the same when their names are: names are unique in `OPTIONS`.
impl PartialEq for Opt {
    fn eq(&self, other: &Opt) -> bool {
        self.name == other.name
    }
}

impl Opt {
    /// The row with this long or short form.
    pub fn find(form: &str) -> Option<&'static Opt> {
        OPTIONS.iter().copied().find(|opt| opt.name == form || opt.short == Some(form))
    }
}

/// The longest grace: an hour.
const GRACE_MAX: Span = Span::from_ms(3_600_000);

/// The longest that `health` asks.
pub(super) const WAIT_MAX: Span = Span::from_ms(3_600_000);

/// Where `health` asks when it is not told.
pub(super) const ADMIN_DEFAULT: &str = "127.0.0.1:8474";

/// The words for log levels; `parse` finds the level at the same place in `LEVELS`.
const LEVEL_WORDS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// The log levels in the order of their words.
pub(super) const LEVELS: [LogLevel; 5] =
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

/// The words for log formats; `parse` finds the format at the same place in `FORMATS`.
const FORMAT_WORDS: &[&str] = &["text", "json"];

/// The log formats in the order of their words.
pub(super) const FORMATS: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

const SERVING: &[Verb] = &[Verb::Run, Verb::Check, Verb::Demo];
const CONFIGURED: &[Verb] = &[Verb::Run, Verb::Check];
const EVERY: &[Verb] = &[
    Verb::Run,
    Verb::Check,
    Verb::Explain,
    Verb::Faults,
    Verb::Presets,
    Verb::Demo,
    Verb::Health,
    Verb::Replay,
    Verb::Help,
];

/// What the rows below leave out.
const SWITCH: Opt = Opt {
    name: "",
    short: None,
    takes: Takes::Nothing,
    env: None,
    repeatable: false,
    verbs: CONFIGURED,
    default: None,
    about: "",
};

/// The configuration.
pub(super) static CONFIG: Opt = Opt {
    name: "--config",
    short: Some("-c"),
    takes: Takes::File,
    env: Some("CHAOS_PROXY_CONFIG"),
    verbs: &[Verb::Run, Verb::Check, Verb::Explain],
    about: "the configuration, as CONFIG: JSON or YAML, - for standard input",
    ..SWITCH
};

/// A route without a file.
pub(super) static ROUTE: Opt = Opt {
    name: "--route",
    takes: Takes::Text { placeholder: "LISTEN=UPSTREAM", allowed: "such as 6380=127.0.0.1:6379" },
    repeatable: true,
    about: "a route without a file, such as 6380=127.0.0.1:6379; may be repeated",
    ..SWITCH
};

/// The delay of the routes given by `--route`.
pub(super) static LATENCY_MS: Opt = Opt {
    name: "--latency-ms",
    takes: Takes::Text { placeholder: "N", allowed: "milliseconds, 0..3600000" },
    default: Some("0"),
    about: "answers on the --route routes come this many ms later",
    ..SWITCH
};

/// The share of dropped connections of the routes given by `--route`.
pub(super) static DROP_RATE: Opt = Opt {
    name: "--drop-rate",
    takes: Takes::Text { placeholder: "F", allowed: "a share, 0..1" },
    default: Some("0"),
    about: "the share of connections reset at accept on the --route routes, 0..1",
    ..SWITCH
};

/// The idle limit of the routes given by `--route`.
pub(super) static TIMEOUT_MS: Opt = Opt {
    name: "--timeout-ms",
    takes: Takes::Text { placeholder: "N", allowed: "milliseconds, 0..86400000" },
    default: Some("0, off"),
    about: "ends connections of the --route routes after this many ms of silence",
    ..SWITCH
};

/// Where ports without an address listen.
pub(super) static BIND: Opt = Opt {
    name: "--bind",
    takes: Takes::Text { placeholder: "IP", allowed: "an IP address, such as 0.0.0.0" },
    env: Some("CHAOS_PROXY_BIND"),
    verbs: SERVING,
    default: Some("127.0.0.1"),
    about: "where a port without an address listens, unless its route says `bind`",
    ..SWITCH
};

/// The seed of every decision.
pub(super) static SEED: Opt = Opt {
    name: "--seed",
    takes: Takes::Whole { max: u64::MAX, unit: "" },
    env: Some("CHAOS_PROXY_SEED"),
    verbs: SERVING,
    default: Some("random, told at start"),
    about: "the seed of every decision; the same seed, the same faults",
    ..SWITCH
};

/// Which events are logged.
pub(super) static LOG_LEVEL: Opt = Opt {
    name: "--log-level",
    takes: Takes::Word { placeholder: "LEVEL", words: LEVEL_WORDS },
    env: Some("CHAOS_PROXY_LOG_LEVEL"),
    verbs: SERVING,
    default: Some("info"),
    about: "error, warn, info, debug or trace",
    ..SWITCH
};

/// How events are logged.
pub(super) static LOG_FORMAT: Opt = Opt {
    name: "--log-format",
    takes: Takes::Word { placeholder: "FORMAT", words: FORMAT_WORDS },
    env: Some("CHAOS_PROXY_LOG_FORMAT"),
    verbs: SERVING,
    default: Some("text"),
    about: "text for people, json for programs; always on standard error",
    ..SWITCH
};

/// How long a stop waits.
pub(super) static GRACE_MS: Opt = Opt {
    name: "--grace-ms",
    takes: Takes::Whole { max: GRACE_MAX.as_ms(), unit: "milliseconds" },
    env: Some("CHAOS_PROXY_GRACE_MS"),
    verbs: SERVING,
    default: Some("10000"),
    about: "how long connections in flight may go on after the first signal",
    ..SWITCH
};

/// The admin API.
pub(super) static ADMIN: Opt = Opt {
    name: "--admin",
    takes: Takes::Text { placeholder: "ADDR", allowed: "host:port, such as 127.0.0.1:8474" },
    env: Some("CHAOS_PROXY_ADMIN"),
    verbs: &[Verb::Run, Verb::Check, Verb::Demo, Verb::Health],
    default: Some("off; health: 127.0.0.1:8474"),
    about: "serve the admin API there: Toxiproxy's, so that its clients work",
    ..SWITCH
};

/// The admin API for whoever can reach it.
pub(super) static INSECURE_ADMIN: Opt = Opt {
    name: "--insecure-admin",
    verbs: SERVING,
    about: "allow the admin API beyond this machine without a token",
    ..SWITCH
};

/// The file that gets all events.
pub(super) static EVENT_LOG: Opt = Opt {
    name: "--event-log",
    takes: Takes::Text { placeholder: "FILE", allowed: "a file that can be written" },
    verbs: SERVING,
    default: Some("none"),
    about: "append all events to this file as JSON lines, for replay",
    ..SWITCH
};

/// Less in the log.
pub(super) static QUIET: Opt =
    Opt { name: "--quiet", verbs: SERVING, about: "the same as --log-level warn", ..SWITCH };

/// More in the log.
pub(super) static VERBOSE: Opt =
    Opt { name: "--verbose", verbs: SERVING, about: "the same as --log-level debug", ..SWITCH };

/// How long `health` asks.
pub(super) static WAIT: Opt = Opt {
    name: "--wait",
    takes: Takes::Text { placeholder: "TIME", allowed: "a time, such as 10s, at most 1h" },
    verbs: &[Verb::Health],
    default: Some("0s, ask once"),
    about: "ask again until it is ready, for so long, such as 10s",
    ..SWITCH
};

/// Another question of `health`.
pub(super) static LIVE: Opt = Opt {
    name: "--live",
    verbs: &[Verb::Health],
    about: "ask whether the process lives (/healthz), ready (/readyz) or not",
    ..SWITCH
};

/// A field of a request to explain.
pub(super) static HEADER: Opt = Opt {
    name: "--header",
    short: Some("-H"),
    takes: Takes::Text { placeholder: "FIELD", allowed: "a field, such as 'X-Test: 1'" },
    repeatable: true,
    verbs: &[Verb::Explain],
    about: "a field of the request, such as 'X-Test: 1'; may be repeated",
    ..SWITCH
};

/// Where a request to explain comes from.
pub(super) static FROM: Opt = Opt {
    name: "--from",
    takes: Takes::Text { placeholder: "IP", allowed: "an IP address" },
    verbs: &[Verb::Explain],
    default: Some("127.0.0.1"),
    about: "the address of the client that asks",
    ..SWITCH
};

/// The listing of faults for programs.
pub(super) static JSON: Opt = Opt {
    name: "--json",
    verbs: &[Verb::Faults, Verb::Presets, Verb::Replay],
    about: "print JSON for programs instead of text for people",
    ..SWITCH
};

/// Explains.
pub(super) static HELP: Opt = Opt {
    name: "--help",
    short: Some("-h"),
    verbs: EVERY,
    about: "explain the program, or the command it follows",
    ..SWITCH
};

/// Tells the version.
pub(super) static VERSION: Opt = Opt {
    name: "--version",
    short: Some("-V"),
    verbs: EVERY,
    about: "print the version",
    ..SWITCH
};

/// Every option, in the order in which they are shown.
pub static OPTIONS: &[&Opt] = &[
    &CONFIG,
    &ROUTE,
    &LATENCY_MS,
    &DROP_RATE,
    &TIMEOUT_MS,
    &BIND,
    &SEED,
    &LOG_LEVEL,
    &LOG_FORMAT,
    &GRACE_MS,
    &ADMIN,
    &INSECURE_ADMIN,
    &EVENT_LOG,
    &QUIET,
    &VERBOSE,
    &WAIT,
    &LIVE,
    &HEADER,
    &FROM,
    &JSON,
    &HELP,
    &VERSION,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_unique_and_complete() {
        for opt in OPTIONS {
            let same = |other: &&&Opt| other.name == opt.name || other.env == opt.env;
            let env_free = |other: &&&Opt| other.name == opt.name;
            let count = match opt.env {
                Some(_) => OPTIONS.iter().filter(same).count(),
                None => OPTIONS.iter().filter(env_free).count(),
            };
            assert_eq!(count, 1, "{}", opt.name);
            assert!(opt.name.starts_with("--") && !opt.verbs.is_empty(), "{}", opt.name);
            assert!(!opt.about.is_empty() && !opt.about.ends_with('.'), "{}", opt.name);
            assert_eq!(Opt::find(opt.name), Some(*opt));
        }
        assert_eq!(Opt::find("-c"), Some(&CONFIG));
        assert_eq!(Opt::find("-x"), None);
    }

    #[test]
    fn environment_names_mirror_the_flags() {
        for opt in OPTIONS {
            let mirrored =
                format!("CHAOS_PROXY_{}", opt.name[2..].to_uppercase().replace('-', "_"));
            assert!(opt.env.is_none_or(|env| env == mirrored), "{}", opt.name);
        }
    }

    #[test]
    fn words_are_those_of_the_plan() {
        let levels: Vec<String> =
            LEVELS.iter().map(|level| format!("{level:?}").to_lowercase()).collect();
        assert_eq!(levels, LEVEL_WORDS);
        let formats: Vec<String> =
            FORMATS.iter().map(|format| format!("{format:?}").to_lowercase()).collect();
        assert_eq!(formats, FORMAT_WORDS);
    }

    #[test]
    fn every_command_has_its_row() {
        for verb in EVERY {
            assert_eq!(Verb::find(verb.row().name), Some(*verb));
        }
        assert_eq!(COMMANDS.len(), EVERY.len());
    }
}
