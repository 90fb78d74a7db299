//! Uploads that are under way, and which releases an artifact is of.

use groundswell_core::{
    release::{Digest, Release},
    time::Time,
};

use super::StoreError;
use crate::access::TokenId;

/// An artifact on its way here. How much of it has arrived, its file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// The sha-256 that all of it is to have.
    pub digest: Digest,
    /// How long all of it is.
    pub bytes: u64,
    /// Whose it is.
    pub token: TokenId,
    /// When it was begun.
    pub begun_at: Time,
}

/// What came of making a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeRelease {
    /// It is new.
    New,
    /// It was there, of the same artifact.
    Same,
    /// It was there, of this other artifact.
    Differs(Digest),
    /// Its artifact is not kept here.
    NoArtifact,
}

/// What came of removing an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// Nothing was done: what was to be done along with it failed.
    Failed,
    /// Nothing was done: this is made of it, in words.
    InUse(String),
}

/// What is done to files inside a transaction, between its writing and its commit; says whether it
/// was, and without that nothing is committed.
pub type Along<'a> = &'a mut dyn FnMut() -> bool;

/// The part of a store that knows what artifacts are for. Every method is one transaction.
pub trait ArtifactStore {
    /// Writes an upload down; false, and nothing written, if `uploads_max` are under way.
    fn put_upload(&mut self, upload: &Upload, uploads_max: usize) -> Result<bool, StoreError>;

    /// The upload of this id.
    fn upload(&self, id: &str) -> Result<Option<Upload>, StoreError>;

    /// All uploads: there are few.
    fn uploads(&self) -> Result<Vec<Upload>, StoreError>;

    /// Forgets an upload, if one is named, and does something along with it. Says whether that was
    /// done.
    fn end_upload(&mut self, id: Option<&str>, along: Along<'_>) -> Result<bool, StoreError>;

    /// Removes an artifact, by what is done along, unless a release or a rollout is made of it.
    fn remove_artifact(&mut self, digest: Digest, along: Along<'_>) -> Result<Removal, StoreError>;

    /// Writes a release down whose artifact `is_kept`; one that is there is left as it is.
    fn make_release(
        &mut self,
        release: &Release,
        is_kept: Along<'_>,
        now: Time,
    ) -> Result<MadeRelease, StoreError>;

    /// At most `limit` releases, or those of a name, behind this name and version, in the order of
    /// these.
    fn release_page(
        &self,
        name: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<(Release, Time)>, StoreError>;
}
