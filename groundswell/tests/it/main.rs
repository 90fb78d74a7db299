//! Tests from outside: against real sockets, files and processes.

mod delivery;
mod support;
