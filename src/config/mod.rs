//! Text to an immutable `Plan`, or to all that is wrong with it. Takes text, touches no file.

pub mod plan;
