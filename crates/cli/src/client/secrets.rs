//! `pullyard secrets`: sets, rotates, tests, lists and deletes secrets; never reads values.

use super::pages::hint_more;
use super::prompt;
use crate::client::prelude::*;
use pullyard_domain::project::secret::{SecretKind, token_fault};
use pullyard_domain::text::id::{ProjectId, SecretName};
use pullyard_protocol::secret::{
    DeleteSecretQuery, ListedSecret, RotateSecret, SecretProjects, SetSecret, SetSecretProjects, TestSecret,
};
use std::collections::BTreeSet;

/// Set secrets, such as a forge's token, and list their names.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard secrets set github < token.txt
  pullyard secrets set model-key --for-jobs --projects acme
  pullyard secrets allow model-key --for-jobs --projects acme,shop
  pullyard secrets test anthropic
  pullyard secrets list
  pullyard secrets delete github")]
pub(crate) struct Secrets {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Set a secret from stdin or a hidden prompt; prints its full name.
    ///
    /// Removes one line break at the end. The new value takes effect within a minute.
    #[command(after_help = "Examples:
  pullyard secrets set github
  pullyard integrations add gh1 \\
    --token-secret \"$(pullyard secrets set github < token.txt)\"
  pullyard settings set model_secrets.anthropic_api_key=\"$(pullyard secrets set anthropic --for-jobs < key.txt)\"")]
    Set {
        /// Name of the secret.
        name: SecretName,
        /// Model key or signing key of commits: only jobs receive it; functions that face the internet can't read it.
        #[arg(long)]
        for_jobs: bool,
        /// The only projects that may use it; replaces its list.
        #[arg(long, value_name = "ID", value_delimiter = ',')]
        projects: Vec<ProjectId>,
    },
    /// Replace the list of the projects that may use a secret.
    ///
    /// Without a list, only tokens for all projects can name the secret in a project. With one, jobs and notifications
    /// of other projects do not get its value, whatever their settings name.
    #[command(after_help = "Examples:
  pullyard secrets allow model-key --for-jobs --projects acme,shop
  pullyard secrets allow slack --no-list")]
    Allow {
        /// Name of the secret.
        name: SecretName,
        /// The secret was set with --for-jobs.
        #[arg(long)]
        for_jobs: bool,
        /// The only projects that may use it.
        #[arg(long, value_name = "ID", value_delimiter = ',', required_unless_present = "no_list")]
        projects: Vec<ProjectId>,
        /// Remove the list.
        #[arg(long, conflicts_with = "projects")]
        no_list: bool,
    },
    /// Replace a secret's value; the old one stays valid for a while.
    ///
    /// For a webhook's secret, then run `pullyard hooks repair` to send the new value to the forge.
    #[command(after_help = "Examples:
  pullyard secrets rotate hook-acme-app --generate
  pullyard secrets rotate hook-acme-app --overlap 2h < new-secret.txt")]
    Rotate {
        /// Name of the secret.
        name: SecretName,
        /// How long the old value stays valid: 24h, 30m, 90s; at most 7d.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_overlap)]
        overlap: u64,
        /// Generate 32 random bytes instead of prompting.
        #[arg(long)]
        generate: bool,
    },
    /// Test a model key of the project with its provider.
    #[command(after_help = "Examples:
  pullyard secrets test anthropic
  pullyard secrets test anthropic --project acme --json")]
    Test {
        /// Name of the secret.
        name: SecretName,
    },
    /// Delete a secret that nothing uses; its value cannot be restored.
    ///
    /// Refused while an integration, a webhook or a setting names it; the error names one of them and the remedy.
    #[command(after_help = "Examples:
  pullyard secrets delete github
  pullyard secrets delete anthropic --for-jobs --yes")]
    Delete {
        /// Name of the secret.
        name: SecretName,
        /// The secret was set with --for-jobs.
        #[arg(long)]
        for_jobs: bool,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// List secrets, without their values.
    #[command(after_help = "Examples:\n  pullyard secrets list\n  pullyard secrets list --json")]
    List {
        /// Continue after the page that printed this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
        after: Option<String>,
    },
}

impl Secrets {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        match self.command.unwrap_or(Command::List { after: None }) {
            Command::Set { name, for_jobs, projects } => set(session, &name, kind_of(for_jobs), projects).await,
            Command::Allow { name, for_jobs, projects, no_list } => {
                let projects = (!no_list).then(|| projects.into_iter().collect());
                allow(session, &name, kind_of(for_jobs), projects).await
            }
            Command::Rotate { name, overlap, generate } => rotate(session, &name, overlap, generate).await,
            Command::Test { name } => test(session, &name).await,
            Command::Delete { name, for_jobs, yes } => delete(session, &name, kind_of(for_jobs), yes).await,
            Command::List { after } => list(session, after).await,
        }
    }
}

fn kind_of(for_jobs: bool) -> SecretKind {
    if for_jobs { SecretKind::Job } else { SecretKind::Forge }
}

async fn allow(
    session: &Session,
    name: &SecretName,
    kind: SecretKind,
    projects: Option<BTreeSet<ProjectId>>,
) -> Result<(), CliError> {
    let stored = session.api.set_secret_projects(name, &SetSecretProjects { kind, projects }).await?;
    let SecretProjects { secret, projects, .. } = &stored;
    let users = projects.as_ref().map_or_else(
        || "it has no list, and only tokens for all projects can name it".into(),
        |list| format!("only {} may use it", format::join_ids(list)),
    );
    session.screen.report(&stored, &format!("Changed {secret}: {users}"))
}

async fn set(session: &Session, name: &SecretName, kind: SecretKind, projects: Vec<ProjectId>) -> Result<(), CliError> {
    let value = prompt::prompt_hidden(&session.screen, &format!("the value of {name}"))?;
    let warning = token_warning(name, &value);
    if !projects.is_empty() {
        // Before the value, so that no other project gets it in between.
        let projects = Some(projects.into_iter().collect());
        session.api.set_secret_projects(name, &SetSecretProjects { kind, projects }).await?;
    }
    let secret = session.api.set_secret(name, &SetSecret { value, kind }).await?;
    if let Some(warning) = warning {
        session.screen.warn(&warning);
    }
    if session.screen.is_json() {
        return session.screen.json(&secret);
    }
    session.screen.print_line(&secret.secret)?;
    session.screen.note(&match kind {
        _ if name.is_for_hook() => format!(
            "Set {name}; send it to the forge with `pullyard hooks repair`, or enter it there for a hook made by hand"
        ),
        SecretKind::Forge => {
            format!("Set {name}; use it with `pullyard integrations add ID --token-secret {}`", secret.secret)
        }
        SecretKind::Job => format!(
            "Set {name}; use it in a project's settings: `model_secrets.…` or `commits.signing_secret`={}",
            secret.secret
        ),
    });
    Ok(())
}

async fn rotate(session: &Session, name: &SecretName, overlap_secs: u64, generate: bool) -> Result<(), CliError> {
    let value = match generate {
        true => rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect(),
        false => prompt::prompt_hidden(&session.screen, &format!("the new value of {name}"))?,
    };
    let warning = token_warning(name, &value);
    let rotated = session.api.rotate_secret(name, &RotateSecret { value, overlap_secs }).await?;
    if let Some(warning) = warning {
        session.screen.warn(&warning);
    }
    if session.screen.is_json() {
        return session.screen.json(&rotated);
    }
    session.screen.print_line(&rotated.secret)?;
    let validity = rotated.old_until.map_or_else(|| "no longer valid".into(), |until| format!("valid until {until}"));
    session.screen.note(&format!("Replaced the value of {name}; the old one is {validity}"));
    if name.is_for_hook() {
        session.screen.hint("send it to the forge with `pullyard hooks repair`");
    } else if name.as_str().starts_with("tracker-") {
        session
            .screen
            .hint("repeat `pullyard trackers use` in each project, so that the tool signs with a new hook secret");
    }
    Ok(())
}

async fn test(session: &Session, name: &SecretName) -> Result<(), CliError> {
    let result = session.api.test_secret(name, &TestSecret { project: session.project().await? }).await?;
    session.screen.report_test(&result, result.works, &result.sentence, &result.help)
}

async fn delete(session: &Session, name: &SecretName, kind: SecretKind, yes: bool) -> Result<(), CliError> {
    confirm(&session.screen, yes, &format!("Delete the secret {name}? Its value cannot be restored."))?;
    let deleted = session.api.delete_secret(name, &DeleteSecretQuery { kind }).await.map_err(|error| {
        let fault = CliError::from(error);
        match fault.is_not_found() && kind == SecretKind::Forge {
            true => fault.with_help("`pullyard secrets` lists them; add --for-jobs for one that was set with it"),
            false => fault,
        }
    })?;
    session.screen.report(&deleted, &format!("Deleted {}", deleted.secret))
}

/// Warns about a value that cannot be a token. Skips private keys, JSON and webhook secrets.
fn token_warning(name: &SecretName, value: &str) -> Option<String> {
    let has_lines = value.contains("-----BEGIN ") || value.trim_start().starts_with('{');
    let is_other = has_lines || name.is_for_hook();
    let flaw = token_fault(value).filter(|_| !is_other)?;
    Some(format!("the value of {name} {flaw}; if it is a token or a model's key, set it again without that"))
}

fn parse_overlap(text: &str) -> Result<u64, String> {
    let secs = format::parse_seconds(text, "smhd").filter(|secs| *secs <= 7 * 86_400);
    secs.ok_or_else(|| "write it as 24h, at most 7d".into())
}

async fn list(session: &Session, after: Option<String>) -> Result<(), CliError> {
    let page = session.api.secrets(after.as_deref()).await?;
    let mut table =
        Table::new([Flexible("NAME"), Fixed("SET"), Flexible("FULL NAME"), Flexible("USED BY"), Flexible("PROJECTS")]);
    for ListedSecret { secret, used_by, projects } in &page.secrets {
        let set = format::optional_time_cell(secret.set_at);
        let users = used_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let projects = format::listed_projects_cell(projects.as_ref());
        table.row([Cell::text(&secret.name), set, Cell::text(&secret.secret), Cell::text(users), projects]);
    }
    table.show_answer(&session.screen, &page, "No secret yet. Set one with `pullyard secrets set NAME`.")?;
    hint_more(&session.screen, "secrets list", page.next);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{parse_overlap, token_warning};
    use pullyard_domain::text::id::SecretName;

    #[test]
    fn unlikely_token_causes_a_warning_and_other_secrets_do_not() {
        let warning_for = |name: &str, value: &str| token_warning(&SecretName::new(name).unwrap(), value);
        let warning = warning_for("github", "ghp_planted one").unwrap();
        assert!(warning.starts_with("the value of github contains a space; "), "{warning}");
        assert!(!warning.contains("planted"), "{warning}");
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        let signed_in = "{\n  \"tokens\": {\"id_token\": \"x\"}\n}\n";
        let others = [("github", "ghp_planted"), ("app-key", key), ("codex", signed_in), ("hook-acme-app", "any text")];
        for (name, value) in others {
            assert_eq!(warning_for(name, value), None, "{name}");
        }
    }

    #[test]
    fn old_secret_stays_valid_for_at_most_a_week() {
        for (text, secs) in
            [("0s", 0), ("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800), ("168h", 604_800)]
        {
            assert_eq!(parse_overlap(text), Ok(secs), "{text}");
        }
        for text in ["", "s", "24", "8d", "169h", "604801s", "-1h", "1.5h", "99999999999999999d"] {
            assert!(parse_overlap(text).is_err(), "{text}");
        }
    }
}
