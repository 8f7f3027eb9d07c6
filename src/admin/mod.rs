//! The admin API: a request and the live routes become a reply. Knows no socket and no clock.
//!
//! ```text
//! Request --> host? --> probe? --> page? token? --> clean path? -+> call? --> browser? --> Reply
//!              403       200/503     403    401         301       | 404/405     403
//!                                                                 \> counters, events
//! ```

mod access;

mod json;

mod wire;

mod print;

mod toxiproxy;

#[cfg(test)]
mod fake;

#[cfg(test)]
mod script;

#[cfg(test)]
mod toxiproxy_tests;

#[cfg(test)]
mod hostile_tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::control::routes::Routes;
use crate::dice::{Dice, Key};
use crate::http::{Reject, Reply, Request, TOO_LARGE};

pub use access::Token;
pub use toxiproxy::populate_file;

/// Bytes of a request's body at most; more is 413.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What the admin API is told by whoever runs it.
#[derive(Debug, Default)]
pub struct AdminOptions {
    /// Names by which the API may be asked, beside IP addresses and `localhost`; `*` for all.
    pub allowed_hosts: Vec<String>,
    /// What every request must carry; none: whoever reaches the API may use it.
    pub token: Option<Token>,
    /// Set while the process stops: `/readyz` then says 503.
    pub draining: Arc<AtomicBool>,
    /// What the ids of requests are made of.
    pub ids: RequestIds,
    /// What `/metrics` tells; nothing: there is no such page.
    pub metrics: Metrics,
}

/// What is told at `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The routes.
    pub routes: bool,
    /// The process.
    pub process: bool,
}

impl Metrics {
    /// All there is.
    pub const ALL: Metrics = Metrics { routes: true, process: true };
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This.
    Whole(Reply),
    /// The counters of now.
    Metrics(Metrics),
    /// The stream of events from now on.
    Events,
}

/// Ids for requests: unlike each other, and the same in the next run under the same seed.
#[derive(Debug, Default)]
pub struct RequestIds {
    seed: u64,
    count: AtomicU64,
}

impl RequestIds {
    /// The ids under this seed.
    pub fn new(seed: u64) -> RequestIds {
        RequestIds { seed, count: AtomicU64::new(0) }
    }

    /// 20 characters of base32hex, as `github.com/rs/xid` makes them for Toxiproxy.
    fn next(&self) -> String {
        let connection = self.count.fetch_add(1, Ordering::Relaxed);
        let key = Key { route: "", connection, direction: "admin", fault: "request id" };
        let mut dice = Dice::new(self.seed, &key);
        let digit =
            || char::from(b"0123456789abcdefghijklmnopqrstuv"[dice.between(0, 31) as usize]);
        std::iter::repeat_with(digit).take(20).collect()
    }
}

/// What is to be answered to `request`, after what it asks for was done to `routes`.
pub fn answer(request: &Request, routes: &dyn Routes, options: &AdminOptions) -> Answer {
    let wanted = match &*request.path {
        "/api/events" => Answer::Events,
        "/metrics" if options.metrics != Metrics::default() => Answer::Metrics(options.metrics),
        _ => return Answer::Whole(handle(request, routes, options)),
    };
    match (before_routing(request, options), &*request.method) {
        (Some(refusal), _) => Answer::Whole(refusal),
        (None, "GET") => wanted,
        (None, "HEAD") if wanted != Answer::Events => wanted,
        (None, _) => Answer::Whole(Reply::new(405)),
    }
}

/// The answer of the API itself.
pub fn handle(request: &Request, routes: &dyn Routes, options: &AdminOptions) -> Reply {
    match before_routing(request, options) {
        Some(reply) => reply,
        None => match find(&request.method, &request.segments) {
            Err(reply) => reply,
            Ok(call) => {
                let refused = access::refuse_browser(request);
                let reply = refused.unwrap_or_else(|| toxiproxy::perform(call, request, routes));
                reply.with("X-Toxiproxy-Request-Id", &options.ids.next())
            }
        },
    }
}

/// The answer to what could not be read to its end. From a whole head on it is the API that
/// refuses it, in the format of its errors; before that, a server of HTTP, with a line of text.
pub fn refusal(reject: Reject, known: Option<&Request>) -> Reply {
    let text = match reject == TOO_LARGE {
        true => format!("{} (at most {BODY_BYTES_MAX} bytes)", reject.reason),
        false => format!("bad request body: {}", reject.reason),
    };
    match known.map(|request| find(&request.method, &request.segments)) {
        Some(Ok(Call::Populate)) => toxiproxy::populated(Err((reject.status, &text)), &[]),
        Some(Ok(_)) => error(reject.status, &text),
        Some(Err(_)) | None => reject.reply(),
    }
}

/// What is answered whatever is asked for.
fn before_routing(request: &Request, options: &AdminOptions) -> Option<Reply> {
    if request.body.len() > BODY_BYTES_MAX {
        return Some(refusal(TOO_LARGE, Some(request)));
    }
    access::refuse_host(request, options)
        .or_else(|| probe(request, options))
        .or_else(|| access::refuse_page(request))
        .or_else(|| access::refuse_stranger(request, options))
        .or_else(|| redirect(request))
}

/// The answer to who watches over the process, and carries no token.
fn probe(request: &Request, options: &AdminOptions) -> Option<Reply> {
    let ready = match &*request.path {
        "/healthz" => true,
        "/readyz" => !options.draining.load(Ordering::Relaxed),
        _ => return None,
    };
    Some(match (&*request.method, ready) {
        ("GET" | "HEAD", true) => Reply::text(200, "ok"),
        ("GET" | "HEAD", false) => Reply::text(503, "draining"),
        _ => Reply::new(405),
    })
}

/// Leads from `//proxies` and `/proxies/../version` to where they mean, as gorilla/mux does.
fn redirect(request: &Request) -> Option<Reply> {
    let (last, before) = request.segments.split_last()?;
    let mut clean: Vec<&str> = Vec::new();
    for segment in before.iter().chain([last]) {
        match &**segment {
            "" | "." => {}
            ".." => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    if last.is_empty() || clean.is_empty() {
        clean.push(""); // a slash at the end stays
    }
    if clean == request.segments {
        return None;
    }
    let path: String = clean.iter().map(|segment| format!("/{}", escaped(segment))).collect();
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    Some(Reply::new(301).with("Location", &format!("{path}{query}")))
}

/// A part of a path with everything escaped that is not plain (RFC 3986, 3.3).
fn escaped(segment: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    let one = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    segment.bytes().map(one).collect()
}

/// What a request asks for; names are a proxy's, then a toxic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call<'a> {
    ListProxies,
    CreateProxy,
    Populate,
    ShowProxy(&'a str),
    EditProxy(&'a str),
    DeleteProxy(&'a str),
    ListToxics(&'a str),
    AddToxic(&'a str),
    ShowToxic(&'a str, &'a str),
    EditToxic(&'a str, &'a str),
    DeleteToxic(&'a str, &'a str),
    Reset,
    Version,
}

/// The table of calls: 404 for a path that is not in it, 405 for a method that is not there.
fn find<'a>(method: &str, segments: &'a [String]) -> Result<Call<'a>, Reply> {
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    // A name may not hold a slash: Go decodes the path before it is taken apart.
    if path.iter().any(|part| part.is_empty() || part.contains('/')) {
        return Err(Reply::text(404, "404 page not found"));
    }
    let call = match *path {
        ["proxies"] => match method {
            "GET" => Call::ListProxies,
            "POST" => Call::CreateProxy,
            _ => return Err(Reply::new(405)),
        },
        ["proxies", proxy] => match method {
            "GET" => Call::ShowProxy(proxy),
            "POST" | "PATCH" => Call::EditProxy(proxy),
            "DELETE" => Call::DeleteProxy(proxy),
            _ => return Err(Reply::new(405)),
        },
        ["proxies", proxy, "toxics"] => match method {
            "GET" => Call::ListToxics(proxy),
            "POST" => Call::AddToxic(proxy),
            _ => return Err(Reply::new(405)),
        },
        ["proxies", proxy, "toxics", toxic] => match method {
            "GET" => Call::ShowToxic(proxy, toxic),
            "POST" | "PATCH" => Call::EditToxic(proxy, toxic),
            "DELETE" => Call::DeleteToxic(proxy, toxic),
            _ => return Err(Reply::new(405)),
        },
        ["populate"] if method == "POST" => Call::Populate,
        ["reset"] if method == "POST" => Call::Reset,
        ["version"] if method == "GET" => Call::Version,
        ["populate" | "reset" | "version"] => return Err(Reply::new(405)),
        _ => return Err(Reply::text(404, "404 page not found")),
    };
    Ok(call)
}

/// An error as Toxiproxy's clients expect it: JSON that calls itself text.
fn error(status: u16, text: &str) -> Reply {
    let mut body = String::from("{\"error\":");
    print::print_text(text, &mut body);
    body.push_str(&format!(",\"status\":{status}}}"));
    Reply::text(status, &body)
}
