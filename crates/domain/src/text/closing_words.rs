//! Breaks references that close a ticket when a forge or ticket tool parses a commit or pull request.
//!
//! GitHub, GitLab, Bitbucket and Linear match a closing keyword before a ticket key (`fixes APP-17`). Jira matches a
//! key before a command (`APP-17 #done`, a smart commit). Each tool parses the raw text, including Markdown code.

/// Word joiner (U+2060): has no width, and a parser does not match a key or command that contains it.
pub(crate) const JOINER: char = '\u{2060}';

/// Keywords before a ticket key that make a tool close, move or link the ticket.
const CLOSING_WORDS: &str = " address addresses addressed addressing close closes closed closing complete completes \
    completed completing contribute contributes contributing done fix fixes fixed fixing hold holds holding implement \
    implements implemented implementing invalidate invalidates invalidated invalidating part re ref refs reference \
    references related relates reopen reopens reopened reopening resolve resolves resolved resolving toward towards \
    wontfix wontfixes ";
/// Tokens allowed between a closing keyword and a key. `amp` is the rest of an escaped `&`.
const CONNECTORS: &str = " amp also and bug issue issues of or plus story task the this ticket tickets to with ";

pub(crate) fn is_closing_word(word: &str) -> bool {
    is_listed(CLOSING_WORDS, word)
}

fn is_listed(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split(' ').any(|listed| listed.eq_ignore_ascii_case(word))
}

/// Inserts a joiner into each ticket key after a closing keyword, including keys in lists and URLs, and into each
/// command of a smart commit. The rendered text looks the same.
pub(crate) fn break_ticket_keys(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let (mut follows_closing_word, mut line_has_key) = (false, false);
    for chunk in text.split_inclusive(char::is_whitespace) {
        // The other parts of a reference, such as the host of a URL, do not end a list of keys.
        let is_reference = chunk.contains("://") || chunk.contains('/') || chunk.contains('#');
        let mut rest = chunk;
        while let Some(c) = rest.chars().next() {
            let word = &rest[..rest.find(|c| !is_word_char(c)).unwrap_or(rest.len())];
            if word.is_empty() {
                output.push(c);
                rest = &rest[c.len_utf8()..];
                let is_command = c == '#' && rest.starts_with(char::is_alphabetic);
                if is_command && line_has_key && !output.trim_end_matches('#').ends_with(is_word_char) {
                    output.push(JOINER);
                }
                continue;
            }
            output.push_str(word);
            rest = &rest[word.len()..];
            if is_key(word, rest) {
                line_has_key = true;
                if follows_closing_word {
                    output.push('-');
                    output.push(JOINER);
                    let number = rest[1..].trim_start_matches(|c: char| c.is_ascii_digit());
                    output.push_str(&rest[1..rest.len() - number.len()]);
                    rest = number;
                }
            } else if is_closing_word(word) {
                follows_closing_word = true;
            } else if !is_reference && !is_listed(CONNECTORS, word) && !word.chars().all(|c| c.is_ascii_digit()) {
                follows_closing_word = false;
            }
        }
        line_has_key &= !chunk.ends_with('\n');
    }
    output
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` and `after` begin with a key such as `APP-17`. Linear also matches `app-17`.
fn is_key(word: &str, after: &str) -> bool {
    let number = after.strip_prefix('-').unwrap_or_default();
    word.is_ascii()
        && !word.starts_with(|c: char| c.is_ascii_digit())
        && number.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(break_ticket_keys(text).replace(JOINER, "~"), expected);
    }

    #[test]
    fn keys_after_closing_words_are_broken() {
        for (text, expected) in [
            ("closes APP-17", "closes APP-~17"),
            ("Fixes: app-17.", "Fixes: app-~17."),
            ("FIX(APP-17)", "FIX(APP-~17)"),
            ("fixes\n  APP-17", "fixes\n  APP-~17"),
            ("fixes APP-1, APP-2 and APP-3; fix B2B_X-4", "fixes APP-~1, APP-~2 and APP-~3; fix B2B_X-~4"),
            ("resolves #1, APP-17", "resolves #1, APP-~17"),
            ("closes acme/app#7 &amp; APP-17", "closes acme/app#7 &amp; APP-~17"),
            ("**Completes** [`APP-17`](x)", "**Completes** [`APP-~17`](x)"),
            (
                "Implements https://linear.app/acme/issue/APP-17/a-b",
                "Implements https://linear.app/acme/issue/APP-~17/a-b",
            ),
            ("part of APP-1, related to APP-2", "part of APP-~1, related to APP-~2"),
            ("contributes to the ticket APP-1", "contributes to the ticket APP-~1"),
            ("ref APP-1 Towards: APP-2", "ref APP-~1 Towards: APP-~2"),
            ("closing-APP-17", "closing-APP-~17"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn commands_of_smart_commits_are_broken() {
        check("APP-17 #done #comment ok #time 2h", "APP-17 #~done #~comment ok #~time 2h");
        check("app-17 `#close`", "app-17 `#~close`");
        check("APP-17 x\n#done", "APP-17 x\n#done");
    }

    #[test]
    fn keys_without_a_closing_word_stay() {
        for text in [
            "APP-17: add it",
            "The fix is in UTF-8 and SHA-256",
            "prefix APP-17",
            "https://x.test/APP-17#close",
            "# Title\n\nUse C# and 12-34",
            "Fixes the crash of APP-17",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn broken_text_stays_as_it_is() {
        let once = break_ticket_keys("closes APP-17 #done");
        assert_eq!(break_ticket_keys(&once), once);
    }
}
