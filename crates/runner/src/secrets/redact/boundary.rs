//! Decides whether a word can begin at a position.
//! It can do so after a character that is no letter, and after an escape sequence (`\n`, `%3A`, `\x1b[32m`).

pub(super) const CONTEXT: usize = 16;

pub(super) fn is_word_start(before: &[u8]) -> bool {
    !before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') || ends_with_escape(before)
}

/// Like `is_word_start` for a word of upper-case letters, which may also begin after a lower-case letter.
pub(super) fn is_upper_word_start(before: &[u8]) -> bool {
    !before.last().is_some_and(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) || ends_with_escape(before)
}

/// Whether the last letters and digits belong to an escape sequence.
fn ends_with_escape(before: &[u8]) -> bool {
    let hex = |digits: &[&u8]| digits.iter().all(|digit| digit.is_ascii_hexdigit());
    match before {
        [.., b'%', a, b] | [.., b'\\', b'x', a, b] if hex(&[a, b]) => true,
        [.., b'\\', b'u', a, b, c, d] if hex(&[a, b, c, d]) => true,
        [.., b'\\', b'0', b'0'..=b'7', b'0'..=b'7'] | [.., b'\\', b'a'..=b'z' | b'0'] => true,
        [rest @ .., b'A'..=b'Z' | b'a'..=b'z'] => {
            let numbers = rest.iter().rev().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':' | b'?')).count();
            rest.iter().rev().nth(numbers) == Some(&b'[')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_begins_after_a_separator_or_an_escape() {
        for before in
            ["", " ", "(", "é", "\\n", "\\\\r", "%3A", "a%0a", "\\x1b", "\\u000a", "\\033", "\x1b[1;32m", "\\e[0m"]
        {
            assert!(is_word_start(before.as_bytes()), "{before:?}");
        }
        for before in ["a", "_", "3A", "xn", "1;32m", "x1b", "u000a", "%zz", "%3", "Z"] {
            assert!(!is_word_start(before.as_bytes()), "{before:?}");
        }
    }

    #[test]
    fn uppercase_word_begins_after_lowercase_letters() {
        for (before, begins) in [("id", true), ("ID", false), ("1", false), ("%3A", true), ("_", true), ("", true)] {
            assert_eq!(is_upper_word_start(before.as_bytes()), begins, "{before:?}");
        }
    }
}
