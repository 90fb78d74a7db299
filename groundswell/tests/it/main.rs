//! The integration tests, one binary: real sockets, real databases, the real program.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's helper fails the test")]

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod api;
mod bytes;
mod cli;
mod delivery;
mod devices;
mod disk;
mod engine;
mod kill;
mod library;
mod operate;
mod program;
mod push;
mod remote;
mod rollouts;
mod shipped;
mod sim;
mod store;
mod support;
mod world;
