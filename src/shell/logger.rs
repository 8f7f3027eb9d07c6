//! Notes as log lines on stderr: text for people, JSON lines for programs.
//!
//! simplelog writes the message alone; level, time and escaping are ours, for it escapes nothing
//! and knows no JSON.

use std::io::{self, LineWriter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{Level, LevelFilter, log, log_enabled};
use serde_json::Value;
use simplelog::{ConfigBuilder, WriteLogger};
use time::OffsetDateTime;

use crate::config::plan::{Log, LogFormat, LogLevel};
use crate::journal::{Event, Note, Sink};
use crate::shell::clock;

/// Lines that may wait for a slow reader of stderr; beyond it they are lost, and counted.
const LINES_MAX: usize = 8192;

/// How long the end of the process waits for the last lines to be read.
const FINISH_SPAN: Duration = Duration::from_millis(500);

/// What one writes and the other prints.
struct Line {
    level: Level,
    text: String,
}

/// The thread that writes. A reader that stops reading stops it, and nothing else.
pub struct LogThread(Receiver<()>);

impl LogThread {
    /// Waits for the lines of a sink that is dropped; not for a reader that does not read.
    pub fn finish(self) {
        let _ = self.0.recv_timeout(FINISH_SPAN); // disconnected: all is written
    }
}

/// Begins to log for the whole process. A second call changes nothing but the format. With
/// `tells_seed` the line that holds the seed comes whatever the level, once all is ready.
pub fn start(config: Log, tells_seed: bool) -> (Sink, LogThread) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    let message_alone = ConfigBuilder::new()
        .set_time_level(LevelFilter::Off)
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    let _ = WriteLogger::init(level, message_alone, LineWriter::new(io::stderr()));
    let line = match config.format {
        LogFormat::Text => text_line,
        LogFormat::Json => json_line,
    };
    let (sender, lines) = bounded::<Line>(LINES_MAX);
    let (writing, written) = bounded(0);
    // Not joined: it may be held up by who reads stderr. Without a thread nothing is logged.
    let _ = Builder::new().name("log".into()).spawn(move || write(&lines, writing));
    let (lost, seed) = (AtomicU64::new(0), AtomicU64::new(0));
    let sink: Sink = Box::new(move |note| {
        let mut level = note.level();
        let late = Event::Starting(env!("CARGO_PKG_VERSION"), seed.load(Ordering::Relaxed));
        let late = Note { route: None, connection: None, event: late };
        let mut note = note;
        if !log_enabled!(level) {
            match note.event {
                Event::Starting(_, chosen) => return seed.store(chosen, Ordering::Relaxed),
                Event::Ready(_) if tells_seed => (note, level) = (&late, Level::Error),
                _ => return,
            }
        }
        let at = timestamp(clock::wall().into());
        let before = lost.swap(0, Ordering::Relaxed);
        if before > 0 {
            let missing = Note { route: None, connection: None, event: Event::LogLost(before) };
            let told = Line { level: missing.level(), text: line(&missing, &at) };
            if sender.try_send(told).is_err() {
                lost.fetch_add(before, Ordering::Relaxed);
            }
        }
        let told = Line { level, text: line(note, &at) };
        if sender.try_send(told).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    });
    (sink, LogThread(written))
}

/// Writes lines until nobody can send any more; `_writing` is dropped with the last one.
fn write(lines: &Receiver<Line>, _writing: Sender<()>) {
    for line in lines {
        log!(line.level, "{}", line.text);
    }
}

/// `2026-01-02T03:04:05.678Z INFO  accepted route=redis conn=17 peer=127.0.0.1:51000`
fn text_line(note: &Note<'_>, at: &str) -> String {
    format!("{at} {:<5} {}", note.level(), note.to_text())
}

/// `{"ts":"...","level":"info","event":"accepted","route":"redis",...}`
fn json_line(note: &Note<'_>, at: &str) -> String {
    let mut line = format!(
        r#"{{"ts":"{at}","level":"{}","event":"{}""#,
        note.level().as_str().to_lowercase(),
        note.name()
    );
    for (key, value) in note.fields() {
        line.push_str(&format!(r#","{key}":{}"#, escape_del(&value)));
    }
    line.push('}');
    line
}

/// JSON escapes what is below 0x20; DEL and the C1 controls are for us to escape.
fn escape_del(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c.is_control() {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

/// The time of day as events tell it.
pub fn stamp() -> String {
    timestamp(clock::wall().into())
}

/// UTC to the millisecond (RFC 3339).
fn timestamp(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    let (month, day) = (u8::from(date.month()), date.day());
    let (hour, minute, second, ms) = time.as_hms_milli();
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z", date.year())
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn both_shapes_of_a_line() {
        let at = timestamp(OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(1_005));
        assert_eq!(at, "1970-01-01T00:00:01.005Z");
        let event = Event::UpstreamFailed("a\x1b\u{7f}b");
        let note = Note { route: Some("db"), connection: Some(3), event };
        let text = r#"1970-01-01T00:00:01.005Z WARN  upstream_failed route=db conn=3 reason="a\u001b\u{7f}b""#;
        assert_eq!(text_line(&note, &at), text);
        let json = json_line(&note, &at);
        assert!(!json.contains(char::is_control));
        let parsed: Map<String, Value> = serde_json::from_str(&json).expect("valid JSON");
        assert_eq!(parsed["reason"], "a\x1b\u{7f}b");
        assert_eq!((&parsed["event"], &parsed["conn"]), (&"upstream_failed".into(), &3.into()));
    }
}
