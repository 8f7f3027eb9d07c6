//! The arguments of toxiproxy-server, in the syntax of Go's flags: `-x v`, `-x=v`, `--x`, switches
//! bare or `=true`; the first other word ends them, and what follows it counts for nothing.

use std::ffi::OsString;
use std::fmt;
use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use super::client::TOXIPROXY_VERSION;
use crate::admin::Metrics;
use crate::config;
use crate::config::plan::{Admin, Log, LogFormat, LogLevel, Plan, Shutdown};

/// What the caller asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAsked {
    /// To serve.
    Serve(ServerOptions),
    /// An explanation: `usage`, on stderr, and exit code 0.
    Help,
    /// `version`, on stdout.
    Version,
}

/// With what to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Where the API listens.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The proxies to begin with: what `/populate` takes.
    pub config: Option<PathBuf>,
    /// The seed of every decision.
    pub seed: Option<i64>,
    /// What `/metrics` tells.
    pub metrics: Metrics,
    /// From `LOG_LEVEL`.
    pub log: ServerLog,
}

impl ServerOptions {
    /// A plan without routes, with its API; or what is wrong with them.
    pub fn plan(&self) -> Result<Plan, String> {
        if let ServerLog::Unknown(word) = &self.log {
            return Err(format!(
                "LOG_LEVEL: {word:?} (trace, debug, info, warn, error, fatal, panic or disabled)"
            ));
        }
        let level = match self.log {
            ServerLog::Level(level) => level,
            ServerLog::Disabled => LogLevel::Error,
            ServerLog::Unset | ServerLog::Unknown(_) => LogLevel::Trace,
        };
        let listen = config::listen_endpoint(&format!("{}:{}", self.bracketed(), self.port))
            .map_err(|error| format!("-host: {error}"))?;
        Ok(Plan {
            seed: self.seed.map(i64::cast_unsigned),
            log: Log { level, format: LogFormat::Json },
            shutdown: Shutdown::default(),
            admin: Some(Admin::at(listen)),
            routes: Vec::new(),
        })
    }

    /// The host as it stands before a port: an IPv6 address in brackets.
    fn bracketed(&self) -> String {
        match self.host.contains(':') && !self.host.starts_with('[') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        }
    }
}

/// What `LOG_LEVEL` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerLog {
    /// Nothing, or an empty text: everything is logged.
    #[default]
    Unset,
    /// A level. `fatal` and `panic` are `Error`, the highest that there is.
    Level(LogLevel),
    /// Nothing at all.
    Disabled,
    /// A word that is no level: to be told as an error, and everything is logged.
    Unknown(String),
}

/// What is wrong, in Go's words. `usage` belongs below it; the exit code is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMisuse(String);

impl fmt::Display for ServerMisuse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ServerMisuse {}

/// Every flag by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Config,
    Help,
    Host,
    Port,
    ProxyMetrics,
    RuntimeMetrics,
    Seed,
    Version,
}

const FLAGS: [(&str, Flag); 9] = [
    ("config", Flag::Config),
    ("h", Flag::Help),
    ("help", Flag::Help),
    ("host", Flag::Host),
    ("port", Flag::Port),
    ("proxy-metrics", Flag::ProxyMetrics),
    ("runtime-metrics", Flag::RuntimeMetrics),
    ("seed", Flag::Seed),
    ("version", Flag::Version),
];

impl Flag {
    fn is_switch(self) -> bool {
        match self {
            Flag::Help | Flag::ProxyMetrics | Flag::RuntimeMetrics | Flag::Version => true,
            Flag::Config | Flag::Host | Flag::Port | Flag::Seed => false,
        }
    }
}

/// What `args`, without the name of the program, and the environment ask for. When a flag is given
/// more than once, the last one counts.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<ServerAsked, ServerMisuse> {
    let mut options = ServerOptions {
        host: "localhost".to_owned(),
        port: 8474,
        config: None,
        seed: None,
        metrics: Metrics::default(),
        log: log(env),
    };
    let mut version = false;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = utf8(arg)?;
        let Some(rest) = arg.strip_prefix('-').filter(|rest| !rest.is_empty() && *rest != "-")
        else {
            break;
        };
        let (name, attached) = split(&arg, rest)?;
        let row = FLAGS.iter().find(|(own, _)| *own == name);
        let Some((_, flag)) = row else {
            return Err(ServerMisuse(format!("flag provided but not defined: -{}", shown(name))));
        };
        let value = match (flag.is_switch(), attached) {
            (_, Some(value)) => value.to_owned(),
            (true, None) => "true".to_owned(),
            (false, None) => match args.next() {
                Some(value) => utf8(value)?,
                None => return Err(ServerMisuse(format!("flag needs an argument: -{name}"))),
            },
        };
        match flag {
            Flag::Config => options.config = Some(value).filter(|v| !v.is_empty()).map(Into::into),
            Flag::Host => options.host = value,
            Flag::Port => options.port = number(name, &value)?,
            Flag::Seed => options.seed = Some(number(name, &value)?),
            Flag::ProxyMetrics => options.metrics.routes = switch(name, &value)?,
            Flag::RuntimeMetrics => options.metrics.process = switch(name, &value)?,
            Flag::Version => version = switch(name, &value)?,
            Flag::Help => return Ok(ServerAsked::Help),
        }
    }
    Ok(if version { ServerAsked::Version } else { ServerAsked::Serve(options) })
}

/// What `-version` prints.
pub fn version() -> String {
    format!("toxiproxy-server version {TOXIPROXY_VERSION}\n")
}

/// What stands below an error, and what `-help` prints; both on stderr.
pub fn usage(program: &str) -> String {
    format!("Usage of {program}:\n{USAGE}")
}

/// In the layout of Go's flags.
const USAGE: &str = "  -config string
    \tJSON file containing proxies to create on startup
  -host string
    \tHost for toxiproxy's API to listen on (default \"localhost\")
  -port string
    \tPort for toxiproxy's API to listen on (default \"8474\")
  -proxy-metrics
    \tenable toxiproxy-specific prometheus metrics (default \"false\")
  -runtime-metrics
    \tenable runtime-related prometheus metrics (default \"false\")
  -seed int
    \tSeed for randomizing toxics with (default: a random one)
  -version
    \tprint the version (default \"false\")
";

/// Name and attached value; `rest` is `arg` without its first dash.
fn split<'a>(arg: &str, rest: &'a str) -> Result<(&'a str, Option<&'a str>), ServerMisuse> {
    let bare = rest.strip_prefix('-').unwrap_or(rest);
    if bare.starts_with(['-', '=']) {
        return Err(ServerMisuse(format!("bad flag syntax: {}", shown(arg))));
    }
    Ok(match bare.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (bare, None),
    })
}

fn number<T>(name: &str, text: &str) -> Result<T, ServerMisuse>
where
    T: FromStr<Err = ParseIntError>,
{
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "parse error",
        };
        ServerMisuse(format!("invalid value {text:?} for flag -{name}: {why}"))
    })
}

fn switch(name: &str, text: &str) -> Result<bool, ServerMisuse> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(ServerMisuse(format!("invalid boolean value {text:?} for -{name}: parse error"))),
    }
}

fn log(env: &dyn Fn(&str) -> Option<OsString>) -> ServerLog {
    let Some(word) = env("LOG_LEVEL").filter(|word| !word.is_empty()) else {
        return ServerLog::Unset;
    };
    let word = word.to_string_lossy().into_owned();
    match word.to_ascii_lowercase().as_str() {
        "trace" => ServerLog::Level(LogLevel::Trace),
        "debug" => ServerLog::Level(LogLevel::Debug),
        "info" => ServerLog::Level(LogLevel::Info),
        "warn" => ServerLog::Level(LogLevel::Warn),
        "error" | "fatal" | "panic" => ServerLog::Level(LogLevel::Error),
        "disabled" => ServerLog::Disabled,
        _ => ServerLog::Unknown(word),
    }
}

fn utf8(arg: OsString) -> Result<String, ServerMisuse> {
    arg.into_string().map_err(|arg| {
        ServerMisuse(format!("argument \"{}\" is not UTF-8", shown(&arg.to_string_lossy())))
    })
}

/// Without control characters: an error is one line.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// Arguments as in a shell, separated by spaces; `LOG_LEVEL=value` sets the variable.
    fn read(line: &str) -> Result<ServerAsked, ServerMisuse> {
        let parts: Vec<&str> = line.split(' ').filter(|part| !part.is_empty()).collect();
        let (set, args): (Vec<&str>, Vec<&str>) =
            parts.into_iter().partition(|part| part.starts_with("LOG_LEVEL="));
        let level = set.first().and_then(|part| part.split_once('=')).map(|(_, word)| word.into());
        parse(args.into_iter().map(Into::into), &|name| {
            level.clone().filter(|_| name == "LOG_LEVEL")
        })
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let said = match read(line) {
            Ok(ServerAsked::Serve(options)) => {
                let ServerOptions { host, port, config, seed, log, .. } = options.clone();
                let config = config.map(|path| format!(" config={}", path.display()));
                let seed = seed.map(|seed| format!(" seed={seed}"));
                let proxy = options.metrics.routes.then(|| " proxy".to_owned());
                let runtime = options.metrics.process.then(|| " runtime".to_owned());
                let log = (log != ServerLog::Unset).then(|| format!(" {log:?}"));
                let more: String =
                    [config, seed, proxy, runtime, log].into_iter().flatten().collect();
                format!("{host}:{port}{more}")
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "toxiproxy-server {line}");
    }

    #[test]
    fn flags_of_go() {
        check("", "localhost:8474");
        check("-host 0.0.0.0 -port 9", "0.0.0.0:9");
        check("-host=0.0.0.0 --port=9", "0.0.0.0:9");
        check(
            "--host ::1 -config=/tmp/tc-toxiproxy.json",
            "::1:8474 config=/tmp/tc-toxiproxy.json",
        );
        check("-config=", "localhost:8474");
        check("-seed -42 -seed 7", "localhost:8474 seed=7");
        check("-seed=-9223372036854775808", "localhost:8474 seed=-9223372036854775808");
        check("-proxy-metrics -runtime-metrics=true", "localhost:8474 proxy runtime");
        check("--proxy-metrics=T -proxy-metrics=false", "localhost:8474");
        check("-host -port -port 9", "-port:9");
        check("-port 9 x -port 10", "localhost:9");
        check("-port 9 -- -port 10", "localhost:9");
        check("- -port 9", "localhost:8474");
        check("-version", "Version");
        check("--version=1 -port 9", "Version");
        check("-version=false", "localhost:8474");
        for help in ["-h", "-help", "--help", "-port 9 -h"] {
            check(help, "Help");
        }
    }

    #[test]
    fn levels() {
        check("LOG_LEVEL=", "localhost:8474");
        check("LOG_LEVEL=info", "localhost:8474 Level(Info)");
        check("LOG_LEVEL=TRACE", "localhost:8474 Level(Trace)");
        check("LOG_LEVEL=panic", "localhost:8474 Level(Error)");
        check("LOG_LEVEL=disabled", "localhost:8474 Disabled");
        check("LOG_LEVEL=verbose", "localhost:8474 Unknown(\"verbose\")");
    }

    #[test]
    fn what_is_wrong() {
        check("-x", "flag provided but not defined: -x");
        check("--x=1 -version", "flag provided but not defined: -x");
        check("-version -x", "flag provided but not defined: -x");
        check("-port", "flag needs an argument: -port");
        check("-port x", r#"invalid value "x" for flag -port: parse error"#);
        check("-port 65536", r#"invalid value "65536" for flag -port: value out of range"#);
        check("-seed 1.5", r#"invalid value "1.5" for flag -seed: parse error"#);
        check("-version=2", r#"invalid boolean value "2" for -version: parse error"#);
        check("---port", "bad flag syntax: ---port");
        check("-=9", "bad flag syntax: -=9");
        let bad = parse([OsString::from_vec(b"-\xff\n".to_vec())], &|_| None);
        let expected = format!(r#"argument "-{}\n" is not UTF-8"#, '\u{fffd}');
        assert_eq!(bad.map_err(|error| error.to_string()), Err(expected));
    }

    #[test]
    fn texts() {
        assert_eq!(version(), "toxiproxy-server version 2.12.0\n");
        let usage = usage("toxiproxy-server");
        assert!(usage.starts_with("Usage of toxiproxy-server:\n  -config string\n    \t"));
        for (name, _) in FLAGS.iter().filter(|(_, flag)| *flag != Flag::Help) {
            assert!(usage.contains(&format!("\n  -{name}")), "{name}");
        }
    }
}
