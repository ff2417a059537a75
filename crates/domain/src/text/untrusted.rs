//! Makes untrusted text safe for a prompt: removes invisible parts, fences the text and limits it.
//! The fence and the text around it are the protection. Removing hidden text only prevents an honest reviewer from
//! passing on text that is invisible at the forge. No Markdown is parsed, so comments are removed inside code as well.
//! Text that a page folds or shows partly stays: `<details>`, alternative texts, link titles, attributes.

pub const HIDDEN_PLACEHOLDER: &str = "(hidden text left out)";

/// The text that a reader sees at the forge.
/// Removes HTML comments, even unterminated ones, and link definitions that serve as comments. Also removes control
/// characters, invisible characters and those that change the direction of writing.
pub fn remove_hidden(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let visible: String = text.chars().filter_map(visible_char).collect();
    remove_link_definitions(&remove_comments(&visible))
}

/// Encloses the text in a fence that is longer than any run of backticks in it, so that the text cannot close it.
pub fn fence(text: &str) -> String {
    fence_lines("text", &format!("{text}\n"))
}

/// Like [`fence`], with another language. `lines` is empty or ends with a line break.
pub(crate) fn fence_lines(language: &str, lines: &str) -> String {
    let longest = lines.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{lines}{fence}\n")
}

/// At most `limit` characters of a text, followed by the number of omitted ones.
pub fn truncate_with_count(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => {
            let left_out = text.chars().count() - limit;
            format!("{}…\n({left_out} more characters left out)", text.get(..at).unwrap_or_default())
        }
    }
}

/// An untrusted name, such as a path, on one line. Line breaks become spaces; invisible characters are removed.
pub fn to_single_line(text: &str, limit: usize) -> String {
    let line: String =
        text.chars().filter_map(visible_char).map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect();
    match line.char_indices().nth(limit) {
        None => line,
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
    }
}

/// An untrusted name as Markdown code, which disables mentions and links. Nothing in the name can end the code.
pub fn to_code_span(name: &str, limit: usize) -> String {
    format!("`{}`", to_single_line(name, limit).replace('`', "'"))
}

fn visible_char(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => Some(c),
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
        _ if c.is_control() || is_invisible(c) => None,
        _ => Some(c),
    }
}

/// Joiners, fillers, direction marks, variation selectors and tags. Text stays legible without them.
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

const COMMENT_START: &str = "<!--";

fn remove_comments(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(COMMENT_START) {
        output.push_str(before);
        match after_comment(inside) {
            Some(after) => {
                output.push_str(HIDDEN_PLACEHOLDER);
                rest = after;
            }
            // At the start of a block, an unterminated comment hides the rest. Elsewhere the forge displays it.
            None if is_block_start(&output) => {
                output.push_str(HIDDEN_PLACEHOLDER);
                return output;
            }
            None => {
                output.push_str("<! --");
                rest = inside;
            }
        }
    }
    output.push_str(rest);
    output
}

/// The text after a comment's end, found as browsers do. `inside` starts after `<!--`.
fn after_comment(inside: &str) -> Option<&str> {
    if let Some(after) = inside.strip_prefix('>').or_else(|| inside.strip_prefix("->")) {
        return Some(after);
    }
    let ends = ["-->", "--!>"].into_iter().filter_map(|end| Some((inside.find(end)?, end.len())));
    let (at, length) = ends.min()?;
    inside.get(at + length..)
}

/// Whether the line contains only list and quote markers before this point.
fn is_block_start(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.chars().all(|c| c.is_whitespace() || c.is_ascii_digit() || matches!(c, '>' | '-' | '+' | '*' | '.' | ')'))
}

/// Removes definitions such as `[//]: # (text)`. They link nowhere and serve as invisible comments.
fn remove_link_definitions(text: &str) -> String {
    let mut output = Vec::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        let Some(title) = comment_definition_title(line) else {
            output.push(line);
            continue;
        };
        output.push(HIDDEN_PLACEHOLDER);
        // The title may continue until its closing character or an empty line.
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
                output.push(line);
                break;
            }
            if line.contains(end) {
                break;
            }
        }
    }
    output.join("\n")
}

/// The title of a link definition that links nowhere.
fn comment_definition_title(line: &str) -> Option<&str> {
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
