//! Documents, as they are written and as they are refused.
