//! Where a command is done: in a state directory, or by a server. The same operations, the same
//! answers: what is printed of them does not depend on it.

use std::path::{Path, PathBuf};

use groundswell_core::{
    document::Tree, log::Report, release::Release, rollback::Otherwise, rollout::Act, time::Time,
};

use serde::Serialize;

use super::{Failure, remote::Remote, state::Told, who};
use crate::{
    client::ReleaseShown,
    inventory::Inventory,
    operate::{
        Acting, Checked, DeviceView, DeviceWhy, DomainView, Drafted, Explained, Extent,
        FailingView, Import, OperateError, Overview, Part, ReleaseView, Releases, RolledBack,
        RolloutView, Shown, SlotReleaseView, SlotReleased, State,
    },
    store::RolloutRecord,
};

/// Where a command is done.
pub(super) enum Place {
    /// In a state directory on this machine.
    Dir(Dir),
    /// By a server.
    Server(Remote),
}

/// A state directory.
pub(super) struct Dir(pub(super) PathBuf);

/// A device as it is shown.
pub(super) struct DeviceShown {
    pub(super) device: DeviceView,
    pub(super) failing: FailingView,
    pub(super) slots_released: Vec<SlotReleaseView>,
    pub(super) rollouts: Vec<DeviceWhy>,
}

/// A release as it is shown.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ReleaseKept {
    /// In a state directory.
    Here(ReleaseView),
    /// By a server.
    There(ReleaseShown),
}

/// A spec that was read, and where it came from.
pub(super) struct SpecFile<'a>(pub(super) &'a Path);

impl Dir {
    /// Opens it to look at it.
    pub(super) fn look(&self) -> Result<State, OperateError> {
        State::look(&self.0)
    }

    /// Opens it to change it, if it is there. What is done with it is in its audit log, by the user of
    /// this machine.
    pub(super) fn change(
        &self,
        action: &str,
        subject: String,
        now: Time,
    ) -> Result<State, OperateError> {
        let mut state = State::open_existing(&self.0)?;
        who::attribute(&mut state, action, subject, now);
        Ok(state)
    }

    /// The same, and makes the directory if it is not there.
    pub(super) fn begin(
        &self,
        action: &str,
        subject: String,
        now: Time,
    ) -> Result<State, OperateError> {
        let mut state = State::open(&self.0)?;
        who::attribute(&mut state, action, subject, now);
        Ok(state)
    }

    fn find(&self, rollout: &str) -> Result<(State, RolloutRecord), OperateError> {
        let state = self.look()?;
        let record = state.find_rollout(rollout)?;
        Ok((state, record))
    }
}

/// Devices.
impl Place {
    pub(super) fn import(
        &self,
        name: &str,
        inventory: &Inventory,
        now: Time,
    ) -> Result<Import, Told> {
        match self {
            Self::Dir(dir) => {
                let devices = super::text::count(inventory.entries.len() as u64, "device");
                let subject = format!("{devices} of {name}");
                Ok(dir.begin("device.import", subject, now)?.import(inventory)?)
            }
            Self::Server(remote) => remote.import(inventory, now),
        }
    }

    pub(super) fn devices(
        &self,
        select: Option<&str>,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> Result<Part, Told> {
        match self {
            Self::Dir(dir) => Ok(dir.look()?.devices(select, after, limit, now)?),
            Self::Server(remote) => remote.wait(remote.client.part(select, after, limit)),
        }
    }

    pub(super) fn device(&self, id: &str, now: Time) -> Result<DeviceShown, Told> {
        match self {
            Self::Dir(dir) => {
                let state = dir.look()?;
                let (device, rollouts) = state.device(id, now)?;
                let (failing, slots_released) = (state.failing(id)?, state.released_slots(id)?);
                Ok(DeviceShown { device, failing, slots_released, rollouts })
            }
            Self::Server(remote) => {
                let device = remote.wait(remote.client.device(id))?;
                let standing = remote.wait(remote.client.device_standing(id))?;
                let (failing, rollouts) = (standing.failing, standing.rollouts);
                let slots_released = standing.slots_released;
                Ok(DeviceShown { device, failing, slots_released, rollouts })
            }
        }
    }

    /// Says how many rollouts the device had failed in a row.
    pub(super) fn release_device(&self, id: &str, reason: &str, now: Time) -> Result<u64, Told> {
        match self {
            Self::Dir(dir) => {
                let mut state = dir.change("device.release", format!("device {id}"), now)?;
                Ok(state.release_device(id, reason, now)?)
            }
            Self::Server(remote) => {
                let before = remote.wait(remote.client.device_standing(id))?.failing;
                remote.wait(remote.client.release_device(id, reason))?;
                Ok(before.failed_in_row.len() as u64)
            }
        }
    }

    /// Says how many rollouts wait for the device, and who drives.
    pub(super) fn check_in(
        &self,
        id: &str,
        version: Option<&str>,
        now: Time,
    ) -> Result<(usize, Option<String>), Told> {
        match self {
            Self::Dir(dir) => {
                let mut state = dir.change("device.check-in", format!("device {id}"), now)?;
                let waiting = state.check_in(id, version, now)?;
                Ok((waiting, state.driver()))
            }
            Self::Server(remote) => {
                let told = remote.wait(remote.client.check_in(id, version))?;
                Ok((told.waits.len(), Some(remote.client.url().to_owned())))
            }
        }
    }
}

/// Releases.
impl Place {
    pub(super) fn create_release(
        &self,
        name: &str,
        version: &str,
        file: &Path,
        now: Time,
    ) -> Result<(Release, bool), Told> {
        match self {
            Self::Dir(dir) => {
                let subject = format!("release {name} {version}");
                let mut state = dir.begin("release.create", subject, now)?;
                Ok(state.create_release(name, version, file, now)?)
            }
            Self::Server(remote) => remote.wait(async {
                let digest = remote.client.upload(file).await?.digest;
                let made = remote.client.create_release(name, version, digest).await;
                made.map(|(view, is_new)| (view.release, is_new))
            }),
        }
    }

    pub(super) fn releases(&self, name: Option<&str>) -> Result<Releases, Told> {
        match self {
            Self::Dir(dir) => Ok(dir.look()?.releases(name)?),
            Self::Server(remote) => remote.wait(remote.client.releases(name)),
        }
    }

    /// The name of a release that was probably meant by one that no release has.
    pub(super) fn release_name_like(&self, name: &str) -> Result<Option<String>, Told> {
        let all = self.releases(None)?;
        let names = all.iter().map(|(release, _)| release.name.as_str());
        Ok(groundswell_core::spelling::nearest(name, names).map(str::to_owned))
    }

    pub(super) fn release(&self, name: &str, version: &str) -> Result<ReleaseKept, Told> {
        Ok(match self {
            Self::Dir(dir) => ReleaseKept::Here(dir.look()?.release(name, version)?),
            Self::Server(remote) => {
                ReleaseKept::There(remote.wait(remote.client.release(name, version))?)
            }
        })
    }
}

/// Failure domains.
impl Place {
    pub(super) fn budgets(&self, now: Time) -> Result<Vec<DomainView>, Told> {
        match self {
            Self::Dir(dir) => Ok(dir.look()?.budgets(now)?),
            Self::Server(remote) => remote.wait(remote.client.budgets()),
        }
    }

    pub(super) fn release_slot(
        &self,
        domain: &str,
        device: &str,
        reason: &str,
        now: Time,
    ) -> Result<SlotReleased, Told> {
        match self {
            Self::Dir(dir) => {
                let mut state = dir.change("budget.release", format!("device {device}"), now)?;
                Ok(state.release_slot(domain, device, reason, now)?)
            }
            Self::Server(remote) => remote.wait(remote.client.release_slot(domain, device, reason)),
        }
    }
}

/// Rollouts that are to be.
impl Place {
    /// Reads the spec, and says what it comes to; writes it down as a draft unless it is a dry run.
    pub(super) fn draft(
        &self,
        spec: &SpecFile<'_>,
        is_dry: bool,
        now: Time,
    ) -> Result<Drafted, Told> {
        match self {
            Self::Dir(dir) => {
                let subject = format!("a rollout by {}", spec.0.display());
                let mut state =
                    if is_dry { dir.look()? } else { dir.change("rollout.create", subject, now)? };
                let spec = state.read_spec(spec.0, now)?;
                let drafted = state.drafted(&spec, now)?;
                if is_dry {
                    return Ok(drafted);
                }
                let (key, id) = state.create_rollout(&spec, now)?;
                Ok(Drafted { number: Some(key.0), id: Some(id), ..drafted })
            }
            Self::Server(remote) => {
                let document = spec.tree()?;
                let of_spec = |told| spec.faults(told);
                let drafted = remote.wait(remote.client.forecast(&document)).map_err(of_spec)?;
                if is_dry {
                    return Ok(drafted);
                }
                let settled = settled(&document, &drafted.spec);
                let made = remote.wait(remote.client.create_rollout(&settled)).map_err(of_spec)?;
                let Overview { number, id, .. } = made.overview;
                Ok(Drafted { number: Some(number), id: Some(id), spec: made.spec, ..drafted })
            }
        }
    }

    pub(super) fn check(&self, spec: &SpecFile<'_>, now: Time) -> Result<Checked, Told> {
        match self {
            Self::Dir(dir) => Ok(dir.look()?.check_file(spec.0, now)?),
            Self::Server(remote) => {
                let document = spec.tree()?;
                let checked = remote.wait(remote.client.check_rollout(&document));
                checked.map_err(|told| spec.faults(told))
            }
        }
    }
}

/// Rollouts that are there.
impl Place {
    pub(super) fn rollouts(&self) -> Result<Vec<RolloutView>, Told> {
        match self {
            Self::Dir(dir) => Ok(dir.look()?.rollouts()?),
            Self::Server(remote) => remote.wait(remote.client.all_rollouts()),
        }
    }

    pub(super) fn shown(&self, rollout: &str, now: Time) -> Result<Shown, Told> {
        match self {
            Self::Dir(dir) => {
                let (state, record) = dir.find(rollout)?;
                Ok(state.shown(&record, now)?)
            }
            Self::Server(remote) => remote.wait(remote.client.rollout(rollout)),
        }
    }

    /// How far a rollout is, by what it takes no look at single devices to tell.
    pub(super) fn overview(&self, rollout: &str, now: Time) -> Result<Overview, Told> {
        match self {
            Self::Dir(dir) => {
                let (state, record) = dir.find(rollout)?;
                Ok(state.overview(&record, 0.0, now)?)
            }
            Self::Server(_) => Ok(self.shown(rollout, now)?.overview.without_looks()),
        }
    }

    pub(super) fn act(&self, of: &Overview, act: Act, now: Time) -> Result<Acting, Told> {
        match self {
            Self::Dir(dir) => {
                let (_, record) = dir.find(&of.number.to_string())?;
                let subject = format!("rollout {}", of.number);
                let mut state = dir.change(&format!("rollout.{act}"), subject, now)?;
                Ok(state.act(record.key, act, now)?)
            }
            Self::Server(remote) => remote.wait(remote.client.act(&of.number.to_string(), act)),
        }
    }

    pub(super) fn approve(
        &self,
        of: &Overview,
        wave: Option<usize>,
        reason: Option<&str>,
        now: Time,
    ) -> Result<Acting, Told> {
        match self {
            Self::Dir(dir) => {
                let (_, record) = dir.find(&of.number.to_string())?;
                let subject = format!("rollout {}", of.number);
                let mut state = dir.change("rollout.approve", subject, now)?;
                Ok(state.approve(record.key, wave, reason, None, now)?)
            }
            Self::Server(remote) => remote.approve(&of.number.to_string(), wave, reason),
        }
    }

    pub(super) fn roll_back(
        &self,
        rollout: &str,
        otherwise: &Otherwise,
        extent: Extent,
        now: Time,
    ) -> Result<RolledBack, Told> {
        match self {
            Self::Dir(dir) => {
                let mut state = match extent {
                    Extent::DryRun => dir.look()?,
                    _ => dir.change("rollout.rollback", format!("rollout {rollout}"), now)?,
                };
                let record = state.find_rollout(rollout)?;
                Ok(state.roll_back(&record, otherwise, extent, now)?)
            }
            Self::Server(remote) => remote.roll_back(rollout, otherwise, extent),
        }
    }

    pub(super) fn why(&self, rollout: &str, id: &str, now: Time) -> Result<DeviceWhy, Told> {
        match self {
            Self::Dir(dir) => {
                let (state, record) = dir.find(rollout)?;
                Ok(state.why(&record, id, now)?)
            }
            Self::Server(remote) => remote.wait(remote.client.why(rollout, id)),
        }
    }

    pub(super) fn explain(&self, rollout: &str, device: Option<&str>) -> Result<Explained, Told> {
        match self {
            Self::Dir(dir) => {
                let (state, record) = dir.find(rollout)?;
                Ok(match device {
                    Some(id) => state.explain_device(&record, id)?,
                    None => state.explain(&record)?,
                })
            }
            Self::Server(remote) => remote.wait(async {
                match device {
                    Some(id) => remote.client.explain_device(rollout, id).await,
                    None => remote.client.explain(rollout).await,
                }
            }),
        }
    }

    pub(super) fn replay(&self, rollout: &str) -> Result<Report, Told> {
        match self {
            Self::Dir(dir) => {
                let (state, record) = dir.find(rollout)?;
                Ok(state.replay(record.key)?)
            }
            Self::Server(remote) => remote.wait(remote.client.replay(rollout)),
        }
    }
}

impl SpecFile<'_> {
    fn tree(&self) -> Result<Tree, Told> {
        let read = crate::spec_file::read_tree(self.0);
        Ok(read.map_err(OperateError::Spec)?)
    }

    /// What a server finds wrong with the spec, told as of its file.
    fn faults(&self, told: Told) -> Told {
        let Told::Client(error) = &told else { return told };
        let faults = error.problem().map_or(&[][..], |problem| &problem.errors);
        let is_told = |fault: &crate::api::Fault| fault.detail.starts_with("the spec: ");
        if faults.is_empty() || faults.iter().any(is_told) {
            return told;
        }
        let lines: Vec<String> = faults
            .iter()
            .map(|fault| match &*fault.field {
                "spec" => fault.detail.clone(),
                field => format!("{field}: {}", fault.detail),
            })
            .collect();
        let (lines, name) = (lines.join("\n").replace('\n', "\n  "), self.0.display());
        let mistakes = super::text::count(faults.len() as u64, "mistake");
        Failure::input(anyhow::anyhow!("{name}: {mistakes}\n  {lines}")).into()
    }
}

/// A document with all that was settled when it was looked at, such as when it starts, so that nothing
/// else is written down than what was shown. Whom it chooses stays as it was written: the server
/// narrows that by the scope of the token.
fn settled(document: &Tree, spelled: &Tree) -> Tree {
    const SELECT: &str = "select";
    let (Tree::Table(document), Tree::Table(spelled)) = (document, spelled) else {
        return spelled.clone();
    };
    let mut settled = spelled.clone();
    settled.remove(SELECT);
    let select = document.get(SELECT).map(|select| (SELECT.to_owned(), select.clone()));
    settled.extend(select);
    Tree::Table(settled)
}
