//! How a release gets onto a device.
//!
//! One module per way of delivery. A delivery sends once or asks once and reports what came of
//! it; it never loops, stores nothing and decides nothing.

pub mod http;
