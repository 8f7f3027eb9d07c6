//! Every message of testdata/http on its way through: what is refused reaches nobody, what passes
//! can be read in one way only. Each is given whole, byte by byte and cut.

use std::fs;
use std::path::Path;

use super::tests::{Heard, Talk};
use super::{Down, Ended, LIMITS, Turn, Up, between};
use crate::fault::course::{Abort, Answer, Course, Lose, Malformed, Partial};
use crate::http::{AnswerReader, BodyReader, Event, Framing, Limits, Reply, RequestReader};
use crate::units::{Span, Time};

#[path = "../../fuzz/exchanges.rs"]
mod properties;

/// A message that was kept, with its name.
#[derive(Clone)]
struct Message {
    name: String,
    bytes: Vec<u8>,
}

fn messages(folder: &str) -> Vec<Message> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/http").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let message = |path: &Path| Message {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        bytes: fs::read(path).unwrap(),
    };
    let mut messages: Vec<Message> = entries.map(|entry| message(&entry.unwrap().path())).collect();
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    messages
}

impl Message {
    /// The first word of its name.
    fn kind(&self) -> &str {
        self.name.split('-').next().unwrap()
    }
}

/// Bounds of the admin server that do not hold for what is only passed on: the length of a body,
/// and that the path can be decoded.
fn passes_all_the_same(name: &str) -> bool {
    let names = ["413-chunk-over", "413-chunk-over-together", "413-length-over"];
    names.contains(&name)
        || name == "413-length-over-with-expect"
        || name.starts_with("400-escape-") && name != "400-escape-in-value"
}

/// The requests in these bytes, as a strict reader finds them; and whether it refused anything.
fn read(bytes: &[u8]) -> (Vec<String>, bool) {
    let limits = Limits { body_bytes: 64 << 20, ..Limits::default() };
    let (mut reader, mut rest, mut seen) = (RequestReader::new(limits), bytes, Vec::new());
    while !rest.is_empty() {
        match reader.take(rest) {
            Ok(taken) => {
                rest = &rest[taken.bytes..];
                if let Event::Whole(request) = taken.event {
                    let body = request.body.escape_ascii().to_string();
                    seen.push(format!("{} {} {body}", request.method, request.path));
                }
            }
            Err(_) => return (seen, true),
        }
    }
    (seen, false)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What becomes of what a client sends, whose requests are all answered.
fn requests(message: &Message, answers: usize) -> Heard {
    let upstream = OK.repeat(answers);
    let talk = Talk {
        client: &message.bytes,
        upstream: &upstream,
        courses: Vec::new(),
        client_ends: None,
        upstream_ends: None,
    };
    talk.hear()
}

#[test]
fn invalid_requests_reach_nobody() {
    let messages = messages("invalid");
    assert!(messages.len() >= 100, "{} messages", messages.len());
    for message in messages {
        let name = &message.name;
        let (whole, _) = read(&message.bytes);
        let heard = requests(&message, whole.len());
        let (passed, ambiguous) = read(&heard.sent);
        if passes_all_the_same(name) {
            assert_eq!(heard.done.iter().filter(|(_, status, _)| *status != 200).count(), 0);
            continue;
        }
        assert!(!ambiguous, "{name}: {heard:?}");
        assert_eq!(passed, whole, "{name}: only what came before it");
        let status: u16 = message.kind().parse().unwrap();
        assert_eq!(heard.done.last().map(|last| last.1), Some(status), "{name}: {heard:?}");
        assert_eq!(heard.ends.1, Turn::Finish, "{name}: the connection is closed");
        assert!(heard.client.contains("\nConnection: close\n"), "{name}");
    }
}

#[test]
fn valid_requests_pass() {
    let messages = messages("valid");
    assert!(messages.len() >= 40, "{} messages", messages.len());
    for message in messages {
        let (whole, _) = read(&message.bytes);
        let heard = requests(&message, whole.len());
        let name = &message.name;
        assert_eq!(read(&heard.sent), (whole, false), "{name}: {heard:?}");
        assert!(heard.done.iter().all(|(_, status, _)| *status == 200), "{name}: {heard:?}");
        assert_eq!(heard.done.len(), message.kind().parse::<usize>().unwrap(), "{name}");
    }
}

/// What becomes of an answer, behind which the upstream closes.
fn answer(message: &Message) -> Heard {
    let method = if message.name.contains("-to-head-") { "HEAD" } else { "GET" };
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
    let talk = Talk {
        client: request.as_bytes(),
        upstream: &message.bytes,
        courses: Vec::new(),
        client_ends: None,
        upstream_ends: Some(Ended::Finished),
    };
    talk.hear()
}

#[test]
fn invalid_answers_never_look_whole() {
    let messages = messages("answers/invalid");
    assert!(messages.len() >= 100, "{} messages", messages.len());
    for message in messages {
        let heard = answer(&message);
        let name = &message.name;
        let wanted = match message.kind() {
            "cut" => (vec![(1, 200, true)], Turn::Close),
            status => (vec![(1, status.parse().unwrap(), false)], Turn::Finish),
        };
        assert_eq!((heard.done.clone(), heard.ends.1), wanted, "{name}: {heard:?}");
        assert!(!heard.client.contains("smuggled"), "{name}: {heard:?}");
        if message.kind() == "cut" {
            assert!(!is_whole(&heard.client), "{name}: {heard:?}");
        }
    }
}

/// Whether an answer has all of the body that its head promises.
fn is_whole(answer: &str) -> bool {
    let (head, body) = answer.split_once("\n\n").unwrap();
    match head.split("Content-Length: ").nth(1) {
        Some(length) => length.lines().next().unwrap().parse() == Ok(body.len()),
        None => body.ends_with("0\n\n"),
    }
}

#[test]
fn valid_answers_pass() {
    let messages = messages("answers/valid");
    assert!(messages.len() >= 50, "{} messages", messages.len());
    for message in messages {
        let heard = answer(&message);
        let name = &message.name;
        let status = message.kind().parse().unwrap();
        assert_eq!(heard.done, [(1, status, true)], "{name}: {heard:?}");
        assert_eq!(heard.ends.1, Turn::Finish, "{name}: {heard:?}");
        assert!(!heard.client.contains("smuggled"), "{name}: {heard:?}");
        let has_body = !name.contains("to-head") && !matches!(status, 204 | 304);
        let text = String::from_utf8_lossy(&message.bytes).into_owned();
        if has_body && text.contains("hello") {
            assert!(heard.client.contains("hello"), "{name}: {heard:?}");
        }
    }
}

/// The properties that fuzzing tries, on all messages and on mutations of them.
#[test]
fn what_holds_for_every_message() {
    let answers = [messages("answers/valid"), messages("answers/invalid")].concat();
    let requests = [messages("valid"), messages("invalid")].concat();
    let short = |message: &&Message| message.bytes.len() < 1_000;
    for message in answers.iter().filter(short) {
        properties::answer(&message.bytes);
        let body = message.bytes.windows(4).position(|window| window == b"\r\n\r\n");
        properties::chunks(&message.bytes[body.map_or(0, |at| at + 4)..]);
    }
    let mut draw = draws();
    for round in 0..300 {
        let mut pick = |kind: &[Message]| kind[draw(kind.len())].bytes.clone();
        let client = [pick(&requests), pick(&requests)].concat();
        let upstream = [pick(&answers), pick(&answers)].concat();
        let mut bytes = story(&client, &upstream);
        for _ in 0..draw(4) {
            let at = draw(bytes.len());
            bytes[at] ^= 1 << draw(8);
        }
        let checked = std::panic::catch_unwind(|| properties::exchanges(&bytes));
        assert!(checked.is_ok(), "round {round}: {}", bytes.escape_ascii());
    }
}

/// The same for what is decided, on good requests and answers that are good for a while.
#[test]
fn what_holds_for_every_course() {
    let (good, bad) = (messages("answers/valid"), messages("answers/invalid"));
    let requests = messages("valid");
    let mut draw = draws();
    for round in 0..1_000 {
        let mut pick = |kind: &[Message]| kind[draw(kind.len())].bytes.clone();
        let client = [pick(&requests), pick(&requests)].concat();
        let upstream = [pick(&good), pick(&good), pick(&bad)].concat();
        let mut bytes: Vec<u8> = (0..4).map(|_| draw(256) as u8).collect();
        bytes.extend(story(&client, &upstream));
        let checked = std::panic::catch_unwind(|| properties::courses(&bytes));
        assert!(checked.is_ok(), "round {round}: {}", bytes.escape_ascii());
    }
}

/// Both sides as the properties take them, each cut if it is long.
fn story(client: &[u8], upstream: &[u8]) -> Vec<u8> {
    let client = &client[..client.len().min(800)];
    let length = u16::try_from(client.len()).unwrap().to_be_bytes();
    [&length, client, &upstream[..upstream.len().min(1_200)]].concat()
}

/// The same numbers each time, each below what is asked for.
fn draws() -> impl FnMut(usize) -> usize {
    let mut state = 7u32;
    move |below| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below.max(1)
    }
}
