//! Renders hostile Markdown so that it sends no notification, closes no issue, and ends no block around it.
//! Mentions, references and commands become code. HTML and images become text. Keys of tickets after a closing word are
//! broken.
//! Each span and block of code is rewritten: otherwise a backtick of the author could end the code of a mention.

use crate::text::closing_words::{break_ticket_keys, is_closing_word};
use crate::text::untrusted::{fence, remove_hidden, to_code_span, to_single_line};

/// A number after one of these is an issue or a pull request.
const REFERENCES: [&str; 5] = ["#", "gh-", "/issues/", "/pull/", "/pull-requests/"];

/// Renders several lines, without a line break at the end.
pub(super) fn defuse(text: &str) -> String {
    let text = remove_hidden(text);
    let mut writer = Writer { output: String::new(), has_table: text.lines().any(is_table_rule) };
    let mut lines = text.trim_matches('\n').lines();
    while let Some(line) = lines.next() {
        match parse_fence(line) {
            Some((mark, length)) => {
                let is_end = |line: &str| line.trim().len() >= length && line.trim().chars().all(|c| c == mark);
                let code: Vec<&str> = lines.by_ref().take_while(|line| !is_end(line)).collect();
                writer.output.push_str(&fence(&code.join("\n")));
            }
            None => {
                writer.push_line(line);
                writer.output.push('\n');
            }
        }
    }
    break_ticket_keys(writer.output.trim_end())
}

/// Renders text for a place inside a line.
pub(super) fn defuse_line(text: &str, max_chars: usize) -> String {
    let mut writer = Writer { output: String::new(), has_table: false };
    writer.push_line(to_single_line(&remove_hidden(text), max_chars).trim());
    break_ticket_keys(&writer.output)
}

/// Whether the line may be the delimiter row of a table, also in a list or a quotation.
fn is_table_rule(line: &str) -> bool {
    let is_sign = |c: char| c.is_whitespace() || c.is_ascii_digit() || "|:->*+.)".contains(c);
    line.contains('|') && line.contains('-') && line.chars().all(is_sign)
}

/// The sign of a fence and its length.
fn parse_fence(line: &str) -> Option<(char, usize)> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let info = line.trim_start_matches(mark);
    let length = line.len() - info.len();
    // Otherwise it is a span of code.
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length))
}

struct Writer {
    output: String,
    has_table: bool,
}

impl Writer {
    fn push_line(&mut self, line: &str) {
        let mut rest = line;
        while let Some(at) = rest.find('`') {
            let (prose, marked) = rest.split_at(at);
            self.push_prose(prose);
            let inside = marked.trim_start_matches('`');
            let run = marked.len() - inside.len();
            rest = match find_run(inside, run).and_then(|end| inside.split_at_checked(end)) {
                Some((code, after)) => {
                    self.push_code(code);
                    after.split_at(run).1
                }
                None => {
                    self.output.push_str(&"'".repeat(run));
                    inside
                }
            };
        }
        self.push_prose(rest);
    }

    fn push_code(&mut self, code: &str) {
        if code.trim().is_empty() {
            return;
        }
        // Either sign before the code would change the meaning of its backtick.
        if self.output.ends_with(['\\', '`']) {
            self.output.push(' ');
        }
        let code = to_code_span(code.trim(), usize::MAX);
        // In a table, the bar would end the cell, and with it the code.
        self.output.push_str(&if self.has_table { code.replace('|', "¦") } else { code });
    }

    fn push_prose(&mut self, prose: &str) {
        let mut rest = prose;
        while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
            let (space, from_word) = rest.split_at(start);
            let (word, after) = from_word.split_at(from_word.find(char::is_whitespace).unwrap_or(from_word.len()));
            self.output.push_str(space);
            let is_first = self.output.rsplit('\n').next().is_none_or(|line| line.trim().is_empty());
            let is_command = is_first && word.starts_with('/');
            if is_command || is_reference(word) || closes(word, after) {
                self.push_code(word);
            } else {
                // Entities, because the author's backslash could undo an escape. A fence may start inside a list.
                let word = word.replace('&', "&amp;").replace('<', "&lt;");
                self.output.push_str(&word.replace("![", "!\\[").replace("~~~", "'''"));
            }
            rest = after;
        }
        self.output.push_str(rest);
    }
}

/// The position of exactly `length` backticks.
fn find_run(text: &str, length: usize) -> Option<usize> {
    let mut at = 0;
    for part in text.split_inclusive(|c| c != '`') {
        let run = part.trim_end_matches(|c| c != '`').len();
        if run == length {
            return Some(at);
        }
        at += part.len();
    }
    None
}

fn is_reference(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let has_number = |sign: &str| word.split(sign).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    word.contains('@') || REFERENCES.into_iter().any(has_number)
}

fn closes(word: &str, after: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    is_closing_word(word) && after.split_whitespace().next().is_some_and(is_reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_markdown_is_unchanged() {
        for plain in [
            "After 64 tries the delay **overflows**, see `retry()`.",
            "1. First\n2. Second\n\n   a/b, [docs](https://example.test/a), 5 * 3 > 2 and \"x\"",
            "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |",
            "Fixed in the next commit, which closes the file. Issue 12.",
            "```text\nlet x = \"@ann #12\"; // <b>\n```\nAnd more.",
        ] {
            assert_eq!(defuse(plain), plain);
        }
    }

    #[test]
    fn mentions_references_and_commands_become_code() {
        for (hostile, expected) in [
            ("Thanks @ann and @acme/team.", "Thanks `@ann` and `@acme/team.`"),
            ("(see #12)", "(see `#12)`"),
            ("Fixes #12, closes: acme/app#7", "`Fixes` `#12,` `closes:` `acme/app#7`"),
            (
                "resolves https://github.test/a/b/issues/12 GH-3",
                "`resolves` `https://github.test/a/b/issues/12` `GH-\u{2060}3`",
            ),
            ("/pullyard revise\n  /approve\na /b", "`/pullyard` revise\n  `/approve`\na /b"),
            ("&#64;ann &commat;ann", "`&#64;ann` &amp;commat;ann"),
            ("<b>bold</b> Vec<T> ![x](https://e.test)", "&lt;b>bold&lt;/b> Vec&lt;T> !\\[x](https://e.test)"),
        ] {
            assert_eq!(defuse(hostile), expected);
        }
    }

    #[test]
    fn keys_of_tickets_after_closing_words_are_broken() {
        for (hostile, expected) in [
            ("Fixes #1, closes APP-17", "`Fixes` `#1,` closes APP-~17"),
            ("closes `APP-17`", "closes `APP-~17`"),
            ("```\nCloses APP-17\n```", "```text\nCloses APP-~17\n```"),
            ("Fixed\nAPP-17, APP-18", "Fixed\nAPP-~17, APP-~18"),
            ("closes AP<!-- -->P-17", "closes AP(hidden text left out)P-17"),
            ("closes AP\u{2060}P-\u{200b}17", "closes APP-~17"),
        ] {
            assert_eq!(defuse(hostile).replace('\u{2060}', "~"), expected, "{hostile}");
        }
        assert_eq!(defuse_line("resolve app-17", 80), "resolve app-\u{2060}17");
    }

    #[test]
    fn code_is_written_anew() {
        for (hostile, expected) in [
            ("`a @ann b` and ``c ` d``", "`a @ann b` and `c ' d`"),
            ("`open @ann", "'open `@ann`"),
            ("`a`@ann", "`a` `@ann`"),
            ("\\`@ann`", "\\ `@ann`"),
            ("\\@ann", "`\\@ann`"),
            ("`` ` ``@x", "`'` `@x`"),
            ("``", "''"),
            ("- ~~~suggestion\nrm", "- '''suggestion\nrm"),
            ("a|b\n-|-\n`c|@ann`", "a|b\n-|-\n`c¦@ann`"),
            ("`a || b`", "`a || b`"),
            ("~~~\n@ann", "```text\n@ann\n```"),
            ("```suggestion\nrm\n````\n#1", "```text\nrm\n```\n`#1`"),
            ("~~~\n```\n~~~ no end\n~~~~\n/x", "````text\n```\n~~~ no end\n````\n`/x`"),
        ] {
            assert_eq!(defuse(hostile), expected, "{hostile}");
        }
    }

    #[test]
    fn line_has_no_block_and_no_hidden_text() {
        assert_eq!(defuse_line("~~~\n# x<!-- y -->", 80), "''' # x(hidden text left out)");
        assert_eq!(defuse_line("Ping @ann\u{200b}", 80), "Ping `@ann`");
    }
}
