//! The three formats, what is refused in them, and what random input does.

mod formats;
mod guide;
mod random;
mod refusals;

use groundswell_core::time::Time;

use super::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn options() -> Options<'static> {
    Options { require_address: true, ..Options::new("devices", NOW) }
}

fn taken(text: &str) -> Inventory {
    read(text.as_bytes(), &options()).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    match read(bytes.as_ref(), &options()) {
        Err(error @ BadInventory::Rows(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}
