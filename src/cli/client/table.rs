//! The commands of the client and their flags, as toxiproxy-cli has them. The parser and the help
//! read these two tables.
//!
//! They stand apart from the table of the proxy's own options, for here one letter means another
//! thing after each command: `-u` takes an address after `create` and nothing after `toxic add`.

/// A command of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVerb {
    /// All proxies.
    List,
    /// The toxics of one proxy.
    Inspect,
    /// A new proxy.
    Create,
    /// Enable or disable a proxy.
    Toggle,
    /// No proxy any more.
    Delete,
    /// A new toxic.
    ToxicAdd,
    /// Another toxicity, other attributes.
    ToxicUpdate,
    /// No toxic any more.
    ToxicRemove,
}

/// The row of a command.
#[derive(Debug)]
pub struct ClientRow {
    /// Which command it is.
    pub verb: ClientVerb,
    /// The words before its own: `toxic`, or nothing.
    pub group: &'static str,
    /// Its name, then the other words for it.
    pub words: &'static [&'static str],
    /// What follows its words.
    pub usage: &'static str,
    /// One line for people.
    pub about: &'static str,
}

/// Every command, in the order in which they are shown.
pub static CLIENT_COMMANDS: &[ClientRow] = &[
    ClientRow {
        verb: ClientVerb::List,
        group: "",
        words: &["list", "l", "li", "ls"],
        usage: "",
        about: "list all proxies of a running server",
    },
    ClientRow {
        verb: ClientVerb::Inspect,
        group: "",
        words: &["inspect", "i", "ins"],
        usage: " NAME",
        about: "list the toxics of one proxy",
    },
    ClientRow {
        verb: ClientVerb::Create,
        group: "",
        words: &["create", "c", "new"],
        usage: " -l ADDR -u ADDR [--protocol WORD] NAME",
        about: "create a proxy",
    },
    ClientRow {
        verb: ClientVerb::Toggle,
        group: "",
        words: &["toggle", "tog"],
        usage: " NAME",
        about: "disable a proxy that is enabled, enable one that is not",
    },
    ClientRow {
        verb: ClientVerb::Delete,
        group: "",
        words: &["delete", "d"],
        usage: " NAME",
        about: "delete a proxy and close its connections",
    },
    ClientRow {
        verb: ClientVerb::ToxicAdd,
        group: TOXIC[0],
        words: &["add", "a"],
        usage: " -t TYPE [-n TOXIC] [--tox F] [--ttl SPAN] [-a KEY=VALUE]... [-u | -d] NAME",
        about: "add a toxic to a proxy",
    },
    ClientRow {
        verb: ClientVerb::ToxicUpdate,
        group: TOXIC[0],
        words: &["update", "u"],
        usage: " -n TOXIC [--tox F] [--ttl SPAN] [-a KEY=VALUE]... NAME",
        about: "change a toxic; what is not named stays as it is",
    },
    ClientRow {
        verb: ClientVerb::ToxicRemove,
        group: TOXIC[0],
        words: &["remove", "r", "delete", "d"],
        usage: " -n TOXIC NAME",
        about: "remove a toxic from a proxy",
    },
];

/// The words that stand before the commands for toxics.
pub(super) static TOXIC: [&str; 2] = ["toxic", "t"];

impl ClientVerb {
    /// Its row.
    pub fn row(self) -> &'static ClientRow {
        let row = CLIENT_COMMANDS.iter().find(|row| row.verb == self);
        row.expect("every command has a row")
    }
}

impl ClientRow {
    /// Its words as they are written: `toxic add`.
    pub fn name(&self) -> String {
        format!("{} {}", self.group, self.words[0]).trim_start().to_owned()
    }
}

/// The row of a flag.
#[derive(Debug)]
pub struct Flag {
    /// Its forms without dashes, the one that messages use first. One dash or two may be written.
    pub names: &'static [&'static str],
    /// How its value is called; none for a switch.
    pub value: Option<&'static str>,
    /// True when it may be written more than once.
    pub repeatable: bool,
    /// The commands that know it; none of them for those that stand anywhere.
    pub verbs: &'static [ClientVerb],
    /// One line for people.
    pub about: &'static str,
}

/// What the rows below leave out.
const SWITCH: Flag = Flag { names: &[], value: None, repeatable: false, verbs: &[], about: "" };

const ADDING: &[ClientVerb] = &[ClientVerb::ToxicAdd];
const CREATING: &[ClientVerb] = &[ClientVerb::Create];
const TUNING: &[ClientVerb] = &[ClientVerb::ToxicAdd, ClientVerb::ToxicUpdate];
const NAMING: &[ClientVerb] =
    &[ClientVerb::ToxicAdd, ClientVerb::ToxicUpdate, ClientVerb::ToxicRemove];

pub(super) static LISTEN: Flag = Flag {
    names: &["listen", "l"],
    value: Some("ADDR"),
    verbs: CREATING,
    about: "where the proxy listens, such as 127.0.0.1:6380",
    ..SWITCH
};

pub(super) static UPSTREAM_ADDR: Flag = Flag {
    names: &["upstream", "u"],
    value: Some("ADDR"),
    verbs: CREATING,
    about: "where the proxy leads to",
    ..SWITCH
};

pub(super) static PROTOCOL: Flag = Flag {
    names: &["protocol"],
    value: Some("WORD"),
    verbs: CREATING,
    about: "what the proxy speaks: tcp, which is the default, or http",
    ..SWITCH
};

pub(super) static TOXIC_NAME: Flag = Flag {
    names: &["toxicName", "n"],
    value: Some("TOXIC"),
    verbs: NAMING,
    about: "the name of the toxic; a new one is TYPE_STREAM without it",
    ..SWITCH
};

pub(super) static TYPE: Flag = Flag {
    names: &["type", "t"],
    value: Some("TYPE"),
    verbs: ADDING,
    about: "latency, bandwidth, timeout, ...: what the server knows",
    ..SWITCH
};

pub(super) static TOXICITY: Flag = Flag {
    names: &["toxicity", "tox"],
    value: Some("F"),
    verbs: TUNING,
    about: "the share of connections it is applied to, 0..1",
    ..SWITCH
};

pub(super) static ATTRIBUTE: Flag = Flag {
    names: &["attribute", "a"],
    value: Some("KEY=VALUE"),
    repeatable: true,
    verbs: TUNING,
    about: "an attribute, such as latency=100; may be repeated",
};

pub(super) static TTL: Flag = Flag {
    names: &["ttl"],
    value: Some("SPAN"),
    verbs: TUNING,
    about: "it removes itself so much later, such as 30s; 0: it does not",
    ..SWITCH
};

pub(super) static UPSTREAM: Flag = Flag {
    names: &["upstream", "u"],
    verbs: ADDING,
    about: "for what goes to the upstream",
    ..SWITCH
};

pub(super) static DOWNSTREAM: Flag = Flag {
    names: &["downstream", "d"],
    verbs: ADDING,
    about: "for what goes to the client; what is meant without either",
    ..SWITCH
};

pub(super) static HOST: Flag = Flag {
    names: &["host"],
    value: Some("URL"),
    about: "the server: http://HOST:PORT, the scheme may be left out",
    ..SWITCH
};

pub(super) static JSON: Flag = Flag {
    names: &["json"],
    about: "print the server's JSON as it comes; on stderr, errors as JSON",
    ..SWITCH
};

pub(super) static HELP: Flag =
    Flag { names: &["help"], about: "explain the command it follows", ..SWITCH };

pub(super) static VERSION: Flag =
    Flag { names: &["version"], about: "print the version", ..SWITCH };

/// Every flag, in the order in which they are shown.
pub static FLAGS: [&Flag; 14] = [
    &LISTEN,
    &UPSTREAM_ADDR,
    &PROTOCOL,
    &TOXIC_NAME,
    &TYPE,
    &TOXICITY,
    &TTL,
    &ATTRIBUTE,
    &UPSTREAM,
    &DOWNSTREAM,
    &HOST,
    &JSON,
    &HELP,
    &VERSION,
];

/// Two rows are the same when they are one row; names are not unique here.
impl PartialEq for Flag {
    fn eq(&self, other: &Flag) -> bool {
        (self.names, self.value, self.verbs) == (other.names, other.value, other.verbs)
    }
}

impl Flag {
    /// True when the flag may follow this command, or stand before any.
    pub(super) fn fits(&self, verb: Option<ClientVerb>) -> bool {
        self.verbs.is_empty() || verb.is_some_and(|verb| self.verbs.contains(&verb))
    }

    /// Its long form, as it is written.
    pub(super) fn form(&self) -> String {
        format!("--{}", self.names[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_flags_are_unique_where_they_may_stand() {
        for row in CLIENT_COMMANDS {
            assert_eq!(row.verb.row().name(), row.name());
            let same = |other: &&ClientRow| {
                other.group == row.group && other.words.iter().any(|word| row.words.contains(word))
            };
            assert_eq!(CLIENT_COMMANDS.iter().filter(same).count(), 1, "{row:?}");
            let flags = || FLAGS.iter().filter(|flag| flag.fits(Some(row.verb)));
            for flag in flags() {
                let clashes = flags()
                    .filter(|other| other.names.iter().any(|name| flag.names.contains(name)));
                assert_eq!(clashes.count(), 1, "{flag:?} after {}", row.name());
                assert!(!flag.about.is_empty() && !flag.about.ends_with('.'), "{flag:?}");
            }
        }
    }
}
