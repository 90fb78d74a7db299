//! What the ledger is told of a rollout that went on, from two of its written states.

use groundswell::core::{
    brake,
    check::Observation,
    gate::Ruling,
    ids::RolloutId,
    rollout::{Progression, State, Wave, WaveState},
    time::Time,
};

/// What happened between two states, and when.
pub(crate) fn observations(
    rollout: RolloutId,
    before: &Progression,
    after: &Progression,
    at: Time,
) -> Vec<(Observation<'static>, Time)> {
    let mut seen = vec![];
    let mut waves = before.waves.clone();
    if after.round > before.round {
        seen.push((Observation::RoundBegan { rollout }, at));
        waves = Progression::pending(after.waves.len());
    }
    for (number, (was, is)) in waves.iter().zip(&after.waves).enumerate() {
        wave(rollout, number, was, is, at, &mut seen);
    }
    if after.results_accepted != before.results_accepted {
        seen.push((Observation::Accepted { rollout, results: after.results_accepted }, at));
    }
    if after.state == State::Running && before.state != State::Running {
        seen.push((Observation::Resumed { rollout }, at));
    }
    if let Some(verdict) = after.brakes.last()
        && !before.brakes.contains(verdict)
        && verdict.ruling != brake::Ruling::Accept
        && let brake::Evidence::Regression(evidence) = verdict.evidence
    {
        seen.push((Observation::Regressed { rollout, evidence }, at));
    }
    seen
}

const fn stage(state: WaveState) -> u8 {
    match state {
        WaveState::Pending => 0,
        WaveState::Open { .. } => 1,
        WaveState::Soaking { .. } => 2,
        WaveState::Stopped { .. } => 3,
        WaveState::Passed { .. } => 4,
    }
}

fn wave(
    rollout: RolloutId,
    wave: usize,
    was: &Wave,
    is: &Wave,
    at: Time,
    seen: &mut Vec<(Observation<'static>, Time)>,
) {
    if let Some(approval) = &is.approved
        && was.approved != is.approved
    {
        seen.push((Observation::Approved { rollout, wave }, approval.at));
    }
    if stage(is.state) <= stage(was.state) {
        return;
    }
    let ruling = is.verdict().map(|verdict| verdict.ruling);
    if stage(was.state) == 0 {
        seen.push((Observation::WaveOpened { rollout, wave }, at));
    }
    let has_ended = stage(was.state) < 2;
    match is.state {
        WaveState::Soaking { since } => {
            seen.push((Observation::WaveEnded { rollout, wave }, since));
        }
        WaveState::Passed { at } if ruling == Some(Ruling::Override) => {
            seen.push((Observation::Advanced { rollout, wave }, at));
            seen.push((Observation::GateRuled { rollout, wave, ruling: Ruling::Override }, at));
        }
        WaveState::Passed { at } => {
            if has_ended {
                seen.push((Observation::WaveEnded { rollout, wave }, at));
            }
            // One that passed without a verdict was let through by nobody.
            let ruling = ruling.unwrap_or(Ruling::Stop);
            seen.push((Observation::GateRuled { rollout, wave, ruling }, at));
        }
        WaveState::Stopped { at } => {
            seen.push((Observation::GateRuled { rollout, wave, ruling: Ruling::Stop }, at));
        }
        WaveState::Pending | WaveState::Open { .. } => {}
    }
}
