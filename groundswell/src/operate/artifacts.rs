//! Artifacts of a state directory: listed, taken in, made into releases, removed.

use std::io;

use groundswell_core::{
    release::{Digest, Release},
    time::Time,
};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::{
    artifacts::store::{ArtifactError, Artifacts, Kept},
    store::{ArtifactStore as _, MadeRelease, Removal, Store as _, Upload, dir},
};

/// An artifact as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactView {
    /// The sha-256 of its bytes, in hex.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Digest,
    /// How many bytes these are.
    pub bytes: u64,
    /// The releases that are made of it.
    pub releases: Vec<ReleaseName>,
}

/// What a release is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl State {
    /// Where artifacts are kept.
    ///
    /// # Errors
    /// [`OperateError::Artifact`] if there is no such place, and none can be made.
    pub fn artifacts(&self) -> Result<Artifacts, OperateError> {
        Ok(Artifacts::open_beside(dir::artifacts(&self.path))?)
    }

    /// At most `limit` artifacts behind this one, in the order of their digests, and the one behind
    /// which there are more.
    ///
    /// # Errors
    /// [`OperateError::Artifact`] or [`OperateError::Store`].
    pub fn artifact_page(
        &self,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<(Vec<ArtifactView>, Option<Digest>), OperateError> {
        let artifacts = self.artifacts()?;
        let all = artifacts.all().map_err(|source| failed(&artifacts, source))?;
        let mut releases = self.releases_by_artifact()?;
        let mut page = vec![];
        let mut behind = all.into_iter().filter(|digest| after.is_none_or(|after| *digest > after));
        for digest in behind.by_ref() {
            // It may be removed while it is looked at.
            let kept = artifacts.of(digest).map_err(|source| failed(&artifacts, source))?;
            let releases = releases.remove(&digest).unwrap_or_default();
            page.extend(kept.map(|kept| ArtifactView { digest, bytes: kept.bytes, releases }));
            if page.len() == limit {
                break;
            }
        }
        let next = behind.next().and_then(|_| page.last()).map(|last| last.digest);
        Ok((page, next))
    }

    /// The artifact of this digest.
    ///
    /// # Errors
    /// [`OperateError::UnknownArtifact`].
    pub fn artifact(&self, digest: Digest) -> Result<Kept, OperateError> {
        let artifacts = self.artifacts()?;
        let kept = artifacts.of(digest).map_err(|source| failed(&artifacts, source))?;
        kept.ok_or(OperateError::UnknownArtifact { digest })
    }

    /// The same, as it is shown.
    ///
    /// # Errors
    /// [`OperateError::UnknownArtifact`].
    pub fn artifact_view(&self, digest: Digest) -> Result<ArtifactView, OperateError> {
        let kept = self.artifact(digest)?;
        let releases = self.releases_by_artifact()?.remove(&digest).unwrap_or_default();
        Ok(ArtifactView { digest, bytes: kept.bytes, releases })
    }

    /// Removes an artifact that nothing is made of.
    ///
    /// # Errors
    /// [`OperateError::UnknownArtifact`] or [`OperateError::ArtifactInUse`].
    pub fn remove_artifact(&mut self, digest: Digest) -> Result<(), OperateError> {
        self.artifact(digest)?;
        let artifacts = self.artifacts()?;
        let mut why = None;
        let removal = self.store.remove_artifact(digest, &mut || {
            why = artifacts.remove(digest).err();
            why.is_none()
        })?;
        match (removal, why) {
            (Removal::InUse(by), _) => Err(OperateError::ArtifactInUse { digest, by }),
            (_, Some(source)) => Err(failed(&artifacts, source)),
            (Removal::Done | Removal::Failed, None) => Ok(()),
        }
    }

    /// Writes down that an artifact is about to arrive.
    ///
    /// # Errors
    /// [`OperateError::TooManyUploads`].
    pub fn begin_upload(&mut self, upload: &Upload, max: usize) -> Result<(), OperateError> {
        let artifacts = self.artifacts()?;
        let room = artifacts.room().map_err(|source| failed(&artifacts, source))?;
        if upload.bytes > room {
            return Err(failed(&artifacts, io::ErrorKind::StorageFull.into()));
        }
        if self.store.put_upload(upload, max)? {
            return Ok(());
        }
        Err(OperateError::TooManyUploads { max })
    }

    /// The upload of this id, and how much of it has arrived.
    ///
    /// # Errors
    /// [`OperateError::Store`] or [`OperateError::Artifact`].
    pub fn upload(&self, id: &str) -> Result<Option<(Upload, u64)>, OperateError> {
        let Some(upload) = self.store.upload(id)? else { return Ok(None) };
        let artifacts = self.artifacts()?;
        let arrived = artifacts.arrived(id).map_err(|source| failed(&artifacts, source))?;
        Ok(Some((upload, arrived.map_or(0, |(bytes, _)| bytes))))
    }

    /// All uploads that are under way.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn uploads(&self) -> Result<Vec<Upload>, OperateError> {
        Ok(self.store.uploads()?)
    }

    /// Ends an upload, if it has an id, along with what is done to its file.
    ///
    /// # Errors
    /// [`OperateError::Artifact`] if that cannot be done: then the upload is as it was.
    pub fn end_upload(
        &mut self,
        id: Option<&str>,
        mut along: impl FnMut() -> io::Result<()>,
    ) -> Result<(), OperateError> {
        let mut why = None;
        self.store.end_upload(id, &mut || {
            why = along().err();
            why.is_none()
        })?;
        match why {
            Some(source) => Err(failed(&self.artifacts()?, source)),
            None => Ok(()),
        }
    }

    /// Makes a release of an artifact that is kept, and says whether it is new.
    ///
    /// # Errors
    /// [`OperateError::ReleaseDiffers`] if this name and version are another artifact already,
    /// [`OperateError::UnknownArtifact`].
    pub fn make_release(
        &mut self,
        name: &str,
        version: &str,
        artifact: Digest,
        now: Time,
    ) -> Result<bool, OperateError> {
        let artifacts = self.artifacts()?;
        let kept = artifacts.of(artifact).map_err(|source| failed(&artifacts, source))?;
        let (name, version) = (name.to_owned(), version.to_owned());
        let artifact_bytes = kept.map_or(0, |kept| kept.bytes);
        let release = Release { name, version, artifact, artifact_bytes };
        // Looked at again where nobody can remove it: that, too, is a transaction.
        let mut is_kept = || artifacts.find(artifact, artifact_bytes).is_some();
        match self.store.make_release(&release, &mut is_kept, now)? {
            MadeRelease::New => Ok(true),
            MadeRelease::Same => Ok(false),
            MadeRelease::NoArtifact => Err(OperateError::UnknownArtifact { digest: artifact }),
            MadeRelease::Differs(known) => {
                let Release { name, version, .. } = release;
                Err(OperateError::ReleaseDiffers { name, version, known, given: artifact })
            }
        }
    }

    fn releases_by_artifact(&self) -> Result<HashMap<Digest, Vec<ReleaseName>>, OperateError> {
        let mut all: HashMap<Digest, Vec<ReleaseName>> = HashMap::new();
        for (release, _) in self.store.releases(None)? {
            let Release { name, version, artifact, .. } = release;
            all.entry(artifact).or_default().push(ReleaseName { name, version });
        }
        Ok(all)
    }
}

fn failed(artifacts: &Artifacts, source: io::Error) -> OperateError {
    ArtifactError::Keep { path: artifacts.path().to_owned(), source }.into()
}
