//! A rollout as it is shown, and as it would be written down.

use groundswell_core::{
    document::{Tree, spelled},
    ids::RolloutId,
    lint::Finding,
    release::Release,
    rollout::{Spec, State as Stands},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Forecast, OperateError, Overview, State, schema::ReleaseSchema};
use crate::store::RolloutRecord;

/// How far a rollout is, and what is to happen, in the words of its document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Shown {
    /// How far it is.
    #[serde(flatten)]
    pub overview: Overview,
    /// What it would do if it were started now, as far as counts tell; none once it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Forecast>,
    /// What is to happen.
    #[schema(value_type = Object)]
    pub spec: Tree,
}

/// A rollout as it was written down, or would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Drafted {
    /// Its number; none if it is not written down.
    pub number: Option<i64>,
    /// Its id; none if it is not written down.
    #[schema(value_type = Option<String>)]
    pub id: Option<RolloutId>,
    /// What it would do if it were started now.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// What is wrong with it, errors first.
    #[schema(value_type = Vec<Object>)]
    pub findings: Vec<Finding>,
    /// What it sends.
    #[schema(value_type = ReleaseSchema)]
    pub release: Release,
    /// What is to happen, with every default.
    #[schema(value_type = Object)]
    pub spec: Tree,
}

impl State {
    /// A rollout with all there is to say of it.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn shown(&self, record: &RolloutRecord, now: Time) -> Result<Shown, OperateError> {
        let mut overview = self.overview(record, 0.0, now)?;
        self.look_back(&mut overview)?;
        self.look_at_failures(&mut overview)?;
        let outline = match overview.state {
            Stands::Draft => Some(self.outline(&record.spec, now)?),
            _ => None,
        };
        Ok(Shown { overview, outline, spec: spelled(&record.spec) })
    }

    /// What a spec comes to, if it were written down and started now; writes nothing.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn drafted(&self, spec: &Spec, now: Time) -> Result<Drafted, OperateError> {
        let forecast = self.forecast(spec, now)?;
        let findings = self.check_forecast(spec, &forecast)?;
        let (release, spec) = (spec.release.clone(), spelled(spec));
        Ok(Drafted { number: None, id: None, forecast, findings, release, spec })
    }
}
