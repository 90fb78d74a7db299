//! Everything over real sockets and the real binary, in one program.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's helper fails the test")]

mod sim;
