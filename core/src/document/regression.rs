//! The regression test: what a release is held against.

use super::reader::{Field, Table};
use crate::gate::{
    baseline::{Baseline, BaselineError, Earlier},
    rate::Rate,
    regression::{Alpha, Regression},
};

/// The word for a baseline of earlier results.
pub(super) const MEASURED: &str = "measured";

/// A regression test as it was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegressionName {
    /// The share that fails when nothing is wrong; none if it is that of earlier results.
    pub baseline: Option<Baseline>,
    /// How often a release that is no regression may be stopped.
    pub alpha: Alpha,
}

impl RegressionName {
    /// The test, with the results of earlier rollouts of the same release name.
    ///
    /// # Errors
    /// [`BaselineError`] if these are to be its baseline and cannot be.
    pub fn against(self, earlier: Earlier) -> Result<Regression, BaselineError> {
        let baseline = self.baseline.map_or_else(|| Baseline::measured(earlier), Ok)?;
        Ok(Regression { baseline, alpha: self.alpha })
    }
}

pub(super) fn regression(table: &Table<'_>) -> Option<RegressionName> {
    let table = table.field("regression")?.table("regression")?;
    let baseline = table.required("baseline", "2%").and_then(|field| baseline(&field));
    let alpha = match table.field("alpha_percent") {
        Some(field) => {
            let percent = field.percentage(1..=Alpha::PERCENT_MAX)?;
            field.accept(Alpha::from_percent(percent))?
        }
        None => Alpha::default(),
    };
    Some(RegressionName { baseline: baseline?, alpha })
}

/// `"2%"`, or `"measured"`.
#[expect(clippy::option_option, reason = "what cannot be read is not what is to be measured")]
fn baseline(field: &Field<'_>) -> Option<Option<Baseline>> {
    let text = field.text("2%")?;
    if text == MEASURED {
        return Some(None);
    }
    let Ok(rate) = text.parse::<Rate>() else {
        field.refuse_kind(&format!("a percentage or \"{MEASURED}\""), "one such as \"2%\"");
        return None;
    };
    field.accept(Baseline::given(rate)).map(Some)
}
