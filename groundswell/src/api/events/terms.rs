//! Whose rows are whose: the name of the driver that wrote one is in the ids of its events.
//!
//! Restored from a copy, a state goes another way from there on, and counts on from the same number. By
//! the name an id of the way that was left is known.

use super::position::{Id, Position};

/// The drivers that there were, in order: the last row of the log before each, and its name.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Terms(Vec<(i64, String)>);

impl Terms {
    pub(super) const fn new(terms: Vec<(i64, String)>) -> Self {
        Self(terms)
    }

    /// Whose the row before a position is; nobody's, if that is not remembered.
    pub(super) fn of(&self, position: Position) -> Option<&str> {
        let row = position.row();
        let before = self.0.partition_point(|(log_end, _)| *log_end < row);
        before.checked_sub(1).map(|at| self.0[at].1.as_str())
    }

    /// The id of whatever is told there.
    pub(super) fn id(&self, position: Position) -> Id {
        Id { position, term: self.of(position).map(str::to_owned) }
    }

    /// Whether an id can have been given here. One without a name is taken as it is.
    pub(in crate::api) fn has(&self, id: &Id) -> bool {
        id.term.is_none() || self.of(id.position) == id.term.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_way_is_known() {
        let terms = |list: &[(i64, &str)]| {
            Terms::new(list.iter().map(|(end, id)| (*end, (*id).to_owned())).collect())
        };
        let lived = terms(&[(0, "a"), (900, "b"), (1_200, "c")]);
        let told = |row| lived.id(Position::new(row, 1));
        assert_eq!(told(900).to_string(), "900.1-a");
        assert_eq!(told(901).to_string(), "901.1-b");
        assert_eq!(
            lived.id(Position::behind(900)).to_string(),
            "901.0-a",
            "of 901 nothing was told"
        );
        assert_eq!(lived.id(Position::default()).to_string(), "0.0");
        // A copy was made at 1,000, and driven on since.
        let restored = terms(&[(0, "a"), (900, "b"), (1_000, "d")]);
        for row in [1, 900, 1_000] {
            assert!(restored.has(&told(row)), "{row}");
        }
        for row in [1_001, 1_100, 1_500] {
            assert!(lived.has(&told(row)) && !restored.has(&told(row)), "{row}");
        }
        assert!(restored.has(&lived.id(Position::behind(1_000))));
        assert!(restored.has(&"1500.0".parse().unwrap()), "an id from before ids had names");
    }
}
