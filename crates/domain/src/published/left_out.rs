//! Describes nested repositories that the agent created and that are not committed.
//!
//! The names of the folders are untrusted, so each is rendered as code.

use crate::prompt::untrusted::code;
use std::fmt::Write;

/// Further folders are only counted.
const NAMED: usize = 20;
/// Limit for a path. Units: characters.
const LONGEST_PATH: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub path: String,
    pub what: Nested,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nested {
    /// Another worktree, usually of the outer repository.
    Worktree,
    /// A repository that was fetched from elsewhere, or a submodule that the outer repository does not know.
    Clone,
}

impl Nested {
    fn word(self) -> &'static str {
        match self {
            Self::Worktree => "another working tree",
            Self::Clone => "a clone",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether the outer repository has files there, or a file in place of the folder.
    pub has_files: bool,
    /// Whether the outer repository ignores the folder.
    pub is_ignored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// The whole folder is not committed, and it is reported.
    LeftOut(Nested),
    /// The files are committed, and the nested `.git` is removed.
    Files,
    /// The folder stays unchanged, and it is not reported.
    Untouched,
}

/// Decides how a nested repository is handled. `copy` is `None` for a repository that the agent started, or if its
/// origin is unknown.
///
/// Where the outer repository has files, the files of the folder update them. Without the folder, the checks would run
/// without these files, but the commit would still contain them. Git skips ignored folders, and a fetched build
/// dependency may need its `.git`. An ignored worktree is reported, because it may contain the agent's work.
pub fn becomes(copy: Option<Nested>, place: Place) -> Becomes {
    match (copy, place) {
        (Some(what @ Nested::Worktree), Place { has_files: false, .. })
        | (Some(what @ Nested::Clone), Place { has_files: false, is_ignored: false }) => Becomes::LeftOut(what),
        (_, Place { is_ignored: true, .. }) => Becomes::Untouched,
        (_, Place { is_ignored: false, .. }) => Becomes::Files,
    }
}

/// The section for the pull request, in Markdown. Empty without folders.
pub fn in_markdown(folders: &[Folder]) -> String {
    if folders.is_empty() {
        return String::new();
    }
    let mut said =
        String::from("## Left out\n\nThe agent created separate repositories, which are not in the commit:\n\n");
    folders.iter().take(NAMED).for_each(|folder| {
        let _ = writeln!(said, "- {}", named(folder));
    });
    if folders.len() > NAMED {
        let _ = writeln!(said, "- and {} more", folders.len() - NAMED);
    }
    said
}

/// The sentence for the job's events.
pub fn in_words(folders: &[Folder]) -> String {
    let names: Vec<_> = folders.iter().take(NAMED).map(named).collect();
    let others = match folders.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!("; and {others} more"),
    };
    format!("Left out of the commit because they are separate repositories: {}{others}.", names.join("; "))
}

fn named(folder: &Folder) -> String {
    format!("{}, {}", code(&folder.path, LONGEST_PATH), folder.what.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, what: Nested) -> Folder {
        Folder { path: path.into(), what }
    }

    #[test]
    fn nested_folder_outcome_depends_on_kind_files_and_ignore() {
        use Becomes::{Files, LeftOut, Untouched};
        use Nested::{Clone, Worktree};
        for (copy, has_files, is_ignored, expected) in [
            (Some(Worktree), false, false, LeftOut(Worktree)),
            (Some(Worktree), false, true, LeftOut(Worktree)),
            (Some(Worktree), true, false, Files),
            (Some(Worktree), true, true, Untouched),
            (Some(Clone), false, false, LeftOut(Clone)),
            (Some(Clone), false, true, Untouched),
            (Some(Clone), true, false, Files),
            (Some(Clone), true, true, Untouched),
            (None, false, false, Files),
            (None, false, true, Untouched),
            (None, true, false, Files),
            (None, true, true, Untouched),
        ] {
            let place = Place { has_files, is_ignored };
            assert_eq!(becomes(copy, place), expected, "{copy:?} in {place:?}");
        }
    }

    #[test]
    fn omitted_folders_are_listed_with_safe_names() {
        let folders = [folder("sub/tree", Nested::Worktree), folder("a`b\n<!-- x\u{200b}", Nested::Clone)];
        let list = "- `sub/tree`, another working tree\n- `a'b <!-- x`, a clone\n";
        let heading = "## Left out\n\nThe agent created separate repositories, which are not in the commit:\n\n";
        assert_eq!(in_markdown(&folders), format!("{heading}{list}"));
        let words = "`sub/tree`, another working tree; `a'b <!-- x`, a clone.";
        assert_eq!(
            in_words(&folders),
            format!("Left out of the commit because they are separate repositories: {words}")
        );
    }

    #[test]
    fn long_folder_lists_are_counted_and_empty_ones_omitted() {
        let many = vec![folder("x", Nested::Clone); NAMED + 2];
        assert!(in_markdown(&many).ends_with("- `x`, a clone\n- and 2 more\n"));
        assert!(in_words(&many).ends_with("`x`, a clone; and 2 more."));
        let all = vec![folder("x", Nested::Clone); NAMED];
        assert!(in_markdown(&all).ends_with("- `x`, a clone\n"), "a full list has no count");
        assert!(in_words(&all).ends_with("; `x`, a clone."));
        assert_eq!(in_markdown(&[]), "");
    }
}
