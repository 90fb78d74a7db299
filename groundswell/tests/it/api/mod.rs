//! The server, over real sockets.

mod audit;
mod check_in;
mod device_edit;
mod devices;
mod events;
mod matrix;
mod networks;
mod process;
mod rollouts;
mod server;
mod support;
mod tls;
mod tokens;
mod wire;
