//! The work that is excluded from the commit, and doubts about the rest.

use crate::git::nested::ExcludedRepository;
use pullyard_domain::review::published::nested_repository::NestedRepository;
use pullyard_domain::review::published::work_notes::{LeftOutReason, WorkNotes, WorkWarning};
use pullyard_domain::text::untrusted::remove_hidden;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclusions {
    pub(crate) repositories: Vec<ExcludedRepository>,
    pub(crate) paths: BTreeMap<LeftOutReason, BTreeSet<PathBuf>>,
    pub(crate) warnings: Vec<WorkWarning>,
}

impl Exclusions {
    pub(crate) fn add(&mut self, reason: LeftOutReason, path: PathBuf) {
        self.paths.entry(reason).or_default().insert(path);
    }

    pub(crate) fn to_notes(&self, clean: impl Fn(&str) -> String) -> WorkNotes {
        let clean_path = |path: &Path| clean(&remove_hidden(&path.to_string_lossy()));
        let clean_all = |paths: &[String]| paths.iter().map(|path| clean(&remove_hidden(path))).collect();
        let repositories = self
            .repositories
            .iter()
            .map(|repository| NestedRepository { path: clean_path(&repository.folder), kind: repository.kind });
        let left_out =
            self.paths.iter().map(|(reason, paths)| (*reason, paths.iter().map(|path| clean_path(path)).collect()));
        let warnings = self.warnings.iter().map(|warning| match warning {
            WorkWarning::UndoneCommits { commits, paths } => {
                WorkWarning::UndoneCommits { commits: *commits, paths: clean_all(paths) }
            }
            WorkWarning::Unmerged { paths } => WorkWarning::Unmerged { paths: clean_all(paths) },
            WorkWarning::ConflictMarkers { paths } => WorkWarning::ConflictMarkers { paths: clean_all(paths) },
            WorkWarning::Incomplete => WorkWarning::Incomplete,
        });
        WorkNotes { repositories: repositories.collect(), left_out: left_out.collect(), warnings: warnings.collect() }
    }
}
