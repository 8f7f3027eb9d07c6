//! Everything a user sees, on real sockets and with the real binary. One module a topic.
#![allow(
    clippy::disallowed_methods,
    reason = "tests are the outside world: they dial, listen, start threads and read the clock"
)]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says why")]

mod support;

mod upstreams;

mod binary;

mod fidelity;

mod peers;

mod registry;

mod health;

mod knobs;

mod faults;

mod doors;

mod leases;

mod limits;

mod process;

mod client;

mod stopping;

mod descriptors;

mod api;

mod admin_http;

mod admin_load;

mod admin_attacks;

mod toxiproxy;

mod live_changes;

mod dozing;

mod metrics;

mod http_rates;

mod http_route;

mod http_dial;

mod events;

mod http_faults;

mod http_messages;

mod http_proxies;

mod http_corpus;

mod dist;

mod figures;

mod fault_corpus;

mod tidy;
