//! How much of something may pass: a token bucket as arithmetic on times, and bounded tables that
//! keep a number for each key.

pub mod bucket;

pub mod endpoint;

pub mod table;
