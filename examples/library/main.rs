//! A push from another Rust program: `cargo run --example library FILE VERSION DEVICES STATE`.
#![expect(clippy::print_stdout, reason = "an example that talks")]

use std::{env::args, error::Error, fs::File};

use groundswell::{Push, clock::Clock, inventory};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [file, version, devices, state] = &args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("usage: library FILE VERSION DEVICES STATE".into());
    };
    let options = inventory::Options::new(devices, Clock::System.now());
    let inventory = inventory::read(File::open(devices)?, &options)?;
    let mut push =
        Push::builder(file, version).devices(inventory.entries).state_dir(state).build()?;
    let mut events = push.subscribe();
    let told = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("{event}");
        }
    });
    let summary = push.run().await?;
    told.await?;
    println!("{} of {} devices have it", summary.counts.succeeded, summary.counts.total());
    Ok(())
}
