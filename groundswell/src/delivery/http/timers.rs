//! The time-outs of one attempt.
//!
//! One timer serves every step in turn, set only when there is something to wait for, so that an
//! attempt that never waits long costs one timer at most. A limit on the whole adds another.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use groundswell_core::outcome::Fault;
use tokio::task::unconstrained;

use super::fault::Failure;
use crate::clock::{Clock, Sleep};

/// The timer of the present step, and the limit on the whole.
pub(super) struct Timers<'a> {
    clock: &'a Clock,
    step: Option<Sleep>,
    whole: Option<Whole>,
}

struct Whole {
    sleep: Sleep,
    within: Duration,
    /// What to say when it ends; `None` for what the step it ends in would say.
    fault: Option<Fault>,
}

/// How long a step may take, what a test sees it called, and what it means when it takes longer.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) wait: Duration,
    pub(super) label: &'static str,
    pub(super) fault: Fault,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// The step's.
    Step,
    /// That on the whole, with what to say.
    Whole(Fault),
}

impl<'a> Timers<'a> {
    /// Steps only, and a limit on the whole if there is one.
    pub(super) fn for_push(clock: &'a Clock, attempt: Option<Duration>) -> Self {
        let whole = attempt.map(|within| Whole {
            sleep: clock.sleep(within, "attempt"),
            within,
            fault: Some(Fault::AttemptTimeout),
        });
        Self { clock, step: None, whole }
    }

    /// A question that ends within `within` whatever happens.
    pub(super) fn for_question(clock: &'a Clock, within: Duration) -> Self {
        let whole = Whole { sleep: clock.sleep(within, "question"), within, fault: None };
        Self { clock, step: None, whole: Some(whole) }
    }

    /// The clock they go by.
    pub(super) const fn clock(&self) -> &'a Clock {
        self.clock
    }

    /// The step begins to wait now. A step that may take longer than the whole sets no timer.
    pub(super) fn arm(&mut self, step: Step) {
        if self.whole.as_ref().is_some_and(|whole| whole.within <= step.wait) {
            self.step = None;
            return;
        }
        match &mut self.step {
            Some(sleep) => sleep.reset(step.wait, step.label),
            None => self.step = Some(self.clock.sleep(step.wait, step.label)),
        }
    }

    /// Whether a limit has been reached; wakes the task when one is.
    pub(super) fn poll(&mut self, step: Step, cx: &mut Context<'_>) -> Poll<Expired> {
        if let Some(whole) = &mut self.whole
            && poll_freely(&mut whole.sleep, cx).is_ready()
        {
            return Poll::Ready(Expired::Whole(whole.fault.unwrap_or(step.fault)));
        }
        match &mut self.step {
            Some(sleep) => poll_freely(sleep, cx).map(|()| Expired::Step),
            None => Poll::Pending,
        }
    }

    /// Runs `work` as one step.
    pub(super) async fn run<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if !armed {
                self.arm(step);
                armed = true;
            }
            self.poll(step, cx).map(|expired| Err(expired.failure(step)))
        })
        .await
    }
}

/// Whether a timer has ended, even for a task that has used up its turn: one that is flooded always
/// has, and its time-outs would never end.
fn poll_freely(sleep: &mut Sleep, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut unconstrained(sleep)).poll(cx)
}

impl Expired {
    /// As a failure of `step`.
    pub(super) fn failure(self, step: Step) -> Failure {
        match self {
            Self::Step => Failure::new(step.fault, &format_args!("after {:?}", step.wait)),
            Self::Whole(fault) => Failure::bare(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::coop::consume_budget;

    use super::*;

    #[tokio::test]
    async fn a_time_out_ends_a_step_that_never_yields() {
        let clock = Clock::System;
        let mut timers = Timers::for_push(&clock, None);
        let step = Step { wait: Duration::ZERO, label: "test", fault: Fault::ResponseTimeout };
        let flood = poll_fn(|cx| {
            while pin!(consume_budget()).poll(cx).is_ready() {}
            Poll::<Result<(), Failure>>::Pending
        });
        let failure = timers.run(step, flood).await.unwrap_err();
        assert_eq!(failure.fault, Fault::ResponseTimeout);
    }
}
