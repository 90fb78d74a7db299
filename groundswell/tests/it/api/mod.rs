//! The server, over real sockets.

mod artifacts;
mod audit;
mod budgets;
mod check_in;
mod device_edit;
mod devices;
mod ends;
mod events;
mod faults;
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
mod system;
mod tls;
mod tokens;
mod unpack;
mod wire;
