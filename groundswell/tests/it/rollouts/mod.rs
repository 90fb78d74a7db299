//! Rollouts from end to end: specs as operators write them, a driver, devices behind sockets.
//!
//! What is asserted comes from the devices' own records and from the store, never from what the
//! engine says of itself while it runs.

mod health;
mod kills;
mod operator;
mod process;
mod several;
mod site;
mod stale;
mod strategies;
mod zones;
