//! Pages of lists: how many, and from where on.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Problem;

/// Items of a page unless another number is asked for.
const LIMIT: usize = 100;

/// Most items of a page: some 300 KiB of devices.
pub(crate) const LIMIT_MAX: usize = 1_000;

/// Longest cursor: an id in base64.
const CURSOR_BYTES_MAX: usize = 1_024;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// How many items at the most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<usize>,
    /// From where on: what `next` of the page before said.
    #[param(max_length = 1024)]
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// How many items are wanted.
    ///
    /// # Errors
    /// A [`Problem`] if these are none, or too many.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(LIMIT),
            Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
            Some(_) => Err(Problem::invalid("limit", format!("a number from 1 to {LIMIT_MAX}"))),
        }
    }

    /// Behind what the page begins.
    ///
    /// # Errors
    /// A [`Problem`] if it is not what a page said.
    pub(crate) fn after(&self) -> Result<Option<String>, Problem> {
        let bad = || Problem::invalid("cursor", "take it from `next` of the page before");
        let Some(cursor) = &self.cursor else { return Ok(None) };
        // An empty one is of a program that lost it, and would begin again.
        if cursor.is_empty() || cursor.len() > CURSOR_BYTES_MAX {
            return Err(bad());
        }
        let key = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
        String::from_utf8(key).map(Some).map_err(|_| bad())
    }

    /// The same where lists are in the order of a number.
    ///
    /// # Errors
    /// A [`Problem`] if it is not what a page said.
    pub(crate) fn after_number(&self) -> Result<Option<i64>, Problem> {
        let bad = || Problem::invalid("cursor", "take it from `next` of the page before");
        self.after()?.map(|key| key.parse().map_err(|_| bad())).transpose()
    }
}

/// The cursor of whatever comes behind `key`.
pub(crate) fn cursor(key: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let paging = |limit, cursor| Paging { limit, cursor };
        for key in ["till-1", "ä\n"] {
            assert_eq!(paging(None, Some(cursor(key))).after(), Ok(Some(key.to_owned())));
        }
        for bad in ["", "%%%", "/w", "a", &"A".repeat(2_000)] {
            assert!(paging(None, Some(bad.to_owned())).after().is_err(), "{bad}");
        }
        assert_eq!(paging(None, Some(cursor("17"))).after_number(), Ok(Some(17)));
        assert!(paging(None, Some(cursor("x"))).after_number().is_err());
        assert_eq!(paging(None, None).limit(), Ok(100));
        assert_eq!(paging(Some(1_000), None).limit(), Ok(1_000));
        assert!(paging(Some(0), None).limit().is_err());
        assert!(paging(Some(1_001), None).limit().is_err());
    }
}
