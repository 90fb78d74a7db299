//! Which of the candidates go, and which wait for what.
//!
//! Types to read first: [`Slots`], [`Judged`].

mod judge;
mod rate;
mod slots;

pub use self::{
    judge::{Judged, Judgment, Known, consider, judge},
    rate::Rate,
    slots::{Admission, Class, Slots},
};
