//! How `groundswell serve` is set up: one file, the environment and flags, in rising order.
//!
//! Owns the settings and their words, where each value comes from, and what they come to. Reads no
//! environment by itself: it is told. Types to read first: [`Settings`], [`Config`].

mod example;
mod file;
mod gather;
mod resolve;
mod setting;

#[cfg(test)]
mod tests;

pub use self::{
    example::{example, page},
    gather::{ConfigError, Fault, Given, Origin, Settings, Shown, meant},
    resolve::{Config, small_file},
    setting::{Kind, SETTINGS, Setting},
};
