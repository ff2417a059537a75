//! Escapes text from tickets, reviews and users, so that an agent's program expands no reference in it.
//! Measured with Claude Code 2.1.197 and 2.1.330, and Codex 0.169.0. No switch in all of these turns it off:
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
    let mut places: Vec<usize> = command.into_iter().collect();
    let mut before: Option<char> = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let begins = before.is_none_or(|before| is_space(before) || PUNCTUATION.contains(&before));
        let continues = letters.peek().is_some_and(|(_, next)| !is_space(*next));
        if letter == '@' && begins && continues {
            places.push(at);
        }
        before = Some(letter);
    }
    insert_joiners(text, &places)
}

pub(super) fn escape_for_codex(text: &str) -> Cow<'_, str> {
    let behind = text.match_indices('$').map(|(at, sign)| at + sign.len());
    let places: Vec<usize> = behind.filter(|at| text.get(*at..).is_some_and(may_name_skill)).collect();
    insert_joiners(text, &places)
}

/// Covers at least the whitespace of JavaScript.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn may_name_skill(rest: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    let name = rest.split(|c: char| !is_of_name(c)).next().unwrap_or_default();
    !name.is_empty() && !VARIABLES.iter().any(|variable| variable.eq_ignore_ascii_case(name))
}

/// Prepends the note and inserts a joiner at each of these offsets, which are in ascending order.
fn insert_joiners<'t>(text: &'t str, places: &[usize]) -> Cow<'t, str> {
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut broken = format!("{NOTE}\n\n");
    let mut from = 0;
    for at in places {
        broken.push_str(text.get(from..*at).unwrap_or_default());
        broken.push(JOINER);
        from = *at;
    }
    broken.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(broken)
}

#[cfg(test)]
mod tests;
