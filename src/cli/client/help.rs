//! The help of the client, made from its tables.

use std::fmt::Write as _;

use super::table::{CLIENT_COMMANDS, ClientVerb, FLAGS, Flag, HELP, HOST, VERSION};
use super::{Style, TOXIPROXY_VERSION};

/// The help for one command of the client, or for all.
pub fn client_help(style: Style, topic: Option<ClientVerb>) -> String {
    let program = match style {
        Style::Chaos => env!("CARGO_PKG_NAME"),
        Style::Toxiproxy => "toxiproxy-cli",
    };
    let mut text = match topic {
        None => overview(program),
        Some(verb) => {
            let (row, name) = (verb.row(), verb.row().name());
            let (about, usage, words) = (row.about, row.usage, row.words.join(", "));
            format!(
                "{program} {name}: {about}\n\nUsage:\n  {program} {name}{usage}\n\n\
                 Its last word may be any of {words}.\n"
            )
        }
    };
    text += "\nOptions:\n";
    for flag in FLAGS.iter().filter(|flag| topic.is_none() || flag.fits(topic)) {
        let _ = writeln!(text, "  {:28} {}", forms(flag, style), flag.about);
        if **flag == HOST {
            let notes = "(default http://localhost:8474; environment TOXIPROXY_URL)";
            let _ = writeln!(text, "  {:28} {notes}", "");
        }
    }
    text
}

/// The commands of the client with a line for each.
pub fn client_commands() -> String {
    let line = |row: &super::ClientRow| format!("  {:13} {}\n", row.name(), row.about);
    CLIENT_COMMANDS.iter().map(line).collect()
}

/// What `--version` prints where the program is called toxiproxy-cli.
pub fn client_version() -> String {
    format!("toxiproxy-cli version {TOXIPROXY_VERSION}\n")
}

fn overview(program: &str) -> String {
    let mut text =
        format!("{program}: asks a running server with the API of Toxiproxy\n\nUsage:\n");
    for row in CLIENT_COMMANDS {
        let _ = writeln!(text, "  {program} {}{}", row.name(), row.usage);
    }
    text + "\nCommands:\n" + &client_commands()
}

/// `-n, --toxicName TOXIC`; long forms stand under each other.
fn forms(flag: &Flag, style: Style) -> String {
    let short = match style {
        Style::Toxiproxy if *flag == HOST => Some("h"),
        Style::Toxiproxy if *flag == VERSION => Some("v"),
        Style::Chaos if *flag == HELP => Some("h"),
        Style::Chaos if *flag == VERSION => Some("V"),
        _ => flag.names.get(1).copied(),
    };
    let short = match short {
        Some(short) if short.len() == 1 => format!("-{short}, "),
        Some(short) => format!("--{short}, "),
        None => "    ".to_owned(),
    };
    let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
    format!("{short}{}{value}", flag.form())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command() {
        assert_eq!(
            client_help(Style::Chaos, Some(ClientVerb::ToxicRemove)),
            "\
chaos-proxy toxic remove: remove a toxic from a proxy

Usage:
  chaos-proxy toxic remove -n TOXIC NAME

Its last word may be any of remove, r, delete, d.

Options:
  -n, --toxicName TOXIC        the name of the toxic; a new one is TYPE_STREAM without it
      --host URL               the server: http://HOST:PORT, the scheme may be left out
                               (default http://localhost:8474; environment TOXIPROXY_URL)
      --json                   print the server's JSON as it comes; on stderr, errors as JSON
  -h, --help                   explain the command it follows
  -V, --version                print the version
"
        );
    }

    #[test]
    fn lines_fit_a_terminal() {
        for style in [Style::Chaos, Style::Toxiproxy] {
            for topic in CLIENT_COMMANDS.iter().map(|row| Some(row.verb)).chain([None]) {
                for line in client_help(style, topic).lines() {
                    assert!(line.len() <= 100 && line == line.trim_end(), "{line:?}");
                }
            }
        }
        let overview = client_help(Style::Toxiproxy, None);
        assert!(overview.contains("  -h, --host URL ") && overview.contains("  -v, --version "));
    }
}
