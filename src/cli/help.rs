//! The texts of `--help` and `--version`, made from the table of options.

use std::fmt::Write as _;

use super::client::client_commands;
use super::options::{COMMANDS, OPTIONS, Opt, Verb};

const PROGRAM: &str = env!("CARGO_PKG_NAME");

const ABOUT: &str = "\
a TCP proxy that makes a link misbehave on purpose: slow, dropping, timing out.
The same seed gives the same faults, and the log says what was done.
";

const EXAMPLES: &str = "
Examples:
  chaos-proxy --route 6380=127.0.0.1:6379 --latency-ms 150
      redis, 150 ms slower: try redis-cli -p 6380 ping
  chaos-proxy --route 8081=127.0.0.1:80 --drop-rate 0.3 --seed 7
      a web server that resets about 3 of 10 connections, the same ones in every run
  chaos-proxy check chaos.yaml && chaos-proxy chaos.yaml
      every problem of a configuration at once, with line and column; then serve it
";

const EXIT_CODES: &str = "
Exit codes:
  0  fine, also after SIGTERM or SIGINT
  1  could not run: an address in use, no thread or descriptor left
  2  the command line or the configuration is wrong
";

/// The help for one command, or for all of the program.
pub fn help(topic: Option<Verb>) -> String {
    match topic {
        None => overview(),
        Some(verb) => of_command(verb),
    }
}

/// The version, as `--version` prints it.
pub fn version() -> String {
    format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION"))
}

fn overview() -> String {
    let mut text = format!("{PROGRAM}: {ABOUT}\nUsage:\n");
    COMMANDS.iter().flat_map(|row| row.usage).for_each(|usage| push_usage(&mut text, usage));
    text += "\nCommands:\n";
    for row in COMMANDS {
        push(&mut text, format_args!("  {:7} {}\n", row.name, row.about));
    }
    text += "\nCommands to a running server, as toxiproxy-cli has them (see help list):\n";
    text += &client_commands();
    push_options(&mut text, |_| true);
    text + "\nA flag goes over its environment variable, and that over the file.\n"
        + EXAMPLES
        + EXIT_CODES
}

fn of_command(verb: Verb) -> String {
    let row = verb.row();
    let mut text = format!("{PROGRAM} {}: {}\n\nUsage:\n", row.name, row.about);
    row.usage.iter().for_each(|usage| push_usage(&mut text, usage));
    push_options(&mut text, |opt| opt.verbs.contains(&verb));
    text
}

fn push_usage(text: &mut String, usage: &str) {
    push(text, format_args!("  {PROGRAM} {usage}\n"));
}

fn push_options(text: &mut String, wanted: impl Fn(&Opt) -> bool) {
    *text += "\nOptions:\n";
    for opt in OPTIONS.iter().filter(|opt| wanted(opt)) {
        push(text, format_args!("  {:28} {}\n", forms(opt), opt.about));
        let default = opt.default.map(|default| format!("default {default}"));
        let env = opt.env.map(|env| format!("environment {env}"));
        let notes: Vec<String> = [default, env].into_iter().flatten().collect();
        if !notes.is_empty() {
            push(text, format_args!("  {:28} ({})\n", "", notes.join("; ")));
        }
    }
}

/// `-c, --config FILE`; long forms stand under each other.
fn forms(opt: &Opt) -> String {
    let short = opt.short.map_or("    ".to_owned(), |short| format!("{short}, "));
    let value = opt.takes.placeholder().map_or(String::new(), |value| format!(" {value}"));
    format!("{short}{}{value}", opt.name)
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_has_every_command_option_and_variable() {
        let text = help(None);
        for row in COMMANDS {
            assert!(text.contains(&format!("  {:7} {}\n", row.name, row.about)), "{}", row.name);
        }
        for opt in OPTIONS {
            assert!(text.contains(&format!("  {:28} {}\n", forms(opt), opt.about)), "{}", opt.name);
            assert!(text.contains(opt.env.unwrap_or_default()), "{}", opt.name);
        }
        for title in ["Usage:", "Commands:", "Options:", "Examples:", "Exit codes:"] {
            assert_eq!(text.matches(&format!("\n{title}\n")).count(), 1, "{title}");
        }
        assert_eq!(text.matches("\n  chaos-proxy ").count(), 10 + 3, "usage lines and examples");
    }

    #[test]
    fn lines_fit_a_terminal() {
        for topic in COMMANDS.iter().map(|row| Some(row.verb)).chain([None]) {
            for line in help(topic).lines() {
                assert!(line.len() <= 100 && line == line.trim_end(), "{line:?}");
            }
            assert!(help(topic).ends_with('\n'));
        }
    }

    #[test]
    fn a_command_shows_its_own_options() {
        assert_eq!(
            help(Some(Verb::Faults)),
            "\
chaos-proxy faults: list every fault with its attributes, their units, ranges and defaults

Usage:
  chaos-proxy faults [--json]

Options:
      --json                   print JSON for programs instead of text for people
  -h, --help                   explain the program, or the command it follows
  -V, --version                print the version
"
        );
    }

    /// The examples must be command lines that the parser takes.
    #[test]
    fn examples_parse() {
        let lines = EXAMPLES.lines().filter_map(|line| line.strip_prefix("  chaos-proxy "));
        for line in lines.flat_map(|line| line.split(" && chaos-proxy ")) {
            let command = super::super::parse(line.split(' ').map(Into::into), &|_| None);
            assert!(command.is_ok(), "{line}: {command:?}");
        }
    }

    #[test]
    fn the_version_is_one_line() {
        assert_eq!(version(), concat!("chaos-proxy ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}
