//! Why an operation was refused, and what to do.

use std::{fmt, path::PathBuf};

use groundswell_core::{
    budget::{DomainError, Problem},
    document::DocumentError,
    lint::Finding,
    release::Digest,
    rollout::Refusal,
    selector::SelectorError,
};

use super::{BackupError, DeviceFault};
use crate::{
    artifacts::store::ArtifactError,
    engine::takeover::TakeoverError,
    networks,
    spec_file::SpecFileError,
    store::{StoreError, dir::DirError},
};

/// Why an operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The directory cannot be used.
    #[error(transparent)]
    Dir(DirError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An import ended before all devices were written.
    #[error("{kept} of {of} devices are kept, and the same import goes on from there")]
    ImportCut {
        /// Devices that are written.
        kept: usize,
        /// Devices of the inventory.
        of: usize,
        /// Why.
        #[source]
        error: StoreError,
    },
    /// What is to be connected to may not be.
    #[error("{field}: {error}")]
    Network {
        /// The part of a device or of a spec.
        field: String,
        /// Why.
        #[source]
        error: networks::Refusal,
    },
    /// A gate is to be asked with a secret that nobody named for that.
    #[error(
        "{source_text} may not be read for a gate; the server's configuration names those \
         that may (`gates.secrets`)"
    )]
    Secret {
        /// The part of the spec.
        field: String,
        /// Where the secret is.
        source_text: String,
    },
    /// What a run kept when the disk was full cannot be taken over.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// No copy was made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file cannot be kept.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Budgets by which the rollout could never go.
    #[error(transparent)]
    Budgets(#[from] Unmeetable),
    /// Not the name of a failure domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// Nothing is released.
    #[error("{device} {why}")]
    Slot {
        /// The device.
        device: String,
        /// Why not.
        why: String,
    },
    /// No reason, or a novel.
    #[error("--reason: say in 1 to {max} characters why it does no harm there")]
    Reason {
        /// The most characters.
        max: usize,
    },
    /// No reason, or a novel.
    #[error("--reason: say in 1 to {max} characters why it may take part again")]
    ReleaseReason {
        /// The most characters.
        max: usize,
    },
    /// Not what a page said of the next one.
    #[error("take the cursor from the page before")]
    Cursor,
    /// A name that says nothing, or a novel.
    #[error(
        "a token's name is 1 to {max} characters that can be printed: whose it is, or what for"
    )]
    TokenName {
        /// The most characters.
        max: usize,
    },
    /// The system gives no randomness, without which there is no secret.
    #[error("the system gives no randomness")]
    NoRandomness(#[source] std::io::Error),
    /// A reason that says nothing, or a novel.
    #[error("--reason: say in 1 to {max} characters why it may go on, or leave it out")]
    ApprovalReason {
        /// The most characters.
        max: usize,
    },
    /// A part of a device that cannot be.
    #[error(transparent)]
    Fault(#[from] DeviceFault),
    /// Not the number of devices that an enrollment token is good for.
    #[error("an enrollment token is good for 1 to {max} devices")]
    Uses {
        /// The most.
        max: u64,
    },
    /// Whoever has a scope hands nothing out beyond it.
    #[error(
        "a device with these tags need not be in your scope: give the tags that your scope asks for"
    )]
    OutOfScope,
    /// Two scopes that make none together.
    #[error("both scopes together: {0}")]
    Scope(String),
    /// No token of this id.
    #[error("there is no token `{id}`")]
    UnknownToken {
        /// As asked for.
        id: String,
    },
    /// Nobody could administer without it.
    #[error(
        "it is the last token that may administer everything: make another one first, then revoke \
         this one with that"
    )]
    LastAdmin,
    /// The enrollment token is good for no more devices.
    #[error("the enrollment token is used up, or no good any more: ask for another one")]
    UsedUp,
    /// A device that is known gets no token by enrolling.
    #[error(
        "there is a device `{device}` already: an operator makes a token for it, or removes it first"
    )]
    DeviceKnown {
        /// Its id.
        device: String,
    },
    /// A rollout is sending to it.
    #[error("{device} is being updated by {}", busy_hint(*.rollout))]
    DeviceBusy {
        /// The device.
        device: String,
        /// The rollout's number; none if whoever asks may not know.
        rollout: Option<i64>,
    },
    /// It has devices by now that whoever wants it may not touch.
    #[error(
        "rollout {rollout}: devices of it are out of your scope by now, and this would touch them; \
         pause, cancel and abort are yours, for the rest ask somebody whose scope has all of it"
    )]
    HasOthers {
        /// Its number.
        rollout: i64,
    },
    /// There is nothing to release it from.
    #[error("{device} is left out by no rollout: it failed none since it last took one well")]
    NoRelease {
        /// The device.
        device: String,
    },
    /// Another wave than the one that was meant opens next.
    #[error("rollout {rollout}: wave {wave} is not the one that opens next: {next}")]
    OtherWave {
        /// Its number.
        rollout: i64,
        /// The wave that was meant, counted from 1.
        wave: usize,
        /// Which one it is, in words.
        next: String,
    },
    /// There is no state at all.
    #[error(
        "there is no state in {}: `groundswell device import` begins one; or name another \
         directory with --state", path.display()
    )]
    NoState {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// An expression that chooses nothing because it cannot be read.
    #[error("--select: {0}")]
    Selector(SelectorError),
    /// Nobody of this id.
    #[error("there is no device `{id}`{}", meant_or(.meant.as_deref(), "; import it with \
        `groundswell device import`"))]
    UnknownDevice {
        /// As asked for.
        id: String,
        /// The id that was probably meant.
        meant: Option<String>,
    },
    /// No such release.
    #[error("there is no release {name} {version}{}", release_hint(.name, .version, .known))]
    UnknownRelease {
        /// As asked for.
        name: String,
        /// As asked for.
        version: String,
        /// What there is instead, nearest first.
        known: Vec<String>,
    },
    /// The same name and version, other bytes.
    #[error(
        "{name} {version} is another file already (sha-256 {known}, this one has {given}): \
         a release never changes; give this file another version"
    )]
    ReleaseDiffers {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// What is kept.
        known: Digest,
        /// What was given.
        given: Digest,
    },
    /// No such artifact.
    #[error("there is no artifact {digest}; upload it first")]
    UnknownArtifact {
        /// Its digest.
        digest: Digest,
    },
    /// Something is made of it.
    #[error("the artifact {digest} stays: {by} is made of it")]
    ArtifactInUse {
        /// Its digest.
        digest: Digest,
        /// What, in words.
        by: String,
    },
    /// Others have to be finished first.
    #[error("{max} uploads are under way; finish or give up one of them, or wait until one is")]
    TooManyUploads {
        /// The most.
        max: usize,
    },
    /// A name or a version that cannot be one.
    #[error(transparent)]
    Label(#[from] groundswell_core::device::ValueError),
    /// No such rollout.
    #[error("there is no rollout `{given}`: {}", rollout_hint(*.last))]
    UnknownRollout {
        /// As asked for.
        given: String,
        /// The number of the newest one.
        last: Option<i64>,
    },
    /// The beginning of more than one id.
    #[error("`{given}` is the beginning of several rollouts' ids: {}; write more of it", among.join(", "))]
    AmbiguousRollout {
        /// As asked for.
        given: String,
        /// Numbers and ids.
        among: Vec<String>,
    },
    /// The spec cannot be read.
    #[error(transparent)]
    Spec(#[from] SpecFileError),
    /// The spec says what cannot be.
    #[error("the spec cannot be used")]
    Document(#[from] DocumentError),
    /// The act makes no sense now.
    #[error("rollout {rollout}: {refusal}")]
    Refused {
        /// Its number.
        rollout: i64,
        /// Why, and what would.
        refusal: Refusal,
    },
    /// It may not start as things are now.
    #[error("rollout {rollout} does not start: {}", findings_text(.findings))]
    Unfit {
        /// Its number.
        rollout: i64,
        /// What is wrong, errors first.
        findings: Vec<Finding>,
    },
    /// It cannot be rolled back.
    #[error("rollout {rollout} is not rolled back: {refusal}")]
    NotRolledBack {
        /// Its number.
        rollout: i64,
        /// Why, and what to do.
        refusal: groundswell_core::rollback::Refusal,
    },
    /// It could not be rolled back when it went wrong.
    #[error("on_failure = \"rollback\": {refusal}")]
    NoWayBack {
        /// Why, and what to do.
        refusal: groundswell_core::rollback::Refusal,
    },
    /// Another act came first.
    #[error(
        "rollout {rollout}: it has moved on since you looked; look again, and say it again if you \
         mean it"
    )]
    MovedOn {
        /// Its number.
        rollout: i64,
    },
    /// The driver refused it.
    #[error("rollout {rollout}: {why}")]
    DriverRefused {
        /// Its number.
        rollout: i64,
        /// Its words.
        why: String,
    },
    /// A push drives the directory.
    #[error(
        "{} is driven by a push, which takes no acts ({push}): Ctrl-C stops it, and the same push \
         goes on later", path.display()
    )]
    Push {
        /// Which one, by its own words.
        push: String,
        /// The directory.
        path: PathBuf,
    },
    /// The driver keeps the database to itself.
    #[error(
        "{} is driven by another process ({driver}), which has kept the database to itself for \
         {secs} s and may hang or be stopped. Nothing was written down: say it again when it goes on, \
         or end that process first", path.display()
    )]
    Hangs {
        /// Who, by its own words.
        driver: String,
        /// The directory.
        path: PathBuf,
        /// How long it was waited for.
        secs: u64,
    },
    /// The driver did not answer.
    #[error(
        "{} is driven by another process ({driver}), which did not answer within {secs} s. What was \
         asked stays written down: it is done when that process gets to it, or by the next \
         `groundswell run`", path.display()
    )]
    NoAnswer {
        /// Who, by its own words.
        driver: String,
        /// The directory.
        path: PathBuf,
        /// How long it was waited for.
        secs: u64,
    },
}

impl OperateError {
    /// Whether it is the state that failed, and not what was asked for.
    pub const fn is_of_state(&self) -> bool {
        matches!(
            self,
            Self::Dir(_)
                | Self::Store(_)
                | Self::ImportCut { .. }
                | Self::Takeover(_)
                | Self::Backup(
                    BackupError::NoRoom(_) | BackupError::Write { .. } | BackupError::Damaged(_)
                )
                | Self::Artifact(ArtifactError::Keep { .. })
                | Self::NoRandomness(_)
                | Self::NoAnswer { .. }
                | Self::Hangs { .. }
        )
    }
}

fn meant_or(meant: Option<&str>, otherwise: &str) -> String {
    meant.map_or_else(|| otherwise.to_owned(), |name| format!("; did you mean `{name}`?"))
}

fn release_hint(name: &str, version: &str, known: &[String]) -> String {
    match known {
        [] => format!("; `groundswell release create {name} {version} FILE` makes it"),
        known => format!("; there is {}", known.join(", ")),
    }
}

fn rollout_hint(last: Option<i64>) -> String {
    match last {
        None => "there are none yet; `groundswell rollout create SPEC` makes one".to_owned(),
        Some(1) => "the only one is 1".to_owned(),
        Some(last) => format!("they are numbered 1 to {last}; `groundswell rollout list` has them"),
    }
}

fn busy_hint(rollout: Option<i64>) -> String {
    match rollout {
        Some(rollout) => {
            format!("rollout {rollout}: wait until that has ended with it, or abort that")
        }
        None => "a rollout that is out of your scope: wait until that has ended with it".to_owned(),
    }
}

fn findings_text(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| format!("\n  {}: {finding}", finding.severity));
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let are = if errors == 1 { "is 1 error" } else { &format!("are {errors} errors") };
    format!("there {are} in what it would do now{}", lines.collect::<String>())
}

/// What is wrong with the budgets of a spec for the devices that it chooses.
#[derive(Debug)]
pub struct Unmeetable {
    /// The file of the spec.
    pub path: PathBuf,
    /// Every one of them.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Unmeetable {}

impl fmt::Display for Unmeetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let mistakes = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{}: {count} {mistakes}", self.path.display())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
