//! Arguments and environment to what is asked of a server.

use std::ffi::OsString;

use serde_json::{Number, Value};

use super::error::Misuse;
use super::table::{
    ATTRIBUTE, CLIENT_COMMANDS, ClientRow, DOWNSTREAM, FLAGS, Flag, HELP, HOST, JSON, LISTEN,
    PROTOCOL, TOXIC, TOXIC_NAME, TOXICITY, TTL, TYPE, UPSTREAM, UPSTREAM_ADDR, VERSION,
};
use super::{Asked, Call, ClientVerb, Dose, Server, Stream, Style, Task};
use crate::config;

/// Looks up a variable of the environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variable that names the server.
const SERVER_ENV: &str = "TOXIPROXY_URL";

/// The server where none is named, as in toxiproxy-cli.
const SERVER: &str = "http://localhost:8474";

/// The port of an address without one: that of its scheme, as in toxiproxy-cli.
const PORT: u16 = 80;

/// True when these arguments of chaos-proxy are for the client: the first word is one of its
/// commands, or an option of its own stands before it.
pub fn is_meant(args: &[OsString]) -> bool {
    for arg in args {
        match arg.to_str() {
            Some("--host") => return true,
            Some("--json" | "--help" | "-h" | "help") => {}
            Some(arg) if arg.starts_with("--host=") => return true,
            Some(arg) => return TOXIC.contains(&arg) || find("", arg).is_some(),
            None => return false,
        }
    }
    false
}

/// True when what goes wrong is to be told as JSON, whatever else the arguments say.
pub fn wants_json(args: &[OsString]) -> bool {
    let is_switch = |arg: &OsString| {
        matches!(arg.to_str(), Some("--json" | "-json" | "--json=true" | "-json=true"))
    };
    args.iter().take_while(|arg| *arg != "--").any(is_switch)
}

/// What `args`, without the name of the program, and the environment ask for.
pub fn parse(
    args: impl Iterator<Item = OsString>,
    env: Env<'_>,
    style: Style,
) -> Result<Asked, Misuse> {
    let given = Given::collect(args, style)?;
    if given.has(&HELP) {
        return Ok(Asked::Help(style, given.verb));
    }
    if given.has(&VERSION) {
        return Ok(Asked::Version(style));
    }
    let Some(verb) = given.verb else { return Err(Misuse::NoCommand(given.group)) };
    let task = given.task(verb)?;
    let server = match given.value(&HOST) {
        Some(url) => server("--host", url)?,
        None => match env(SERVER_ENV).filter(|url| !url.is_empty()) {
            Some(url) => {
                let shown = |url: OsString| Misuse::NotUtf8(Some(SERVER_ENV), shown(&url));
                server(SERVER_ENV, &url.into_string().map_err(shown)?)?
            }
            None => server("--host", SERVER)?,
        },
    };
    Ok(Asked::Call(Call { server, task, json: given.has(&JSON) }))
}

/// The command with this word.
fn find(group: &str, word: &str) -> Option<&'static ClientRow> {
    CLIENT_COMMANDS.iter().find(|row| row.group == group && row.words.contains(&word))
}

/// The arguments, sorted into command, flags and names.
#[derive(Default)]
struct Given {
    /// `toxic`, once it was read.
    group: &'static str,
    verb: Option<ClientVerb>,
    flags: Vec<(&'static Flag, String)>,
    names: Vec<String>,
}

impl Given {
    fn collect(args: impl Iterator<Item = OsString>, style: Style) -> Result<Given, Misuse> {
        let mut given = Given::default();
        let text =
            |arg: OsString| arg.into_string().map_err(|arg| Misuse::NotUtf8(None, shown(&arg)));
        let mut args = args.map(text).peekable();
        while let Some(arg) = args.next() {
            let arg = arg?;
            if arg == "--" {
                args.try_for_each(|arg| given.word(arg?))?;
                break;
            }
            let bare = arg.strip_prefix('-').map(|arg| arg.strip_prefix('-').unwrap_or(arg));
            let Some(bare) = bare.filter(|bare| !bare.is_empty()) else {
                given.word(arg)?;
                continue;
            };
            let (name, attached) = match bare.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (bare, None),
            };
            let Some(flag) = given.flag(name, style) else {
                let form = &arg[..arg.len() - bare.len() + name.len()];
                return Err(Misuse::UnknownFlag(given.verb, form.to_owned()));
            };
            let value = match (flag.value, attached) {
                (None, attached) => match switch(flag, attached)? {
                    true => String::new(),
                    false => continue,
                },
                (Some(_), Some(value)) => value.to_owned(),
                (Some(what), None) => match args.next_if(|next| !given.is_flag(next, style)) {
                    Some(value) => value?,
                    None => return Err(Misuse::NoValue(flag.form(), what)),
                },
            };
            given.add(flag, value)?;
        }
        Ok(given)
    }

    /// A word: part of the command, or a name.
    fn word(&mut self, word: String) -> Result<(), Misuse> {
        if self.verb.is_some() {
            self.names.push(word);
        } else if self.group.is_empty() && TOXIC.contains(&word.as_str()) {
            self.group = TOXIC[0];
        } else if let Some(row) = find(self.group, &word) {
            self.verb = Some(row.verb);
        } else if word == "help" {
            self.flags.push((&HELP, String::new()));
        } else {
            return Err(Misuse::UnknownCommand(self.group, word));
        }
        Ok(())
    }

    /// The flag with this name, which may stand here.
    fn flag(&self, name: &str, style: Style) -> Option<&'static Flag> {
        match (style, name) {
            (Style::Toxiproxy, "h") => Some(&HOST),
            (Style::Toxiproxy, "v") | (Style::Chaos, "V") => Some(&VERSION),
            (Style::Chaos, "h") => Some(&HELP),
            _ => {
                let mut known = FLAGS.iter().copied();
                known.find(|flag| flag.fits(self.verb) && flag.names.contains(&name))
            }
        }
    }

    /// True for what is no value of the flag before it.
    fn is_flag(&self, arg: &Result<String, Misuse>, style: Style) -> bool {
        let name = arg.as_ref().ok().and_then(|arg| arg.strip_prefix('-'));
        let name = name.map(|name| name.strip_prefix('-').unwrap_or(name));
        let name = name.and_then(|name| name.split('=').next());
        name.is_some_and(|name| self.flag(name, style).is_some())
    }

    fn add(&mut self, flag: &'static Flag, value: String) -> Result<(), Misuse> {
        if !flag.repeatable && flag.value.is_some() && self.has(flag) {
            return Err(Misuse::Twice(flag.form()));
        }
        self.flags.push((flag, value));
        Ok(())
    }

    fn has(&self, flag: &Flag) -> bool {
        self.flags.iter().any(|(own, _)| *own == flag)
    }

    fn value(&self, flag: &Flag) -> Option<&str> {
        let found = self.flags.iter().find(|(own, _)| *own == flag);
        found.map(|(_, value)| value.as_str())
    }

    fn needed(&self, verb: ClientVerb, flag: &Flag) -> Result<String, Misuse> {
        let missing = || Misuse::Missing(verb, flag.form(), flag.value.unwrap_or_default());
        let value = self.value(flag).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(missing)
    }

    fn task(&self, verb: ClientVerb) -> Result<Task, Misuse> {
        let allowed = usize::from(verb != ClientVerb::List);
        if let Some(word) = self.names.get(allowed) {
            return Err(Misuse::SurplusWord(verb, word.clone()));
        }
        let name = self.names.first().filter(|name| !name.is_empty()).cloned();
        let proxy = || name.ok_or(Misuse::NoName(verb));
        Ok(match verb {
            ClientVerb::List => Task::List,
            ClientVerb::Inspect => Task::Inspect { proxy: proxy()? },
            ClientVerb::Toggle => Task::Toggle { proxy: proxy()? },
            ClientVerb::Delete => Task::Delete { proxy: proxy()? },
            ClientVerb::Create => Task::Create {
                proxy: proxy()?,
                listen: self.needed(verb, &LISTEN)?,
                upstream: self.needed(verb, &UPSTREAM_ADDR)?,
                protocol: self.value(&PROTOCOL).map(str::to_owned),
            },
            ClientVerb::ToxicAdd => Task::AddToxic {
                proxy: proxy()?,
                name: self.value(&TOXIC_NAME).filter(|n| !n.is_empty()).map(str::to_owned),
                kind: self.needed(verb, &TYPE)?,
                stream: self.stream()?,
                dose: self.dose()?,
            },
            ClientVerb::ToxicUpdate => Task::UpdateToxic {
                proxy: proxy()?,
                name: self.needed(verb, &TOXIC_NAME)?,
                dose: self.dose()?,
            },
            ClientVerb::ToxicRemove => {
                Task::RemoveToxic { proxy: proxy()?, name: self.needed(verb, &TOXIC_NAME)? }
            }
        })
    }

    fn stream(&self) -> Result<Stream, Misuse> {
        match (self.has(&UPSTREAM), self.has(&DOWNSTREAM)) {
            (true, true) => Err(Misuse::BothStreams),
            (true, false) => Ok(Stream::Upstream),
            (false, _) => Ok(Stream::Downstream),
        }
    }

    fn dose(&self) -> Result<Dose, Misuse> {
        let mut dose = Dose::default();
        if let Some(came) = self.value(&TOXICITY) {
            let share = came.parse().ok().filter(|share| (0.0..=1.0).contains(share));
            let invalid = || {
                let allowed = "a share, 0..1";
                Misuse::Invalid(TOXICITY.form(), came.to_owned(), allowed)
            };
            let share = share.and_then(number).ok_or_else(invalid)?;
            dose.beside.insert("toxicity".to_owned(), Value::Number(share));
        }
        let ttl = self.value(&TTL).map(value);
        dose.beside.extend(ttl.map(|ttl| ("ttl".to_owned(), ttl)));
        let attributes = self.flags.iter().filter(|(flag, _)| **flag == ATTRIBUTE);
        for (_, came) in attributes {
            let pair = came.split_once('=').filter(|(key, _)| !key.is_empty());
            let Some((key, text)) = pair else {
                let allowed = "KEY=VALUE, such as latency=100";
                return Err(Misuse::Invalid(ATTRIBUTE.form(), came.clone(), allowed));
            };
            dose.attributes.insert(key.to_owned(), value(text));
        }
        Ok(dose)
    }
}

/// What a switch says; toxiproxy-cli knows `--upstream=false`.
fn switch(flag: &Flag, attached: Option<&str>) -> Result<bool, Misuse> {
    match attached {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(came) => Err(Misuse::SurplusValue(flag.form(), came.to_owned())),
    }
}

/// An attribute: a number when it is one.
fn value(text: &str) -> Value {
    let whole = || text.parse::<i64>().ok().map(Value::from);
    let fraction = || number(text.parse().ok()?).map(Value::from);
    whole().or_else(fraction).unwrap_or_else(|| Value::from(text))
}

/// Whole numbers above this cannot be told apart as fractions.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0; // 2^53

/// An integer when it is whole; nothing for what JSON cannot say.
fn number(number: f64) -> Option<Number> {
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        return Some(Number::from(number as i64));
    }
    Number::from_f64(number)
}

/// `http://HOST[:PORT][/PREFIX]`, the scheme may be left out.
fn server(place: &'static str, text: &str) -> Result<Server, Misuse> {
    let wrong = |why: String| Misuse::Server(place, why);
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !scheme.eq_ignore_ascii_case("http") {
        let way_out = "only http is spoken: write http://HOST:PORT";
        return Err(wrong(format!("{text:?} has the scheme {scheme:?} ({way_out})")));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '?' | '#');
    if path.contains(odd) || authority.contains('@') {
        return Err(wrong(format!("{text:?} (http://HOST:PORT, and nothing more)")));
    }
    let has_port = authority.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let endpoint = match has_port {
        true => config::endpoint(authority, false),
        false => config::endpoint(&format!("{authority}:{PORT}"), false),
    };
    let prefix = path.trim_end_matches('/').to_owned();
    Ok(Server { endpoint: endpoint.map_err(wrong)?, prefix })
}

/// What can be shown of a text that is not UTF-8, without control characters.
fn shown(text: &OsString) -> String {
    text.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
