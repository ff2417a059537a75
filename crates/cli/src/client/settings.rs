//! `pullyard settings`: shows settings and writes them as `KEY=VALUE`, over the revision that was read.

mod change;
mod describe;

use crate::client::prelude::*;
use change::apply_change;
use pullyard_domain::agent::egress::warn_if_open;
use pullyard_domain::text::nearest::find_nearest;
use pullyard_protocol::project::RawProject;
use pullyard_protocol::setting::{Kind, SETTINGS, Setting};
use serde_json::Value;

/// Show, describe and change a project's settings.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard settings get
  pullyard settings describe limits.wall_secs
  pullyard settings set auto_create=true limits.wall_secs=30min")]
pub(crate) struct Settings {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Show all settings, or some, with their origin, unit and meaning.
    #[command(after_help = "Examples:\n  pullyard settings get\n  pullyard settings get statuses limits.wall_secs")]
    Get {
        /// Keys or groups, such as `limits.wall_secs` or `limits`.
        keys: Vec<String>,
    },
    /// Describe all settings, or one: meaning, values, unit and default. Needs no server.
    #[command(after_help = "Examples:
  pullyard settings describe
  pullyard settings describe limits
  pullyard settings describe limits.cost_usd")]
    Describe {
        /// Key or group, such as `limits.cost_usd` or `limits`.
        key: Option<String>,
    },
    /// Change settings; `KEY=null` removes a value, or resets one that must exist to its default. Other settings stay.
    ///
    /// Money is in dollars. A time is a number of seconds, or has a unit: 90s, 45min, 1h, 7d.
    #[command(after_help = "Examples:
  pullyard settings set auto_create=true
  pullyard settings set limits.wall_secs=45min limits.cost_usd=2.50
  pullyard settings set statuses.trigger='AI Processing' default_repository=acme/app
  pullyard settings set 'checks.commands=[\"npm ci\",\"npm test\"]'")]
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
    /// Whether the command needs no server.
    pub(super) fn is_description(&self) -> bool {
        matches!(self.command, Some(Command::Describe { .. }))
    }

    pub(super) fn describe(self, screen: &Screen) -> Result<(), CliError> {
        if let Some(Command::Describe { key }) = self.command {
            describe::describe(screen, key.as_deref())?;
        }
        Ok(())
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let project = session.api.get_raw_project(&session.project().await?).await?;
        match self.command {
            Some(Command::Set { changes, revision }) => {
                let mut settings = project.settings;
                for change in &changes {
                    settings = apply_change(settings, change)?;
                }
                let revision = revision.unwrap_or(project.revision);
                let updated = session.api.set_settings(&project.id, &settings, revision).await?;
                show_values(session, &updated, &changes)?;
                let egress = updated.settings.get("egress").and_then(Value::as_array).into_iter().flatten();
                if let Some(warning) = warn_if_open(egress.filter_map(Value::as_str)) {
                    session.screen.warn(warning);
                }
            }
            Some(Command::Get { keys }) => show(session, &project, &keys)?,
            _ => show(session, &project, &[])?,
        }
        Ok(())
    }
}

/// A setting of the server. This version may not know it.
struct Entry {
    name: String,
    known: Option<&'static Setting>,
    value: Value,
}

impl Entry {
    /// Displayed as users write it; piped without units, so that programs can read it.
    fn cell(&self) -> Cell {
        let piped = match (self.known.map(|setting| setting.kind), &self.value) {
            (_, Value::Null) => return Cell::none(),
            (Some(Kind::Usd), value) => self.known.map(|setting| setting.format(value)).unwrap_or_default(),
            (_, Value::String(text)) => text.clone(),
            (_, value) => value.to_string(),
        };
        match self.known {
            Some(setting) if setting.kind != Kind::Lines => Cell::new(setting.format(&self.value), piped),
            _ => Cell::text(piped),
        }
    }

    fn origin(&self) -> &'static str {
        match self.known {
            Some(setting) if self.value == *setting.default_value() => "default",
            Some(_) => "project",
            None => "unknown",
        }
    }
}

fn list_entries(settings: &Value) -> Vec<Entry> {
    flatten(settings, "")
        .into_iter()
        .map(|(path, value)| {
            let known = SETTINGS.iter().find(|setting| setting.path == path);
            Entry { name: known.map_or(path, Setting::name), known, value }
        })
        .collect()
}

fn flatten(settings: &Value, under: &str) -> Vec<(String, Value)> {
    let Value::Object(group) = settings else { return vec![(under.to_owned(), settings.clone())] };
    let inner = |(name, value): (&String, &Value)| {
        flatten(value, &if under.is_empty() { name.clone() } else { format!("{under}.{name}") })
    };
    group.iter().flat_map(inner).collect()
}

/// Whether the key is this name, or a group that contains it.
fn is_under(name: &str, key: &str) -> bool {
    name == key || name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
}

fn unknown_setting<'a>(key: &str, names: impl IntoIterator<Item = &'a str>) -> CliError {
    let help = match find_nearest(key, names) {
        Some(nearest) => format!("did you mean {nearest}? `pullyard settings describe {nearest}` describes it"),
        None => "`pullyard settings describe` lists the settings".into(),
    };
    CliError::usage(format!("there is no setting {key}")).with_help(help)
}

fn show(session: &Session, project: &RawProject, keys: &[String]) -> Result<(), CliError> {
    let entries = list_entries(&project.settings);
    if let Some(key) = keys.iter().find(|key| !entries.iter().any(|entry| is_under(&entry.name, key))) {
        return Err(unknown_setting(key, entries.iter().map(|entry| entry.name.as_str())));
    }
    let mut table = Table::new([Fixed("KEY"), Flexible("VALUE"), Fixed("UNIT"), Fixed("ORIGIN")]);
    for entry in entries.iter().filter(|entry| keys.is_empty() || keys.iter().any(|key| is_under(&entry.name, key))) {
        let kind = entry.known.map(|setting| setting.kind);
        // A displayed time contains its unit.
        let unit = kind.map(describe::piped_unit).unwrap_or_default();
        let unit = Cell::new(if kind == Some(Kind::Seconds) { "" } else { unit }, unit);
        let meaning = entry.known.map(|setting| setting.meaning).unwrap_or_default();
        table.row_with([Cell::text(&entry.name), entry.cell(), unit, Cell::text(entry.origin())], meaning);
    }
    table.show_answer(&session.screen, project, "There are no settings.")
}

fn show_values(session: &Session, project: &RawProject, changes: &[String]) -> Result<(), CliError> {
    if session.screen.is_json() {
        return session.screen.json(project);
    }
    let is_changed = |name: &str| changes.iter().any(|change| change.split('=').next() == Some(name));
    let entries = list_entries(&project.settings).into_iter().filter(|entry| is_changed(&entry.name));
    let entries = entries.collect::<Vec<_>>();
    print_facts(&session.screen, &entries.iter().map(|entry| (entry.name.as_str(), entry.cell())).collect::<Vec<_>>())
}
