//! The log in sentences: what happened to a rollout, or to one device of it, and why.
//!
//! Owns the words and what is worth one: a milestone is a line, devices are counted between two of
//! them, so that a rollout of a million devices is told in tens of lines. What is told rests on
//! the records alone; where things stood is [`super::Replay`]'s. Types to read first: [`Story`],
//! [`DeviceStory`].

mod course;
mod device;
mod fact;
mod flow;
mod line;
mod others;
mod spec;
mod story;
mod wait;

pub use self::{device::DeviceStory, line::Line, others::Others, story::Story};
