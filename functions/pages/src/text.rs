//! Makes text from outside safe to display. Templates escape markup; this module handles control characters,
//! bidirectional overrides, terminal escape sequences and very long lines.

pub use pullyard_domain::text::percent_encode;
use std::fmt;

/// Text that is safe to display; templates escape it as any other value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeText(String);

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SafeText {
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help(Vec<(SafeText, bool)>);

impl Help {
    pub fn parts(&self) -> &[(SafeText, bool)] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Text between backticks is a command. Advice to do nothing is no advice.
pub fn help(text: &str) -> Help {
    if text == "Nothing to do." {
        return Help::default();
    }
    let parts = sanitize(text.trim());
    let parts = parts.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    Help(parts.map(|(at, part)| (SafeText(truncate_line(&part.replace(['\n', '\t'], " "))), at % 2 == 1)).collect())
}

const MAX_LINE_CHARS: usize = 2_000;

const MAX_BYTES: usize = 64 * 1_024;

pub fn line(text: &str) -> SafeText {
    let spaced: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    SafeText(truncate_line(&sanitize(spaced.trim())))
}

pub fn block(text: &str) -> SafeText {
    SafeText(truncate(&sanitize(text)))
}

/// Cleans terminal output: drops escape sequences; a carriage return begins a line.
pub fn output(text: &str) -> SafeText {
    SafeText(truncate(&sanitize(&strip_escapes(text))))
}

pub(crate) fn short_commit(id: &str) -> SafeText {
    line(&id.chars().take(12).collect::<String>())
}

/// Returns `None` unless the scheme is http or https, so that no link runs a script.
pub fn http_url(url: &str) -> Option<String> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    (is_web && !url.contains(|c: char| c.is_control() || c.is_whitespace())).then(|| url.to_owned())
}

/// The fields that are not blank, each as `&name=value`.
pub(crate) fn format_query(fields: &[(&str, &String)]) -> String {
    let non_blank = fields.iter().map(|(name, value)| (name, value.trim())).filter(|(_, value)| !value.is_empty());
    non_blank.map(|(name, value)| format!("&{name}={}", percent_encode(value))).collect()
}

/// Replaces control characters and bidirectional overrides by visible text, and drops characters without width.
fn sanitize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => out.push('\u{fffd}'),
            '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}' => {}
            '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
            }
            // Invisible copies of ASCII letters.
            '\u{e0000}'..='\u{e007f}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// Limits to `MAX_BYTES` bytes and `MAX_LINE_CHARS` characters per line, and marks the cut.
fn truncate(text: &str) -> String {
    let mut out = String::new();
    for (at, line) in text.trim_end().split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if out.len() + line.len().min(MAX_LINE_CHARS) > MAX_BYTES {
            out.push_str("… cut: the rest is longer than a page shows");
            break;
        }
        out.push_str(&truncate_line(line));
    }
    out
}

fn truncate_line(line: &str) -> String {
    let mut cut: String = line.chars().take(MAX_LINE_CHARS).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

/// Drops `ESC [ … letter`, `ESC ] … BEL` and similar sequences.
fn strip_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some('(' | ')' | '#') => {
                    chars.next();
                }
                _ => {}
            },
            '\u{7}' => {}
            '\u{8}' => {
                out.pop();
            }
            _ => out.push(c),
        }
    }
    out
}
