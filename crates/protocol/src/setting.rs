//! A project's settings as users read and write them: section, label, meaning, unit, and values as text.

mod table;

use pullyard_domain::project::Settings;
use pullyard_domain::project::budget::{format_usd_exact, parse_usd_micros};
use serde_json::Value;
use std::sync::LazyLock;
pub use table::SETTINGS;

#[derive(Debug)]
pub struct Setting {
    /// Its place in the JSON of the settings, with dots: `limits.wall_secs`.
    pub path: &'static str,
    pub section: Section,
    pub label: &'static str,
    pub meaning: &'static str,
    pub kind: Kind,
}

/// A group of settings on the page and in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Columns,
    Flow,
    Agent,
    Limits,
    Checks,
    Budgets,
    Compute,
    Reviews,
    Commits,
    Secrets,
    Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Flag,
    /// Any text; validated by the settings.
    Text,
    Column,
    /// A repository as `owner/name`.
    Repository,
    /// One of these codes; each has a label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A whole number with this unit.
    Number(&'static str),
    /// A time. Units: seconds in the JSON; users write `90s`, `45 min`, `1h` or `7d`.
    Seconds,
    /// Money. Units: millionths of a US dollar in the JSON; users write dollars.
    Usd,
    /// Texts; users write one per line, or JSON.
    Lines,
}

static DEFAULTS: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(Settings::default()).unwrap_or_default());

impl Section {
    pub const ALL: [Self; 11] = [
        Self::Columns,
        Self::Flow,
        Self::Agent,
        Self::Limits,
        Self::Checks,
        Self::Budgets,
        Self::Compute,
        Self::Reviews,
        Self::Commits,
        Self::Secrets,
        Self::Hold,
    ];

    /// Code, title and summary.
    fn texts(self) -> [&'static str; 3] {
        match self {
            Self::Columns => ["columns", "Columns", "The board, from left to right"],
            Self::Flow => ["flow", "Workflow", "How tickets start jobs"],
            Self::Agent => ["agent", "Agent and model", "Defaults for new jobs"],
            Self::Limits => ["limits", "Limits", "Per job and per ticket"],
            Self::Checks => ["checks", "Checks", "Commands around the agent"],
            Self::Budgets => ["budgets", "Budgets", "Per project and day (UTC)"],
            Self::Compute => ["compute", "Compute", "Where jobs run"],
            Self::Reviews => ["reviews", "Reviews", "When a reviewer requests changes"],
            Self::Commits => ["commits", "Commits", "Author and signature"],
            Self::Secrets => ["secrets", "Model keys", "Names of secrets, never their values"],
            Self::Hold => ["hold", "Hold", "A held project starts no jobs"],
        }
    }

    /// The name in addresses.
    pub fn code(self) -> &'static str {
        let [code, ..] = self.texts();
        code
    }

    pub fn title(self) -> &'static str {
        let [_, title, _] = self.texts();
        title
    }

    /// The subject of the section, in a few words.
    pub fn summary(self) -> &'static str {
        let [.., summary] = self.texts();
        summary
    }

    pub fn settings(self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(move |setting| setting.section == self)
    }
}

impl Kind {
    /// What users may write, as the end of the sentence "use …".
    pub fn values(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Text => "text".into(),
            Self::Column => "a column of the board".into(),
            Self::Repository => "a repository, as OWNER/NAME".into(),
            Self::Choice(choices) => join_choices(choices),
            Self::Number(_) => "a whole number".into(),
            Self::Seconds => "a time, such as 90s, 45min, 1h or 7d".into(),
            Self::Usd => "US dollars, such as 5 or 2.50".into(),
            Self::Lines => r#"a list, such as ["one","two"]"#.into(),
        }
    }

    /// The unit of the value that users write; empty if there is none.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Number(unit) => unit,
            Self::Seconds => "s, min, h or d",
            Self::Usd => "USD",
            _ => "",
        }
    }

    /// The codes of a value that has few.
    pub fn codes(self) -> Vec<&'static str> {
        match self {
            Self::Flag => vec!["true", "false"],
            Self::Choice(choices) => choices.iter().map(|(code, _)| *code).collect(),
            _ => Vec::new(),
        }
    }

    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Flag => text.parse::<bool>().ok().map(Value::from),
            Self::Text | Self::Column | Self::Repository => Some(text.into()),
            Self::Choice(choices) => choices.iter().find(|(code, _)| *code == text).map(|(code, _)| (*code).into()),
            Self::Number(_) => text.parse::<u64>().ok().map(Value::from),
            Self::Seconds => parse_secs(text).map(Value::from),
            Self::Usd => parse_usd_micros(text).ok().map(Value::from),
            // A shell command may begin with a bracket, but not with a bracket and a quote.
            Self::Lines => match serde_json::from_str::<Vec<String>>(text) {
                Ok(list) => Some(list.into()),
                Err(_) if text.starts_with("[\"") => None,
                Err(_) => Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()),
            },
        }
    }
}

impl Setting {
    /// The setting that users call `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name() == name)
    }

    pub fn at(pointer: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.pointer() == pointer)
    }

    /// The name that users write. Users write dollars, so the name of an amount ends in `usd`.
    pub fn name(&self) -> String {
        self.path.replace("usd_micros", "usd")
    }

    pub fn pointer(&self) -> String {
        format!("/{}", self.path.replace('.', "/"))
    }

    pub fn value<'a>(&self, settings: &'a Value) -> &'a Value {
        settings.pointer(&self.pointer()).unwrap_or(&Value::Null)
    }

    pub fn default_value(&self) -> &'static Value {
        self.value(&DEFAULTS)
    }

    pub fn is_default(&self, settings: &Value) -> bool {
        self.value(settings) == self.default_value()
    }

    /// Whether it may have no value, also if its default is one.
    pub fn is_optional(&self) -> bool {
        self.is_readable(Value::Null)
    }

    /// Whether the type of the settings has this value.
    fn is_readable(&self, value: Value) -> bool {
        let mut settings = DEFAULTS.clone();
        self.store(&mut settings, value);
        serde_json::from_value::<Settings>(settings).is_ok()
    }

    pub fn store(&self, settings: &mut Value, value: Value) {
        if let Some(slot) = settings.pointer_mut(&self.pointer()) {
            *slot = value;
        }
    }

    /// Parses a value as users write it; `null` removes an optional value, and means the default of another setting.
    /// `None` if the kind has no such value.
    /// Does not check the limits of [`Settings::validate`].
    pub fn parse(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match text {
            "null" | "" if self.is_optional() => return Some(Value::Null),
            "null" => return Some(self.default_value().clone()),
            _ => {}
        }
        let value = self.kind.parse(text)?;
        // Refuses a number that does not fit, or a malformed repository.
        self.is_readable(value.clone()).then_some(value)
    }

    /// Formats a value as users write it; empty if absent.
    pub fn format(&self, value: &Value) -> String {
        match (self.kind, value) {
            (_, Value::Null) => String::new(),
            (_, Value::String(text)) => text.clone(),
            (_, Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            (Kind::Seconds, value) => value.as_u64().map(format_secs).unwrap_or_default(),
            (Kind::Usd, value) => value.as_u64().map(format_usd_exact).unwrap_or_default(),
            (_, value) => value.to_string(),
        }
    }
}

fn join_choices(choices: &[(&str, &str)]) -> String {
    let codes = choices.iter().map(|(code, _)| *code).collect::<Vec<_>>();
    match codes.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => codes.concat(),
    }
}

/// In the largest unit without a remainder: `45 min`.
fn format_secs(secs: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(length, _)| secs >= *length && secs.is_multiple_of(*length));
    unit.map_or_else(|| format!("{secs} s"), |(length, unit)| format!("{} {unit}", secs / length))
}

fn parse_secs(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let length = match unit.trim() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(length)
}

#[cfg(test)]
mod tests;
