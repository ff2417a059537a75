//! Finds names that git or a forge refuses, because some file systems read them as `.git` or `.gitmodules`.
//! Follows the checks of git's `verify_path` and `fsck` for HFS+ and NTFS, and may refuse a little more.

use std::path::{Component, Path, PathBuf};

/// The part of a path up to its first refused name. `is_link` is about the whole path.
pub(crate) fn refused_prefix(path: &Path, is_link: bool) -> Option<PathBuf> {
    let mut prefix = PathBuf::new();
    let mut names = path.components().peekable();
    while let Some(name) = names.next() {
        prefix.push(name);
        let Component::Normal(name) = name else { return Some(prefix) };
        let is_folder = names.peek().is_some();
        // NTFS has another separator, and reads a name up to the stream after a colon.
        let is_refused = String::from_utf8_lossy(name.as_encoded_bytes()).split('\\').any(|name| {
            let name = fold(name);
            let is_settings = is_gitmodules(&name) || name == ".gitattributes";
            matches!(name.as_str(), ".git" | "git~1") || (is_folder && is_settings) || (is_link && is_gitmodules(&name))
        });
        if is_refused {
            return Some(prefix);
        }
    }
    None
}

/// Whether a forge checks the content of a file with this name.
pub(crate) fn is_settings_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| fold(&name.to_string_lossy())).unwrap_or_default();
    is_gitmodules(&name) || name == ".gitattributes"
}

fn is_gitmodules(folded: &str) -> bool {
    // Short names of NTFS.
    folded == ".gitmodules" || folded.starts_with("gitmod~") || (folded.starts_with("gi7") && folded.contains('~'))
}

/// The name as HFS+ and NTFS compare it.
fn fold(name: &str) -> String {
    // Git takes a broken character for the end of a name.
    let name = name.split([':', char::REPLACEMENT_CHARACTER]).next().unwrap_or_default();
    let is_ignored =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let folded: String = name.chars().filter(|c| !is_ignored(*c)).map(|c| c.to_ascii_lowercase()).collect();
    folded.trim_end_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_that_a_file_system_reads_as_git_are_refused() {
        for (path, prefix) in [
            (".GIT/x", ".GIT"),
            ("git~1", "git~1"),
            ("a/GIT~1/b", "a/GIT~1"),
            ("x/.git./c", "x/.git."),
            (".git /x", ".git "),
            (".git. ./x", ".git. ."),
            (".git::$INDEX_ALLOCATION/x", ".git::$INDEX_ALLOCATION"),
            (".g\u{200c}it/config", ".g\u{200c}it"),
            ("\u{feff}.gIt\u{202e}", "\u{feff}.gIt\u{202e}"),
            ("a\\.git\\b", "a\\.git\\b"),
            (".gitmodules/x", ".gitmodules"),
            ("a/.GitAttributes/x", "a/.GitAttributes"),
        ] {
            assert_eq!(refused_prefix(Path::new(path), false).as_deref(), Some(Path::new(prefix)), "{path}");
        }
        let broken = Path::new(OsStr::from_bytes(b"a/.git\xff/b"));
        assert!(refused_prefix(broken, false).is_some());
        for link in [".gitmodules", "a/.GITMODULES ", "gitmod~1", "GI7EBA~1", ".gitmod\u{200d}ules"] {
            assert!(refused_prefix(Path::new(link), true).is_some(), "{link}");
        }
        for path in [
            ".gitignore",
            ".github/x",
            "git~2",
            "git",
            "agit~1",
            ".git2/x",
            ".gitmodules",
            ".gitattributes",
            "a/.gi\u{301}t/x",
            "it.git/x",
            "gitmod~1",
        ] {
            assert_eq!(refused_prefix(Path::new(path), false), None, "{path}");
        }
        assert_eq!(refused_prefix(Path::new("gitmodules"), true), None);
    }
}
