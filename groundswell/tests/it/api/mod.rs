//! The server, over real sockets.

mod artifacts;
mod audit;
mod budgets;
mod check_in;
mod device_edit;
mod devices;
mod events;
mod matrix;
mod networks;
mod process;
mod releases;
mod rollouts;
mod scope;
mod selectors;
mod served_process;
mod server;
mod support;
mod tls;
mod tokens;
mod unpack;
mod wire;
