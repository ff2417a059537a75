//! Escapes text from tickets, reviews and users, so that an agent's program expands no reference in it.
//! Measured with Claude Code 2.1.197 and 2.1.330, and Codex 0.169.0. No switch turns this off in all of these versions:
//! - Claude Code sends its model any file on the machine whose path follows an `@`, and runs a leading `/` command.
//! - Codex sends it the instructions of each skill of the repository or its home whose name follows a `$`, even quoted.

use std::borrow::Cow;

/// Invisible, and breaks no line. Both programs count it as a character that is neither a space nor part of a name.
const JOINER: char = '\u{2060}';

const NOTE: &str = "In what follows, an invisible character (a word joiner, U+2060) stands beside some of the signs \
                    `@`, `$` and `/`, so that no program expands what was only written. It is not a part of the text: \
                    read it as if it were not there, and write it into nothing.";

/// Claude Code also expands an `@` directly after these punctuation marks.
const PUNCTUATION: [char; 4] = ['\u{3002}', '\u{3001}', '\u{ff1f}', '\u{ff01}'];

/// Names that Codex treats as variables and never as skills, in any case.
const VARIABLES: [&str; 11] =
    ["PATH", "HOME", "USER", "SHELL", "PWD", "TMPDIR", "TEMP", "TMP", "LANG", "TERM", "XDG_CONFIG_HOME"];

pub(super) fn escape_for_claude_code(text: &str) -> Cow<'_, str> {
    let command =
        text.find(|c: char| !is_space(c)).filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with('/')));
    let mut offsets: Vec<usize> = command.into_iter().collect();
    let mut before: Option<char> = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let starts_word = before.is_none_or(|before| is_space(before) || PUNCTUATION.contains(&before));
        let has_text = letters.peek().is_some_and(|(_, next)| !is_space(*next));
        if letter == '@' && starts_word && has_text {
            offsets.push(at);
        }
        before = Some(letter);
    }
    insert_joiners(text, &offsets)
}

pub(super) fn escape_for_codex(text: &str) -> Cow<'_, str> {
    let name_starts = text.match_indices('$').map(|(at, sign)| at + sign.len());
    let offsets: Vec<usize> = name_starts.filter(|at| text.get(*at..).is_some_and(may_name_skill)).collect();
    insert_joiners(text, &offsets)
}

/// Covers at least the whitespace of JavaScript.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn may_name_skill(rest: &str) -> bool {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    let name = rest.split(|c: char| !is_name_char(c)).next().unwrap_or_default();
    !name.is_empty() && !VARIABLES.iter().any(|variable| variable.eq_ignore_ascii_case(name))
}

/// Prepends the note and inserts a joiner at each of these offsets, which are in ascending order.
fn insert_joiners<'t>(text: &'t str, offsets: &[usize]) -> Cow<'t, str> {
    if offsets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut escaped = format!("{NOTE}\n\n");
    let mut from = 0;
    for at in offsets {
        escaped.push_str(text.get(from..*at).unwrap_or_default());
        escaped.push(JOINER);
        from = *at;
    }
    escaped.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests;
