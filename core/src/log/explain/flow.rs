//! How devices went between two milestones: counted, a few of them by name.

use std::time::Duration;

use super::Line;
use crate::{time::Time, waiting::span};

/// So many devices are named of those that went the same way.
const NAMES_MAX: usize = 3;

/// So many ways are told apart: more are not read in one sentence.
const WAYS_MAX: usize = 12;

/// A sentence covers at least this time, however much happens in it...
const SPAN_MIN: Duration = Duration::from_hours(1);

/// ...and at least this part of the time that the rollout runs, so that one which runs for a year
/// is not told by the hour.
const SPAN_PARTS: u32 = 10;

/// What happened to devices since the last milestone.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The first and the last time at which something did.
    span: Option<(Time, Time)>,
    ways: Vec<Way>,
}

#[derive(Debug)]
struct Way {
    what: String,
    count: u64,
    names: Vec<String>,
    /// How often it were those named already.
    again: u64,
}

impl Flow {
    /// So many devices went this way; some of their names, if these are told.
    pub(super) fn add<'a>(
        &mut self,
        now: Time,
        what: &str,
        count: u64,
        names: impl Iterator<Item = &'a str>,
    ) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
        let known = self.ways.iter().position(|way| way.what == what);
        let at = known.unwrap_or_else(|| {
            if self.ways.len() <= WAYS_MAX {
                let is_last = self.ways.len() == WAYS_MAX;
                let what = if is_last { "otherwise" } else { what }.to_owned();
                self.ways.push(Way { what, count: 0, names: vec![], again: 0 });
            }
            self.ways.len() - 1
        });
        let way = &mut self.ways[at];
        way.count += count;
        for name in names {
            if way.names.iter().any(|known| known == name) {
                way.again += 1;
            } else if way.names.len() < NAMES_MAX {
                way.names.push(name.to_owned());
            }
        }
    }

    /// Whether what happens now, in a rollout that began then, is told apart from this.
    pub(super) fn is_full(&self, now: Time, began: Option<Time>) -> bool {
        let age = began.map_or(Duration::ZERO, |began| now.since(began));
        self.span.is_some_and(|(first, _)| now.since(first) >= SPAN_MIN.max(age / SPAN_PARTS))
    }

    /// The sentence, if there is one; begins anew.
    pub(super) fn take(&mut self) -> Option<Line> {
        let (first, last) = self.span.take()?;
        let ways: Vec<String> = self.ways.drain(..).map(|way| way.in_words()).collect();
        let during = match last.since(first) {
            during if during < Duration::from_mins(1) => String::new(),
            during => format!(", in {}", span(during)),
        };
        Some(Line { at: last, text: format!("devices{during}: {}", ways.join(", ")) })
    }

    /// As if nothing of it had been.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Way {
    fn in_words(&self) -> String {
        let Self { what, count, names, again } = self;
        let more = count.saturating_sub(names.len() as u64 + again);
        match (names.is_empty(), more) {
            (true, _) => format!("{count} {what}"),
            (false, 0) => format!("{count} {what} ({})", names.join(", ")),
            (false, _) => format!("{count} {what} ({} and {more} more)", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_795_615_200_000);

    #[test]
    fn devices_that_went_the_same_way_are_counted_and_a_few_named() {
        let mut flow = Flow::default();
        assert_eq!(flow.take(), None);
        flow.add(NOW, "claimed", 20, [].into_iter());
        flow.add(NOW, "failed", 2, ["pos-1", "pos-2"].into_iter());
        let later = NOW + Duration::from_mins(5);
        flow.add(later, "failed", 4, ["pos-3", "pos-4", "pos-5", "pos-6"].into_iter());
        let text = "devices, in 5 min: 20 claimed, 6 failed (pos-1, pos-2, pos-3 and 3 more)";
        assert_eq!(flow.take(), Some(Line { at: later, text: text.to_owned() }));
        flow.add(NOW, "tried again", 1, ["pos-1"].into_iter());
        flow.add(NOW, "tried again", 1, ["pos-1"].into_iter());
        assert_eq!(flow.take().unwrap().text, "devices: 2 tried again (pos-1)");
        for way in 0..40 {
            flow.add(NOW, &format!("way {way}"), 1, [].into_iter());
        }
        let text = flow.take().unwrap().text;
        assert!(text.ends_with(", 1 way 11, 28 otherwise"), "{text}");
    }

    #[test]
    fn the_longer_a_rollout_runs_the_more_is_in_one_sentence() {
        let mut flow = Flow::default();
        let hours = |hours| NOW + Duration::from_hours(hours);
        assert!(!flow.is_full(NOW, None));
        flow.add(NOW, "claimed", 1, [].into_iter());
        assert!(!flow.is_full(NOW + Duration::from_mins(59), Some(NOW)));
        assert!(flow.is_full(hours(1), Some(NOW)));
        flow.take();
        flow.add(hours(100), "claimed", 1, [].into_iter());
        assert!(!flow.is_full(hours(109), Some(NOW)));
        assert!(flow.is_full(hours(112), Some(NOW)));
    }
}
