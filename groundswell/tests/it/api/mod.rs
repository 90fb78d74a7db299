//! The server, over real sockets.

mod devices;
mod events;
mod rollouts;
mod server;
mod support;
