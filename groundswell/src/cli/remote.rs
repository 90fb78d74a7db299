//! A server that commands are done by.

use futures_util::stream;
use groundswell_core::{rollback::Otherwise, time::Time};

use super::{Failure, state::Told, text::count};
use crate::{
    api::operator::acts::{Approval, HowFar, Rollback},
    client::{Client, ClientError, LineResult},
    inventory::Inventory,
    operate::{Acting, DeviceView, Extent, Import, Put, RolledBack},
};

/// Lines of an import that are sent in a piece.
const AT_ONCE: usize = 500;

/// Refused lines of an import that are told.
const REFUSED_SHOWN: usize = 10;

/// Parts of a request that are flags here.
const FLAGS: [&str; 4] = ["reason", "scope", "select", "wave"];

/// A server, and what it is waited for with.
pub(super) struct Remote {
    pub(super) client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Remote {
    pub(super) fn new(client: Client) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::disk(error.into()))?;
        Ok(Self { client, runtime })
    }

    /// Waits for an answer.
    pub(super) fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Told> {
        Ok(self.runtime.block_on(answer)?)
    }

    pub(super) fn approve(
        &self,
        rollout: &str,
        wave: Option<usize>,
        reason: Option<&str>,
    ) -> Result<Acting, Told> {
        let approval = Approval { wave, reason: reason.map(str::to_owned) };
        self.wait(self.client.approve(rollout, &approval))
    }

    pub(super) fn roll_back(
        &self,
        rollout: &str,
        otherwise: &Otherwise,
        extent: Extent,
    ) -> Result<RolledBack, Told> {
        let Otherwise { at_any_hour, max_in_flight } = *otherwise;
        let extent = match extent {
            Extent::DryRun => HowFar::DryRun,
            Extent::Draft => HowFar::Draft,
            Extent::Start => HowFar::Start,
        };
        let rollback = Rollback { extent, at_any_hour, max_in_flight };
        self.wait(self.client.roll_back(rollout, &rollback))
    }

    /// Sends devices, and counts what came of each.
    pub(super) fn import(&self, inventory: &Inventory, now: Time) -> Result<Import, Told> {
        let with_headers = inventory.entries.iter().filter(|entry| entry.headers.is_some());
        let with_headers = with_headers.count() as u64;
        let devices: Vec<DeviceView> = inventory
            .entries
            .iter()
            .map(|entry| DeviceView::of(entry.device.clone(), now))
            .collect();
        let mut pieces = vec![];
        for devices in devices.chunks(AT_ONCE) {
            pieces.push(Ok::<_, std::io::Error>(lines(devices).into()));
        }
        let (mut put, mut refused) = (Put::default(), vec![]);
        self.wait(async {
            let mut importing = self.client.import(stream::iter(pieces)).await?;
            while let Some(line) = importing.next().await? {
                match line.result {
                    LineResult::Created => put.new += 1,
                    LineResult::Changed => put.changed += 1,
                    LineResult::Same => put.same += 1,
                    LineResult::Error => refused.push(line),
                }
            }
            Ok(())
        })?;
        if refused.is_empty() {
            return Ok(Import { put, with_headers });
        }
        let shown = refused.iter().take(REFUSED_SHOWN).map(|line| {
            let id = line.id.as_deref().unwrap_or("a device");
            format!("\n  {id}: {}", line.detail.as_deref().unwrap_or("refused"))
        });
        let kept = put.new + put.changed + put.same;
        let (devices, of) = (count(refused.len() as u64, "device"), devices.len());
        let shown: String = shown.collect();
        Err(Failure::input(anyhow::anyhow!(
            "the server refused {devices} of {of}, {kept} are kept:{shown}"
        ))
        .into())
    }
}

/// What a server refused or did not answer, in the words of this command line.
pub(super) fn failure(error: ClientError) -> Failure {
    let is_of_input = error.is_of_input();
    let faults = error.problem().map_or(&[][..], |problem| &problem.errors);
    let told = match faults {
        [fault] if fault.field == "spec" => anyhow::anyhow!("{}", fault.detail),
        [fault] if FLAGS.contains(&&*fault.field) => {
            anyhow::anyhow!("--{}: {}", fault.field, fault.detail)
        }
        _ => error.into(),
    };
    if is_of_input { Failure::input(told) } else { Failure::disk(told) }
}

/// Devices as lines of an inventory.
fn lines(devices: &[DeviceView]) -> Vec<u8> {
    let mut lines = vec![];
    for device in devices {
        // A vector takes whatever is written.
        let _ = serde_json::to_writer(&mut lines, device);
        lines.push(b'\n');
    }
    lines
}
