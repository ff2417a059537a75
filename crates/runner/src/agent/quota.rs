//! When an account's limit ends, as far as its provider's words say so.

use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// Units: milliseconds.
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// As both agents say them.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Names of UTC that a machine has for its own zone.
const UTC: [&str; 2] = ["utc)", "etc/utc)"];

/// The time in the words: seconds since 1970, a date with a time of UTC, a length from now on, or a time of the clock
/// in UTC.
pub(super) fn end_in(words: &str, now: Timestamp) -> Option<Timestamp> {
    seconds_in(words)
        .or_else(|| date_in(words))
        .or_else(|| length_in(words).map(|length| now.plus(length)))
        .or_else(|| clock_in(words, now))
        .or_else(|| reset_in(words, now))
}

/// `Claude AI usage limit reached|1795255200`, as an older Claude Code says it to programs.
fn seconds_in(words: &str) -> Option<Timestamp> {
    const BEFORE: &str = "limit reached|";
    let lower = words.to_ascii_lowercase();
    let after = lower.split_once(BEFORE)?.1;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    // Of this century.
    let secs = after.get(..end).filter(|secs| secs.len() == 10)?.parse::<i64>().ok()?;
    Some(Timestamp::from_millis(secs * 1_000))
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

/// `try again at 3:05 PM`, and where that is not today, `try again at Jun 3rd, 2026 3:05 PM`. Codex says it in its
/// own time, which is UTC where we start it.
fn clock_in(words: &str, now: Timestamp) -> Option<Timestamp> {
    let lower = words.to_ascii_lowercase();
    let after = lower.split_once("again at ")?.1;
    let mut parts = after.split([' ', ',']).filter(|part| !part.is_empty());
    let first = parts.next()?;
    let Some(month) = MONTHS.iter().position(|month| *month == first) else {
        return Some(next_at(minutes_of_day(first, parts.next()?)?, now));
    };
    let day = parts.next()?.trim_end_matches(|last: char| last.is_ascii_lowercase());
    let (day, year) = (digits(day, 31)?, digits(parts.next()?, 9_999)?);
    on_day((year, month, day), minutes_of_day(parts.next()?, parts.next()?)?)
}

/// `resets 3pm (UTC)`, and where that is not today, `resets Jul 18, 3:30am (UTC)` or `resets Jul 18 at 3am (UTC)`, with
/// the year where that is another one. So says Claude Code, in its own zone, which is UTC where we start it. Of any
/// other zone, and of none, nobody can tell.
fn reset_in(words: &str, now: Timestamp) -> Option<Timestamp> {
    let lower = words.to_ascii_lowercase();
    let (said, zone) = lower.split_once("resets ")?.1.split_once(" (")?;
    if !UTC.iter().any(|utc| zone.starts_with(*utc)) {
        return None;
    }
    let parts: Vec<&str> = said.split([' ', ',']).filter(|part| !part.is_empty() && *part != "at").collect();
    let month = |name: &str| MONTHS.iter().position(|month| *month == name);
    match *parts.as_slice() {
        [time] => Some(next_at(minutes_at(time)?, now)),
        [name, day, time] => {
            let (month, day, minutes) = (month(name)?, digits(day, 31)?, minutes_at(time)?);
            let year = digits(now.day().get(..4)?, 9_999)?;
            // A day that is long past is one of the next year, and on New Year's Day one of the last may just have.
            let is_ahead = |end: &Timestamp| end.millis() + DAY > now.millis();
            let ends = [year - 1, year, year + 1].map(|year| on_day((year, month, day), minutes));
            ends.into_iter().flatten().find(is_ahead)
        }
        [name, day, year, time] => on_day((digits(year, 9_999)?, month(name)?, digits(day, 31)?), minutes_at(time)?),
        _ => None,
    }
}

/// So many minutes after the midnight of a day. The month counts from 0.
fn on_day((year, month, day): (i64, usize, i64), minutes: i64) -> Option<Timestamp> {
    let date = format!("{year:04}-{:02}-{day:02}T00:00:00Z", month + 1);
    let midnight = Timestamp::parse(&date).ok()?;
    Some(Timestamp::from_millis(midnight.millis() + minutes * MINUTE))
}

/// The next time that it is so late. The minute that is said has begun when the limit ends: so late within the last
/// hour is not tomorrow.
fn next_at(minutes: i64, now: Timestamp) -> Timestamp {
    let ahead = (minutes * MINUTE - now.millis() % DAY + HOUR).rem_euclid(DAY) - HOUR;
    Timestamp::from_millis(now.millis() + ahead)
}

/// Of `3:05` and `pm`. Units: minutes after midnight.
fn minutes_of_day(time: &str, half: &str) -> Option<i64> {
    let (hour, minute) = time.split_once(':')?;
    let (hour, minute) = (digits(hour, 12).filter(|hour| *hour > 0)?, digits(minute, 59)?);
    let half = match half.trim_end_matches('.') {
        "am" => 0,
        "pm" => 12,
        _ => return None,
    };
    Some((hour % 12 + half) * 60 + minute)
}

/// Of `3pm` and `3:05pm`. Units: minutes after midnight.
fn minutes_at(time: &str) -> Option<i64> {
    let (clock, half) = time.split_at_checked(time.len().checked_sub(2)?)?;
    if clock.contains(':') { minutes_of_day(clock, half) } else { minutes_of_day(&format!("{clock}:00"), half) }
}

/// A number of nothing but digits.
fn digits(text: &str, most: i64) -> Option<i64> {
    let is_one = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i64>().ok().filter(|number| is_one && *number <= most)
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

    #[test]
    fn a_time_of_the_clock_is_the_next_one_in_utc() {
        // It is ten in the morning.
        for (said, expected) in [
            ("Try again at 3:05 PM.", "2026-11-21T15:05:00Z"),
            ("or try again at 11:59 PM.", "2026-11-21T23:59:00Z"),
            ("or try again at 12:30 PM.", "2026-11-21T12:30:00Z"),
            ("Try again at 10:00 AM.", "2026-11-21T10:00:00Z"),
            ("Try again at 9:59 AM.", "2026-11-21T09:59:00Z"),
            ("Try again at 9:00 AM.", "2026-11-21T09:00:00Z"),
            ("Try again at 8:59 AM.", "2026-11-22T08:59:00Z"),
            ("Try again at 12:00 AM.", "2026-11-22T00:00:00Z"),
            ("Try again at Nov 22nd, 2026 12:00 AM.", "2026-11-22T00:00:00Z"),
            ("Try again at Dec 1st, 2026 12:05 PM.", "2026-12-01T12:05:00Z"),
            ("Try again at Jun 3rd, 2027 3:05 PM.", "2027-06-03T15:05:00Z"),
            ("or try again at Feb 29th, 2028 1:00 AM. More words.", "2028-02-29T01:00:00Z"),
        ] {
            check(&format!("You've hit your usage limit. {said}"), Some(expected));
        }
    }

    #[test]
    fn claude_codes_own_time_is_read_where_it_is_utc_and_nowhere_else() {
        // It is ten in the morning of 21 November.
        for (said, expected) in [
            ("You've hit your session limit · resets 3pm (UTC)", "2026-11-21T15:00:00Z"),
            ("You've hit your limit · resets 9:10pm (UTC)\n/upgrade to increase it", "2026-11-21T21:10:00Z"),
            ("Weekly limit reached · resets 10am (Etc/UTC) · /upgrade to Max", "2026-11-21T10:00:00Z"),
            ("You've hit your session limit · resets 12am (UTC)", "2026-11-22T00:00:00Z"),
            ("You've hit your weekly limit · resets Nov 24, 3am (UTC)", "2026-11-24T03:00:00Z"),
            ("You've hit your weekly limit · resets Nov 24 at 3:30am (UTC)", "2026-11-24T03:30:00Z"),
            // It ended while that was said.
            ("You've hit your weekly limit · resets Nov 21, 9am (UTC)", "2026-11-21T09:00:00Z"),
            ("You're out of extra usage · resets Jan 2, 12pm (UTC)", "2027-01-02T12:00:00Z"),
            ("You're out of extra usage · resets Jan 2, 2027, 1am (UTC)", "2027-01-02T01:00:00Z"),
            ("You're out of extra usage · resets Jan 2, 2027 at 1am (UTC)", "2027-01-02T01:00:00Z"),
        ] {
            check(said, Some(expected));
        }
        for unknown in [
            "resets 3pm",
            "resets 3pm (Europe/Berlin)",
            "resets Nov 24, 3am (America/New_York)",
            "resets Mon 12:00am (UTC)",
            "resets soon (UTC)",
            "resets 3 (UTC)",
            "resets 13pm (UTC)",
            "resets 3:60pm (UTC)",
            "resets üm (UTC)",
            "resets Feb 30, 3am (UTC)",
            "resets Nov 24, 3am, or so (UTC)",
            "resets  (UTC)",
            "resets 3pm (UTC",
        ] {
            check(unknown, None);
        }
    }

    #[test]
    fn seconds_since_1970_are_read_where_a_limit_says_them() {
        check("Claude AI usage limit reached|1795255200", Some("2026-11-21T10:00:00Z"));
        check("API Error: Claude AI usage limit reached|1795262400.", Some("2026-11-21T12:00:00Z"));
        for unknown in
            ["usage limit reached|", "usage limit reached|17952", "limit reached|1795255200000", "a|1795255200"]
        {
            check(unknown, None);
        }
    }

    #[test]
    fn a_time_right_before_midnight_is_over_right_after_it() {
        let now = Timestamp::parse("2026-11-21T00:00:02Z").unwrap();
        let ended = Timestamp::parse("2026-11-20T23:59:00Z").unwrap();
        assert_eq!(end_in("Try again at 11:59 PM.", now), Some(ended));
    }

    #[test]
    fn a_day_without_a_year_is_of_the_year_in_which_it_is_ahead_or_has_just_passed() {
        for (now, said, expected) in [
            ("2027-01-01T00:01:00Z", "Dec 31, 11:59pm", "2026-12-31T23:59:00Z"),
            ("2027-01-01T23:58:00Z", "Dec 31, 11:59pm", "2026-12-31T23:59:00Z"),
            ("2027-01-02T00:00:00Z", "Dec 31, 11:59pm", "2027-12-31T23:59:00Z"),
            ("2026-12-31T23:59:00Z", "Jan 1, 3am", "2027-01-01T03:00:00Z"),
            ("2027-01-01T00:01:00Z", "Jan 1, 12am", "2027-01-01T00:00:00Z"),
            // Only some years have it.
            ("2027-12-31T10:00:00Z", "Feb 29, 3am", "2028-02-29T03:00:00Z"),
        ] {
            let words = format!("You've hit your weekly limit · resets {said} (UTC)");
            let [now, expected] = [now, expected].map(|time| Timestamp::parse(time).unwrap());
            assert_eq!(end_in(&words, now), Some(expected), "{now:?} {said}");
        }
    }

    #[test]
    fn no_time_is_made_of_what_is_none() {
        for odd in [
            "later.",
            "",
            "3:05",
            "3 PM",
            "15:05 PM",
            "0:05 AM",
            "3:60 PM",
            "+3:05 PM",
            "3:-5 PM",
            "3:05 UTC",
            "noon PM",
            "Feb 30th, 2027 3:05 PM",
            "Jun 0th, 2027 3:05 PM",
            "Jun 32nd, 2027 3:05 PM",
            "Jun third, 2027 3:05 PM",
            "Jun 3rd 3:05 PM",
            "June 3rd, 2027 3:05 PM",
            "Jun 3rd, 99999999999999999999 3:05 PM",
        ] {
            check(&format!("Try again at {odd}"), None);
        }
    }
}
