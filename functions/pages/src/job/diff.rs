//! Parses a git patch into files and numbered lines, as many as fit on a page.

use crate::text::{SafeText, line, output};

const PAGE_BYTES: usize = 48 * 1_024;
const LINE_MARKUP: usize = 110;
const MAX_LINE_CHARS: usize = 500;
const MAX_FILES: usize = 60;
/// A longer path is shown from its end. Units: characters.
const MAX_PATH_CHARS: usize = 160;

#[derive(Default)]
pub(super) struct Diff {
    pub(super) files: Vec<File>,
    pub(super) more_files: usize,
    pub(super) added: usize,
    pub(super) removed: usize,
}

#[derive(Default)]
pub(super) struct File {
    pub(super) number: usize,
    pub(super) path: SafeText,
    /// `created`, `deleted`, `renamed from a.rs`, `binary`.
    pub(super) note: SafeText,
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) lines: Vec<Line>,
    pub(super) left_out: usize,
    /// Another file is the only one that is shown.
    pub(super) is_hidden: bool,
}

pub(super) struct Line {
    /// `hunk`, `add`, `del` or empty.
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) old: Option<u32>,
    pub(super) new: Option<u32>,
    pub(super) text: SafeText,
}

/// Lines of a hunk that are still expected, with their numbers.
#[derive(Default)]
struct Hunk {
    old: u32,
    new: u32,
    old_left: u32,
    new_left: u32,
}

pub(super) fn parse(patch: &str, only: Option<usize>) -> Diff {
    let mut diff = Diff::default();
    let (mut hunk, mut size, mut number) = (Hunk::default(), 0, 0);
    for text in patch.lines() {
        if hunk.old_left == 0
            && hunk.new_left == 0
            && let Some(paths) = text.strip_prefix("diff --git ")
        {
            number += 1;
            if number > MAX_FILES {
                diff.more_files += 1;
            } else {
                let is_hidden = only.is_some_and(|only| only != number);
                diff.files.push(File { number, path: to_path(new_path(paths)), is_hidden, ..File::default() });
            }
            continue;
        }
        let Some(file) = diff.files.last_mut().filter(|_| number <= MAX_FILES) else { continue };
        if hunk.old_left == 0 && hunk.new_left == 0 {
            match parse_hunk(text) {
                Some(next) => hunk = next,
                None => {
                    file.read_header(text);
                    continue;
                }
            }
            file.push(("hunk", ""), (None, None), text, &mut size);
            continue;
        }
        let numbers = (Some(hunk.old), Some(hunk.new));
        let (look, numbers) = match text.chars().next() {
            Some('+') => (("add", "+"), (None, numbers.1)),
            Some('-') => (("del", "\u{2212}"), (numbers.0, None)),
            // "No newline at end of file".
            Some('\\') => continue,
            _ => (("", ""), numbers),
        };
        if numbers.0.is_some() {
            (hunk.old, hunk.old_left) = (hunk.old.saturating_add(1), hunk.old_left.saturating_sub(1));
        }
        if numbers.1.is_some() {
            (hunk.new, hunk.new_left) = (hunk.new.saturating_add(1), hunk.new_left.saturating_sub(1));
        }
        file.added += usize::from(look.0 == "add");
        file.removed += usize::from(look.0 == "del");
        file.push(look, numbers, text.get(1..).unwrap_or_default(), &mut size);
    }
    diff.added = diff.files.iter().map(|file| file.added).sum();
    diff.removed = diff.files.iter().map(|file| file.removed).sum();
    diff
}

impl File {
    fn read_header(&mut self, text: &str) {
        if let Some(path) = text.strip_prefix("+++ ").filter(|path| *path != "/dev/null") {
            self.path = to_path(unquote(path.strip_prefix("b/").unwrap_or(path)));
        } else if text.starts_with("new file mode") {
            self.note = line("created");
        } else if text.starts_with("deleted file mode") {
            self.note = line("deleted");
        } else if let Some(from) = text.strip_prefix("rename from ") {
            self.note = line(&format!("renamed from {}", to_path(from)));
        } else if text.starts_with("GIT binary patch") || text.starts_with("Binary files ") {
            self.note = line("binary");
        }
    }

    fn push(
        &mut self,
        (class, sign): (&'static str, &'static str),
        (old, new): (Option<u32>, Option<u32>),
        text: &str,
        size: &mut usize,
    ) {
        let cut: String = text.chars().take(MAX_LINE_CHARS).collect();
        let mark = if cut.len() < text.len() { "…" } else { "" };
        let escaped = text.chars().take(MAX_LINE_CHARS).map(|c| if c.is_alphanumeric() { c.len_utf8() } else { 5 });
        let length = LINE_MARKUP + escaped.sum::<usize>();
        if self.is_hidden || self.left_out > 0 || *size + length > PAGE_BYTES {
            self.left_out += 1;
            return;
        }
        *size += length;
        // Spaces at the begin of a line stay; `output` trims only its end.
        self.lines.push(Line { class, sign, old, new, text: output(&format!("{cut}{mark}").replace('\r', "")) });
    }
}

/// `b/new.rs` of `a/old.rs b/new.rs`; the line `+++` is more exact.
fn new_path(paths: &str) -> &str {
    unquote(paths.rsplit_once(" b/").or_else(|| paths.rsplit_once(" \"b/")).map_or(paths, |(_, path)| path))
}

fn to_path(path: &str) -> SafeText {
    match path.char_indices().rev().nth(MAX_PATH_CHARS) {
        Some((at, _)) => line(&format!("…{}", path.get(at..).unwrap_or_default())),
        None => line(path),
    }
}

fn unquote(path: &str) -> &str {
    path.trim_matches('"').trim_end_matches('\t')
}

/// `@@ -12,3 +12,10 @@ context`.
fn parse_hunk(text: &str) -> Option<Hunk> {
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |range: &str| match range.split_once(',') {
        Some((begin, count)) => Some((begin.parse::<u32>().ok()?, count.parse::<u32>().ok()?)),
        None => Some((range.parse::<u32>().ok()?, 1)),
    };
    let ((old, old_left), (new, new_left)) = (range(old)?, range(new)?);
    Some(Hunk { old, new, old_left, new_left })
}
