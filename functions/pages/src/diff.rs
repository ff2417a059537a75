//! Converts a git patch into files and numbered lines for a page, as many as fit.

use crate::pulls::conversation::Entry;
use crate::pulls::form::Draft;
use crate::text::{SafeText, line, output};
use pullyard_domain::review::report::diff::{PatchLine, PatchPart, parse_patch, unquote};

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

/// `only` is the number of the file whose lines the page shows; `None` shows all files.
pub(crate) fn parse(patch: &str, only: Option<usize>) -> Diff {
    let mut diff = Diff::default();
    let mut size = 0;
    for part in parse_patch(patch) {
        if let PatchPart::File(path) = part {
            let number = diff.files.len() + 1;
            if number > MAX_FILES {
                diff.more_files += 1;
            } else {
                let is_hidden = only.is_some_and(|only| only != number);
                let mut file = File { number, is_hidden, ..File::default() };
                file.set_path(&path);
                diff.files.push(file);
            }
            continue;
        }
        let (added, removed) = match &part {
            PatchPart::Line(line) => (usize::from(line.old.is_none()), usize::from(line.new.is_none())),
            _ => (0, 0),
        };
        (diff.added, diff.removed) = (diff.added + added, diff.removed + removed);
        // A file beyond the limit is only counted.
        let Some(file) = diff.files.last_mut().filter(|_| diff.more_files == 0) else { continue };
        (file.added, file.removed) = (file.added + added, file.removed + removed);
        match part {
            PatchPart::File(_) => {}
            PatchPart::Path(path) => file.set_path(&path),
            PatchPart::Header(text) => file.read_header(text),
            PatchPart::Hunk(text) => file.push(Line { class: "hunk", ..Line::default() }, text, &mut size),
            PatchPart::Line(PatchLine { old, new, text }) => {
                let (class, sign) = match (old, new) {
                    (None, _) => ("add", "+"),
                    (_, None) => ("del", "\u{2212}"),
                    _ => ("", ""),
                };
                file.push(Line { class, sign, old, new, ..Line::default() }, text, &mut size);
            }
        }
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
        if text.starts_with("new file mode") {
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

fn to_path(path: &str) -> SafeText {
    match path.char_indices().rev().nth(MAX_PATH_CHARS) {
        Some((at, _)) => line(&format!("…{}", path.get(at..).unwrap_or_default())),
        None => line(path),
    }
}
