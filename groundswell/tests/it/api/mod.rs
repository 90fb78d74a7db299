//! The server, over real sockets.

mod devices;
mod server;
mod support;
