//! The server, over real sockets.

mod devices;
mod networks;
mod process;
mod rollouts;
mod server;
mod support;
mod tls;
mod wire;
