//! `health`: asks a running proxy whether it is well, for a container without shell and curl.

use std::time::Duration;

use crossbeam_channel::after;

use super::serve::{Failure, print};
use super::{HealthAsked, version};
use crate::shell::clock::Clock;
use crate::shell::http_client::{self, Ask};
use crate::units::Span;

/// How long one answer may take.
const ANSWER_SPAN: Span = Span::from_ms(2000);

/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest word of a server that is repeated.
const SAID_CHARS_MAX: usize = 80;

/// Asks until the answer is yes, or the time to wait is over; the last reason is told.
pub(super) fn run(asked: &HealthAsked) -> Result<(), Failure> {
    let clock = Clock::start();
    loop {
        let why = match ask(asked) {
            Ok(()) => return print("ok\n"),
            Err(why) => why,
        };
        if clock.elapsed() >= asked.wait {
            return Err(Failure::could_not_run(&format!("health: {why}")));
        }
        let _ = after(PAUSE).recv();
    }
}

fn ask(asked: &HealthAsked) -> Result<(), String> {
    let path = if asked.live { "/healthz" } else { "/readyz" };
    let answer = http_client::ask(&Ask {
        endpoint: &asked.admin,
        method: "GET",
        path,
        user_agent: version().trim_end(),
        body: None,
        span: ANSWER_SPAN,
        way_out: "is the admin API on? --admin names another address",
    })?;
    if answer.status == 200 {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&answer.body);
    let said: String = body.trim().chars().take(SAID_CHARS_MAX).collect();
    let said = said.replace(char::is_control, " ");
    Err(format!("http://{}{path}: {} {said}", asked.admin, answer.status))
}
