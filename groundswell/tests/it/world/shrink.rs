//! Making a world that fails smaller, as long as it fails in the same way.

use std::fmt;

use super::scenario::Scenario;

/// How a world failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// All that is told of it.
    pub(crate) text: String,
    /// What it says first, without its numbers and names: a smaller world fails in the same way if
    /// this is the same.
    pub(crate) kind: String,
    /// The step at which it failed.
    pub(crate) step: u64,
}

/// The smallest world that was found.
#[derive(Debug)]
pub(crate) struct Smallest {
    pub(crate) scenario: Scenario,
    pub(crate) failure: Failure,
    /// Worlds that were run to find it.
    pub(crate) runs: u32,
}

impl Failure {
    pub(crate) fn new(text: String, what: &str, step: u64) -> Self {
        let first = what.lines().find(|line| !line.is_empty()).unwrap_or_default();
        let letters: String =
            first.chars().map(|c| if c.is_alphabetic() { c } else { ' ' }).collect();
        // Behind the first words there are states and names, which a smaller world has others of.
        let kind: Vec<_> = letters.split_whitespace().take(5).collect();
        Self { text, kind: kind.join(" "), step }
    }
}

/// Runs smaller and smaller worlds, at most so many, and no more once `is_over`.
pub(crate) fn shrink(
    scenario: &Scenario,
    failure: Failure,
    runs_max: u32,
    run: impl Fn(&Scenario) -> Option<Failure>,
    is_over: impl Fn() -> bool,
) -> Smallest {
    let mut smallest = Smallest { scenario: scenario.clone(), failure, runs: 0 };
    smallest.cut_steps();
    let mut has_shrunk = true;
    while has_shrunk {
        has_shrunk = false;
        for smaller in smaller(&smallest.scenario) {
            if smallest.runs == runs_max || is_over() {
                return smallest;
            }
            smallest.runs += 1;
            let same = run(&smaller).filter(|failure| failure.kind == smallest.failure.kind);
            if let Some(failure) = same {
                (smallest.scenario, smallest.failure) = (smaller, failure);
                smallest.cut_steps();
                has_shrunk = true;
                break;
            }
        }
    }
    smallest
}

impl Smallest {
    /// Nothing behind the failure is needed. It may have come between two steps.
    fn cut_steps(&mut self) {
        let steps_max = &mut self.scenario.steps_max;
        *steps_max = (*steps_max).min(self.failure.step + 1);
    }
}

/// Worlds with a little less, those with much less first.
fn smaller(than: &Scenario) -> Vec<Scenario> {
    let with = |change: &dyn Fn(&mut Scenario)| {
        let mut scenario = than.clone();
        change(&mut scenario);
        // What is left out moves the failure, to a later step as well.
        scenario.steps_max = than.steps_max.saturating_mul(2).min(Scenario::of(0).steps_max);
        scenario
    };
    let mut found = vec![];
    if than.faults.len() > 1 {
        found.push(with(&|scenario| scenario.faults.clear()));
    }
    for kind in &than.faults {
        found.push(with(&|scenario| scenario.faults.retain(|other| other != kind)));
    }
    // Where nobody set a limit, these are beyond what is drawn.
    for acts in fewer(than.acts_max, 1_200) {
        found.push(with(&|scenario| scenario.acts_max = Some(acts)));
    }
    for rollouts in fewer(than.rollouts_max, 5).into_iter().filter(|rollouts| *rollouts > 0) {
        found.push(with(&|scenario| scenario.rollouts_max = Some(rollouts)));
    }
    for devices in fewer(than.devices_max, 300).into_iter().filter(|devices| *devices > 0) {
        found.push(with(&|scenario| scenario.devices_max = Some(devices)));
    }
    found
}

fn fewer(max: Option<u64>, drawn_max: u64) -> Vec<u64> {
    let max = max.unwrap_or(drawn_max);
    let mut found = vec![0, max / 8, max / 2, max.saturating_sub(max / 4), max.saturating_sub(1)];
    found.retain(|fewer| *fewer < max);
    found.dedup();
    found
}

impl fmt::Display for Smallest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failure, runs, .. } = self;
        writeln!(f, "{}", failure.text)?;
        writeln!(f, "the smallest of {runs} worlds that fail like this, at step {}", failure.step)
    }
}
