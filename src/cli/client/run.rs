//! Carries a call out: asks the server and prints what it says.

use serde_json::Value;

use super::super::serve::{Failure, print};
use super::super::version;
use super::output::Trouble;
use super::plan::Request;
use super::{Asked, Call, Style, TOXIPROXY_VERSION, client_help, client_version, output, plan};
use crate::shell::http_client::{self, ANSWER_SPAN, Answer, Ask};

/// Does what was asked for.
pub(in crate::cli) fn run(asked: &Asked) -> Result<(), Failure> {
    match asked {
        Asked::Call(call) => call_server(call),
        Asked::Help(style, topic) => print(&client_help(*style, *topic)),
        Asked::Version(Style::Chaos) => print(&version()),
        Asked::Version(Style::Toxiproxy) => print(&client_version()),
    }
}

/// Asks, and prints the answer; whatever goes wrong is one line.
fn call_server(call: &Call) -> Result<(), Failure> {
    let text = answer(call).and_then(|answer| match call.json {
        true => Ok(as_it_came(&answer.body)),
        false => Ok(output::text(&call.task, &json(&answer.body)?)),
    });
    match text {
        Ok(text) => print(&text),
        Err(trouble) if call.json => Err(Failure::could_not_run_json(trouble.json())),
        Err(trouble) => Err(Failure::could_not_run(&trouble.line(&call.task))),
    }
}

/// The last answer, or why there is none.
fn answer(call: &Call) -> Result<Answer, Trouble> {
    let first = ask(call, plan::first(&call.task))?;
    match plan::second(&call.task, &json(&first.body)?) {
        Some(request) => ask(call, request),
        None => Ok(first),
    }
}

fn ask(call: &Call, request: Request) -> Result<Answer, Trouble> {
    let answer = http_client::ask(&Ask {
        endpoint: &call.server.endpoint,
        method: request.method,
        path: &format!("{}{}", call.server.prefix, request.path),
        user_agent: &user_agent(),
        body: request.body.map(|body| body.to_string()).as_deref(),
        span: ANSWER_SPAN,
        way_out: "is the server running? --host names another one",
    })?;
    match answer.status {
        200..300 => Ok(answer),
        status => Err(Trouble::refusal(status, &answer.body)),
    }
}

/// What the API's servers know this client by; systems and processors go by their Go names.
fn user_agent() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("toxiproxy-cli/{TOXIPROXY_VERSION} ({}/{arch})", std::env::consts::OS)
}

/// An empty answer says nothing, which is fine.
fn json(body: &[u8]) -> Result<Value, String> {
    match body.trim_ascii() {
        [] => Ok(Value::Null),
        body => serde_json::from_slice(body).map_err(|_| {
            "the answer is not JSON (is it a Toxiproxy API that listens there?)".to_owned()
        }),
    }
}

fn as_it_came(body: &[u8]) -> String {
    match String::from_utf8_lossy(body).trim_end() {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}
