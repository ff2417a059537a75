//! Defuses the title of a ticket for a commit's subject and a pull request's title. There, forges, ticket tools and bots
//! obey closing keywords, mentions, orders to skip CI, smart commits and commands.

use crate::text::closing_words::{JOINER, break_ticket_keys, is_closing_word};
use crate::text::untrusted::to_single_line;

/// Returns the title on one line, unchanged to the eye.
pub fn defuse_title(title: &str) -> String {
    let title = break_ticket_keys(&to_single_line(title.trim(), usize::MAX));
    let mut output = String::with_capacity(title.len());
    for (at, c) in title.char_indices() {
        let (before, after) = (&title[..at], &title[at + c.len_utf8()..]);
        output.push(c);
        if is_obeyed(before, c, after) {
            output.push(JOINER);
        }
    }
    output
}

/// Whether a forge would obey the text around `c`; the joiner goes behind `c`.
fn is_obeyed(before: &str, c: char, after: &str) -> bool {
    match c {
        // A mention. In an e-mail address, a letter precedes the sign.
        '@' => !before.ends_with(is_word_char),
        // An issue, or the command of a smart commit.
        '#' => after.starts_with(is_word_char),
        // GitHub's other form of an issue.
        '-' => after.starts_with(|c: char| c.is_ascii_digit()) && last_word(before).eq_ignore_ascii_case("gh"),
        ':' => after.starts_with("//") && is_closed_url(before),
        '/' => before.is_empty() && after.starts_with(is_word_char),
        '[' => is_ci_order(after.split(']').next().unwrap_or_default()),
        // Azure Pipelines: `***NO_CI***`.
        '_' => last_word(before).eq_ignore_ascii_case("no") && first_word(after).eq_ignore_ascii_case("ci"),
        _ => false,
    }
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c| !is_word_char(c)).next().unwrap_or_default()
}

fn first_word(text: &str) -> &str {
    text.split(|c| !is_word_char(c)).next().unwrap_or_default()
}

/// Whether a closing keyword precedes the scheme at the end of `before`.
fn is_closed_url(before: &str) -> bool {
    let scheme = last_word(before);
    let rest = before[..before.len() - scheme.len()].trim_end();
    let word = last_word(rest.strip_suffix(':').unwrap_or(rest).trim_end());
    is_closing_word(word)
}

/// Whether a CI service obeys this text in brackets: `[skip ci]`, `[ci-skip]`, `[no ci]`, `[skip actions]`.
fn is_ci_order(words: &str) -> bool {
    words.split(|c| !is_word_char(c)).any(|word| {
        let word = word.to_ascii_lowercase();
        word == "ci" || word.contains("skip")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(title: &str, expected: &str) {
        assert_eq!(defuse_title(title).replace(JOINER, "~"), expected);
    }

    #[test]
    fn words_that_forges_obey_are_defused() {
        check("Fixes #1", "Fixes #~1");
        check("closes acme/app#12, resolves GH-3", "closes acme/app#~12, resolves GH-~3");
        check("Fixes: https://github.com/a/b/issues/1", "Fixes: https:~//github.com/a/b/issues/1");
        check("resolved http://x.test/1", "resolved http:~//x.test/1");
        check("Thank @ann and (@acme/all)", "Thank @~ann and (@~acme/all)");
        check("@{1-2} look", "@~{1-2} look");
        check("Add it [skip ci]", "Add it [~skip ci]");
        check("[CI SKIP] [no ci] [skip-ci] [skip actions]", "[~CI SKIP] [~no ci] [~skip-ci] [~skip actions]");
        check("Add it ***NO_CI***", "Add it ***NO_~CI***");
        check("Done #close #comment ok", "Done #~close #~comment ok");
        check("Fixes #1, closes APP-17 #close @ann", "Fixes #~1, closes APP-~17 #~close @~ann");
        check("implementing https://x.test/1", "implementing https:~//x.test/1");
        check("/approve", "/~approve");
        check("Add it\n\nFixes #1\n/merge", "Add it  Fixes #~1 /merge");
        // Other invisible characters are removed first, so they hide no keyword.
        check("Fixes #\u{200b}1 @\u{200b}ann", "Fixes #~1 @~ann");
    }

    #[test]
    fn other_titles_stay_as_they_are() {
        for title in [
            "Fix the crash in C# and F#",
            "Send mail to ann@acme.test",
            "[Bug] Handle a/b and /etc/passwd",
            "Read https://x.test/1",
            "Ship eight-9 NO_CIRCLE snake_ci",
            "Größe der Datei – 100 %",
        ] {
            check(title, title);
        }
    }
}
