//! Arguments and environment to a `Command`.

use std::ffi::OsString;
use std::path::Path;

use super::client::{self, Style};
use super::error::UsageError;
use super::options::{
    ADMIN, BIND, CONFIG, DROP_RATE, FORMATS, GRACE_MS, HELP, INSECURE_ADMIN, JSON, LATENCY_MS,
    LEVELS, LOG_FORMAT, LOG_LEVEL, Opt, QUIET, ROUTE, SEED, TIMEOUT_MS, Takes, VERBOSE, VERSION,
    Verb,
};
use super::{Command, Overrides, RunOptions, Source, toxiproxy_server};
use crate::config;
use crate::config::plan::LogLevel;
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
        Verb::Faults => {
            given.no_words(verb, 0).map(|()| Command::Faults { json: given.has(&JSON) })
        }
        Verb::Demo => {
            given.no_words(verb, 0).and_then(|()| overrides(&given, env).map(Command::Demo))
        }
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
    client::parse(args, env, style).map(Command::Client).map_err(UsageError::Client)
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
    })
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
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// Arguments as in a shell, separated by spaces; `VAR=value` before them sets a variable.
    fn read(line: &str) -> Result<Command, UsageError> {
        let is_variable = |part: &&str| part.starts_with("CHAOS_PROXY_");
        let parts: Vec<&str> = line.split(' ').filter(|part| !part.is_empty()).collect();
        let (variables, args): (Vec<&str>, Vec<&str>) = parts.into_iter().partition(is_variable);
        let env = |name: &str| {
            let pairs = variables.iter().filter_map(|part| part.split_once('='));
            pairs.clone().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value))
        };
        parse(args.into_iter().map(|arg| if arg == "''" { "" } else { arg }.into()), &env)
    }

    /// The command in short: its name, its source, what goes over the configuration.
    fn short(line: &str) -> String {
        match read(line) {
            Ok(Command::Run(options)) => format!("run {}", options_short(&options)),
            Ok(Command::Check(options)) => format!("check {}", options_short(&options)),
            Ok(Command::Demo(overrides)) => format!("demo{}", overrides_short(&overrides)),
            Ok(Command::Faults { json }) => format!("faults json={json}"),
            Ok(Command::Client(asked)) => format!("client {asked:?}"),
            Ok(Command::ToxiproxyServer(asked)) => format!("toxiproxy-server {asked:?}"),
            Ok(Command::Help(topic)) => format!("help {topic:?}"),
            Ok(Command::Version) => "version".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn options_short(options: &RunOptions) -> String {
        let source = match &options.source {
            Source::File(path) => format!("file {}", path.display()),
            Source::Stdin => "stdin".to_owned(),
            Source::Inline { routes, latency_ms, drop_rate, timeout_ms } => {
                let knobs = [latency_ms, drop_rate, timeout_ms];
                let knobs: Vec<&str> =
                    knobs.into_iter().map(|knob| knob.as_deref().unwrap_or("none")).collect();
                format!("inline {} {}", routes.join(" "), knobs.join(" "))
            }
        };
        source + &overrides_short(&options.overrides)
    }

    fn overrides_short(overrides: &Overrides) -> String {
        let seed = overrides.seed.map(|seed| format!(" seed={seed}"));
        let level = overrides.log_level.map(|level| format!(" level={level:?}"));
        let format = overrides.log_format.map(|format| format!(" format={format:?}"));
        let grace = overrides.grace.map(|grace| format!(" grace={grace}"));
        let bind = overrides.bind.map(|bind| format!(" bind={bind}"));
        [seed, level, format, grace, bind].into_iter().flatten().collect()
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(short(line), expected, "chaos-proxy {line}");
    }

    #[test]
    fn sources() {
        check("a.yaml", "run file a.yaml");
        check("run a.yaml", "run file a.yaml");
        check("-c a.yaml", "run file a.yaml");
        check("run --config=a.yaml", "run file a.yaml");
        check("--config a=b.yaml", "run file a=b.yaml");
        check("-c -", "run stdin");
        check("-", "run stdin");
        check("CHAOS_PROXY_CONFIG=e.yaml", "run file e.yaml");
        check("CHAOS_PROXY_CONFIG=-", "run stdin");
        check("a.yaml CHAOS_PROXY_CONFIG=e.yaml", "run file a.yaml");
        check("check a.yaml", "check file a.yaml");
        check("check CHAOS_PROXY_CONFIG=e.yaml --seed 1", "check file e.yaml seed=1");
    }

    #[test]
    fn routes_without_a_file() {
        check("--route 1=h:2", "run inline 1=h:2 none none none");
        check("--route=1=h:2 --route 3=h:4", "run inline 1=h:2 3=h:4 none none none");
        let knobs = "--latency-ms 5 --drop-rate 5% --timeout-ms=-1";
        check(&format!("run --route 1=h:2 {knobs}"), "run inline 1=h:2 5 5% -1");
        check("check --route 1=h:2", "check inline 1=h:2 none none none");
        check("--route 1=h:2 CHAOS_PROXY_CONFIG=e.yaml", "run inline 1=h:2 none none none");
    }

    #[test]
    fn words_and_dashes() {
        check("-- run", "run file run");
        check("./run", "run file ./run");
        check("-c run", "run file run");
        check("--seed 1 check a.yaml", "check file a.yaml seed=1");
        check("check -- --odd", "check file --odd");
        check("--config=--odd", "run file --odd");
        check("a.yaml --", "run file a.yaml");
    }

    #[test]
    fn overrides_come_from_flags_or_else_from_the_environment() {
        let flags = "--seed 7 --log-level warn --log-format json --grace-ms 250";
        let expected = "seed=7 level=Warn format=Json grace=250ms";
        check(&format!("a {flags}"), &format!("run file a {expected}"));
        check(&format!("demo {flags}"), &format!("demo {expected}"));
        let env = "CHAOS_PROXY_SEED=8 CHAOS_PROXY_LOG_LEVEL=trace CHAOS_PROXY_LOG_FORMAT=text \
                   CHAOS_PROXY_GRACE_MS=0";
        let from_env = "seed=8 level=Trace format=Text grace=0ms";
        check(&format!("{env} a"), &format!("run file a {from_env}"));
        check(&format!("{env} demo"), &format!("demo {from_env}"));
        check(&format!("{env} a {flags}"), &format!("run file a {expected}"));
        check("a --bind [::1]", "run file a bind=::1");
        check("demo CHAOS_PROXY_BIND=0.0.0.0", "demo bind=0.0.0.0");
        check("a --quiet", "run file a level=Warn");
        check("a --verbose", "run file a level=Debug");
        check("a --quiet CHAOS_PROXY_LOG_LEVEL=trace", "run file a level=Warn");
        check("a --seed 18446744073709551615", "run file a seed=18446744073709551615");
        check("a CHAOS_PROXY_SEED= CHAOS_PROXY_LOG_LEVEL= CHAOS_PROXY_GRACE_MS=", "run file a");
    }

    #[test]
    fn other_commands() {
        check("faults", "faults json=false");
        check("faults --json", "faults json=true");
        check("demo", "demo");
        check("-V", "version");
        check("run --version", "version");
        check("--help", "help None");
        check("-h", "help None");
        check("help", "help None");
        check("help faults", "help Some(Faults)");
        check("check --help", "help Some(Check)");
        check("--seed x --help", "help None");
        check("--help CHAOS_PROXY_SEED=x", "help None");
        check("faults CHAOS_PROXY_SEED=x", "faults json=false");
    }

    #[test]
    fn the_client_by_its_words_or_by_the_name_of_the_program() {
        let called = |line: &str| {
            let command = parse_called(line.split(' ').map(Into::into), &|_| None);
            matches!(command, Ok(Command::Client(_)) | Err(UsageError::Client(_)))
        };
        for line in ["chaos-proxy list", "toxiproxy-cli run", "/bin/my-toxiproxy-cli -h h:1 ls"] {
            assert!(called(line), "{line}");
        }
        for line in ["chaos-proxy run list", "/toxiproxy-cli/chaos-proxy a.yaml", ""] {
            assert!(!called(line), "{line}");
        }
    }

    #[test]
    fn options_that_are_wrong() {
        let unknown =
            r#""--sead": unknown option (see chaos-proxy --help, did you mean "--seed"?)"#;
        check("a --sead 1", unknown);
        check("a --sead=1", unknown);
        check("a --bind web", r#"--bind: "web" (an IP address, such as 0.0.0.0)"#);
        check("-x", r#""-x": unknown option (see chaos-proxy --help)"#);
        let all = "a whole number, 0..18446744073709551615";
        check("a --seed", &format!("--seed: no value given (write --seed N: {all})"));
        check("a --seed --quiet", &format!("--seed: no value given (write --seed N: {all})"));
        let file = "a file name, or - for standard input";
        check("-c", &format!("--config: no value given (write --config FILE: {file})"));
        check("a --quiet=yes", r#"--quiet: "yes" (it takes no value: write --quiet)"#);
        check("a --seed 1 --seed 2", "--seed: given twice (give it once)");
        check("-c a --config b", "--config: given twice (give it once)");
        check("a --json", "--json: not an option of run (only of faults)");
        check("demo -c a", "--config: not an option of demo (only of run, check)");
    }

    #[test]
    fn values_that_are_wrong() {
        let all = "(a whole number, 0..18446744073709551615)";
        for seed in ["-1", "1.5", "+1", "0x1", "18446744073709551616", "eleven"] {
            check(&format!("a --seed {seed}"), &format!("--seed: {seed:?} {all}"));
            check(&format!("a --seed={seed}"), &format!("--seed: {seed:?} {all}"));
            let line = format!("a CHAOS_PROXY_SEED={seed}");
            check(&line, &format!("CHAOS_PROXY_SEED: {seed:?} {all}"));
        }
        check("a --seed=", &format!(r#"--seed: "" {all}"#));
        let grace = "(a whole number of milliseconds, 0..3600000)";
        check("a --grace-ms 3600001", &format!(r#"--grace-ms: "3600001" {grace}"#));
        check("a --grace-ms 10s", &format!(r#"--grace-ms: "10s" {grace}"#));
        check(
            "a --log-level wran",
            r#"--log-level: "wran" (error, warn, info, debug, trace, did you mean "warn"?)"#,
        );
        check("a CHAOS_PROXY_LOG_FORMAT=xml", r#"CHAOS_PROXY_LOG_FORMAT: "xml" (text, json)"#);
        check("''", r#"--config: "" (a file name, or - for standard input)"#);
        check("--config=", r#"--config: "" (a file name, or - for standard input)"#);
    }

    #[test]
    fn sources_that_are_wrong() {
        let ways = |command: &str| {
            format!(
                "no configuration given (name a file: chaos-proxy{command} CONFIG; or a route: \
                 chaos-proxy{command} --route 6380=127.0.0.1:6379; or set CHAOS_PROXY_CONFIG)"
            )
        };
        check("", &ways(""));
        check("run", &ways(""));
        check("check", &ways(" check"));
        check("--seed 1 CHAOS_PROXY_CONFIG=", &ways(""));
        let two = "two configurations";
        check("a --route 1=h:2", &format!(r#""a" and --route: {two} (give one of them)"#));
        check("-c a --route 1=h:2", &format!(r#""a" and --route: {two} (give one of them)"#));
        let first = "give one; a command comes first";
        check("a b", &format!(r#""a" and "b": {two} ({first})"#));
        check("a -c b", &format!(r#""a" and "b": {two} ({first})"#));
        let near = r#", did you mean "check"?"#;
        check("chekc b", &format!(r#""chekc" and "b": {two} ({first}{near})"#));
        let knob = "only with --route (in a configuration each route has its own)";
        check("a --latency-ms 5", &format!("--latency-ms: {knob}"));
        check("--drop-rate 1", &format!("--drop-rate: {knob}"));
        check("a --quiet --verbose", "--quiet and --verbose contradict each other (give one)");
        let level = "--verbose and --log-level contradict each other (give one)";
        check("a --log-level info --verbose", level);
    }

    #[test]
    fn words_that_are_wrong() {
        check("faults x", r#""x": unexpected (write chaos-proxy faults [--json])"#);
        check("help run x", r#""x": unexpected (write chaos-proxy help [COMMAND])"#);
        let all = "run, check, faults, demo, help";
        let near = r#", did you mean "faults"?"#;
        check("help fault", &format!(r#""fault": unknown command ({all}{near})"#));
    }

    #[test]
    fn what_is_not_utf8_is_one_line() {
        let bad = || OsString::from_vec(b"a\xff\n".to_vec());
        let error = parse([bad()].into_iter(), &|_| None).expect_err("not UTF-8");
        let way_out = "(rename the file, or read it from standard input with -c -)";
        assert_eq!(
            error.to_string(),
            format!(r#"argument "a{}\n" is not UTF-8 {way_out}"#, '\u{fffd}')
        );
        let env = |name: &str| (name == "CHAOS_PROXY_SEED").then(bad);
        let error = parse(["a".into()].into_iter(), &env).expect_err("not UTF-8");
        let place = "CHAOS_PROXY_SEED";
        let expected =
            format!(r#"{place}: "a{}\n" is not UTF-8 (set it to UTF-8 text)"#, '\u{fffd}');
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn every_error_is_one_line() {
        for line in ["a --x\n", "a b\nc", "help x\r\n", "--quiet=\x1b[1m", "a --seed \n"] {
            let error = short(line);
            assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
        }
    }
}
