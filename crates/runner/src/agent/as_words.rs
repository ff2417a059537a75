//! What an agent is told, so that its program takes nothing in it for an order of its own: the text comes from tickets,
//! reviews and people.
//!
//! Measured with Claude Code 2.1.197 and 2.1.330 and with Codex 0.169.0: the one reads every file whose path stands
//! behind an `@`, from anywhere on its machine, and sends it to the model; it does what a text that begins with `/`
//! names. The other tells the model the instructions of each skill whose name stands behind a `$`, of the repository or
//! of its home, in a fence and a quote as well. Neither has a switch against it in all of these versions.

use std::borrow::Cow;

/// Has no width and breaks no line. To neither program is it a space, a part of a name, or nothing.
const JOINER: char = '\u{2060}';

/// What an agent is told first, where there is one in what follows.
const NOTE: &str = "In what follows, an invisible character (a word joiner, U+2060) stands beside some of the signs \
                    `@`, `$` and `/`, so that no program expands what was only written. It is not a part of the text: \
                    read it as if it were not there, and write it into nothing.";

/// Behind these marks of sentences Claude Code takes an `@` as well.
const MARKS: [char; 4] = ['\u{3002}', '\u{3001}', '\u{ff1f}', '\u{ff01}'];

/// Names that are variables to Codex, and never skills, in any letters.
const VARIABLES: [&str; 11] =
    ["PATH", "HOME", "USER", "SHELL", "PWD", "TMPDIR", "TEMP", "TMP", "LANG", "TERM", "XDG_CONFIG_HOME"];

/// The text as Claude Code expands nothing in it; as it is, where there is nothing.
pub(super) fn for_claude_code(text: &str) -> Cow<'_, str> {
    let command =
        text.find(|c: char| !is_space(c)).filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with('/')));
    let mut places: Vec<usize> = command.into_iter().collect();
    let mut before: Option<char> = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let begins = before.is_none_or(|before| is_space(before) || MARKS.contains(&before));
        let goes_on = letters.peek().is_some_and(|(_, next)| !is_space(*next));
        if letter == '@' && begins && goes_on {
            places.push(at);
        }
        before = Some(letter);
    }
    with_joiners(text, &places)
}

/// The text as Codex expands nothing in it; as it is, where there is nothing.
pub(super) fn for_codex(text: &str) -> Cow<'_, str> {
    let behind = text.match_indices('$').map(|(at, sign)| at + sign.len());
    let places: Vec<usize> = behind.filter(|at| text.get(*at..).is_some_and(may_name_skill)).collect();
    with_joiners(text, &places)
}

/// What JavaScript takes for a space, and no less.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Whether a name begins here that may be a skill's.
fn may_name_skill(rest: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    let name = rest.split(|c: char| !is_of_name(c)).next().unwrap_or_default();
    !name.is_empty() && !VARIABLES.iter().any(|variable| variable.eq_ignore_ascii_case(name))
}

/// With the note, and a joiner at each of these places, which are in their order.
fn with_joiners<'t>(text: &'t str, places: &[usize]) -> Cow<'t, str> {
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
