//! Everything a user sees, on real sockets and with the real binary. One binary, one module a topic.
