//! What those who may write to a state through a server may make it reach: where devices and gates
//! may be, and which secrets of its machine a gate may be asked with.
//!
//! Whoever works at the machine may reach all of that anyway; for a state that a server writes to,
//! what crosses these borders is not written down. What is written down is judged again when it is
//! connected to. Type to read first: [`Borders`].

use std::sync::Arc;

use groundswell_core::{
    device::Device,
    gate::external::{By, Check, Question, SecretSource},
    rollout::Spec,
};

use super::{OperateError, State};
use crate::networks::Networks;

/// What may be reached. A clone shares.
#[derive(Clone, Debug, Default)]
pub struct Borders {
    networks: Networks,
    secrets: Arc<[SecretSource]>,
}

impl Borders {
    /// Of networks what these rules let through, and of secrets those that are named: a gate with
    /// another one would carry any file of the machine to wherever its author likes.
    pub fn new(networks: Networks, secrets: impl Into<Arc<[SecretSource]>>) -> Self {
        Self { networks, secrets: secrets.into() }
    }

    /// What may be connected to.
    pub const fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Whether a device may be where it says.
    ///
    /// # Errors
    /// [`OperateError::Network`].
    pub fn judge_device(&self, device: &Device) -> Result<(), OperateError> {
        let Some(address) = &device.address else { return Ok(()) };
        self.networks
            .judge_written(address)
            .map_err(|error| OperateError::Network { field: "address".to_owned(), error })
    }

    fn judge_gate(&self, number: usize, check: &Check) -> Result<(), OperateError> {
        let (Question::Http { url, .. } | Question::Prometheus { url, .. }) = &check.question;
        self.networks.judge_written(url.server()).map_err(|error| OperateError::Network {
            field: format!("gates[{number}].url"),
            error,
        })?;
        match check.headers.iter().find(|(_, source)| !self.secrets.contains(source)) {
            None => Ok(()),
            Some((name, source)) => Err(OperateError::Secret {
                field: format!("gates[{number}].headers.{name}"),
                source_text: source.to_string(),
            }),
        }
    }
}

impl State {
    /// The same, but what is beyond these borders is not written down.
    #[must_use]
    pub fn within(self, borders: Borders) -> Self {
        Self { borders: Some(borders), ..self }
    }

    /// Whether a device may be where it says.
    ///
    /// # Errors
    /// [`OperateError::Network`].
    pub fn judge_device(&self, device: &Device) -> Result<(), OperateError> {
        self.borders.as_ref().map_or(Ok(()), |borders| borders.judge_device(device))
    }

    /// Whether the gates of a rollout may be asked, with what they are asked with.
    pub(super) fn judge_gates(&self, spec: &Spec) -> Result<(), OperateError> {
        let Some(borders) = &self.borders else { return Ok(()) };
        // Counted from 1, as all faults of a spec are.
        spec.gates.iter().zip(1..).try_for_each(|(gate, number)| match &gate.by {
            By::Approval => Ok(()),
            By::Check(check) => borders.judge_gate(number, check),
        })
    }
}
