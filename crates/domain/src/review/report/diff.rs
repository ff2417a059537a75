//! Parses git patches into files and numbered lines.

use crate::review::report::review_output::Side;
use std::collections::BTreeMap;

/// A part of a patch, in the patch's order.
#[derive(Debug, PartialEq, Eq)]
pub enum PatchPart<'a> {
    /// The start of the next file, with its path after the change.
    File(String),
    /// The path of the current file. The path of `File` may be ambiguous.
    Path(String),
    /// Another line before the first hunk of the file.
    Header(&'a str),
    /// The line that starts a hunk.
    Hunk(&'a str),
    Line(PatchLine<'a>),
}

/// A line of a hunk, without its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchLine<'a> {
    /// The line's number before the change; `None` for an added line.
    pub old: Option<u32>,
    /// The line's number after the change; `None` for a removed line.
    pub new: Option<u32>,
    pub text: &'a str,
}

pub fn parse_patch(patch: &str) -> impl Iterator<Item = PatchPart<'_>> {
    let mut hunk = HunkRest::default();
    patch.lines().filter_map(move |text| {
        // Inside a hunk, a line that looks like a header is content.
        if hunk.old.left > 0 || hunk.new.left > 0 {
            return hunk.parse_line(text).map(PatchPart::Line);
        }
        Some(if let Some(paths) = text.strip_prefix("diff --git ") {
            PatchPart::File(new_path(paths))
        } else if let Some(next) = parse_hunk(text) {
            hunk = next;
            PatchPart::Hunk(text)
        } else if let Some(path) = parse_path(text) {
            PatchPart::Path(path)
        } else {
            PatchPart::Header(text)
        })
    })
}

/// The rest of a hunk.
#[derive(Default)]
struct HunkRest {
    old: Numbers,
    new: Numbers,
}

/// One version of the file: the number of its next line, and how many lines the hunk still has.
#[derive(Default)]
struct Numbers {
    next: u32,
    left: u32,
}

impl Numbers {
    fn take(&mut self) -> u32 {
        let number = self.next;
        (self.next, self.left) = (number.saturating_add(1), self.left.saturating_sub(1));
        number
    }
}

impl HunkRest {
    /// `None` for "No newline at end of file".
    fn parse_line<'a>(&mut self, text: &'a str) -> Option<PatchLine<'a>> {
        let sign = text.chars().next().filter(|sign| matches!(sign, '+' | '-' | '\\')).unwrap_or(' ');
        let old = matches!(sign, '-' | ' ').then(|| self.old.take());
        let new = matches!(sign, '+' | ' ').then(|| self.new.take());
        (sign != '\\').then(|| PatchLine { old, new, text: text.get(1..).unwrap_or_default() })
    }
}

/// `@@ -12,3 +12,10 @@ context`. A range without a count has one line.
fn parse_hunk(text: &str) -> Option<HunkRest> {
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let numbers = |range: &str| {
        let (next, left) = range.split_once(',').unwrap_or((range, "1"));
        Some(Numbers { next: next.parse().ok()?, left: left.parse().ok()? })
    };
    Some(HunkRest { old: numbers(old)?, new: numbers(new)? })
}

/// The path in `--- a/PATH` or `+++ b/PATH`. The latter follows, and names the file unless it was deleted.
fn parse_path(text: &str) -> Option<String> {
    let (prefix, path) = match text.strip_prefix("+++ ") {
        Some(path) => ("b/", path),
        None => ("a/", text.strip_prefix("--- ")?),
    };
    let path = unquote(path);
    (path != "/dev/null").then(|| path.strip_prefix(prefix).unwrap_or(&path).to_owned())
}

/// `new.rs` of `a/old.rs b/new.rs`. Ambiguous, because a path may contain ` b/`.
fn new_path(paths: &str) -> String {
    match paths.rsplit_once(" \"b/") {
        Some((_, path)) => unquote(&format!("\"{path}")),
        None => paths.rsplit_once(" b/").map_or(paths, |(_, path)| path).to_owned(),
    }
}

/// Git quotes a path with special characters as C does, and writes a tabulator after a path with spaces.
pub fn unquote(path: &str) -> String {
    let path = path.trim_end_matches('\t');
    let Some(quoted) = path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) else { return path.to_owned() };
    let (mut out, mut bytes) = (Vec::new(), quoted.bytes());
    while let Some(byte) = bytes.next() {
        let escape = if byte == b'\\' { bytes.next() } else { None };
        out.push(match escape {
            None => byte,
            Some(first @ b'0'..=b'3') => {
                let digits = [first, bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                digits.iter().fold(0, |value: u8, digit| value.wrapping_mul(8).wrapping_add(digit.wrapping_sub(b'0')))
            }
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'v') => 11,
            Some(b'f') => 12,
            Some(b'r') => b'\r',
            Some(other) => other,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The lines that the diff of a pull request shows, by file. Only these can have a comment.
#[derive(Debug, Default)]
pub struct Diff<'a> {
    files: BTreeMap<String, Vec<Hunk<'a>>>,
    /// The new path of each renamed file, by the old one.
    renamed: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub struct Hunk<'a> {
    left: BTreeMap<u32, &'a str>,
    right: BTreeMap<u32, &'a str>,
}

impl<'a> Diff<'a> {
    pub fn parse(patch: &'a str) -> Self {
        let mut files: Vec<(String, Vec<Hunk<'a>>)> = Vec::new();
        let (mut renamed, mut old_path) = (BTreeMap::new(), None);
        for part in parse_patch(patch) {
            if let PatchPart::File(path) = part {
                files.push((path, Vec::new()));
                continue;
            }
            let Some((path, hunks)) = files.last_mut() else { continue };
            match part {
                PatchPart::Path(exact) => *path = exact,
                PatchPart::Hunk(_) => hunks.push(Hunk::default()),
                PatchPart::Line(PatchLine { old, new, text }) => {
                    let Some(hunk) = hunks.last_mut() else { continue };
                    hunk.left.extend(old.map(|old| (old, text)));
                    hunk.right.extend(new.map(|new| (new, text)));
                }
                PatchPart::Header(text) => {
                    if let Some(old) = text.strip_prefix("rename from ") {
                        old_path = Some(unquote(old));
                    } else if let Some(new) = text.strip_prefix("rename to ") {
                        // Also the exact path of a file without changed lines.
                        *path = unquote(new);
                        renamed.extend(old_path.take().map(|old| (old, path.clone())));
                    }
                }
                PatchPart::File(_) => {}
            }
        }
        Self { files: files.into_iter().collect(), renamed }
    }

    pub fn contains_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The changed file that a path means, if exactly one is possible: by the old name of a renamed file, and as agents
    /// write paths, for example absolute or with the prefix of a patch. A file's name alone may mean an unchanged file.
    pub fn find_file(&self, path: &str) -> Option<&str> {
        let path = path.trim().replace('\\', "/");
        let (path, _) = split_line(&path);
        let path = path.strip_prefix("./").unwrap_or(path);
        let short = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).unwrap_or(path);
        let names = || {
            let new = self.files.keys().map(|name| (name.as_str(), name.as_str()));
            new.chain(self.renamed.iter().map(|(old, new)| (old.as_str(), new.as_str())))
        };
        let lower = short.to_lowercase();
        let only = |matches: &dyn Fn(&str) -> bool| {
            let mut found: Vec<_> = names().filter(|(name, _)| matches(name)).map(|(_, new)| new).collect();
            found.dedup();
            Some(found).filter(|found| found.len() == 1)?.pop()
        };
        only(&|name| name == path)
            .or_else(|| only(&|name| name == short))
            .or_else(|| only(&|name| name.to_lowercase() == lower))
            .or_else(|| {
                let ends = |name: &str| path.strip_suffix(name).is_some_and(|before| before.ends_with('/'));
                only(&|name| path.starts_with('/') && name.contains('/') && ends(name))
            })
    }

    /// The hunk that shows this line of the file.
    pub fn find_hunk(&self, path: &str, side: Side, line: u32) -> Option<&Hunk<'a>> {
        self.files.get(path)?.iter().find(|hunk| hunk.lines(side).contains_key(&line))
    }
}

/// Splits `src/lib.rs:12` and `src/lib.rs:12-15`, as agents write a place, into the path and its last line.
pub(super) fn split_line(path: &str) -> (&str, Option<u32>) {
    let is_line = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match path.rsplit_once(':').filter(|(_, lines)| is_line(lines)) {
        Some((path, lines)) => (path, lines.rsplit('-').next().and_then(|line| line.parse().ok())),
        None => (path, None),
    }
}

impl<'a> Hunk<'a> {
    /// Texts of consecutive lines by number.
    pub fn lines(&self, side: Side) -> &BTreeMap<u32, &'a str> {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/f.rs b/f.rs\nindex 1..2 100644\n--- a/f.rs\n+++ b/f.rs\n\
        @@ -1,3 +1,3 @@ fn f()\n a\n-b\r\n+B\r\n c\n@@ -10 +10,2 @@\n-k\n\\ No newline at end of file\n+--- a/k\n++++ b/k\n\
        \\ No newline at end of file\n\
        diff --git a/gone.rs b/gone.rs\ndeleted file mode 100644\n--- a/gone.rs\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
        diff --git a/a b/c.rs b/a b/c.rs\nnew file mode 100644\n--- /dev/null\n+++ b/a b/c.rs\t\n@@ -0,0 +1 @@\n+y\n\
        diff --git a/old.bin b/new.bin\nBinary files a/old.bin and b/new.bin differ\n";

    #[test]
    fn diff_has_the_lines_of_its_hunks_by_side() {
        let diff = Diff::parse(PATCH);
        let found = |path: &str, side: Side| -> Vec<(u32, &str)> {
            let hunk = |line| Some((line, *diff.find_hunk(path, side, line)?.lines(side).get(&line)?));
            (0..20).filter_map(hunk).collect()
        };
        assert_eq!(found("f.rs", Side::Left), [(1, "a"), (2, "b"), (3, "c"), (10, "k")]);
        assert_eq!(found("f.rs", Side::Right), [(1, "a"), (2, "B"), (3, "c"), (10, "--- a/k"), (11, "+++ b/k")]);
        assert_eq!((found("gone.rs", Side::Left), found("gone.rs", Side::Right)), (vec![(1, "x")], vec![]));
        assert_eq!((found("a b/c.rs", Side::Left), found("a b/c.rs", Side::Right)), (vec![], vec![(1, "y")]));
        assert!(diff.contains_file("new.bin") && !diff.contains_file("old.bin") && !diff.contains_file("c.rs"));
        let first = diff.find_hunk("f.rs", Side::Right, 3).unwrap();
        assert!(!first.lines(Side::Right).contains_key(&10), "another hunk");
    }

    #[test]
    fn path_means_a_changed_file_if_only_one_is_possible() {
        let patch = "diff --git a/src/old.txt b/src/new.txt\nsimilarity index 90%\nrename from src/old.txt\n\
            rename to src/new.txt\n--- a/src/old.txt\n+++ b/src/new.txt\n@@ -31 +31 @@\n-a\n+b\n\
            diff --git a/x/lib.rs b/x/lib.rs\n--- a/x/lib.rs\n+++ b/x/lib.rs\n@@ -1 +1 @@\n-a\n+b\n\
            diff --git a/y/lib.rs b/y/lib.rs\n--- a/y/lib.rs\n+++ b/y/lib.rs\n@@ -1 +1 @@\n-a\n+b\n\
            diff --git a/a/İ.md b/a/İ.md\n--- a/a/İ.md\n+++ b/a/İ.md\n@@ -1 +1 @@\n-a\n+b\n";
        let diff = Diff::parse(patch);
        for (path, expected) in [
            ("src/old.txt", Some("src/new.txt")),
            ("src/new.txt", Some("src/new.txt")),
            ("./src/old.txt", Some("src/new.txt")),
            ("a/src/old.txt", Some("src/new.txt")),
            ("b/src/new.txt", Some("src/new.txt")),
            ("src\\new.txt", Some("src/new.txt")),
            ("src/new.txt:31", Some("src/new.txt")),
            ("src/new.txt:31-33", Some("src/new.txt")),
            ("/work/tree/src/old.txt", Some("src/new.txt")),
            ("SRC/New.txt", Some("src/new.txt")),
            ("old.txt", None),
            ("z/src/new.txt", None),
            ("x/lib.rs", Some("x/lib.rs")),
            ("/work/tree/y/lib.rs", Some("y/lib.rs")),
            ("a/İ.md", Some("a/İ.md")),
            ("lib.rs", None),
            ("ib.rs", None),
            ("z/lib.rs", None),
            ("", None),
            (":", None),
            ("/", None),
        ] {
            assert_eq!(diff.find_file(path), expected, "{path}");
        }
    }

    #[test]
    fn quoted_path_is_read_as_the_forge_knows_it() {
        for (quoted, path) in [
            ("b/src/a.rs", "b/src/a.rs"),
            ("b/a b.rs\t", "b/a b.rs"),
            ("\"b/a\\\"b\"", "b/a\"b"),
            ("\"b/a\\\\b\\tc\"", "b/a\\b\tc"),
            ("\"b/\\303\\274\\001.rs\"", "b/ü\u{1}.rs"),
            ("\"b/cut\\\"", "b/cut\\"),
        ] {
            assert_eq!(unquote(quoted), path, "{quoted}");
        }
    }
}
