//! Rollouts: written down, looked at, acted on.

use groundswell_core::{document::Tree, log::Report, rollout::Act};

use super::{Client, ClientError, PAGE, Page};
use crate::{
    api::operator::{
        acts::{Approval, Rollback},
        rollouts::{Assignments, Rollouts, Waits, Waves},
    },
    operate::{Acting, Checked, DeviceWhy, Drafted, Explained, RolledBack, RolloutView, Shown},
};

impl Client {
    /// A page of rollouts, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollouts(&self, page: &Page) -> Result<Rollouts, ClientError> {
        self.get(&["rollouts"]).page(page).read().await
    }

    /// All rollouts, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn all_rollouts(&self) -> Result<Vec<RolloutView>, ClientError> {
        let (mut all, mut page) = (vec![], Page { limit: Some(PAGE), cursor: None });
        loop {
            let Rollouts { rollouts, next } = self.rollouts(&page).await?;
            all.extend(rollouts);
            if next.is_none() {
                break;
            }
            page.cursor = next;
        }
        all.reverse();
        Ok(all)
    }

    /// Writes a rollout down as a draft, by its document.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_rollout(&self, document: &Tree) -> Result<Shown, ClientError> {
        self.post(&["rollouts"]).json(document).once().read().await
    }

    /// What is wrong with a document, as devices, hours and releases are now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn check_rollout(&self, document: &Tree) -> Result<Checked, ClientError> {
        self.post(&["rollouts", "check"]).json(document).repeatable().read().await
    }

    /// Which devices would be in which wave, if it were started now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn forecast(&self, document: &Tree) -> Result<Drafted, ClientError> {
        self.post(&["rollouts", "forecast"]).json(document).repeatable().read().await
    }

    /// How far a rollout is, wave by wave, and what it waits for. `rollout` is its number, its id, or
    /// what its id begins with; so everywhere.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollout(&self, rollout: &str) -> Result<Shown, ClientError> {
        self.get(&["rollouts", rollout]).read().await
    }

    /// The waves of a rollout.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn waves(&self, rollout: &str) -> Result<Waves, ClientError> {
        self.get(&["rollouts", rollout, "waves"]).read().await
    }

    /// A page of the assignments of a rollout's round, of those in this state and this wave (counted
    /// from 1).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn assignments(
        &self,
        rollout: &str,
        state: Option<&str>,
        wave: Option<usize>,
        page: &Page,
    ) -> Result<Assignments, ClientError> {
        let wave = wave.map(|wave| wave.to_string());
        let ask = self.get(&["rollouts", rollout, "assignments"]);
        ask.query_if("state", state).query_if("wave", wave).page(page).read().await
    }

    /// What a rollout waits for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn waiting_on(&self, rollout: &str) -> Result<Waits, ClientError> {
        self.get(&["rollouts", rollout, "waiting-on"]).read().await
    }

    /// What happened to a rollout, when and why.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain(&self, rollout: &str) -> Result<Explained, ClientError> {
        self.get(&["rollouts", rollout, "explain"]).read().await
    }

    /// What happened to a device of a rollout, when and why.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain_device(&self, rollout: &str, id: &str) -> Result<Explained, ClientError> {
        self.get(&["rollouts", rollout, "devices", id, "explain"]).read().await
    }

    /// Why a device of a rollout is where it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn why(&self, rollout: &str, id: &str) -> Result<DeviceWhy, ClientError> {
        self.get(&["rollouts", rollout, "devices", id, "why"]).read().await
    }

    /// Runs the log of a rollout again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replay(&self, rollout: &str) -> Result<Report, ClientError> {
        self.get(&["rollouts", rollout, "replay"]).read().await
    }

    /// Does what an operator wants of a rollout. It is asked once: said twice, an advance would open
    /// two waves. [`Client::approve`] approves.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn act(&self, rollout: &str, act: Act) -> Result<Acting, ClientError> {
        match act {
            Act::Approve => self.approve(rollout, &Approval::default()).await,
            act => self.post(&["rollouts", rollout, &act.to_string()]).read().await,
        }
    }

    /// Approves what a gate asks an approval for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve(&self, rollout: &str, approval: &Approval) -> Result<Acting, ClientError> {
        self.post(&["rollouts", rollout, "approve"]).json(approval).read().await
    }

    /// Brings the devices that a rollout changed back to what they ran before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn roll_back(
        &self,
        rollout: &str,
        rollback: &Rollback,
    ) -> Result<RolledBack, ClientError> {
        self.post(&["rollouts", rollout, "rollback"]).json(rollback).read().await
    }
}
