//! `pullyard settings`: shows settings and writes them as `KEY=VALUE`, over the revision that was read.

use super::fault::CliError;
use super::session::Session;
use super::table::{Cell, print_facts};
use clap::Subcommand;
use pullyard_protocol::project::{RawProject, parse_known_settings};
use serde_json::Value;
use std::process::ExitCode;

/// Show and change a project's settings.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard settings get
  pullyard settings set auto_create=true limits.wall_secs=1800")]
pub(crate) struct Settings {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Show all settings, or some.
    #[command(after_help = "Examples:\n  pullyard settings get\n  pullyard settings get statuses limits.wall_secs")]
    Get {
        /// Keys, such as `limits.wall_secs`.
        keys: Vec<String>,
    },
    /// Change settings; `KEY=null` clears one, other settings stay.
    #[command(after_help = "Examples:
  pullyard settings set auto_create=true
  pullyard settings set statuses.trigger='AI Processing' default_repository=acme/app")]
    Set {
        /// Settings and their new values.
        #[arg(required = true, value_name = "KEY=VALUE")]
        changes: Vec<String>,
        /// Change only this revision of the settings (default: the current one).
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
}

impl Settings {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, CliError> {
        let project = session.api.get_raw_project(&session.project().await?).await?;
        match self.command.unwrap_or(Command::Get { keys: Vec::new() }) {
            Command::Get { keys } => show(session, &project, &keys)?,
            Command::Set { changes, revision } => {
                let mut settings = project.settings;
                for change in &changes {
                    settings = apply_change(settings, change)?;
                }
                let revision = revision.unwrap_or(project.revision);
                let updated = session.api.set_settings(&project.id, &settings, revision).await?;
                show(
                    session,
                    &updated,
                    &changes.iter().map(|change| change_key(change).to_owned()).collect::<Vec<_>>(),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn change_key(change: &str) -> &str {
    change.split('=').next().unwrap_or_default()
}

fn apply_change(settings: Value, change: &str) -> Result<Value, CliError> {
    let Some((key, input)) = change.split_once('=') else {
        return Err(CliError::usage(format!("missing value of {change}")).with_help(format!("write {change}=VALUE")));
    };
    let pointer = to_pointer(key);
    let Some(existing) = settings.pointer(&pointer) else { return Err(unknown_setting(&settings, key)) };
    if existing.is_object() {
        return Err(CliError::usage(format!("{key} is a group of settings"))
            .with_help(format!("`pullyard settings get {key}` lists them")));
    }
    let text = Value::String(input.to_owned());
    let json = serde_json::from_str::<Value>(input).ok();
    let tries = match input {
        "" | "null" => [Some(Value::Null), Some(text)],
        _ if existing.is_string() => [Some(text), json],
        _ => [json, Some(text)],
    };
    let mut fault = None;
    for value in tries.into_iter().flatten() {
        let mut settings = settings.clone();
        if let Some(place) = settings.pointer_mut(&pointer) {
            *place = value;
        }
        match parse_known_settings(settings.clone()) {
            Ok(_) => return Ok(settings),
            // The first try is the likely meaning.
            Err(error) => fault = fault.or_else(|| Some(error.to_string())),
        }
    }
    Err(CliError::usage(describe_mismatch(key, input, &fault.unwrap_or_default())))
}

/// Rephrases serde's error about a plain value.
fn describe_mismatch(key: &str, value: &str, fault: &str) -> String {
    let is_plain = !value.starts_with(['{', '[']);
    let is_mismatch = ["unknown variant", "invalid type", "invalid value"].iter().any(|begin| fault.starts_with(begin));
    let Some((_, expected)) = fault.rsplit_once(", expected ").filter(|_| is_plain && is_mismatch) else {
        return format!("{key} can't be \"{value}\": {fault}");
    };
    let expected = match expected {
        "a boolean" => "true or false".to_owned(),
        "a string" => "text".to_owned(),
        "a sequence" => "a list in JSON".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".to_owned(),
        other => other.replace('`', ""),
    };
    format!("{key} must be {expected}, not \"{value}\"")
}

fn to_pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn unknown_setting(settings: &Value, key: &str) -> CliError {
    let keys = flatten(settings, "").into_iter().map(|(key, _)| key).collect::<Vec<_>>().join(", ");
    CliError::usage(format!("there is no setting {key}")).with_help(format!("use one of {keys}"))
}

fn flatten(settings: &Value, under: &str) -> Vec<(String, String)> {
    match settings {
        Value::Object(group) => {
            let inner = |(name, value): (&String, &Value)| {
                flatten(value, &if under.is_empty() { name.clone() } else { format!("{under}.{name}") })
            };
            group.iter().flat_map(inner).collect()
        }
        Value::String(text) => vec![(under.to_owned(), text.clone())],
        Value::Null => vec![(under.to_owned(), String::new())],
        other => vec![(under.to_owned(), other.to_string())],
    }
}

fn show(session: &Session, project: &RawProject, keys: &[String]) -> Result<(), CliError> {
    let settings = &project.settings;
    if let Some(key) = keys.iter().find(|key| settings.pointer(&to_pointer(key)).is_none()) {
        return Err(unknown_setting(settings, key));
    }
    if session.screen.is_json() {
        return session.screen.json(project);
    }
    let matches = |key: &str| {
        let under = |filter: &String| {
            key == filter || key.strip_prefix(filter.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        keys.is_empty() || keys.iter().any(under)
    };
    let lines = flatten(settings, "").into_iter().filter(|(key, _)| matches(key)).collect::<Vec<_>>();
    let cells =
        lines.iter().map(|(key, value)| (key.as_str(), Cell::optional(Some(value).filter(|value| !value.is_empty()))));
    print_facts(&session.screen, &cells.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::project::Settings;

    #[test]
    fn wrong_value_is_refused_with_the_possible_values() {
        let settings = serde_json::to_value(Settings::default()).unwrap();
        for (change, expected) in [
            ("compute=runner", "compute must be fargate or runners, not \"runner\""),
            ("auto_create=maybe", "auto_create must be true or false, not \"maybe\""),
            ("limits.wall_secs=-1", "limits.wall_secs must be a whole number, not \"-1\""),
            ("statuses.closed=Done", "statuses.closed must be a list in JSON, not \"Done\""),
        ] {
            assert_eq!(apply_change(settings.clone(), change).unwrap_err().message(), expected);
        }
    }
}
