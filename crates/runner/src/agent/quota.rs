//! When an account's limit ends, as far as its provider's words say so.

use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// The time in the words: a date with a time of UTC, or a length from now on.
pub(super) fn end_in(words: &str, now: Timestamp) -> Option<Timestamp> {
    date_in(words).or_else(|| length_in(words).map(|length| now.plus(length)))
}

/// `2026-12-01 at 00:00 UTC`, `2026-12-01T00:00:00Z`.
fn date_in(words: &str) -> Option<Timestamp> {
    let shape = |at: usize, pattern: &str| {
        let part = words.get(at..at + pattern.len())?;
        let fits = part.bytes().zip(pattern.bytes()).all(|(byte, shape)| match shape {
            b'9' => byte.is_ascii_digit(),
            shape => byte == shape,
        });
        fits.then_some(part)
    };
    words.char_indices().find_map(|(at, _)| {
        let date = shape(at, "9999-99-99")?;
        let rest = words.get(at + date.len()..)?;
        let time = rest.trim_start_matches([' ', 'T']).trim_start_matches("at ");
        let time = time.get(..5).filter(|time| time.as_bytes().get(2) == Some(&b':'));
        let is_utc = |rest: &str| rest.contains("UTC") || rest.contains('Z');
        let time = time.filter(|_| is_utc(rest.get(..24.min(rest.len())).unwrap_or(rest))).unwrap_or("00:00");
        Timestamp::parse(&format!("{date}T{time}:00Z")).ok()
    })
}

/// `try again in 2 days 3 hours 5 minutes`.
fn length_in(words: &str) -> Option<Duration> {
    let lower = words.to_ascii_lowercase();
    let after = lower.split_once("again in ").or_else(|| lower.split_once("resets in "))?.1;
    let mut secs: u64 = 0;
    let mut parts = after.split([' ', ',']).filter(|part| !part.is_empty() && *part != "and");
    while let (Some(number), Some(unit)) = (parts.next(), parts.next()) {
        let Ok(number) = number.parse::<u64>() else { break };
        let unit = match unit.trim_end_matches('.').trim_end_matches('s') {
            "day" => 86_400,
            "hour" => 3_600,
            "minute" => 60,
            "second" => 1,
            _ => break,
        };
        secs = secs.saturating_add(number.saturating_mul(unit));
    }
    // A year from now is nobody's limit.
    (secs > 0 && secs < 366 * 86_400).then(|| Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, expected: Option<&str>) {
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        let expected = expected.map(|time| Timestamp::parse(time).unwrap());
        assert_eq!(end_in(words, now), expected, "{words}");
    }

    #[test]
    fn dates_and_lengths_are_understood_and_nothing_is_guessed() {
        check("You will regain access on 2026-12-01 at 00:00 UTC.", Some("2026-12-01T00:00:00Z"));
        check("until 2026-12-01T13:45:10Z", Some("2026-12-01T13:45:00Z"));
        check("resets 2026-12-01", Some("2026-12-01T00:00:00Z"));
        check("You've hit your usage limit. Try again in 2 days 3 hours 5 minutes.", Some("2026-11-23T13:05:00Z"));
        check("Please try again in 1 hour, or upgrade.", Some("2026-11-21T11:00:00Z"));
        for unknown in [
            "resets 3pm",
            "try again later",
            "2026-13-45 at 00:00 UTC",
            "try again in 99999999999 days",
            "ünder 2026-1",
        ] {
            check(unknown, None);
        }
    }
}
