//! Text from outside, made harmless to look at.
//!
//! Templates escape markup; this takes care of what is no markup and misleads all the same: control
//! characters, letters that turn the reading direction around, terminals' escape sequences, endless lines.

use std::fmt;

/// Text that may be shown. Templates escape it like any other value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text {
    /// There is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

/// What to do, in one line, whose commands stand out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help(Vec<(Text, bool)>);

impl Help {
    /// Its parts; true for commands.
    pub fn parts(&self) -> &[(Text, bool)] {
        &self.0
    }

    /// There is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What stands between backticks is a command.
pub fn help(text: &str) -> Help {
    let parts = tamed(text.trim());
    let parts = parts.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    Help(parts.map(|(at, part)| (Text(cut(&part.replace(['\n', '\t'], " "))), at % 2 == 1)).collect())
}

/// The longest line of a block that is shown. Units: characters.
const LONGEST_LINE: usize = 2_000;

/// The most of one block that is shown. Units: bytes.
const MOST: usize = 64 * 1_024;

/// One line: whatever would begin another is a space.
pub fn line(text: &str) -> Text {
    let one: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    Text(cut(&tamed(one.trim())))
}

/// Several lines, such as a description or an agent's words.
pub fn block(text: &str) -> Text {
    Text(bounded(&tamed(text)))
}

/// What a program wrote for a terminal: its escape sequences are dropped, a carriage return begins a line.
pub fn output(text: &str) -> Text {
    Text(bounded(&tamed(&without_escapes(text))))
}

/// A word that an address may hold, percent-encoded.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An address that a link may lead to: the web's, nothing that a browser would run.
pub fn web(url: &str) -> Option<String> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    (web && !url.contains(|c: char| c.is_control() || c.is_whitespace())).then(|| url.to_owned())
}

/// Control characters become their pictures; what turns the reading direction around becomes its name; what
/// has no width is dropped.
fn tamed(text: &str) -> String {
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
            // Invisible letters of another alphabet, made of plain ones.
            '\u{e0000}'..='\u{e007f}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// At most `MOST` bytes in lines of at most `LONGEST_LINE` characters; what is cut says so.
fn bounded(text: &str) -> String {
    let mut out = String::new();
    for (at, line) in text.trim_end().split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if out.len() + line.len().min(LONGEST_LINE) > MOST {
            out.push_str("… cut: the rest is longer than a page shows");
            break;
        }
        out.push_str(&cut(line));
    }
    out
}

fn cut(line: &str) -> String {
    let mut cut: String = line.chars().take(LONGEST_LINE).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

/// Drops `ESC [ … letter`, `ESC ] … BEL` and their like.
fn without_escapes(text: &str) -> String {
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
