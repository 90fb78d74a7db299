//! The integration tests, one binary: real sockets, real databases, the real program.

mod engine;
mod store;
