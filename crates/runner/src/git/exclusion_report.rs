//! Reports which work is excluded from the commit, and doubts about the rest.

use crate::api::calls::Calls;
use crate::git::nested::ExcludedRepository;
use crate::git::workspace::Workspace;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::prompt::untrusted::remove_hidden;
use pullyard_domain::published::nested_repository::NestedRepository;
use pullyard_domain::published::work_notes::{LeftOutReason, WorkNotes, WorkWarning};
use pullyard_domain::text::Quoted;
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

/// Returns the exclusions. If they changed since the last call and are not empty, also adds events.
pub(crate) fn report_exclusions(attempt: &Calls<'_>, workspace: &Workspace) -> WorkNotes {
    // Redact whole paths, before they are cut.
    let notes = workspace.exclusions().to_notes(|text| attempt.redactor.redact_text(text).into_owned());
    if workspace.take_exclusion_change() {
        for sentence in notes.render_sentences() {
            attempt.events.log(attempt.redactor.redact_text(&sentence).into_owned());
        }
    }
    notes
}

/// Adds the paths that were left out to `NoChanges`.
pub(crate) fn explain_no_changes(stop: Stop, notes: &WorkNotes) -> Stop {
    match stop {
        Stop::Failure(Failure::NoChanges { .. }) => {
            let left_out = Some(notes.render_left_out()).filter(|paths| !paths.is_empty());
            Failure::NoChanges { left_out: Quoted(left_out) }.into()
        }
        stop => stop,
    }
}
