//! Texts with wildcards.

/// A text in which each `*` stands for any text, also an empty one. Has at least one `*` and at
/// least one other character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands between the wildcards; the first and last may be empty, the others are not.
    pieces: Vec<Box<str>>,
}

impl Pattern {
    /// A pattern of the pieces between its wildcards; wildcards side by side count as one.
    pub(super) fn of(pieces: Vec<String>) -> Self {
        let last = pieces.len().saturating_sub(1);
        let pieces = pieces
            .into_iter()
            .enumerate()
            .filter(|(at, piece)| *at == 0 || *at == last || !piece.is_empty())
            .map(|(_, piece)| piece.into_boxed_str())
            .collect();
        Self { pieces }
    }

    /// The texts before, between and after the wildcards; at least two.
    pub fn pieces(&self) -> impl Iterator<Item = &str> + Clone {
        self.pieces.iter().map(|piece| &**piece)
    }

    /// Whether the whole of `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return false;
        };
        let Some(mut rest) =
            text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last))
        else {
            return false;
        };
        // Taking each piece at its first place leaves the most room for those that follow.
        for piece in middle {
            match rest.find(&**piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}
