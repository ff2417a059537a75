//! What is said of folders that an agent left and that are in no commit: each is a repository of its own, with files of
//! another one. Their names are text that nobody vouches for, each in a line of code.

use crate::prompt::untrusted::code;
use std::fmt::Write;

/// So many are named; the rest is counted.
const NAMED: usize = 20;
/// How much of a path is said. Units: characters.
const LONGEST_PATH: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub path: String,
    pub what: Nested,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nested {
    /// Another working tree of a repository, most often of the one around it.
    Worktree,
    /// What was fetched from elsewhere, a submodule that the repository does not know included.
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
    /// The repository around it has files there, or one in its place.
    pub has_files: bool,
    /// The repository around it ignores the folder.
    pub is_ignored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// Its folder is in no commit, whole, and is named.
    LeftOut(Nested),
    /// Its files are work, and what makes it a repository goes.
    Files,
    /// It stays as it is, and nobody is told of it.
    Untouched,
}

/// Decides it, by the copy that it is of what somebody else has; of none, it was begun there, or nobody knows.
///
/// Where the repository around it has files it brings these up to date: left out, it would take them from the checks and
/// not from the commit. What is ignored git does not look at, and what was fetched to build with may need it. A working
/// tree is told of even there: the work may be in it.
pub fn becomes(copy: Option<Nested>, place: Place) -> Becomes {
    match (copy, place) {
        (Some(what @ Nested::Worktree), Place { has_files: false, .. })
        | (Some(what @ Nested::Clone), Place { has_files: false, is_ignored: false }) => Becomes::LeftOut(what),
        (_, Place { is_ignored: true, .. }) => Becomes::Untouched,
        (_, Place { is_ignored: false, .. }) => Becomes::Files,
    }
}

/// What a pull request says of them, in Markdown; nothing where there are none.
pub fn in_markdown(folders: &[Folder]) -> String {
    if folders.is_empty() {
        return String::new();
    }
    let mut said = String::from("## Left out\n\nThe agent left repositories of their own, which are in no commit:\n\n");
    folders.iter().take(NAMED).for_each(|folder| {
        let _ = writeln!(said, "- {}", named(folder));
    });
    if folders.len() > NAMED {
        let _ = writeln!(said, "- and {} more", folders.len() - NAMED);
    }
    said
}

/// The same for whoever follows the job, in a sentence.
pub fn in_words(folders: &[Folder]) -> String {
    let names: Vec<_> = folders.iter().take(NAMED).map(named).collect();
    let others = match folders.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!("; and {others} more"),
    };
    format!("Left out of the commit, as repositories of their own: {}{others}.", names.join("; "))
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
    fn a_copy_is_left_out_unless_it_stands_in_the_place_of_files_or_is_ignored_and_no_working_tree() {
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
    fn folders_are_named_with_what_they_are_and_no_name_counts_for_more() {
        let folders = [folder("sub/tree", Nested::Worktree), folder("a`b\n<!-- x\u{200b}", Nested::Clone)];
        let list = "- `sub/tree`, another working tree\n- `a'b <!-- x`, a clone\n";
        let heading = "## Left out\n\nThe agent left repositories of their own, which are in no commit:\n\n";
        assert_eq!(in_markdown(&folders), format!("{heading}{list}"));
        let words = "`sub/tree`, another working tree; `a'b <!-- x`, a clone.";
        assert_eq!(in_words(&folders), format!("Left out of the commit, as repositories of their own: {words}"));
    }

    #[test]
    fn many_are_counted_and_nothing_is_said_of_none() {
        let many = vec![folder("x", Nested::Clone); NAMED + 2];
        assert!(in_markdown(&many).ends_with("- `x`, a clone\n- and 2 more\n"));
        assert!(in_words(&many).ends_with("`x`, a clone; and 2 more."));
        let all = vec![folder("x", Nested::Clone); NAMED];
        assert!(in_markdown(&all).ends_with("- `x`, a clone\n"), "nothing is more than all of them");
        assert!(in_words(&all).ends_with("; `x`, a clone."));
        assert_eq!(in_markdown(&[]), "");
    }
}
