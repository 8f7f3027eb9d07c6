//! Where the world is touched: sockets, clocks, threads. It performs what was decided elsewhere.
#![allow(
    clippy::disallowed_methods,
    reason = "the shell is the one place that may touch the world"
)]

pub mod clock;

pub mod sys;

pub mod process;

pub mod threads;

pub mod resolve;

pub mod spare;

pub mod doze;

pub mod route;

pub mod dial;

pub mod link;

pub mod http_half;

pub mod relay;

pub mod connection;

pub mod door;

pub mod listener;

pub mod keeper;

pub mod registry;

pub mod event_feed;

pub mod event_log;

pub mod admin_server;

pub mod logger;

pub mod demo;

pub mod http_client;
