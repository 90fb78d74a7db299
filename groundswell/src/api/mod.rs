//! The HTTP API: what teams, pipelines and devices say to a server.
//!
//! Owns routes, wire rules (problems, pages, tags of state, limits) and who may call what. Decides
//! nothing of rollouts: it asks [`State`](crate::operate::State), which writes intent for the
//! driver. The answers are the views of `operate`: what `--output json` prints is what is answered
//! here. Types to read first: [`Api`], [`routes::Route`], [`Problem`].

mod abandoned;
mod body;
mod caller;
mod created;
pub mod device;
mod docs;
mod download;
mod driven;
mod events;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzzed;
mod guard;
mod health;
mod heard;
mod lately;
mod live;
mod moves;
mod namesake;
pub mod operator;
pub(crate) mod page;
mod problem;
mod receive;
pub mod routes;
mod shared;
mod squeeze;
mod state_tag;
mod throttle;
mod unpack;
mod uploads;

pub use self::{
    abandoned::UPLOAD_KEPT,
    caller::{Caller, Hangup, Source},
    events::{Event, Told},
    heard::write_heard,
    live::Live,
    problem::{Fault, Problem},
    routes::router,
    shared::{Api, Limits},
};
pub(crate) use self::{events::follow, namesake::lead};
