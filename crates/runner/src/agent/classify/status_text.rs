//! Finds a lone status of the provider, or `timeout`, in an agent's text about its failure.
//! A number matches only if the text marks it as a status, because the text also contains addresses, ids and counts.
//! A false match would retry an unknown failure.

const STATUS_PREFIXES: [&str; 3] = ["http", "status", "code"];
const STATUS_SUFFIXES: [&str; 3] = ["error", "response", "status"];
/// May follow a status, such as its reason. Before any other word the number is a count.
const STATUS_REASON_WORDS: [&str; 8] = ["bad", "from", "gateway", "internal", "overloaded", "service", "too", "while"];
/// Introduce a status with a colon, the first also without. Other labels introduce a count or a setting.
const STATUS_LABELS: [&str; 4] = ["error", "failed", "http", "status"];
const TIMEOUT_SUBJECTS: [&str; 4] = ["connection", "gateway", "read", "request"];

/// The first status of a failed request, such as `HTTP 503`, `status code: 429`, `a 502 response` or `Error: 529`.
pub(super) fn parse_status(text: &str) -> Option<u16> {
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || c == '=').collect();
        words.iter().enumerate().find_map(|(at, word)| {
            let before = at.checked_sub(1).and_then(|at| words.get(at)).copied();
            let behind = words.get(at + 1).copied();
            parse_status_number(word).filter(|_| is_status(before, word, behind))
        })
    })
}

/// Whether `timeout` is alone or follows a request or a connection. Settings and programs have that name too.
pub(super) fn contains_timeout(text: &str) -> bool {
    text.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.iter().enumerate().any(|(at, word)| {
            let before = at.checked_sub(1).and_then(|at| words.get(at));
            let is_it = trim_punctuation(word).eq_ignore_ascii_case("timeout");
            is_it && (words.len() == 1 || before.is_some_and(|before| is_one_of(before, &TIMEOUT_SUBJECTS)))
        })
    })
}

fn parse_status_number(word: &str) -> Option<u16> {
    let digits =
        Some(trim_punctuation(word)).filter(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()));
    digits?.parse().ok().filter(|status| (400..=599).contains(status))
}

fn is_status(before: Option<&str>, number: &str, behind: Option<&str>) -> bool {
    let names_it = |word: &str| is_one_of(word, &STATUS_PREFIXES) || word.to_ascii_lowercase().starts_with("http/");
    if before.is_some_and(names_it) {
        return true;
    }
    // A word after punctuation does not qualify the number.
    let behind = behind.filter(|_| number.ends_with(|c: char| c.is_ascii_digit()));
    if behind.is_some_and(|word| is_one_of(word, &STATUS_SUFFIXES)) {
        return true;
    }
    let tells =
        |word: &str| is_one_of(word, if word.ends_with(':') { &STATUS_LABELS[..] } else { &STATUS_LABELS[..1] });
    let counts = |word: &str| word.starts_with(char::is_alphabetic) && !is_one_of(word, &STATUS_REASON_WORDS);
    let begins = before.is_none_or(tells);
    begins && !behind.is_some_and(counts)
}

fn is_one_of(word: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| trim_punctuation(word).eq_ignore_ascii_case(phrase))
}

/// Without the punctuation of its sentence. Quotes stay, because quoted text is a name.
fn trim_punctuation(word: &str) -> &str {
    word.trim_matches(|c: char| "()[].,:;!".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_in_status_position_is_a_status() {
        for (words, expected) in [
            ("HTTP 503", 503),
            ("http 429 from upstream", 429),
            ("HTTP/1.1 502", 502),
            ("The server answered with status 529.", 529),
            ("status code: 429, try again", 429),
            ("request failed, status=503", 503),
            ("it exited with code 502", 502),
            ("got a 502 response", 502),
            ("a 503 error", 503),
            ("API Error: 529 {\"type\":\"error\"}", 529),
            ("Error 429", 429),
            ("503", 503),
            ("(503)", 503),
            ("request failed: 503 from upstream", 503),
            ("Error: 503 Service Unavailable", 503),
            ("something went wrong\n502: try again", 502),
            // The first number decides.
            ("status 400: the backend answered HTTP 503", 400),
        ] {
            assert_eq!(parse_status(words), Some(expected), "{words}");
        }
    }

    #[test]
    fn counts_ports_and_codes_are_no_status() {
        for words in [
            "line 5031",
            "at line 503",
            "429 files changed",
            "Error: 429 files changed",
            "it failed after 503 ms",
            "HTTP 200",
            "http://127.0.0.1:503/v1",
            "127.0.0.1:503",
            "request id: req_503",
            "https://example.test/?code=503",
            "error TS502: wrong type",
            "code 5029",
            "invalid max_output_tokens: 512",
            "Credit limit: 500 USD",
            "startup_timeout_ms: 500",
            "src/a.rs: 503",
            "max turns: 500",
            "Error: 500 USD are used up",
            "code 50",
            "status \u{0665}\u{0660}\u{0663}",
            "",
        ] {
            assert_eq!(parse_status(words), None, "{words}");
        }
    }

    #[test]
    fn only_a_bare_timeout_counts_as_a_timeout() {
        for words in ["timeout", "Timeout.", "Request timeout.", "it failed\ngateway timeout"] {
            assert!(contains_timeout(words), "{words}");
        }
        for words in [
            "timeouts are configured",
            "http://timeout.example/v1",
            "unknown field `timeout`",
            "--timeout 5 is no option",
            "tool_timeout_sec is too small",
            "timeout=5",
            "Unrecognized request argument supplied: timeout",
            "Unsupported parameter: timeout",
            "Command failed: timeout 60 npm test",
            "timeout: must be a positive integer",
            "a timeout 60 npm test",
        ] {
            assert!(!contains_timeout(words), "{words}");
        }
    }
}
