//! What happens in rollouts, told while it happens, from the durable log.
//!
//! Owns how records of the log become events, the ring of those told last, and where each reader
//! is. Nothing here is waited for by whoever drives: a task reads what was committed, now and then,
//! as long as somebody listens; a reader who is behind the ring reads the log itself, and one who
//! takes nothing is cut off by its connection. What a reader costs is a constant.
//! Types to read first: [`Event`], [`feed::Feed`], [`reader::Reader`].

mod event;
mod feed;
mod filter;
mod names;
mod page;
mod position;
mod reader;
mod tell;
mod terms;

pub use self::event::{Event, Told};
pub(crate) use self::feed::follow;
pub(super) use self::{
    event::Kind,
    feed::{Feed, READERS_MAX},
    filter::Filter,
    position::{Id, Position},
    reader::{Reader, stream},
};
