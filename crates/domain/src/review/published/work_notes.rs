//! Describes which work of the agent a commit does not contain, and doubts about its content.
//! All paths are untrusted, so each is rendered as code.

use crate::review::published::nested_repository::{self, NestedRepository};
use crate::text::untrusted::to_code_span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

const MAX_LISTED: usize = 10;
const MAX_PATH_CHARS: usize = 200;

/// Stored with finished work, so that its later publication has the same notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkNotes {
    pub repositories: Vec<NestedRepository>,
    pub left_out: BTreeMap<LeftOutReason, Vec<String>>,
    pub warnings: Vec<WorkWarning>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    RefusedName,
    RefusedContent,
    Unreadable,
    UnclearRemoval,
    SubmoduleFiles,
    SubmoduleCommit,
    Ignored,
}

impl LeftOutReason {
    fn description(self) -> &'static str {
        match self {
            Self::RefusedName => "names that git refuses",
            Self::RefusedContent => "content that git refuses",
            Self::Unreadable => "not readable for git",
            Self::UnclearRemoval => "removed files, because the agent's git index is not readable",
            Self::SubmoduleFiles => "changes inside a submodule",
            Self::SubmoduleCommit => "the commit of a submodule, which only users change",
            Self::Ignored => "ignored by git",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkWarning {
    /// The agent's HEAD lacks commits of the start, and the files have the state before them.
    UndoneCommits {
        commits: u64,
        paths: Vec<String>,
    },
    Unmerged {
        paths: Vec<String>,
    },
    ConflictMarkers {
        paths: Vec<String>,
    },
    /// Further warnings may be missing.
    Incomplete,
}

impl WorkWarning {
    fn render(&self) -> String {
        match self {
            Self::UndoneCommits { commits, paths } => {
                let commits = if *commits == 1 { "a commit".to_owned() } else { format!("{commits} commits") };
                let paths = render_paths(paths);
                format!(
                    "The agent left an older commit checked out: this change undoes {commits} of the branch in {paths}."
                )
            }
            Self::Unmerged { paths } => format!("The agent left a merge unfinished in {}.", render_paths(paths)),
            Self::ConflictMarkers { paths } => format!("Conflict markers were added to {}.", render_paths(paths)),
            Self::Incomplete => {
                "The check for undone commits, unfinished merges and conflict markers did not end.".to_owned()
            }
        }
    }
}

fn render_paths(paths: &[String]) -> String {
    let names: Vec<_> = paths.iter().take(MAX_LISTED).map(|path| to_code_span(path, MAX_PATH_CHARS)).collect();
    match paths.len().saturating_sub(MAX_LISTED) {
        0 => names.join(", "),
        others => format!("{} and {others} more", names.join(", ")),
    }
}

impl WorkNotes {
    /// The sections for the pull request, in Markdown. Empty without notes.
    pub fn render_sections(&self) -> String {
        let mut text = nested_repository::render_section(&self.repositories);
        if !self.left_out.is_empty() {
            text.push_str(if text.is_empty() { "## Left out\n\n" } else { "\n" });
            text.push_str("These paths are not in the commit:\n\n");
            self.left_out_groups().for_each(|group| {
                let _ = writeln!(text, "- {group}");
            });
        }
        if !self.warnings.is_empty() {
            text.push_str(if text.is_empty() { "## Warnings\n\n" } else { "\n## Warnings\n\n" });
            self.warnings.iter().for_each(|warning| {
                let _ = writeln!(text, "- {}", warning.render());
            });
        }
        text
    }

    /// The sentences for the log.
    pub fn render_sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.repositories.is_empty() {
            sentences.push(nested_repository::render_sentence(&self.repositories));
        }
        if !self.left_out.is_empty() {
            let groups: Vec<_> = self.left_out_groups().collect();
            sentences.push(format!("Left out of the commit: {}.", groups.join("; ")));
        }
        sentences.extend(self.warnings.iter().map(WorkWarning::render));
        sentences
    }

    /// All paths that are left out, each group with its reason.
    pub fn render_left_out(&self) -> String {
        let repositories: Vec<_> = self.repositories.iter().map(|repository| repository.path.clone()).collect();
        let repositories = Some(repositories).filter(|paths| !paths.is_empty());
        let repositories = repositories.map(|paths| format!("separate repositories: {}", render_paths(&paths)));
        repositories.into_iter().chain(self.left_out_groups()).collect::<Vec<_>>().join("; ")
    }

    fn left_out_groups(&self) -> impl Iterator<Item = String> {
        self.left_out.iter().map(|(reason, paths)| format!("{}: {}", reason.description(), render_paths(paths)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::published::nested_repository::NestedKind;

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn all_notes_are_listed_with_safe_names() {
        let notes = WorkNotes {
            repositories: vec![NestedRepository { path: "sub".into(), kind: NestedKind::Clone }],
            left_out: BTreeMap::from([
                (LeftOutReason::Ignored, paths(&[".env", "notes"])),
                (LeftOutReason::RefusedName, paths(&["a`b\n<!-- x"])),
            ]),
            warnings: vec![
                WorkWarning::UndoneCommits { commits: 2, paths: paths(&["x"]) },
                WorkWarning::ConflictMarkers { paths: (0..12).map(|n| format!("f{n}")).collect() },
            ],
        };
        let undone = "The agent left an older commit checked out: this change undoes 2 commits of the branch in `x`.";
        let markers =
            "Conflict markers were added to `f0`, `f1`, `f2`, `f3`, `f4`, `f5`, `f6`, `f7`, `f8`, `f9` and 2 more.";
        let expected = format!(
            "## Left out\n\nThe agent created separate repositories, which are not in the commit:\n\n- `sub`, a clone\n\n\
             These paths are not in the commit:\n\n- names that git refuses: `a'b <!-- x`\n\
             - ignored by git: `.env`, `notes`\n\n## Warnings\n\n- {undone}\n- {markers}\n"
        );
        assert_eq!(notes.render_sections(), expected);
        let sentences = [
            "Left out of the commit because they are separate repositories: `sub`, a clone.",
            "Left out of the commit: names that git refuses: `a'b <!-- x`; ignored by git: `.env`, `notes`.",
            undone,
            markers,
        ];
        assert_eq!(notes.render_sentences(), sentences);
        assert_eq!(
            notes.render_left_out(),
            "separate repositories: `sub`; names that git refuses: `a'b <!-- x`; ignored by git: `.env`, `notes`"
        );
        let warnings = WorkNotes { warnings: notes.warnings, ..WorkNotes::default() };
        assert_eq!(warnings.render_sections(), format!("## Warnings\n\n- {undone}\n- {markers}\n"));
        assert_eq!(WorkNotes::default().render_sections(), "");
    }
}
