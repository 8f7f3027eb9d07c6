//! Arguments and environment to a `Command`.

use std::ffi::OsString;
use std::path::Path;

use super::client::{self, Style};
use super::error::UsageError;
use super::options::{
    ADMIN, ADMIN_DEFAULT, BIND, CONFIG, DROP_RATE, EVENT_LOG, FORMATS, FROM, GRACE_MS, HEADER,
    HELP, INSECURE_ADMIN, JSON, LATENCY_MS, LEVELS, LIVE, LOG_FORMAT, LOG_LEVEL, Opt, QUIET, ROUTE,
    SEED, TIMEOUT_MS, Takes, VERBOSE, VERSION, Verb, WAIT, WAIT_MAX,
};
use super::{
    Command, ExplainAsked, HealthAsked, Overrides, ReplayAsked, RunOptions, Source,
    toxiproxy_server,
};
use crate::config;
use crate::config::plan::{Endpoint, LogLevel};
use crate::units::Span;

/// Looks up a variable of the environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The name, or its end, by which the program is the client of a server and nothing else.
const CLIENT_NAME: &str = "toxiproxy-cli";

/// The name, or its end, by which the program is Toxiproxy's server; also the command for it.
const SERVER_NAME: &str = "toxiproxy-server";

/// The command for these arguments, the name by which the program was called first.
pub fn parse_called(
    args: impl IntoIterator<Item = OsString>,
    env: Env<'_>,
) -> Result<Command, UsageError> {
    let mut args = args.into_iter();
    let name = args.next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    match name.as_encoded_bytes() {
        name if name.ends_with(CLIENT_NAME.as_bytes()) => for_client(args, env, Style::Toxiproxy),
        name if name.ends_with(SERVER_NAME.as_bytes()) || name == b"toxiproxy" => {
            for_server(args, env)
        }
        _ => parse(args, env),
    }
}

/// The command that `args` (without the name of the program) and the environment ask for.
///
/// A flag goes over its variable; an empty variable counts as not set. Variables are looked at
/// only by commands that use them, so that a bad one never stands before `--help`.
pub fn parse(args: impl Iterator<Item = OsString>, env: Env<'_>) -> Result<Command, UsageError> {
    let args: Vec<OsString> = args.collect();
    if args.first().is_some_and(|word| word == SERVER_NAME) {
        return for_server(args.into_iter().skip(1), env);
    }
    if client::is_meant(&args) {
        return for_client(args.into_iter(), env, Style::Chaos);
    }
    let mut given = Given::collect(args.into_iter())?;
    let verb = given.take_verb();
    if given.has(&HELP) {
        return Ok(Command::Help(verb));
    }
    if given.has(&VERSION) {
        return Ok(Command::Version);
    }
    let verb = verb.unwrap_or(Verb::Run);
    given.check_for(verb)?;
    match verb {
        Verb::Run => run_options(verb, &given, env).map(Command::Run),
        Verb::Check => run_options(verb, &given, env).map(Command::Check),
        Verb::Explain => explain(given, env),
        Verb::Faults => {
            given.no_words(verb, 0).map(|()| Command::Faults { json: given.has(&JSON) })
        }
        Verb::Presets => {
            given.no_words(verb, 0).map(|()| Command::Presets { json: given.has(&JSON) })
        }
        Verb::Demo => {
            given.no_words(verb, 0).and_then(|()| overrides(&given, env).map(Command::Demo))
        }
        Verb::Health => given.no_words(verb, 0).and_then(|()| health(&given, env)),
        Verb::Replay => given.no_words(verb, 1).and_then(|()| replay(&given)),
        Verb::Help => given.no_words(verb, 1).and_then(|()| topic(&given)).map(Command::Help),
    }
}

fn for_server(args: impl Iterator<Item = OsString>, env: Env<'_>) -> Result<Command, UsageError> {
    toxiproxy_server::parse(args, env)
        .map(Command::ToxiproxyServer)
        .map_err(UsageError::ToxiproxyServer)
}

fn for_client(
    args: impl Iterator<Item = OsString>,
    env: Env<'_>,
    style: Style,
) -> Result<Command, UsageError> {
    let args: Vec<OsString> = args.collect();
    let json = client::wants_json(&args);
    let asked = client::parse(args.into_iter(), env, style);
    asked.map(Command::Client).map_err(|misuse| UsageError::Client(misuse, json))
}

/// The arguments, sorted into options and words; nothing is judged beyond its shape.
#[derive(Default)]
struct Given {
    options: Vec<(&'static Opt, String)>,
    words: Vec<String>,
    /// The first word stood after `--`: it is no command, whatever it says.
    literal: bool,
}

impl Given {
    fn collect(args: impl Iterator<Item = OsString>) -> Result<Given, UsageError> {
        let mut given = Given::default();
        let mut args = args.map(utf8).peekable();
        while let Some(arg) = args.next() {
            let arg = arg?;
            if arg == "--" {
                given.literal = given.words.is_empty();
                given.words.extend(args.collect::<Result<Vec<_>, _>>()?);
                break;
            }
            if !arg.starts_with('-') || arg == "-" {
                given.words.push(arg);
                continue;
            }
            let (form, attached) = match arg.split_once('=') {
                Some((form, value)) if form.starts_with("--") => (form, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            let opt = Opt::find(form).ok_or_else(|| UsageError::Unknown(form.to_owned()))?;
            let value = match (opt.takes, attached) {
                (Takes::Nothing, None) => String::new(),
                (Takes::Nothing, Some(value)) => return Err(UsageError::SurplusValue(opt, value)),
                (_, Some(value)) => value,
                (_, None) => match args.next_if(is_value) {
                    Some(value) => value?,
                    None => return Err(UsageError::NoValue(opt)),
                },
            };
            given.options.push((opt, value));
        }
        Ok(given)
    }

    /// Takes the command off the words, if the first of them is one.
    fn take_verb(&mut self) -> Option<Verb> {
        let verb = self.words.first().filter(|_| !self.literal).and_then(|word| Verb::find(word));
        if verb.is_some() {
            self.words.remove(0);
        }
        verb
    }

    /// Refuses options of other commands and options given too often.
    fn check_for(&self, verb: Verb) -> Result<(), UsageError> {
        for (n, (opt, _)) in self.options.iter().enumerate() {
            if !opt.verbs.contains(&verb) {
                return Err(UsageError::Foreign(opt, verb));
            }
            let before = self.options[..n].iter().any(|(other, _)| other == opt);
            if before && !opt.repeatable {
                return Err(UsageError::Twice(opt));
            }
        }
        Ok(())
    }

    /// Refuses words beyond the first `allowed` ones.
    fn no_words(&self, verb: Verb, allowed: usize) -> Result<(), UsageError> {
        match self.words.get(allowed) {
            Some(word) => Err(UsageError::SurplusWord(verb, word.clone())),
            None => Ok(()),
        }
    }

    fn has(&self, opt: &Opt) -> bool {
        self.options.iter().any(|(own, _)| *own == opt)
    }

    fn values<'a>(&'a self, opt: &'a Opt) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |(own, _)| *own == opt).map(|(_, value)| value.as_str())
    }

    fn value(&self, opt: &Opt) -> Option<String> {
        let found = self.options.iter().find(|(own, _)| *own == opt);
        found.map(|(_, value)| value.clone())
    }
}

fn utf8(arg: OsString) -> Result<String, UsageError> {
    arg.into_string().map_err(|arg| UsageError::NotUtf8 { place: None, came: shown(&arg) })
}

/// What can be shown of a text that is not UTF-8, without control characters.
fn shown(text: &OsString) -> String {
    text.to_string_lossy().escape_debug().to_string()
}

/// True for what may follow an option as its value: anything that is not an option itself. An odd
/// value goes with `--name=value`.
fn is_value(arg: &Result<String, UsageError>) -> bool {
    arg.as_ref().map_or(true, |arg| !arg.starts_with("--") && Opt::find(arg).is_none())
}

fn replay(given: &Given) -> Result<Command, UsageError> {
    let events = given.words.first().ok_or(UsageError::NoEvents)?;
    Ok(Command::Replay(ReplayAsked { events: events.into(), json: given.has(&JSON) }))
}

fn topic(given: &Given) -> Result<Option<Verb>, UsageError> {
    let find = |word: &String| Verb::find(word).ok_or(UsageError::UnknownTopic(word.clone()));
    given.words.first().map(find).transpose()
}

fn run_options(verb: Verb, given: &Given, env: Env<'_>) -> Result<RunOptions, UsageError> {
    Ok(RunOptions { source: source(verb, given, env)?, overrides: overrides(given, env)? })
}

fn source(verb: Verb, given: &Given, env: Env<'_>) -> Result<Source, UsageError> {
    let mut configs = given.words.iter().cloned().chain(given.value(&CONFIG));
    let config = configs.next();
    if let (Some(first), Some(second)) = (&config, configs.next()) {
        return Err(UsageError::TwoConfigs(first.clone(), second));
    }
    if given.has(&ROUTE) {
        return match config {
            Some(config) => Err(UsageError::ConfigAndRoute(config)),
            None => Ok(inline(given)),
        };
    }
    if let Some(knob) = [&LATENCY_MS, &DROP_RATE, &TIMEOUT_MS].into_iter().find(|o| given.has(o)) {
        return Err(UsageError::KnobWithoutRoute(knob));
    }
    let config = match config {
        Some(config) => Some((CONFIG.name, config)),
        None => variable(&CONFIG, env)?,
    };
    match config {
        None => Err(UsageError::NoConfig(verb)),
        Some((place, came)) if came.is_empty() || came.contains('\0') => {
            Err(UsageError::Invalid { place, opt: &CONFIG, came })
        }
        Some((_, path)) if path == "-" => Ok(Source::Stdin),
        Some((_, path)) => Ok(Source::File(path.into())),
    }
}

fn inline(given: &Given) -> Source {
    Source::Inline {
        routes: given.values(&ROUTE).map(str::to_owned).collect(),
        latency_ms: given.value(&LATENCY_MS),
        drop_rate: given.value(&DROP_RATE),
        timeout_ms: given.value(&TIMEOUT_MS),
    }
}

fn overrides(given: &Given, env: Env<'_>) -> Result<Overrides, UsageError> {
    Ok(Overrides {
        seed: valued(&SEED, given, env, whole)?,
        log_level: log_level(given, env)?,
        log_format: valued(&LOG_FORMAT, given, env, |opt, text| {
            word(opt, text).and_then(|n| FORMATS.get(n).copied())
        })?,
        grace: valued(&GRACE_MS, given, env, whole)?.map(Span::from_ms),
        bind: valued(&BIND, given, env, |_, text| config::bind_ip(text))?,
        admin: valued(&ADMIN, given, env, |_, text| config::listen_endpoint(text).ok())?,
        insecure_admin: given.has(&INSECURE_ADMIN),
        event_log: given.value(&EVENT_LOG).map(Into::into),
    })
}

/// The request is the last word; what stands before it is the configuration.
fn explain(mut given: Given, env: Env<'_>) -> Result<Command, UsageError> {
    let has_config = given.has(&CONFIG) || variable(&CONFIG, env)?.is_some();
    let request = given.words.pop().filter(|_| has_config || !given.words.is_empty());
    let asked = ExplainAsked {
        request: request.ok_or(UsageError::NoRequest)?,
        headers: given.values(&HEADER).map(str::to_owned).collect(),
        from: valued(&FROM, &given, env, |_, text| text.parse().ok())?,
    };
    let overrides = Overrides::default();
    let source = source(Verb::Explain, &given, env)?;
    Ok(Command::Explain(RunOptions { source, overrides }, asked))
}

fn health(given: &Given, env: Env<'_>) -> Result<Command, UsageError> {
    let admin = valued(&ADMIN, given, env, |_, text| config::listen_endpoint(text).ok())?;
    let time = |_: &Opt, text: &str| Span::parse(text).ok().filter(|wait| *wait <= WAIT_MAX);
    Ok(Command::Health(HealthAsked {
        admin: admin.unwrap_or_else(|| Endpoint::lenient(ADMIN_DEFAULT)),
        wait: valued(&WAIT, given, env, time)?.unwrap_or(Span::ZERO),
        live: given.has(&LIVE),
    }))
}

/// The level from the one flag of three that is given, or else from the environment.
fn log_level(given: &Given, env: Env<'_>) -> Result<Option<LogLevel>, UsageError> {
    let flags = [&QUIET, &VERBOSE, &LOG_LEVEL];
    let mut present = flags.into_iter().filter(|opt| given.has(opt));
    let first = present.next();
    if let (Some(one), Some(other)) = (first, present.next()) {
        return Err(UsageError::Contradiction(one, other));
    }
    match first {
        Some(opt) if *opt == QUIET => Ok(Some(LogLevel::Warn)),
        Some(opt) if *opt == VERBOSE => Ok(Some(LogLevel::Debug)),
        _ => valued(&LOG_LEVEL, given, env, |opt, text| {
            word(opt, text).and_then(|n| LEVELS.get(n).copied())
        }),
    }
}

/// The value of an option from its flag or else its variable, understood by `read`.
fn valued<T>(
    opt: &'static Opt,
    given: &Given,
    env: Env<'_>,
    read: fn(&Opt, &str) -> Option<T>,
) -> Result<Option<T>, UsageError> {
    let found = match given.value(opt) {
        Some(value) => Some((opt.name, value)),
        None => variable(opt, env)?,
    };
    match found {
        None => Ok(None),
        Some((place, came)) => match read(opt, &came) {
            Some(value) => Ok(Some(value)),
            None => Err(UsageError::Invalid { place, opt, came }),
        },
    }
}

/// The variable of an option and its value, when it is set and not empty.
fn variable(opt: &Opt, env: Env<'_>) -> Result<Option<(&'static str, String)>, UsageError> {
    let set = opt.env.and_then(|name| Some((name, env(name)?)));
    match set.filter(|(_, value)| !value.is_empty()) {
        None => Ok(None),
        Some((name, value)) => match value.into_string() {
            Ok(value) => Ok(Some((name, value))),
            Err(value) => Err(UsageError::NotUtf8 { place: Some(name), came: shown(&value) }),
        },
    }
}

fn whole(opt: &Opt, text: &str) -> Option<u64> {
    let Takes::Whole { max, .. } = opt.takes else { return None };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= max)
}

/// The place of a word among those the option allows.
fn word(opt: &Opt, text: &str) -> Option<usize> {
    let Takes::Word { words, .. } = opt.takes else { return None };
    words.iter().position(|word| *word == text)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
