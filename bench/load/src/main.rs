//! The load tool of `bench/run`: both ends of the connections that the benchmark sends through a proxy.
//! Each command prints its result as JSON lines on stdout; ports are on 127.0.0.1.

mod churn;
mod exchange;
mod hold;
mod ping;
mod ready;
mod serve;
mod sys;

use std::process::ExitCode;
use std::str::FromStr;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage:
  load serve PORT                         echo server; holds idle connections
  load churn PORT CONNECTIONS SECONDS     connect, one exchange, close, again and again
  load burst PORT COUNT                   COUNT connects at once, one exchange each
  load hold  PORT COUNT quiet|message     hold COUNT connections until stdin ends
  load ping  PORT COUNT                   round trips on one connection, in microseconds
  load ready MARK COMMAND...              start COMMAND, time until its stderr has a line with MARK";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Outcome<()> {
    sys::raise_descriptor_limit()?;
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port] => serve::run(number(port)?),
        ["churn", port, conns, seconds] => {
            churn::churn(number(port)?, number(conns)?, number(seconds)?)
        }
        ["burst", port, count] => churn::burst(number(port)?, number(count)?),
        ["hold", port, count, "quiet"] => {
            hold::run(number(port)?, number(count)?, hold::First::Nothing)
        }
        ["hold", port, count, "message"] => {
            hold::run(number(port)?, number(count)?, hold::First::Message)
        }
        ["ping", port, count] => ping::run(number(port)?, number(count)?),
        ["ready", mark, program, rest @ ..] => ready::run(mark, program, rest),
        _ => Err(USAGE.into()),
    }
}

fn number<T: FromStr>(text: &str) -> Outcome<T> {
    text.parse().map_err(|_| format!("{text:?} is not a number that fits here\n{USAGE}").into())
}
