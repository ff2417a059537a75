//! Ids, times, sentences and other text that every folder uses. Facts are formatted short, safe, and in common units.

pub mod address;
pub mod back_off;
pub(crate) mod closing_words;
pub mod code;
pub mod decision;
pub mod denial;
pub mod failure;
pub mod host;
pub mod id;
pub mod key_of;
pub mod nearest;
pub mod pull_request_id;
pub(crate) mod pull_request_link;
pub mod self_check;
pub mod setting_fault;
pub(crate) mod stored;
pub mod time;
pub mod trace;
pub mod untrusted;
pub mod wait;

use crate::text::id::{
    DeliveryId, EndpointId, HookName, IntegrationId, JobId, ProjectId, RepositoryName, RunId, ScheduleName, SecretName,
    TemplateName, TicketKey,
};
use crate::text::time::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A duration in a sentence. Units: whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Span(pub u64);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render())
    }
}

impl From<Duration> for Span {
    fn from(length: Duration) -> Self {
        Self(length.as_secs())
    }
}

/// When something ends; `None` if its owner did not announce it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Until(pub Option<Timestamp>);

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render())
    }
}

/// Number of repair rounds after failed checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Rounds(pub u64);

/// A quotation at the end of a sentence; `None` if unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Quoted(pub Option<String>);

/// A cause in the words of a forge or of git, or a command. Longer than other facts, because a cut could hide the reason
/// or make another command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct Cause(pub String);

/// Advice with a command. Not cut below [`MAX_ADVICE_CHARS`], because a part of a command would be another command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct Advice(pub String);

/// Whether running jobs hold what a new job needs, at the end of an advice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct OrWait(pub bool);

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl OrWait {
    pub fn is_empty(&self) -> bool {
        !self.0
    }
}

impl Quoted {
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

/// At most `limit` characters of an untrusted text. Control characters become spaces, and `…` marks a cut.
pub fn truncate(text: &str, limit: usize) -> String {
    truncate_safe(text, limit, is_safe_char)
}

/// Like `truncate`, but preserves line breaks and tabs.
pub fn truncate_lines(text: &str, limit: usize) -> String {
    truncate_safe(text, limit, |c| is_safe_char(c) || matches!(c, '\n' | '\t'))
}

fn truncate_safe(text: &str, limit: usize, is_safe: impl Fn(char) -> bool) -> String {
    let safe: String = text.chars().map(|c| if is_safe(c) { c } else { ' ' }).collect();
    let mut output: String = safe.trim().chars().take(limit).collect();
    if safe.trim().chars().count() > limit {
        output.pop();
        output.push('…');
    }
    output
}

/// False for control characters and for those that hide or reorder the text around them.
fn is_safe_char(c: char) -> bool {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !c.is_control() && !hides
}

/// Whether a text is one line with a visible character and at most `limit` characters.
pub fn is_line(text: &str, limit: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= limit && !text.chars().any(char::is_control)
}

pub fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// `cannot connect` becomes `Cannot connect.`
pub fn to_sentence(text: &str) -> String {
    format!("{}.", capitalize(text.trim_end_matches('.')))
}

/// Encodes everything except letters, digits, `-`, `.`, `_` and `~`, for a part of a URL or of a key.
pub fn percent_encode(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

/// `59:59` is minutes and seconds; `1 h 04` is hours and minutes.
pub fn format_duration(length: Duration) -> String {
    let secs = length.as_secs();
    if secs < 3_600 {
        return format!("{}:{:02}", secs / 60, secs % 60);
    }
    format!("{} h {:02}", secs / 3_600, secs % 3_600 / 60)
}

/// Seconds of `30m`, `12h` or `7d`, whose unit is one of these.
pub fn parse_seconds(text: &str, units: &str) -> Option<u64> {
    let unit = text.chars().last().filter(|unit| units.contains(*unit))?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => 86_400,
    };
    text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(secs)
}

/// `4 min ago`, or the date after two days.
pub fn format_age(at: Timestamp, now: Timestamp) -> String {
    match now.since(at).as_secs() {
        secs if secs < 60 => format!("{secs} s ago"),
        secs if secs < 3_600 => format!("{} min ago", secs / 60),
        secs if secs < 48 * 3_600 => format!("{} h ago", secs / 3_600),
        _ => at.day(),
    }
}

/// `1 job`, `2 jobs`.
pub fn format_count<N: std::fmt::Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    if count == N::from(1_u8) { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `812 B`, `12 KB`, `1.4 MB`.
pub fn format_bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{} KB", size.div_ceil(1_000)),
        _ => format!("{}.{} MB", size / 1_000_000, size % 1_000_000 / 100_000),
    }
}

/// An error with its causes, each once. `Debug` output would contain whole responses, and with them items and secrets.
pub fn format_error_chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let deeper_text = deeper.to_string();
        if !message.contains(&deeper_text) {
            message.push_str(": ");
            message.push_str(&deeper_text);
        }
        cause = deeper.source();
    }
    message
}

/// A fact in a sentence, with a sample for the test that renders every row.
pub(crate) trait Fact {
    fn render(&self) -> String;
    fn sample() -> Self;
    fn truncate(self) -> Self
    where
        Self: Sized,
    {
        self
    }
}

/// Units: characters.
const MAX_FACT_CHARS: usize = 48;

const MAX_STORED_FACT_CHARS: usize = 200;

/// More than a command with the most and longest labels.
const MAX_ADVICE_CHARS: usize = 1_000;

impl Fact for String {
    /// Without a final full stop, because the surrounding sentence has one.
    fn render(&self) -> String {
        truncate(self.trim_end_matches('.'), MAX_FACT_CHARS)
    }
    fn sample() -> Self {
        "something".into()
    }
    fn truncate(self) -> Self {
        truncate(&self, MAX_STORED_FACT_CHARS)
    }
}

impl Fact for Cause {
    fn render(&self) -> String {
        truncate(self.0.trim_end_matches('.'), MAX_STORED_FACT_CHARS)
    }
    fn sample() -> Self {
        Self(Fact::sample())
    }
    fn truncate(self) -> Self {
        Self(Fact::truncate(self.0))
    }
}

impl Fact for Advice {
    fn render(&self) -> String {
        truncate(self.0.trim_end_matches('.'), MAX_ADVICE_CHARS)
    }
    fn sample() -> Self {
        Self(Fact::sample())
    }
}

impl Fact for Quoted {
    fn render(&self) -> String {
        let text = self.0.clone().map(|text| Cause(text).render()).unwrap_or_default();
        if text.is_empty() { text } else { format!(": \"{text}\"") }
    }
    fn sample() -> Self {
        Quoted(Some(Fact::sample()))
    }
    fn truncate(self) -> Self {
        Quoted(self.0.map(Fact::truncate))
    }
}

impl Fact for OrWait {
    fn render(&self) -> String {
        if self.0 { ", or start it again when its running jobs have ended".into() } else { String::new() }
    }
    fn sample() -> Self {
        OrWait(true)
    }
}

impl Fact for u64 {
    fn render(&self) -> String {
        self.to_string()
    }
    fn sample() -> Self {
        3
    }
}

impl Fact for Span {
    fn render(&self) -> String {
        match self.0 {
            s if s < 120 => format!("{s} s"),
            s if s < 7_200 => format!("{} min", s / 60),
            s if s < 172_800 => format!("{} h", s / 3_600),
            s => format!("{} days", s / 86_400),
        }
    }
    fn sample() -> Self {
        Span(2_400)
    }
}

/// An age in the items of older versions: parsed, but neither rendered nor stored, because a stored age becomes wrong.
impl Fact for Option<Span> {
    fn render(&self) -> String {
        String::new()
    }
    fn sample() -> Self {
        None
    }
}

impl Fact for Rounds {
    fn render(&self) -> String {
        match self.0 {
            0 => "without a repair round".into(),
            1 => "after 1 repair round".into(),
            n => format!("after {n} repair rounds"),
        }
    }
    fn sample() -> Self {
        Rounds(1)
    }
}

impl Fact for Timestamp {
    fn render(&self) -> String {
        let text = self.to_string();
        format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
    }
    fn sample() -> Self {
        Timestamp::from_millis(1_795_154_401_000)
    }
}

impl Fact for Until {
    fn render(&self) -> String {
        self.0.map_or_else(|| "its provider resets it".into(), |time| time.render())
    }
    fn sample() -> Self {
        Until(Some(Timestamp::sample()))
    }
}

impl Fact for RunId {
    fn render(&self) -> String {
        self.short()
    }
    fn sample() -> Self {
        RunId::for_request(&Fact::sample(), "sample", "sample")
    }
}

impl Fact for JobId {
    fn render(&self) -> String {
        self.short()
    }
    fn sample() -> Self {
        JobId::for_request(&Fact::sample(), "sample", "sample")
    }
}

macro_rules! plain_facts {
    ($($name:ident = $sample:literal;)*) => {$(
        impl Fact for $name {
            fn render(&self) -> String {
                truncate(self.as_str(), MAX_FACT_CHARS)
            }
            fn sample() -> Self {
                $name::new($sample).expect("a valid sample")
            }
        }
    )*};
}

plain_facts! {
    HookName = "acme";
    EndpointId = "ops";
    ScheduleName = "nightly";
    TemplateName = "fix";
    SecretName = "github";
    ProjectId = "acme";
    IntegrationId = "gh1";
    TicketKey = "APP-17";
    RepositoryName = "acme/app";
    DeliveryId = "dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_is_clipped_and_cleaned() {
        assert_eq!(truncate("a\u{1b}[31mb\nc ", 10), "a [31mb c");
        assert_eq!(truncate("äöüß", 3), "äö…");
        assert_eq!(truncate_lines("\u{1b}[31ma\n\tb\u{202e}\n", 10), "[31ma\n\tb");
        assert_eq!(truncate_lines("a\nbcd", 4), "a\nb…");
        assert_eq!(truncate_lines("a\nbc", 4), "a\nbc");
    }

    #[test]
    fn fact_is_clipped_and_has_no_full_stop() {
        let render = |text: &str| text.to_owned().render();
        assert_eq!((render("whole."), render(&"x".repeat(48))), ("whole".into(), "x".repeat(48)));
        assert_eq!(render(&"x".repeat(49)), format!("{}…", "x".repeat(47)));
        let render = |length: usize| Cause("x".repeat(length) + ".").render();
        assert_eq!((render(200), render(201)), ("x".repeat(200), format!("{}…", "x".repeat(199))));
    }

    #[test]
    fn durations_and_ages_use_readable_units() {
        for (secs, expected) in [(0, "0:00"), (40, "0:40"), (3_599, "59:59"), (3_600, "1 h 00"), (3_840, "1 h 04")] {
            assert_eq!(format_duration(Duration::from_secs(secs)), expected);
        }
        let at = Timestamp::sample();
        for (secs, expected) in [
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2026-11-20"),
        ] {
            assert_eq!(format_age(at, at.plus(Duration::from_secs(secs))), expected);
        }
    }

    #[test]
    fn sizes_and_counts_are_rounded_and_pluralized() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 KB"),
            (1_001, "2 KB"),
            (999_999, "1000 KB"),
            (1_000_000, "1.0 MB"),
            (1_449_999, "1.4 MB"),
        ] {
            assert_eq!(format_bytes(size), expected);
        }
        assert_eq!([0, 1, 2].map(|count| format_count(count, "file")), ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn unknown_end_is_described_in_words() {
        assert_eq!(Until(Some(Timestamp::sample())).to_string(), "2026-11-20 06:00 UTC");
        assert_eq!(Until(None).to_string(), "its provider resets it");
        assert_eq!(serde_json::to_string(&Until(None)).ok().as_deref(), Some("null"));
    }

    #[test]
    fn spans_use_the_natural_unit() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(Span(seconds).render(), expected);
        }
        let rounds = [0, 1, 2].map(|rounds| Rounds(rounds).render());
        assert_eq!(rounds, ["without a repair round", "after 1 repair round", "after 2 repair rounds"]);
    }

    #[test]
    fn error_causes_are_joined_without_repeats() {
        #[derive(Debug)]
        struct TestError(&'static str, Option<Box<TestError>>);
        impl std::fmt::Display for TestError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::error::Error for TestError {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.1.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
            }
        }
        let caused = |message, cause| TestError(message, Some(Box::new(cause)));
        let text = format_error_chain(&caused(
            "read",
            caused("read the table: no route", caused("no route", TestError("a cable", None))),
        ));
        assert_eq!(text, "read: read the table: no route: a cable");
    }
}
