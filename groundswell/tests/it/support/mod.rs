//! What the tests stand on.

pub(crate) mod child;
pub(crate) mod device;
pub(crate) mod pki;
