//! What devices ask: one file per noun.

pub mod check_in;
pub mod enroll;
