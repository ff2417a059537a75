//! Words of people we know nothing of, made fit to stand in a prompt: what a person can't see on the
//! forge's page is taken out, what is left is fenced, and it has a limit.
//!
//! The fence and the words around it are what protects; taking out hidden text only keeps an honest
//! reviewer from passing on what he never saw. So it is simple: no Markdown is understood. Comments go
//! wherever they stand, in code as well. What a page folds up or shows only in part (`<details>`, texts of
//! images, titles of links, attributes) stays as the text that it is, where the agent's people see it too.

/// What stands where something hidden was.
pub const HIDDEN: &str = "(hidden text left out)";

/// The text as a person could have read it on the forge's page.
///
/// Taken out: HTML comments, also one that never ends; link definitions that are used as comments; control
/// characters, and those that are invisible or turn the direction of writing.
pub fn visible(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let seen: String = text.chars().filter_map(shown).collect();
    without_definitions(&without_comments(&seen))
}

/// The text between fences that are longer than any run of backticks in it, so that it can't close them.
pub fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n")
}

/// At most `most` characters of a text, with a line that says how many are missing.
pub fn capped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => {
            let left_out = text.chars().count() - most;
            format!("{}…\n({left_out} more characters left out)", text.get(..at).unwrap_or_default())
        }
    }
}

/// One line of a name from outside, such as a path: as it is, but for what would end the line or hide.
pub fn one_line(text: &str, most: usize) -> String {
    let seen: String = text.chars().filter_map(shown).map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect();
    match seen.char_indices().nth(most) {
        None => seen,
        Some((at, _)) => format!("{}…", seen.get(..at).unwrap_or_default()),
    }
}

/// A name from outside as code, in Markdown: no mention or link in it counts, and nothing in it ends the code.
pub fn code(name: &str, most: usize) -> String {
    format!("`{}`", one_line(name, most).replace('`', "'"))
}

fn shown(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => Some(c),
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
        _ if c.is_control() || is_invisible(c) => None,
        _ => Some(c),
    }
}

/// Characters without a shape of their own: joiners, fillers, marks of direction, selectors, tags. Words
/// stay legible without them.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'
            ..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
    )
}

const OPEN: &str = "<!--";

fn without_comments(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(OPEN) {
        said.push_str(before);
        match after_comment(inside) {
            Some(after) => {
                said.push_str(HIDDEN);
                rest = after;
            }
            // One without an end hides everything after it where it begins a block, and is shown elsewhere.
            None if begins_block(&said) => {
                said.push_str(HIDDEN);
                return said;
            }
            None => {
                said.push_str("<! --");
                rest = inside;
            }
        }
    }
    said.push_str(rest);
    said
}

/// What follows a comment, as browsers find its end; `inside` follows its beginning.
fn after_comment(inside: &str) -> Option<&str> {
    if let Some(after) = inside.strip_prefix('>').or_else(|| inside.strip_prefix("->")) {
        return Some(after);
    }
    let ends = ["-->", "--!>"].into_iter().filter_map(|end| Some((inside.find(end)?, end.len())));
    let (at, length) = ends.min()?;
    inside.get(at + length..)
}

/// Whether nothing but marks of lists and quotes stands before this point of the line.
fn begins_block(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.chars().all(|c| c.is_whitespace() || c.is_ascii_digit() || matches!(c, '>' | '-' | '+' | '*' | '.' | ')'))
}

/// `[//]: # (words)` defines a link that leads nowhere: people write comments so, and no page shows them.
fn without_definitions(text: &str) -> String {
    let mut said = Vec::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        let Some(title) = title_of_nothing(line) else {
            said.push(line);
            continue;
        };
        said.push(HIDDEN);
        // Its words may go on until they are closed or an empty line comes.
        let end = match title.chars().next() {
            Some('(') => ')',
            Some(quote @ ('"' | '\'')) => quote,
            _ => continue,
        };
        if title.get(1..).is_some_and(|title| title.contains(end)) {
            continue;
        }
        for line in lines.by_ref() {
            if line.trim().is_empty() {
                said.push(line);
                break;
            }
            if line.contains(end) {
                break;
            }
        }
    }
    said.join("\n")
}

/// The words of a definition whose link leads nowhere.
fn title_of_nothing(line: &str) -> Option<&str> {
    let (label, rest) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    let rest = rest.trim_start();
    let nowhere = ["<#>", "<>", "#"].into_iter().find_map(|to| rest.strip_prefix(to));
    let is_comment = matches!(label.trim(), "//" | "comment" | "_");
    match nowhere {
        Some(title) if title.is_empty() || title.starts_with(char::is_whitespace) => Some(title.trim_start()),
        _ if is_comment => Some(rest.split_once(char::is_whitespace).map_or("", |(_, title)| title.trim_start())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
