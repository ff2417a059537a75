//! Parses a git patch into files and numbered lines, as many as fit on a page.

use crate::text::{SafeText, line, output};

/// Limit of all lines together. Units: bytes of HTML.
const PAGE_BYTES: usize = 48 * 1_024;
/// The markup around one line. Units: bytes of HTML.
const LINE_MARKUP: usize = 110;
const MAX_LINE_CHARS: usize = 500;
const MAX_FILES: usize = 60;
/// A longer path loses its beginning. Units: characters.
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
    /// The page shows one other file only.
    pub(super) is_hidden: bool,
}

#[derive(Default)]
pub(super) struct Line {
    /// `hunk`, `add`, `del` or empty.
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) old: Option<u32>,
    pub(super) new: Option<u32>,
    pub(super) text: SafeText,
}

/// The rest of a hunk.
#[derive(Default)]
struct Hunk {
    old: Side,
    new: Side,
}

/// One version of the file: the number of its next line, and how many lines the hunk still has.
#[derive(Default)]
struct Side {
    next: u32,
    left: u32,
}

impl Side {
    fn take_number(&mut self) -> u32 {
        let number = self.next;
        (self.next, self.left) = (number.saturating_add(1), self.left.saturating_sub(1));
        number
    }
}

/// `only` is the number of the file whose lines the page shows; `None` shows all files.
pub(super) fn parse(patch: &str, only: Option<usize>) -> Diff {
    let mut diff = Diff::default();
    let (mut hunk, mut size) = (Hunk::default(), 0);
    for text in patch.lines() {
        // Inside a hunk, a line that looks like a header is content.
        let is_header = hunk.old.left == 0 && hunk.new.left == 0;
        if is_header && let Some(paths) = text.strip_prefix("diff --git ") {
            let number = diff.files.len() + 1;
            if number > MAX_FILES {
                diff.more_files += 1;
            } else {
                let is_hidden = only.is_some_and(|only| only != number);
                diff.files.push(File { number, path: to_path(new_path(paths)), is_hidden, ..File::default() });
            }
            continue;
        }
        let Some(file) = diff.files.last_mut().filter(|_| diff.more_files == 0) else { continue };
        if is_header {
            match parse_hunk(text) {
                Some(next) => {
                    hunk = next;
                    file.push(Line { class: "hunk", ..Line::default() }, text, &mut size);
                }
                None => file.read_header(text),
            }
            continue;
        }
        let (class, sign) = match text.chars().next() {
            Some('+') => ("add", "+"),
            Some('-') => ("del", "\u{2212}"),
            // "No newline at end of file".
            Some('\\') => continue,
            _ => ("", ""),
        };
        let old = (class != "add").then(|| hunk.old.take_number());
        let new = (class != "del").then(|| hunk.new.take_number());
        file.added += usize::from(class == "add");
        file.removed += usize::from(class == "del");
        let line = Line { class, sign, old, new, ..Line::default() };
        file.push(line, text.get(1..).unwrap_or_default(), &mut size);
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

    /// Adds a line with this text if it fits on the page; otherwise counts it as left out.
    fn push(&mut self, line: Line, text: &str, size: &mut usize) {
        let cut: String = text.chars().take(MAX_LINE_CHARS).collect();
        let mark = if cut.len() < text.len() { "…" } else { "" };
        let escaped = cut.chars().map(|c| if c.is_alphanumeric() { c.len_utf8() } else { 5 });
        let length = LINE_MARKUP + escaped.sum::<usize>();
        if self.is_hidden || self.left_out > 0 || *size + length > PAGE_BYTES {
            self.left_out += 1;
            return;
        }
        *size += length;
        // `output` trims the end of a text only, so the indentation stays.
        self.lines.push(Line { text: output(&format!("{cut}{mark}").replace('\r', "")), ..line });
    }
}

/// `new.rs` of `a/old.rs b/new.rs`. The line `+++` replaces it, because a path may contain ` b/`.
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

/// `@@ -12,3 +12,10 @@ context`. A range without a count has one line.
fn parse_hunk(text: &str) -> Option<Hunk> {
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let side = |range: &str| {
        let (next, left) = range.split_once(',').unwrap_or((range, "1"));
        Some(Side { next: next.parse().ok()?, left: left.parse().ok()? })
    };
    Some(Hunk { old: side(old)?, new: side(new)? })
}
