//! Describes nested repositories that the agent created and that are not committed.
//! The names of the folders are untrusted, so each is rendered as code.

use crate::text::untrusted::to_code_span;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

const MAX_LISTED: usize = 20;
const MAX_PATH_CHARS: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NestedRepository {
    pub path: String,
    pub kind: NestedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NestedKind {
    /// Another worktree, usually of the outer repository.
    Worktree,
    /// A repository that was fetched from elsewhere, or a submodule that the outer repository does not know.
    Clone,
}

impl NestedKind {
    fn description(self) -> &'static str {
        match self {
            Self::Worktree => "another working tree",
            Self::Clone => "a clone",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterState {
    /// Whether the outer repository has files there, or a file in place of the folder.
    pub has_files: bool,
    pub is_ignored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestedAction {
    Exclude(NestedKind),
    /// The files are committed, and the nested `.git` is removed.
    CommitFiles,
    /// The folder stays unchanged, and it is not reported.
    Ignore,
}

/// Decides how a nested repository is handled. `copy` is `None` for a repository that the agent started, or if its
/// origin is unknown.
/// Where the outer repository has files, the files of the folder update them. Without the folder, the checks would run
/// without these files, but the commit would still contain them. Git skips ignored folders, and a fetched build
/// dependency may need its `.git`. An ignored worktree is reported, because it may contain the agent's work.
pub fn decide_action(copy: Option<NestedKind>, outer: OuterState) -> NestedAction {
    match (copy, outer) {
        (Some(kind @ NestedKind::Worktree), OuterState { has_files: false, .. })
        | (Some(kind @ NestedKind::Clone), OuterState { has_files: false, is_ignored: false }) => {
            NestedAction::Exclude(kind)
        }
        (_, OuterState { is_ignored: true, .. }) => NestedAction::Ignore,
        (_, OuterState { is_ignored: false, .. }) => NestedAction::CommitFiles,
    }
}

/// The section for the pull request, in Markdown. Empty without folders.
pub fn render_section(folders: &[NestedRepository]) -> String {
    if folders.is_empty() {
        return String::new();
    }
    let mut text =
        String::from("## Left out\n\nThe agent created separate repositories, which are not in the commit:\n\n");
    folders.iter().take(MAX_LISTED).for_each(|folder| {
        let _ = writeln!(text, "- {}", render_folder(folder));
    });
    if folders.len() > MAX_LISTED {
        let _ = writeln!(text, "- and {} more", folders.len() - MAX_LISTED);
    }
    text
}

pub fn render_sentence(folders: &[NestedRepository]) -> String {
    let names: Vec<_> = folders.iter().take(MAX_LISTED).map(render_folder).collect();
    let others = match folders.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        others => format!("; and {others} more"),
    };
    format!("Left out of the commit because they are separate repositories: {}{others}.", names.join("; "))
}

fn render_folder(folder: &NestedRepository) -> String {
    format!("{}, {}", to_code_span(&folder.path, MAX_PATH_CHARS), folder.kind.description())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, kind: NestedKind) -> NestedRepository {
        NestedRepository { path: path.into(), kind }
    }

    #[test]
    fn nested_folder_outcome_depends_on_kind_files_and_ignore() {
        use NestedAction::{CommitFiles, Exclude, Ignore};
        use NestedKind::{Clone, Worktree};
        for (copy, has_files, is_ignored, expected) in [
            (Some(Worktree), false, false, Exclude(Worktree)),
            (Some(Worktree), false, true, Exclude(Worktree)),
            (Some(Worktree), true, false, CommitFiles),
            (Some(Worktree), true, true, Ignore),
            (Some(Clone), false, false, Exclude(Clone)),
            (Some(Clone), false, true, Ignore),
            (Some(Clone), true, false, CommitFiles),
            (Some(Clone), true, true, Ignore),
            (None, false, false, CommitFiles),
            (None, false, true, Ignore),
            (None, true, false, CommitFiles),
            (None, true, true, Ignore),
        ] {
            let place = OuterState { has_files, is_ignored };
            assert_eq!(decide_action(copy, place), expected, "{copy:?} in {place:?}");
        }
    }

    #[test]
    fn omitted_folders_are_listed_with_safe_names() {
        let folders = [folder("sub/tree", NestedKind::Worktree), folder("a`b\n<!-- x\u{200b}", NestedKind::Clone)];
        let list = "- `sub/tree`, another working tree\n- `a'b <!-- x`, a clone\n";
        let heading = "## Left out\n\nThe agent created separate repositories, which are not in the commit:\n\n";
        assert_eq!(render_section(&folders), format!("{heading}{list}"));
        let description = "`sub/tree`, another working tree; `a'b <!-- x`, a clone.";
        assert_eq!(
            render_sentence(&folders),
            format!("Left out of the commit because they are separate repositories: {description}")
        );
    }

    #[test]
    fn long_folder_lists_are_counted_and_empty_ones_omitted() {
        let many = vec![folder("x", NestedKind::Clone); MAX_LISTED + 2];
        assert!(render_section(&many).ends_with("- `x`, a clone\n- and 2 more\n"));
        assert!(render_sentence(&many).ends_with("`x`, a clone; and 2 more."));
        let all = vec![folder("x", NestedKind::Clone); MAX_LISTED];
        assert!(render_section(&all).ends_with("- `x`, a clone\n"), "a full list has no count");
        assert!(render_sentence(&all).ends_with("; `x`, a clone."));
        assert_eq!(render_section(&[]), "");
    }
}
