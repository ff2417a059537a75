//! Parses the end of an account's limit from the provider's text.

use pullyard_domain::text::time::Timestamp;

/// Units: milliseconds.
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// From the day of the week of 1 January 1970.
const WEEKDAYS: [&str; 7] = ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];
/// Written by older versions of Claude Code, before the end in seconds since 1970, and by its server in milliseconds.
const EPOCH_PREFIX: &str = "limit reached|";
/// Phrases before a time, and whether the time must name its zone. Claude Code writes `resets 3pm (UTC)`. Codex writes
/// `try again at 3:05 PM` in its own zone, which the runner sets to UTC.
const TIME_PREFIXES: [(&str, bool); 6] = [
    ("again at ", false),
    ("again in ", false),
    ("resets in ", false),
    ("resets ", true),
    ("access on ", false),
    ("until ", false),
];
/// The longest accepted wait. Units: milliseconds.
const MAX_WAIT: i64 = 366 * DAY;

#[derive(Debug, Default)]
struct TimeParts {
    year: Option<i64>,
    month: Option<usize>,
    day: Option<i64>,
    weekday: Option<usize>,
    /// Units: minutes after midnight.
    minutes_of_day: Option<i64>,
    /// A duration from now. Units: milliseconds.
    duration: i64,
    names_utc: bool,
}

pub(super) fn parse_reset_time(message: &str, now: Timestamp) -> Option<Timestamp> {
    let lower = message.to_ascii_lowercase();
    if let Some(end) = lower.split_once(EPOCH_PREFIX).and_then(|(_, end)| parse_epoch(end)) {
        return Some(end);
    }
    let (text, needs_zone) =
        TIME_PREFIXES.iter().find_map(|(before, needs_zone)| Some((lower.split_once(before)?.1, *needs_zone)))?;
    let parts = parse_parts(text)?;
    if parts.duration > 0 {
        return (parts.duration < MAX_WAIT).then(|| Timestamp::from_millis(now.millis() + parts.duration));
    }
    let is_whole_date = parts.year.is_some() && parts.month.is_some() && parts.day.is_some();
    if needs_zone && !parts.names_utc && !(is_whole_date && parts.minutes_of_day.is_none()) {
        return None;
    }
    match (parts.month, parts.day) {
        (None, None) => {
            let first = next_occurrence(parts.minutes_of_day?, now);
            let days = (0..7).map(|days| Timestamp::from_millis(first.millis() + days * DAY));
            let is_day = |at: &Timestamp| parts.weekday.is_none_or(|day| at.millis() / DAY % 7 == day as i64);
            days.into_iter().find(is_day)
        }
        (Some(month), Some(day)) => {
            let minutes = parts.minutes_of_day.or(parts.year.map(|_| 0))?;
            if let Some(year) = parts.year {
                return timestamp_on_day(year, month, day, minutes);
            }
            // Without a year, take the first such day that is not long past, even in the previous year.
            let year = now.day().get(..4)?.parse::<i64>().ok()?;
            let is_ahead = |end: &Timestamp| end.millis() + DAY > now.millis();
            [year - 1, year, year + 1]
                .into_iter()
                .filter_map(|year| timestamp_on_day(year, month, day, minutes))
                .find(is_ahead)
        }
        _ => None,
    }
}

/// Ten digits are seconds since 1970, thirteen milliseconds.
fn parse_epoch(text: &str) -> Option<Timestamp> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    let number = parse_number(digits, i64::MAX)?;
    match digits.len() {
        10 => Some(Timestamp::from_millis(number * 1_000)),
        13 => Some(Timestamp::from_millis(number)),
        _ => None,
    }
}

fn parse_parts(text: &str) -> Option<TimeParts> {
    let mut parts = TimeParts::default();
    let is_between = |c: char| c.is_whitespace() || ",()".contains(c);
    let words = text.split(is_between).map(|word| word.trim_end_matches('.'));
    let mut words = words.filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        if let Some((date, clock)) = parse_iso_date(word) {
            (parts.year, parts.month, parts.day) = (Some(date.0), Some(date.1), Some(date.2));
            if let Some(clock) = clock {
                (parts.minutes_of_day, parts.names_utc) = (Some(clock.minutes), clock.names_zone);
            }
        } else if let Some(month) = find_name(&MONTHS, word) {
            parts.month = Some(month);
        } else if let Some(day) = find_name(&WEEKDAYS, word) {
            parts.weekday = Some(day);
        } else if let Some(duration) = parse_short_duration(word) {
            parts.duration = parts.duration.saturating_add(duration);
        } else if let Some(unit) = parse_unit(next).filter(|_| parse_number(word, i64::MAX).is_some()) {
            parts.duration = parts.duration.saturating_add(parse_number(word, i64::MAX)?.saturating_mul(unit));
            words.next();
        } else if let Some(clock) = parse_clock(word, next) {
            parts.minutes_of_day = Some(clock);
            words.next_if(|next| ["am", "pm"].contains(next));
        } else if parts.month.is_some() && parts.day.is_none() {
            parts.day = Some(parse_number(word.trim_end_matches(|c: char| c.is_ascii_lowercase()), 31)?);
        } else if parts.day.is_some() && parts.year.is_none() && word.len() == 4 {
            parts.year = Some(parse_number(word, 9_999)?);
        } else if ["utc", "etc/utc"].contains(&word) {
            parts.names_utc = true;
        } else if !["at", "and"].contains(&word) {
            break;
        }
    }
    Some(parts)
}

/// Units: milliseconds.
fn parse_unit(word: &str) -> Option<i64> {
    match word.trim_end_matches('s') {
        "day" => Some(DAY),
        "hour" => Some(HOUR),
        "minute" => Some(MINUTE),
        "second" => Some(1_000),
        _ => None,
    }
}

/// A name or its beginning, such as `sep` or `sept`.
fn find_name(names: &[&str], word: &str) -> Option<usize> {
    names.iter().position(|name| word.len() >= 3 && name.starts_with(word))
}

/// `2d`, `3h`, `20m`, `0.5s`, `28.3s`, `900ms`, and several together, such as `1h20m`. Units: milliseconds, rounded up
/// to a second.
fn parse_short_duration(word: &str) -> Option<i64> {
    let (mut sum, mut rest) = (0_i64, word);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_lowercase())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        sum = sum.checked_add(parse_amount(number, unit)?)?;
        rest = after;
    }
    sum.checked_add(999).map(|millis| millis / 1_000 * 1_000)
}

/// Units: milliseconds. A fraction counts as one unit.
fn parse_amount(number: &str, unit: &str) -> Option<i64> {
    let unit = match unit {
        "d" => DAY,
        "h" | "hr" => HOUR,
        "m" | "min" => MINUTE,
        "s" | "sec" => 1_000,
        "ms" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    parse_number(fraction, i64::MAX)?;
    let rest = if fraction.bytes().all(|digit| digit == b'0') { 0 } else { 1 };
    parse_number(whole, i64::MAX)?.checked_add(rest)?.checked_mul(unit)
}

struct IsoClock {
    /// Minutes after midnight in UTC. Beyond one day for an offset that changes the date.
    minutes: i64,
    names_zone: bool,
}

/// `2026-12-01`, `2026-12-01t13:45:10z` and `2026-12-01t13:45:10+02:00`, as year, month from 0 and day.
fn parse_iso_date(word: &str) -> Option<((i64, usize, i64), Option<IsoClock>)> {
    let (date, time) = word.split_once('t').map_or((word, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-').map(|part| parse_number(part, 9_999));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    let clock = match time {
        Some(time) => Some(parse_iso_clock(time)?),
        None => None,
    };
    Some(((year, month, day), clock))
}

fn parse_iso_clock(time: &str) -> Option<IsoClock> {
    let (clock, zone) = time.split_at(time.find(['z', '+', '-']).unwrap_or(time.len()));
    let offset = match zone {
        "" | "z" => 0,
        _ => {
            let minutes = parse_hour_and_minute(zone.get(1..)?, 23)?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let minutes = parse_hour_and_minute(clock.get(..5)?, 23)? - offset;
    Some(IsoClock { minutes, names_zone: !zone.is_empty() })
}

/// `3pm`, `3:05pm`, `3:05 pm`, and `15:05` before the word `utc`. Units: minutes after midnight.
fn parse_clock(word: &str, next: &str) -> Option<i64> {
    let (clock, half) = match ["am", "pm"].into_iter().find_map(|half| Some((word.strip_suffix(half)?, half))) {
        Some((clock, half)) if clock.contains(':') => (clock.to_owned(), half),
        Some((hour, half)) => (format!("{hour}:00"), half),
        None => (word.to_owned(), next),
    };
    let half_day = || Some(parse_hour_and_minute(&clock, 12).filter(|minutes| *minutes >= 60)? % (12 * 60));
    match half {
        "am" => half_day(),
        "pm" => Some(half_day()? + 12 * 60),
        "utc" => parse_hour_and_minute(&clock, 23),
        _ => None,
    }
}

fn parse_hour_and_minute(clock: &str, last_hour: i64) -> Option<i64> {
    let (hour, minute) = clock.split_once(':')?;
    Some(parse_number(hour, last_hour)? * 60 + parse_number(minute, 59)?)
}

fn timestamp_on_day(year: i64, month: usize, day: i64, minutes: i64) -> Option<Timestamp> {
    let midnight = Timestamp::parse(&format!("{year:04}-{:02}-{day:02}T00:00:00Z", month + 1)).ok()?;
    Some(Timestamp::from_millis(midnight.millis() + minutes * MINUTE))
}

/// The next occurrence of this minute of a day, or one within the last hour, because the text may be that old.
fn next_occurrence(minutes: i64, now: Timestamp) -> Timestamp {
    let ahead = (minutes * MINUTE - now.millis() % DAY + HOUR).rem_euclid(DAY) - HOUR;
    Timestamp::from_millis(now.millis() + ahead)
}

fn parse_number(text: &str, max: i64) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i64>().ok().filter(|number| is_plain && *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: Option<&str>) {
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        let expected = expected.map(|time| Timestamp::parse(time).unwrap());
        assert_eq!(parse_reset_time(message, now), expected, "{message}");
    }

    #[test]
    fn dates_and_durations_are_parsed_without_guessing() {
        check("You will regain access on 2026-12-01 at 00:00 UTC.", Some("2026-12-01T00:00:00Z"));
        check("until 2026-12-01T13:45:10Z", Some("2026-12-01T13:45:00Z"));
        check("resets 2026-12-01", Some("2026-12-01T00:00:00Z"));
        check("You've hit your usage limit. Try again in 2 days 3 hours 5 minutes.", Some("2026-11-23T13:05:00Z"));
        check("Please try again in 1 hour, or upgrade.", Some("2026-11-21T11:00:00Z"));
        check("rate limit exceeded: Please try again in 0.5s.", Some("2026-11-21T10:00:01Z"));
        check("until 2026-12-01T13:45:10+02:00", Some("2026-12-01T11:45:00Z"));
        check("resets 2026-12-01T01:45:10.123+02:00", Some("2026-11-30T23:45:00Z"));
        check("resets 2026-12-01T23:45-05:30", Some("2026-12-02T05:15:00Z"));
        check("until 2026-12-01T13:45:10", Some("2026-12-01T13:45:00Z"));
        check("resets 2026-12-01T13:45:10", None);
        check("Please try again in 1h20m.", Some("2026-11-21T11:20:00Z"));
        check("Please try again in 7m12s.", Some("2026-11-21T10:07:12Z"));
        check("Please try again in 6m0.5s", Some("2026-11-21T10:06:01Z"));
        check("Usage limit reached|1795284000000", Some("2026-11-21T18:00:00Z"));
        check("limit reached|soon; try again in 5m", Some("2026-11-21T10:05:00Z"));
        check("Please try again in 1h 20m.", Some("2026-11-21T11:20:00Z"));
        check("Please try again in 28.3s. Visit the site.", Some("2026-11-21T10:00:29Z"));
        check("resets in 900ms", Some("2026-11-21T10:00:01Z"));
        for unknown in [
            "resets 3pm",
            "try again later",
            "limit reached|soon",
            "limit reached|17",
            "2026-13-45 at 00:00 UTC",
            "until 2026-12-01T13:45:10+0200",
            "try again in 1h20",
            "try again in 1h20x",
            "try again in 99999999999 days",
            "ünder 2026-1",
        ] {
            check(unknown, None);
        }
    }

    #[test]
    fn clock_time_is_the_next_one_in_utc() {
        // The current time is 10:00.
        for (hint, expected) in [
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
            ("Try again at June 3rd, 2027 3:05 PM.", "2027-06-03T15:05:00Z"),
            ("Try again at Sept 3rd, 2027 3:05 PM.", "2027-09-03T15:05:00Z"),
            ("or try again at Feb 29th, 2028 1:00 AM. More words.", "2028-02-29T01:00:00Z"),
        ] {
            check(&format!("You've hit your usage limit. {hint}"), Some(expected));
        }
    }

    #[test]
    fn claude_code_reset_is_parsed_in_utc_only() {
        // The current time is 10:00 on 21 November.
        for (message, expected) in [
            ("You've hit your session limit · resets 3pm (UTC)", "2026-11-21T15:00:00Z"),
            ("You've hit your limit · resets 9:10pm (UTC)\n/upgrade to increase it", "2026-11-21T21:10:00Z"),
            ("Weekly limit reached · resets 10am (Etc/UTC) · /upgrade to Max", "2026-11-21T10:00:00Z"),
            ("You've hit your session limit · resets 12am (UTC)", "2026-11-22T00:00:00Z"),
            ("You've hit your weekly limit · resets Nov 24, 3am (UTC)", "2026-11-24T03:00:00Z"),
            ("You've hit your weekly limit · resets Nov 24 at 3:30am (UTC)", "2026-11-24T03:30:00Z"),
            // The limit ended before the message arrived.
            ("You've hit your weekly limit · resets Nov 21, 9am (UTC)", "2026-11-21T09:00:00Z"),
            // 21 November is a Saturday.
            ("Weekly limit reached · resets Mon 12:00am (UTC)", "2026-11-23T00:00:00Z"),
            ("Weekly limit reached · resets Saturday 3pm (UTC)", "2026-11-21T15:00:00Z"),
            ("Weekly limit reached · resets Sat, 8am (UTC)", "2026-11-28T08:00:00Z"),
            ("Claude AI usage limit reached|1795284000", "2026-11-21T18:00:00Z"),
            ("You're out of extra usage · resets Jan 2, 12pm (UTC)", "2027-01-02T12:00:00Z"),
            ("You're out of extra usage · resets Jan 2, 2027, 1am (UTC)", "2027-01-02T01:00:00Z"),
            ("You're out of extra usage · resets Jan 2, 2027 at 1am (UTC)", "2027-01-02T01:00:00Z"),
        ] {
            check(message, Some(expected));
        }
        for unknown in [
            "resets 3pm",
            "resets 3pm (Europe/Berlin)",
            "resets Nov 24, 3am (America/New_York)",
            "resets soon (UTC)",
            "resets 3 (UTC)",
            "resets 13pm (UTC)",
            "resets 3:60pm (UTC)",
            "resets üm (UTC)",
            "resets Feb 30, 3am (UTC)",
            "resets Nov 24, 3am, or so (UTC)",
            "resets  (UTC)",
        ] {
            check(unknown, None);
        }
    }

    #[test]
    fn time_before_midnight_has_passed_just_after_midnight() {
        let now = Timestamp::parse("2026-11-21T00:00:02Z").unwrap();
        let ended = Timestamp::parse("2026-11-20T23:59:00Z").unwrap();
        assert_eq!(parse_reset_time("Try again at 11:59 PM.", now), Some(ended));
    }

    #[test]
    fn date_without_a_year_is_the_next_or_just_passed_one() {
        for (now, date, expected) in [
            ("2027-01-01T00:01:00Z", "Dec 31, 11:59pm", "2026-12-31T23:59:00Z"),
            ("2027-01-01T23:58:00Z", "Dec 31, 11:59pm", "2026-12-31T23:59:00Z"),
            ("2027-01-02T00:00:00Z", "Dec 31, 11:59pm", "2027-12-31T23:59:00Z"),
            ("2026-12-31T23:59:00Z", "Jan 1, 3am", "2027-01-01T03:00:00Z"),
            ("2027-01-01T00:01:00Z", "Jan 1, 12am", "2027-01-01T00:00:00Z"),
            ("2027-12-31T10:00:00Z", "Feb 29, 3am", "2028-02-29T03:00:00Z"),
        ] {
            let message = format!("You've hit your weekly limit · resets {date} (UTC)");
            let [now, expected] = [now, expected].map(|time| Timestamp::parse(time).unwrap());
            assert_eq!(parse_reset_time(&message, now), Some(expected), "{now:?} {date}");
        }
    }

    #[test]
    fn malformed_clock_times_are_ignored() {
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
            "noon PM",
            "Feb 30th, 2027 3:05 PM",
            "Jun 0th, 2027 3:05 PM",
            "Jun 32nd, 2027 3:05 PM",
            "Jun third, 2027 3:05 PM",
            "Jun 3rd, 99999999999999999999 3:05 PM",
        ] {
            check(&format!("Try again at {odd}"), None);
        }
    }
}
