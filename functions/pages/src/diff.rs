//! Parses a git patch into files and numbered lines, as many as fit on a page.

use crate::pulls::conversation::Entry;
use crate::pulls::form::Draft;
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
pub(crate) struct Diff {
    /// The page that shows one file at `?file=N`.
    pub(crate) address: String,
    /// Numbers of lines lead to a form for a comment.
    pub(crate) may_comment: bool,
    pub(crate) files: Vec<File>,
    pub(crate) more_files: usize,
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

#[derive(Default)]
pub(crate) struct File {
    pub(crate) number: usize,
    pub(crate) path: SafeText,
    /// As the forge knows it.
    pub(crate) raw_path: String,
    /// `created`, `deleted`, `renamed from a.rs`, `binary`.
    pub(crate) note: SafeText,
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) lines: Vec<Line>,
    pub(crate) left_out: usize,
    /// The page shows one other file only.
    pub(crate) is_hidden: bool,
}

#[derive(Default)]
pub(crate) struct Line {
    /// `hunk`, `add`, `del` or empty.
    pub(crate) class: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) old: Option<u32>,
    pub(crate) new: Option<u32>,
    pub(crate) text: SafeText,
    pub(crate) threads: Vec<Vec<Entry>>,
    pub(crate) draft: Option<Draft>,
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
pub(crate) fn parse(patch: &str, only: Option<usize>) -> Diff {
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
                let mut file = File { number, is_hidden, ..File::default() };
                file.set_path(&new_path(paths));
                diff.files.push(file);
            }
            continue;
        }
        // `None` for a file beyond the limit, whose lines are only counted.
        let file = diff.files.last_mut().filter(|_| diff.more_files == 0);
        if is_header {
            let next = parse_hunk(text);
            match (file, next.is_some()) {
                (Some(file), true) => file.push(Line { class: "hunk", ..Line::default() }, text, &mut size),
                (Some(file), false) => file.read_header(text),
                (None, _) => {}
            }
            hunk = next.unwrap_or_default();
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
        let (added, removed) = (usize::from(class == "add"), usize::from(class == "del"));
        (diff.added, diff.removed) = (diff.added + added, diff.removed + removed);
        let Some(file) = file else { continue };
        (file.added, file.removed) = (file.added + added, file.removed + removed);
        let line = Line { class, sign, old, new, ..Line::default() };
        file.push(line, text.get(1..).unwrap_or_default(), &mut size);
    }
    diff
}

impl Diff {
    /// The line of the new file, if the page shows it.
    pub(crate) fn find_line(&mut self, path: &str, number: u64) -> Option<&mut Line> {
        let file = self.files.iter_mut().find(|file| file.raw_path == path)?;
        file.lines.iter_mut().find(|line| line.new.is_some_and(|new| u64::from(new) == number))
    }
}

impl File {
    fn set_path(&mut self, path: &str) {
        (self.path, self.raw_path) = (to_path(path), path.to_owned());
    }

    fn read_header(&mut self, text: &str) {
        if let Some(path) = text.strip_prefix("+++ ").filter(|path| *path != "/dev/null") {
            let path = unquote(path);
            self.set_path(path.strip_prefix("b/").unwrap_or(&path));
        } else if text.starts_with("new file mode") {
            self.note = line("created");
        } else if text.starts_with("deleted file mode") {
            self.note = line("deleted");
        } else if let Some(from) = text.strip_prefix("rename from ") {
            self.note = line(&format!("renamed from {}", to_path(&unquote(from))));
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
fn new_path(paths: &str) -> String {
    match paths.rsplit_once(" \"b/") {
        Some((_, path)) => unquote(&format!("\"{path}")),
        None => paths.rsplit_once(" b/").map_or(paths, |(_, path)| path).to_owned(),
    }
}

fn to_path(path: &str) -> SafeText {
    match path.char_indices().rev().nth(MAX_PATH_CHARS) {
        Some((at, _)) => line(&format!("…{}", path.get(at..).unwrap_or_default())),
        None => line(path),
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
