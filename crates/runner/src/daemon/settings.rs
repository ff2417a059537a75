//! Parses and checks the settings: every value with its source, and all faults at once.

use super::home::host_name;
use super::names::{self, Found, Given, Named};
use crate::Isolation;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The control plane refuses more slots.
const MOST_SLOTS: u32 = 12;
const DRIVEN: &[&str] = &["auto", "claude_code", "codex", "command"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) from: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) sentence: String,
    pub(crate) signed_out: bool,
}

pub(crate) struct Read {
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<Row>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) unused: Vec<(&'static str, &'static str)>,
}

/// The values. A setting with a fault has a value that is not used.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) api_url: String,
    pub(crate) token: String,
    pub(crate) name: String,
    pub(crate) slots: u32,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) capabilities: BTreeSet<String>,
    /// Whether the operator named the capabilities. Otherwise the installed agents decide.
    pub(crate) capabilities_named: bool,
    pub(crate) work_dir: PathBuf,
    pub(crate) isolation: Option<Isolation>,
    /// Never shorter than the control plane's interval.
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) poll_timeout: Duration,
    /// Never longer than the control plane's interval.
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) request_timeout: Duration,
    pub(crate) keep_logs: usize,
    pub(crate) stop_grace: Duration,
}

impl Settings {
    pub(crate) fn read(given: &Given<'_>) -> Read {
        let mut reader = Reader { given, rows: Vec::new(), faults: Vec::new() };
        let settings = Self {
            api_url: reader.api_url(),
            token: reader.token(),
            name: reader.name(),
            slots: reader.slots(),
            labels: reader.words(&names::LABELS, "", &|_| None),
            capabilities: reader.words(&names::CAPABILITIES, "command", &|word| {
                let driven = DRIVEN.contains(&word);
                (!driven).then(|| format!("unknown agent `{word}`; use {}", DRIVEN.join(", ")))
            }),
            capabilities_named: given.find(&names::CAPABILITIES).is_some(),
            work_dir: reader.work_dir(),
            isolation: reader.isolation(),
            poll_interval: reader.millis(&names::POLL_INTERVAL, "set by the server"),
            poll_timeout: reader.millis(&names::POLL_TIMEOUT, "20000").unwrap_or(Duration::from_secs(20)),
            heartbeat_interval: reader.millis(&names::HEARTBEAT_INTERVAL, "set by the server"),
            request_timeout: reader.millis(&names::REQUEST_TIMEOUT, "20000").unwrap_or(Duration::from_secs(20)),
            keep_logs: usize::try_from(reader.number(&names::KEEP_LOGS, "50", 1, 100_000).unwrap_or(50)).unwrap_or(50),
            stop_grace: Duration::from_secs(reader.number(&names::STOP_GRACE, "10", 0, 3_600).unwrap_or(10)),
        };
        let Reader { rows, faults, .. } = reader;
        Read { settings, rows, faults, unused: given.unused() }
    }
}

struct Reader<'a> {
    given: &'a Given<'a>,
    rows: Vec<Row>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn find(&mut self, named: &Named, default: &str) -> Option<Found> {
        let found = self.given.find(named);
        let (value, from) = match &found {
            Some(found) => (found.value.clone(), found.from.clone()),
            None => (default.to_owned(), "default".to_owned()),
        };
        self.row(named, value, from);
        found
    }

    fn row(&mut self, named: &Named, value: String, from: String) {
        let name = if named.flag.is_empty() { "token" } else { named.flag.trim_start_matches('-') };
        self.rows.push(Row { name, value, from });
    }

    fn fault(&mut self, sentence: String) {
        self.faults.push(Fault { sentence, signed_out: false });
    }

    fn api_url(&mut self) -> String {
        let Some(found) = self.find(&names::API_URL, "") else {
            self.fault(format!("The control plane's URL is missing. Set {}.", names::API_URL.to_set()));
            return String::new();
        };
        let url = found.value.trim_end_matches('/').to_owned();
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || url.contains(char::is_whitespace)) {
            self.fault(format!("`{url}` ({}) is not a URL. Write it as https://HOST.", found.from));
        }
        url
    }

    fn token(&mut self) -> String {
        let file = self.find(&names::TOKEN_FILE, "");
        let found = match (self.given.find(&names::TOKEN), file) {
            (Some(found), _) => Some(found),
            (None, Some(Found { value: path, from })) => match std::fs::read_to_string(&path) {
                Ok(text) => Some(Found { value: text.trim().to_owned(), from: format!("{from} {path}") }),
                Err(error) => {
                    self.faults.push(Fault {
                        sentence: format!("Cannot read the token file {path}: {error}."),
                        signed_out: true,
                    });
                    self.row(&names::TOKEN, String::new(), format!("{from} {path}"));
                    return String::new();
                }
            },
            (None, None) => None,
        };
        let Some(Found { value, from }) = found else {
            let sentence =
                format!("The runner token is missing. Set {} or --token-file.", names::TOKEN.environment.join(" or "));
            self.faults.push(Fault { sentence, signed_out: true });
            self.row(&names::TOKEN, String::new(), "default".into());
            return String::new();
        };
        self.row(&names::TOKEN, hidden(&value), from.clone());
        if !value.starts_with("rnt_") || !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let sentence = format!("The value of {from} is not a runner token. Runner tokens begin with rnt_.");
            self.faults.push(Fault { sentence, signed_out: true });
        }
        value
    }

    fn name(&mut self) -> String {
        let host = as_name(&host_name().unwrap_or_default());
        let found = self.find(&names::NAME, &host);
        let name = found.map_or(host, |found| found.value);
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=64).contains(&name.len()) || !name.chars().all(good) {
            self.fault(format!(
                "`{name}` is not a valid runner name. Use 1 to 64 letters, digits, dashes, underscores and dots ({}).",
                names::NAME.to_set()
            ));
        }
        name
    }

    fn slots(&mut self) -> u32 {
        let slots = self.number(&names::SLOTS, "1", 1, u64::from(MOST_SLOTS)).unwrap_or(1);
        u32::try_from(slots).unwrap_or(1)
    }

    fn number(&mut self, named: &Named, default: &str, least: u64, most: u64) -> Option<u64> {
        let found = self.find(named, default)?;
        match found.value.parse() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.fault(format!("{} is {}. Use a whole number from {least} to {most}.", found.from, found.value));
                None
            }
        }
    }

    fn millis(&mut self, named: &Named, default: &str) -> Option<Duration> {
        self.number(named, default, 1, 3_600_000).map(Duration::from_millis)
    }

    fn words(&mut self, named: &Named, default: &str, refused: &dyn Fn(&str) -> Option<String>) -> BTreeSet<String> {
        let found = self.find(named, default);
        let (text, from) = found.map_or((default.to_owned(), "default".to_owned()), |found| (found.value, found.from));
        let words: BTreeSet<String> =
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        for word in &words {
            if word.chars().count() > 64 || word.chars().any(|c| c.is_control() || c.is_whitespace()) {
                self.fault(format!("`{word}` ({from}) is invalid. Use at most 64 characters without spaces."));
            }
            if let Some(reason) = refused(word) {
                self.fault(format!("{from}: {reason}."));
            }
        }
        words
    }

    fn work_dir(&mut self) -> PathBuf {
        let default = default_work_dir(self.given.environment);
        let found = self.find(&names::WORK_DIR, &default.display().to_string());
        found.map_or(default, |found| PathBuf::from(found.value))
    }

    fn isolation(&mut self) -> Option<Isolation> {
        let Some(found) = self.find(&names::ISOLATION, "") else {
            self.fault(format!(
                "Choose an isolation with {}: `none` runs agents as your user; `external` says that this machine is a \
                 sandbox.",
                names::ISOLATION.to_set()
            ));
            return None;
        };
        match found.value.as_str() {
            "none" => Some(Isolation::None),
            // Other runners name the kind of boundary. Each name is the operator's promise that there is a boundary.
            "external" | "container" | "jail" | "vm" => Some(Isolation::External),
            other => {
                self.fault(format!("{} is {other}. Use `external` or `none`.", found.from));
                None
            }
        }
    }
}

/// The part of a secret that other commands show as well.
fn hidden(secret: &str) -> String {
    match secret.get(..8) {
        Some(prefix) if secret.starts_with("rnt_") && secret.len() >= 32 => format!("{prefix}…"),
        _ => "…".into(),
    }
}

/// A folder that survives a reboot, if there is one.
fn default_work_dir(environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let folder = |name: &str| environment(name).filter(|dir| dir.starts_with('/')).map(PathBuf::from);
    // systemd sets this variable for a unit.
    folder("STATE_DIRECTORY")
        .or_else(|| Some(folder("XDG_STATE_HOME")?.join("pullyard-runner")))
        .or_else(|| Some(folder("HOME")?.join(".local/state/pullyard-runner")))
        .unwrap_or_else(|| std::env::temp_dir().join("pullyard-runner"))
}

fn as_name(host: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = host.chars().map(|c| if good(c) { c } else { '-' }).take(64).collect();
    if name.is_empty() { "runner".into() } else { name }
}

/// Parses a duration such as `90`, `90s`, `15m` or `2h`.
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let secs = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 0,
    };
    match digits.parse::<u64>() {
        Ok(number) if secs > 0 && number > 0 && number <= 1_000_000 => Ok(Duration::from_secs(number * secs)),
        _ => Err("use a duration such as 90s, 15m or 2h".into()),
    }
}

#[cfg(test)]
mod tests;
