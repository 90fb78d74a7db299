//! The server, over real sockets.

mod devices;
mod rollouts;
mod server;
mod support;
