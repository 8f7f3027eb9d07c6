//! What is printed of an answer: the lines of toxiproxy-cli where its output is no terminal.

use serde_json::{Map, Value, json};

use super::Task;

/// The text for the last answer to a task. What is missing in it is shown as empty.
pub(super) fn text(task: &Task, answer: &Value) -> String {
    match task {
        Task::List => answer.as_object().into_iter().flatten().map(proxy_line).collect(),
        Task::Inspect { .. } => {
            let toxics = list(answer, "toxics").iter().map(toxic_line);
            beyond_tcp(answer).map(|text| format!("{text}\n")).into_iter().chain(toxics).collect()
        }
        Task::Create { proxy, .. } => format!("Created new proxy {proxy}\n"),
        Task::Delete { proxy } => format!("Deleted proxy {proxy}\n"),
        Task::Toggle { proxy } => format!("Proxy {proxy} is now {}\n", enabled(answer)),
        Task::AddToxic { proxy, .. } => {
            let word = |key| word(answer, key);
            let (stream, kind, name) = (word("stream"), word("type"), word("name"));
            format!("Added {stream} {kind} toxic '{name}' on proxy '{proxy}'\n")
        }
        Task::UpdateToxic { proxy, name, .. } => {
            format!("Updated toxic '{name}' on proxy '{proxy}'\n")
        }
        Task::RemoveToxic { proxy, name } => {
            format!("Removed toxic '{name}' on proxy '{proxy}'\n")
        }
    }
}

/// What could not be done, in the words of toxiproxy-cli.
fn failed(task: &Task) -> String {
    match task {
        Task::List => "Failed to retrieve proxies".to_owned(),
        Task::Inspect { proxy } => format!("Failed to retrieve proxy {proxy}"),
        Task::Create { .. } => "Failed to create proxy".to_owned(),
        Task::Delete { proxy } => format!("Failed to delete proxy {proxy}"),
        Task::Toggle { proxy } => format!("Failed to toggle proxy {proxy}"),
        Task::AddToxic { proxy, .. } => format!("Failed to add toxic to proxy {proxy}"),
        Task::UpdateToxic { proxy, name, .. } => {
            format!("Failed to update toxic '{name}' of proxy {proxy}")
        }
        Task::RemoveToxic { proxy, name } => {
            format!("Failed to remove toxic '{name}' from proxy {proxy}")
        }
    }
}

/// The longest text of an error that is shown when it is not JSON.
const ERROR_CHARS_MAX: usize = 200;

/// Why there is no answer that could be used.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Of the server's refusal; none when there is none.
    status: Option<u16>,
    reason: String,
}

impl Trouble {
    /// The server refused.
    pub(super) fn refusal(status: u16, body: &[u8]) -> Trouble {
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let reason = json["error"].as_str().or(json["title"].as_str()); // title: servers of 1.x
        let line = || text.trim().chars().take(ERROR_CHARS_MAX).collect::<String>();
        Trouble { status: Some(status), reason: reason.map_or_else(line, str::to_owned) }
    }

    /// For people: `Failed to retrieve proxies: HTTP 404: proxy not found`.
    pub(super) fn line(&self, task: &Task) -> String {
        let status = self.status.map(|status| format!("HTTP {status}: ")).unwrap_or_default();
        let line = format!("{}: {status}{}", failed(task), self.reason);
        line.trim_end_matches(": ").replace(char::is_control, " ")
    }

    /// For programs, as the server writes its errors.
    pub(super) fn json(&self) -> String {
        error_json(&self.reason, self.status)
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Trouble {
        Trouble { status: None, reason }
    }
}

/// An error in one line of JSON, with the status of the answer that told it, if one did.
pub(in crate::cli) fn error_json(error: &str, status: Option<u16>) -> String {
    json!({"error": error, "status": status}).to_string()
}

/// Maps of serde_json are sorted bytewise, as toxiproxy-cli sorts.
fn proxy_line((name, proxy): (&String, &Value)) -> String {
    let (listen, upstream) = (word(proxy, "listen"), word(proxy, "upstream"));
    let (enabled, toxics) = (enabled(proxy), list(proxy, "toxics").len());
    let protocol = beyond_tcp(proxy).map(|text| format!("\t{text}")).unwrap_or_default();
    format!("{name}\t{listen}\t{upstream}\t{enabled}\t{toxics}{protocol}\n")
}

/// `protocol=http` for a proxy that says so; toxiproxy-cli has no place for it.
fn beyond_tcp(proxy: &Value) -> Option<String> {
    proxy["protocol"].as_str().map(|protocol| format!("protocol={protocol}"))
}

fn toxic_line(toxic: &Value) -> String {
    let word = |key| word(toxic, key);
    let (name, kind, stream) = (word("name"), word("type"), word("stream"));
    // A float of 32 bits, as the server holds it.
    let toxicity = toxic["toxicity"].as_f64().unwrap_or_default() as f32;
    let none = Map::new();
    let attributes = toxic["attributes"].as_object().unwrap_or(&none);
    let attributes: String =
        attributes.iter().map(|(key, value)| format!("\t{key}={}", plain(value))).collect();
    let begin = format!("{name}\ttype={kind}\tstream={stream}\ttoxicity={toxicity:.2}");
    format!("{begin}\tattributes=[{attributes}\t]\n")
}

/// Text without quotes, the rest as JSON has it: whole numbers stay whole.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn enabled(proxy: &Value) -> &'static str {
    if proxy["enabled"] == Value::Bool(true) { "enabled" } else { "disabled" }
}

fn word<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(name: &str) -> Task {
        Task::Inspect { proxy: name.into() }
    }

    #[test]
    fn proxies_as_a_list() {
        let answer = json!({
            "b": {"name": "b", "listen": "127.0.0.1:1", "upstream": "h:2", "enabled": true,
                  "toxics": [{}, {}]},
            "a": {"name": "a", "listen": "[::]:3", "upstream": "h:4", "enabled": false,
                  "protocol": "http", "toxics": []},
            "Z": {},
        });
        let expected = "Z\t\t\tdisabled\t0\na\t[::]:3\th:4\tdisabled\t0\tprotocol=http\n\
                        b\t127.0.0.1:1\th:2\tenabled\t2\n";
        assert_eq!(text(&Task::List, &answer), expected);
        for nothing in [json!({}), json!([]), json!(null)] {
            assert_eq!(text(&Task::List, &nothing), "");
        }
    }

    #[test]
    fn toxics_of_a_proxy() {
        let answer = json!({"toxics": [
            {"name": "l", "type": "latency", "stream": "downstream", "toxicity": 0.125,
             "attributes": {"latency": 1_000_000, "jitter": 0}},
            {"name": "n", "type": "noop", "stream": "upstream", "toxicity": 1, "attributes": {}},
            {"name": "x", "type": "x", "stream": "upstream", "toxicity": 0.3,
             "attributes": {"rate": 0.5, "to": "a b"}},
        ]});
        let expected = "\
            l\ttype=latency\tstream=downstream\ttoxicity=0.12\tattributes=[\tjitter=0\t\
            latency=1000000\t]\n\
            n\ttype=noop\tstream=upstream\ttoxicity=1.00\tattributes=[\t]\n\
            x\ttype=x\tstream=upstream\ttoxicity=0.30\tattributes=[\trate=0.5\tto=a b\t]\n";
        assert_eq!(text(&proxy("p"), &answer), expected);
        assert_eq!(text(&proxy("p"), &json!({"toxics": null})), "");
        let http = json!({"protocol": "http", "toxics": [{"name": "x"}]});
        assert!(text(&proxy("p"), &http).starts_with("protocol=http\nx\ttype="));
    }

    #[test]
    fn what_was_done() {
        let task = Task::Toggle { proxy: "p".into() };
        assert_eq!(text(&task, &json!({"enabled": true})), "Proxy p is now enabled\n");
        assert_eq!(text(&task, &json!({"enabled": false})), "Proxy p is now disabled\n");
        let task = Task::RemoveToxic { proxy: "p".into(), name: "x".into() };
        assert_eq!(text(&task, &json!(null)), "Removed toxic 'x' on proxy 'p'\n");
    }

    #[test]
    fn refusals() {
        let check = |status, body: &str, expected: &str| {
            let line = Trouble::refusal(status, body.as_bytes()).line(&Task::List);
            assert_eq!(line.strip_prefix("Failed to retrieve proxies: "), Some(expected), "{body}");
        };
        check(404, "{\"error\":\"proxy not found\",\"status\":404}\n", "HTTP 404: proxy not found");
        check(409, r#"{"title":"taken"}"#, "HTTP 409: taken");
        check(403, "User agent not allowed\n", "HTTP 403: User agent not allowed");
        check(405, "", "HTTP 405");
        check(503, &"x".repeat(300), &format!("HTTP 503: {}", "x".repeat(200)));
        let json = Trouble::refusal(404, b"{\"error\":\"a\\nb\",\"status\":404}").json();
        assert_eq!(json, r#"{"error":"a\nb","status":404}"#);
        assert_eq!(Trouble::from("x".to_owned()).json(), r#"{"error":"x","status":null}"#);
    }
}
