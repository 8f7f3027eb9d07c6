//! Which requests a task takes.

use serde_json::{Map, Value, json};

use super::{Dose, Stream, Task};

/// A request: no more than what is special about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Its method.
    pub(super) method: &'static str,
    /// Its path, names escaped.
    pub(super) path: String,
    /// Its JSON, if any.
    pub(super) body: Option<Value>,
}

/// The first request of a task; for all tasks but `Toggle` the only one.
pub(super) fn first(task: &Task) -> Request {
    match task {
        Task::List => request("GET", "/proxies".to_owned(), None),
        Task::Inspect { proxy } | Task::Toggle { proxy } => request("GET", of(proxy), None),
        Task::Delete { proxy } => request("DELETE", of(proxy), None),
        Task::Create { proxy, listen, upstream, protocol } => {
            let mut body =
                json!({"name": proxy, "listen": listen, "upstream": upstream, "enabled": true});
            if let Some(protocol) = protocol {
                body["protocol"] = Value::from(protocol.as_str());
            }
            request("POST", "/proxies".to_owned(), Some(body))
        }
        Task::AddToxic { proxy, name, kind, stream, dose } => {
            let mut body = members(dose);
            body.extend(name.iter().map(|name| ("name".to_owned(), Value::from(name.as_str()))));
            body.insert("type".to_owned(), Value::from(kind.as_str()));
            body.insert("stream".to_owned(), Value::from(word(*stream)));
            request("POST", format!("{}/toxics", of(proxy)), Some(Value::Object(body)))
        }
        Task::UpdateToxic { proxy, name, dose } => {
            request("PATCH", toxic(proxy, name), Some(Value::Object(members(dose))))
        }
        Task::RemoveToxic { proxy, name } => request("DELETE", toxic(proxy, name), None),
    }
}

/// The request that follows the answer to the first one, if any. By POST, as toxiproxy-cli does:
/// servers before 2.6 know no PATCH here.
pub(super) fn second(task: &Task, answer: &Value) -> Option<Request> {
    match task {
        Task::Toggle { proxy } => {
            let enabled = answer["enabled"].as_bool().unwrap_or_default();
            Some(request("POST", of(proxy), Some(json!({"enabled": !enabled}))))
        }
        Task::List
        | Task::Inspect { .. }
        | Task::Create { .. }
        | Task::Delete { .. }
        | Task::AddToxic { .. }
        | Task::UpdateToxic { .. }
        | Task::RemoveToxic { .. } => None,
    }
}

fn request(method: &'static str, path: String, body: Option<Value>) -> Request {
    Request { method, path, body }
}

fn members(dose: &Dose) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("attributes".to_owned(), Value::Object(dose.attributes.clone()));
    members.extend(dose.beside.clone());
    members
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Upstream => "upstream",
        Stream::Downstream => "downstream",
    }
}

fn of(proxy: &str) -> String {
    format!("/proxies/{}", escaped(proxy))
}

fn toxic(proxy: &str, name: &str) -> String {
    format!("{}/toxics/{}", of(proxy), escaped(name))
}

/// The name as one part of a path (RFC 3986, 2.3): a name may hold what means something there.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toggle_sends_the_opposite_and_nothing_else() {
        let task = Task::Toggle { proxy: "p q".into() };
        for (now, then) in [(true, false), (false, true)] {
            let request = second(&task, &json!({"name": "p q", "enabled": now}));
            let request = request.expect("a toggle has two requests");
            assert_eq!((request.method, request.path.as_str()), ("POST", "/proxies/p%20q"));
            assert_eq!(request.body, Some(json!({"enabled": then})));
        }
        assert_eq!(second(&Task::List, &json!({})), None);
    }
}
