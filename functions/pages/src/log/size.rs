//! Limits the size of the log's rows and of a page. Units: bytes of HTML.

use super::{Entry, RowContent};
use crate::text::SafeText;
use std::borrow::Cow;

const PAGE_BYTES: usize = 56 * 1_024;
const ROW_BYTES: usize = 4 * 1_024;
pub(super) const FULL_BYTES: usize = 40 * 1_024;
pub(super) const MESSAGE_BYTES: usize = 12 * 1_024;
const ROW_MARKUP: usize = 420;
const HEAD_LINES: usize = 10;
const TAIL_LINES: usize = 30;

/// The size of a character in HTML, in which five ASCII characters are escaped.
fn escaped_len(c: char) -> usize {
    if matches!(c, '<' | '>' | '&' | '"' | '\'') { 5 } else { c.len_utf8() }
}

/// The size of a line with its line break.
pub(super) fn line_size(line: &str) -> usize {
    line.chars().map(escaped_len).sum::<usize>() + 1
}

/// The beginning of a text, and whether its end is cut.
pub(super) fn clip(text: &str, max: usize) -> (String, bool) {
    let mut size = 0;
    for (at, c) in text.char_indices() {
        size += escaped_len(c);
        if size > max {
            return (format!("{}…", text.get(..at).unwrap_or_default()), true);
        }
    }
    (text.to_owned(), false)
}

pub(super) fn clip_text(text: &str, full: bool) -> (String, bool) {
    clip(text, if full { FULL_BYTES } else { ROW_BYTES })
}

/// A line that is repeated more often than this appears once, with the count.
const MAX_REPEATS: usize = 3;

fn fold_repeats(text: &str) -> Cow<'_, str> {
    let lines: Vec<&str> = text.lines().collect();
    let repeats: Vec<&[&str]> = lines.chunk_by(|a, b| a == b).collect();
    if repeats.iter().all(|run| run.len() <= MAX_REPEATS) {
        return Cow::Borrowed(text);
    }
    let fold = |run: &&[&str]| match run {
        [line, rest @ ..] if rest.len() >= MAX_REPEATS => format!("{line} × {}", run.len()),
        _ => run.join("\n"),
    };
    Cow::Owned(repeats.iter().map(fold).collect::<Vec<_>>().join("\n"))
}

/// The beginning and the end of a long output, and whether lines between them are cut.
pub(super) fn clip_output(text: &str, full: bool) -> (String, bool) {
    let text = if full { Cow::Borrowed(text) } else { fold_repeats(text) };
    let text = text.as_ref();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let left_out = lines.len().saturating_sub(HEAD_LINES + TAIL_LINES);
    if full || left_out <= 1 {
        return clip_text(text, full);
    }
    let (head, rest) = lines.split_at(HEAD_LINES);
    let (_, tail) = rest.split_at(left_out);
    // The end of an output has the error, so the beginning gets the smaller part.
    let (head, _) = clip(&head.join("\n"), ROW_BYTES / 4);
    let tail = tail.join("\n");
    let (tail, is_long) = clip(&tail, ROW_BYTES * 3 / 4);
    let mark = if is_long { "" } else { "\n" };
    (format!("{head}\n… {left_out} more lines …\n{tail}{mark}"), true)
}

fn html_len(text: &SafeText) -> usize {
    text.to_string().chars().map(escaped_len).sum()
}

impl Entry {
    fn size(&self) -> usize {
        let text = match &self.content {
            RowContent::Heading(text) | RowContent::Note(text) | RowContent::Output(text) => html_len(text),
            RowContent::Said(html) | RowContent::Question(html) => html.to_string().len(),
            RowContent::Message { by, text, .. } => html_len(by) + html_len(text),
            RowContent::Step { target, under, .. } => html_len(target) + under.as_ref().map_or(0, html_len),
            RowContent::Gap { address } => address.len(),
            RowContent::ToolResult { name, under } => html_len(name) + html_len(under),
        };
        ROW_MARKUP + text + self.call.as_ref().map_or(0, html_len)
    }
}

/// How many of these rows fit on a page; at least one.
fn count_fitting<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    let mut size = 0;
    let fitting = entries.take_while(|entry| {
        size += entry.size();
        size <= PAGE_BYTES
    });
    fitting.count().max(1)
}

/// Keeps the last rows that fit on a page. Returns whether it removed others.
pub(crate) fn keep_last(entries: &mut Vec<Entry>) -> bool {
    let removed = entries.len().saturating_sub(count_fitting(entries.iter().rev()));
    entries.drain(..removed);
    removed > 0
}

/// Keeps the first rows that fit on a page. Returns the position of the first that it removed.
pub(crate) fn keep_first(entries: &mut Vec<Entry>) -> Option<(u32, u64)> {
    let count = count_fitting(entries.iter()).min(entries.len());
    entries.split_off(count).first().map(|entry| entry.position)
}
