//! How long commits took, as `/metrics` has it.

/// The histogram: upper bounds in seconds and how many took at most that, their sum and number.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    buckets: Vec<(f64, f64)>,
    sum: f64,
    count: f64,
}

impl Commits {
    pub(crate) fn read(text: &str) -> Self {
        let mut commits = Self::default();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("groundswell_store_commit_duration_seconds_") else {
                continue;
            };
            let Some((name, value)) = rest.rsplit_once(' ') else { continue };
            let value = value.parse().unwrap();
            match name {
                "sum" => commits.sum = value,
                "count" => commits.count = value,
                _ => {
                    let bound = name.split('"').nth(1).unwrap();
                    commits.buckets.push((bound.parse().unwrap_or(f64::INFINITY), value));
                }
            }
        }
        commits
    }

    /// Those after others.
    pub(crate) fn since(self, before: &Self) -> Self {
        let earlier = |at: usize| before.buckets.get(at).map_or(0.0, |(_, count)| *count);
        let buckets =
            self.buckets.iter().enumerate().map(|(at, (le, count))| (*le, count - earlier(at)));
        Self {
            buckets: buckets.collect(),
            sum: self.sum - before.sum,
            count: self.count - before.count,
        }
    }

    pub(crate) fn mean_millis(&self) -> f64 {
        self.sum / self.count * 1e3
    }

    /// The bound that so many stayed below.
    pub(crate) fn millis_of(&self, share: f64) -> f64 {
        let below = |(_, count): &&(f64, f64)| *count >= self.count * share;
        self.buckets.iter().find(below).map_or(f64::NAN, |(le, _)| le * 1e3)
    }
}
