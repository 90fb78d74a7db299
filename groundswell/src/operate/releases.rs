//! Releases: kept with their artifacts, listed, shown.

use std::path::{Path, PathBuf};

use groundswell_core::{device::check_label, release::Release, spelling::nearest, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State, schema::ReleaseSchema};
use crate::{
    access::Scope,
    artifacts::store::Artifacts,
    store::{ArtifactStore as _, RolloutKey, Store, Which, dir},
};

/// Versions that are named beside one that is not known.
const KNOWN_SHOWN: usize = 5;

/// A release as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReleaseView {
    /// The release.
    #[serde(flatten)]
    #[schema(value_type = ReleaseSchema)]
    pub release: Release,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Time,
    /// Where its artifact is; none if it is not kept here any more.
    #[schema(value_type = Option<String>)]
    pub path: Option<PathBuf>,
    /// The rollouts that send it.
    #[schema(value_type = Vec<i64>)]
    pub rollouts: Vec<RolloutKey>,
}

/// Releases with the times they were made at.
pub type Releases = Vec<(Release, Time)>;

impl State {
    /// Keeps `file` and writes the release down, and says whether it is new.
    ///
    /// # Errors
    /// [`OperateError::ReleaseDiffers`] if this name and version are another file already.
    pub fn create_release(
        &mut self,
        name: &str,
        version: &str,
        file: &Path,
        now: Time,
    ) -> Result<(Release, bool), OperateError> {
        check_label("the name", name)?;
        check_label("the version", version)?;
        let kept = Artifacts::open_beside(dir::artifacts(&self.path))?.keep(file)?;
        let release = Release {
            name: name.to_owned(),
            version: version.to_owned(),
            artifact: kept.digest,
            artifact_bytes: kept.bytes,
        };
        let is_new = self.store.put_release(&release, now)?;
        let (known, _) = self.find_release(name, version)?;
        if known.artifact == release.artifact {
            return Ok((release, is_new));
        }
        Err(OperateError::ReleaseDiffers {
            name: release.name,
            version: release.version,
            known: known.artifact,
            given: release.artifact,
        })
    }

    /// All releases, or those of a name.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn releases(&self, name: Option<&str>) -> Result<Releases, OperateError> {
        Ok(self.store.releases(name)?)
    }

    /// The name of a release that was probably meant by one that no release has.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn release_name_like(&self, name: &str) -> Result<Option<String>, OperateError> {
        let all = self.store.releases(None)?;
        let names = all.iter().map(|(release, _)| release.name.as_str());
        Ok(nearest(name, names).map(str::to_owned))
    }

    /// A release, where its artifact is, and which rollouts send it.
    ///
    /// # Errors
    /// [`OperateError::UnknownRelease`].
    pub fn release(&self, name: &str, version: &str) -> Result<ReleaseView, OperateError> {
        let (release, created_at) = self.find_release(name, version)?;
        let path = dir::artifacts(&self.path).join(release.artifact.to_string());
        let rollouts = self.store.rollouts(Which::All)?.into_iter();
        let rollouts = rollouts.filter(|record| record.spec.release == release);
        Ok(ReleaseView {
            created_at,
            path: path.exists().then_some(path),
            rollouts: rollouts.map(|record| record.key).collect(),
            release,
        })
    }

    /// The same, with those rollouts only that are in a scope.
    ///
    /// # Errors
    /// [`OperateError::UnknownRelease`].
    pub fn release_in(
        &self,
        name: &str,
        version: &str,
        scope: Option<&Scope>,
    ) -> Result<ReleaseView, OperateError> {
        let mut view = self.release(name, version)?;
        if scope.is_some() {
            let mut seen = vec![];
            for key in view.rollouts {
                let record = self.store.rollout(key)?;
                if record.map_or(Ok(false), |record| self.is_in_scope(&record, scope))? {
                    seen.push(key);
                }
            }
            view.rollouts = seen;
        }
        Ok(view)
    }

    /// At most `limit` releases, or those of a name, behind this name and version, in the order of
    /// these; and the name and version behind which there are more.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn release_page(
        &self,
        name: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<(Releases, Option<(String, String)>), OperateError> {
        // One more than wanted tells whether there are more.
        let mut page = self.store.release_page(name, after, limit + 1)?;
        let is_last = page.len() <= limit;
        page.truncate(limit);
        let last = page.last().filter(|_| !is_last);
        let next = last.map(|(release, _)| (release.name.clone(), release.version.clone()));
        Ok((page, next))
    }

    pub(super) fn find_release(
        &self,
        name: &str,
        version: &str,
    ) -> Result<(Release, Time), OperateError> {
        let of_name = self.store.releases(Some(name))?;
        if let Some(found) = of_name.iter().find(|(release, _)| release.version == version) {
            return Ok(found.clone());
        }
        let all = if of_name.is_empty() { self.store.releases(None)? } else { of_name };
        let texts: Vec<String> = all.iter().map(|(release, _)| named(release)).collect();
        let meant = nearest(&format!("{name} {version}"), texts.iter().map(String::as_str));
        let mut known: Vec<String> = meant.map(str::to_owned).into_iter().collect();
        // The newest of the same name are the likeliest otherwise.
        let same_name = all.iter().rev().filter(|(release, _)| release.name == name);
        for text in same_name.map(|(release, _)| named(release)) {
            if known.len() < KNOWN_SHOWN && !known.contains(&text) {
                known.push(text);
            }
        }
        let (name, version) = (name.to_owned(), version.to_owned());
        Err(OperateError::UnknownRelease { name, version, known })
    }
}

fn named(release: &Release) -> String {
    format!("{} {}", release.name, release.version)
}
