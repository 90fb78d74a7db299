//! Selectors before they are used: whether one can be read, and whom it chooses.

use groundswell_core::{
    selector::{Field, Selector, SelectorError},
    spelling::nearest,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeviceView, OperateError, State};
use crate::{
    access::Scope,
    store::{Interrupt, SelectorStore as _, TroubleStore as _},
};

/// Devices that are counted before it is only said that there are more.
pub const COUNT_MAX: u64 = 10_000;

/// Devices of a sample.
pub const SAMPLE_MAX: usize = 20;

/// Tag keys that a mistyped one is compared with: more than people make up.
const KEYS_MAX: usize = 1_000;

/// Keys that are looked up for somebody limited to a part of the fleet before none is suggested.
const TRIES_MAX: usize = 5;

/// What is to be said of a selector before it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SelectorChecked {
    /// The selector as it is kept; none if it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Why it cannot be read, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SelectorFault>,
    /// Tags it asks about that no device has: a mistake, most likely, or devices to come.
    pub unknown_tags: Vec<UnknownTag>,
    /// Whether whom it chooses changes as time passes.
    pub depends_on_now: bool,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SelectorFault {
    /// In words, with what was probably meant.
    pub reason: String,
    /// The first byte of the text that is wrong.
    pub from: usize,
    /// The byte behind the last that is; the same if something is missing there.
    pub to: usize,
}

/// A tag key that no device has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnknownTag {
    /// The key.
    pub key: String,
    /// The key that was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant: Option<String>,
}

/// How many devices are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counted {
    /// So many, at most 10,000.
    #[schema(maximum = 10000)]
    pub count: u64,
    /// Whether there are more than that.
    pub is_more: bool,
}

/// Some of the devices that are chosen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// At most 20, in the order of their ids.
    #[schema(max_items = 20)]
    pub devices: Vec<DeviceView>,
    /// Whether there are more.
    pub is_more: bool,
}

impl State {
    /// Says what is to be said of a selector to somebody who sees the devices of a scope.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn check_selector(
        &self,
        text: &str,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<SelectorChecked, OperateError> {
        let keys = self.store.tag_keys(KEYS_MAX)?;
        let select = match Selector::parse(text) {
            Ok(select) => select,
            Err(error) => {
                let error = self.with_seen_tag(error, &keys, scope, now)?;
                let (reason, place) = (error.reason(), error.place());
                let error = Some(SelectorFault { reason, from: place.start, to: place.end });
                let unknown_tags = vec![];
                return Ok(SelectorChecked {
                    select: None,
                    error,
                    unknown_tags,
                    depends_on_now: false,
                });
            }
        };
        let mut unknown_tags = vec![];
        for key in select.tag_keys() {
            if !self.is_tag_seen(key, scope, now)? {
                let meant = self.seen_tag_like(key, &keys, scope, now)?;
                unknown_tags.push(UnknownTag { key: key.to_owned(), meant });
            }
        }
        let depends_on_now = select.depends_on_now();
        Ok(SelectorChecked {
            select: Some(select.to_string()),
            error: None,
            unknown_tags,
            depends_on_now,
        })
    }

    /// How many devices a selector chooses, counted to [`COUNT_MAX`].
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn count_to_max(
        &self,
        select: Option<&Selector>,
        now: Time,
    ) -> Result<Counted, OperateError> {
        let found = self.store.count_devices_to(select, COUNT_MAX + 1, now)?;
        Ok(Counted { count: found.min(COUNT_MAX), is_more: found > COUNT_MAX })
    }

    /// Some of the devices that a selector chooses.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn sample(&self, select: Option<&Selector>, now: Time) -> Result<Sample, OperateError> {
        let (devices, next) = self.device_page(select, None, SAMPLE_MAX, now)?;
        Ok(Sample { devices, is_more: next.is_some() })
    }

    /// What stops a look at this state from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.store.interrupt()
    }

    /// Of these tags the one that a key is or was probably meant to be, if not all of them may be known.
    pub(super) fn tags_like(
        &self,
        key: &str,
        keys: &[String],
        now: Time,
    ) -> Result<Vec<String>, OperateError> {
        let scope = self.sight.as_ref();
        if scope.is_none() {
            return Ok(keys.to_vec());
        }
        let known = if self.is_tag_seen(key, scope, now)? { Some(key.to_owned()) } else { None };
        Ok(known.or(self.seen_tag_like(key, keys, scope, now)?).into_iter().collect())
    }

    /// Whether a device that is seen has a tag.
    fn is_tag_seen(
        &self,
        key: &str,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<bool, OperateError> {
        let present = format!("{}==*", Field::Tag(key.into()));
        let present = Selector::parse(&present).map_err(OperateError::Selector)?;
        let present = match scope {
            Some(scope) => scope.narrow(Some(present)),
            None => present,
        };
        Ok(self.store.count_devices_to(Some(&present), 1, now)? > 0)
    }

    /// The tag that was probably meant, of those that are seen.
    fn seen_tag_like(
        &self,
        key: &str,
        keys: &[String],
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<Option<String>, OperateError> {
        let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for _ in 0..TRIES_MAX {
            let Some(meant) = nearest(key, keys.iter().copied()) else { return Ok(None) };
            if scope.is_none() || self.is_tag_seen(meant, scope, now)? {
                return Ok(Some(meant.to_owned()));
            }
            keys.retain(|key| *key != meant);
        }
        Ok(None)
    }

    /// The error with a suggestion from the tags that are seen.
    fn with_seen_tag(
        &self,
        error: SelectorError,
        keys: &[String],
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<SelectorError, OperateError> {
        let mut seen = vec![];
        for key in keys {
            let suggested = error.clone().with_tags([key.as_str()]);
            if suggested != error && (scope.is_none() || self.is_tag_seen(key, scope, now)?) {
                seen.push(key.as_str());
            }
            if seen.len() == TRIES_MAX {
                break;
            }
        }
        Ok(error.with_tags(seen))
    }
}
