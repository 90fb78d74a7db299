//! Known mistakes that can be switched on, to see whether the simulation notices them.
//!
//! A place where such a mistake would be made asks [`bites!`](crate::bites). Without the feature
//! `teeth` that is the word `false` and nothing else of this is compiled; nothing that is shipped
//! has the feature. With it, a test switches one mistake on for its own thread.
//!
//! That switch is the only state in this crate that is not passed in. The mistakes sit deep in
//! functions that must not be given an argument for them, and nobody but a test ever sets it.

/// Whether a mistake of [`Bug`](crate::teeth::Bug) is to be made here.
#[cfg(feature = "teeth")]
#[macro_export]
macro_rules! bites {
    ($bug:ident) => {
        $crate::teeth::is_on($crate::teeth::Bug::$bug)
    };
}

/// Whether a known mistake is to be made here: never, in a build that is not for tests.
#[cfg(not(feature = "teeth"))]
#[macro_export]
macro_rules! bites {
    ($bug:ident) => {
        false
    };
}

#[cfg(feature = "teeth")]
pub use self::bugs::{Bug, is_on, switch};

#[cfg(feature = "teeth")]
mod bugs {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Makes this mistake, and no other, on this thread from now on.
    pub fn switch(bug: Option<Bug>) {
        ON.set(bug);
    }

    /// Whether this mistake is to be made on this thread.
    pub fn is_on(bug: Bug) -> bool {
        ON.get() == Some(bug)
    }

    macro_rules! bugs {
        ($($name:ident: $text:literal,)*) => {
            /// A mistake that was made elsewhere, or well might be here.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Bug {
                $(#[doc = $text] $name,)*
            }

            impl Bug {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$name,)*];

                /// What is done wrong.
                pub const fn text(self) -> &'static str {
                    match self {
                        $(Self::$name => $text,)*
                    }
                }
            }
        };
    }

    bugs! {
        FailedFreed: "a device that failed gives back its slots",
        SlotsLostAtRestart: "a driver that starts knows nothing of slots that are held",
        RetryForgetsSlot: "a device that waits to be tried again gives back its slots",
        ShareRoundedUp: "a share of a domain is rounded up",
        ParkedNeverWoken: "nobody who waits for a domain is woken",
        OthersForgotten: "devices that other rollouts have count in no domain",
        FreedTooEarly: "a slot is given on before it is durable that it is free",
        MaxPerHostForgotten: "the limit for each host is forgotten",
        FreezeForgotten: "a freeze is forgotten",
        FreezeEndsEarly: "the last minute of a freeze is not frozen",
        WindowInUtc: "windows are judged in UTC",
        DstHourTwice: "a window in an hour that the clock repeats comes twice",
        RegressedNotCounted: "a device that was updated and then failed counts as success",
        RegressionForgotten: "nobody looks at the regression test",
        UnderWayForgotten: "the regression test leaves out those under way, and the first to answer decide",
        UnreachableForgotten: "a gate that waits for devices that could not be reached rules without them",
        UnreachableSucceeds: "a device that cannot be reached counts as success",
        WaveBeforeGate: "the next wave opens before the gate has ruled",
        SoakForgotten: "a wave is judged before its soak is over",
        GateOnNothing: "a gate says go on 0 of 0",
        GateErrorMeansGo: "an external gate takes an error for go",
        StaleAnswerOpens: "an external gate takes an answer that was asked for before its wave had soaked",
        VerdictOfAll: "a gate judges all waves instead of its own",
        AdvanceUnrecorded: "an operator's advance is not recorded",
        PercentRoundedDown: "a percentage is rounded down, to nothing where devices are few",
        PercentNotCumulative: "the percentages of waves are not cumulative",
        TailLost: "the last device of what is written in chunks is lost",
        JoinersSkipRate: "with devices that join the rate is forgotten",
        UnverifiedForgotten: "devices not verified before a restart do not count after it",
        SentAfterPause: "what is claimed is sent after a pause was acknowledged",
        CancelLeavesClaims: "a cancel leaves claims that nothing was sent for",
        OutcomeLost: "an outcome that comes while a commit is under way is lost",
        ResentUnanswered: "an update is sent again after its answer was lost",
        ActiveTwice: "a device is active in two rollouts",
        EndRewritten: "a late report rewrites an end",
        StaleEpoch: "a driver that another one took over from still writes",
        BackoffReset: "a restart forgets how long a retry has to wait",
        SupersededSends: "a superseded rollout still sends",
        PriorityStarves: "a lower priority gets nothing while a higher one wants all",
        HostNeverWoken: "who waits for a place on a host is never woken",
        SharedCursor: "devices share one place in the bytes of an update",
        RollbackOutsideWindow: "a rollback forgets the hours of what it rolls back",
        RollbackForgotten: "a rollout that went wrong ends without its rollback",
        RolledBackTwice: "devices that a rollback brings back are brought back by another one, too",
        QuarantineLostAtRestart: "a driver that starts forgets what devices failed in a row",
        QuarantineForgotten: "a device is claimed, however many rollouts it failed in a row",
        ReleasedLeftOut: "a device is left out by what it failed before it was released",
        BackIsWell: "a device that went back well is in quarantine no more",
        EtaNegative: "the time left is less than nothing",
    }
}
