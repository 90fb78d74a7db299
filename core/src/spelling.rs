//! The word that was probably meant.
//!
//! Owns the distance between words, for messages that suggest a name. Decides nothing else.

/// Longer words are not compared; no name of ours comes near.
const WORD_CHARS_MAX: usize = 64;

/// The candidate nearest to `word`, the first of several; `None` if none is near enough to be
/// meant: at most one letter in three (but one in any word) added, left out, replaced or swapped
/// with its neighbor. Case is not looked at.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> =
        word.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase).collect();
    if word.len() > WORD_CHARS_MAX {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbors.
fn distance(word: &[char], candidate: &str) -> usize {
    let other: Vec<char> =
        candidate.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase).collect();
    let mut before_last: Vec<usize> = vec![];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &left) in word.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &right) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(left != right);
            let mut cost = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && left == other[column - 1] && word[row - 1] == right;
            if swapped {
                cost = cost.min(before_last[column - 1] + 1);
            }
            current.push(cost);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let names = ["id", "name", "version", "location", "status", "time_zone", "region"];
        for (word, meant) in [
            ("regoin", Some("region")),
            ("Versoin", Some("version")),
            ("timezone", Some("time_zone")),
            ("ID", Some("id")),
            ("ids", Some("id")),
            ("stat", None),
            ("x", None),
            ("", None),
            ("completely-different", None),
        ] {
            assert_eq!(nearest(word, names), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), names), None);
    }
}
