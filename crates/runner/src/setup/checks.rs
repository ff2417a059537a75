//! Checks the answers of `setup` with the control plane, the providers, the forge and this machine.
//! Each check returns a note, or the reason of a refusal. A check registers nothing and stores nothing.

use super::answers::Answers;
use crate::Isolation;
use crate::api::ids;
use crate::daemon::check::{check_git, check_isolation, check_name, check_processes, check_server, check_token_limits};
use crate::daemon::settings::Settings;
use crate::git::Git;
use crate::git::workspace::disk::run_blocking;
use crate::secrets::own_token::check_own_token;
use nix::unistd::{AccessFlags, access};
use pullyard_domain::agent::ModelKey;
use pullyard_forge::{Endpoint, Error as Refusal, Token as Key, check_model_key};
use pullyard_protocol::client::{ApiClient, Error};
use pullyard_protocol::token::{Token, TokenKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

pub(super) type Checked = Result<String, String>;

const LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn check_url(answers: &Answers, url: &str) -> Checked {
    answers.check("api-url", url)?;
    check_server(url.trim_end_matches('/')).await
}

/// Loads the token's kind and projects. Errors: a sentence for the user.
pub(super) async fn load_token(url: &str, token: &str) -> Result<Token, String> {
    let client = ApiClient::new(url, token).map_err(|error| error.to_string())?;
    match timeout(LIMIT, client.own_token()).await {
        Err(_) => Err(format!("{url} did not answer within {} s.", LIMIT.as_secs())),
        Ok(Ok(token)) if token.kind == TokenKind::Runner => Ok(token),
        Ok(Ok(_)) => Err("This is no runner token. Create one under Setup > Runners > Add runner.".into()),
        Ok(Err(Error::Problem(problem))) if problem.status == 401 => {
            Err("The token is unknown, revoked or expired. Create one under Setup > Runners > Add runner.".into())
        }
        Ok(Err(error)) => Err(format!("The token could not be checked: {error}")),
    }
}

pub(super) fn describe_token(token: &Token) -> String {
    match &token.projects {
        None => "valid for all projects".into(),
        Some(projects) => {
            let names = projects.iter().map(|project| project.as_str()).collect::<Vec<_>>().join(", ");
            format!("valid for {names}")
        }
    }
}

pub(super) struct RunnerName<'a> {
    pub(super) url: &'a str,
    pub(super) token: &'a str,
    pub(super) name: &'a str,
}

impl<'a> RunnerName<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        Self { url: &settings.api_url, token: &settings.token, name: &settings.name }
    }

    /// Refuses the name of another runner. `is_present`: the present file has this name, so a used name is its own.
    pub(super) async fn check(&self, is_present: bool) -> Checked {
        match self.check_new().await {
            Ok(()) => Ok("free".into()),
            Err(error) if is_present && matches!(error.code(), Some("runner_live" | "name_used")) => {
                Ok("the runner of this file".into())
            }
            Err(Error::Problem(problem)) if problem.code == "body_unreadable" => {
                Err("The control plane is older than this program, so the name cannot be checked. Update it first."
                    .into())
            }
            Err(Error::Problem(problem)) => {
                let help = problem.help.as_deref().unwrap_or_default();
                Err(format!("{} {help}", problem.detail).trim_end().to_owned())
            }
            Err(error) => Err(format!("The name could not be checked: {error}")),
        }
    }

    /// Whether the control plane refuses a new instance, because a process of this runner is online.
    pub(super) async fn is_online(&self) -> bool {
        self.check_new().await.is_err_and(|error| error.code() == Some("runner_live"))
    }

    async fn check_new(&self) -> Result<(), Error> {
        let failed = |error: crate::Error| Error::Unreachable { url: self.url.to_owned(), reason: error.to_string() };
        let instance = ids::new_instance_id().map_err(failed)?;
        check_name(self.url, self.token, self.name, &instance).await
    }
}

pub(super) async fn check_key(answers: &Answers, key: ModelKey, value: &str) -> Checked {
    if value.is_empty() {
        return Ok("no key".into());
    }
    let spec = key.spec();
    answers.check(spec.variable, value)?;
    let provider = spec.provider.spec();
    let url = answers.find(provider.url_variable).unwrap_or_else(|| provider.url.to_owned());
    match check_model_key(&Endpoint::new(url), spec.provider, Key::new(value)).await {
        Ok(()) => Ok(format!("{} accepts the key", provider.name)),
        Err(Refusal::Denied { .. }) => {
            Err(format!("{} does not accept the key. Copy it again, or create a new one.", provider.name))
        }
        // A provider that cannot be reached now does not prevent later jobs.
        Err(error) => Ok(format!("not verified: {error}")),
    }
}

pub(super) async fn check_forge_token(answers: &Answers, token: &str) -> Checked {
    answers.check("forge-token", token)?;
    let settings = answers.with("forge-token", token).parse().settings;
    if settings.forge_token.is_some() {
        answers.check("forge-api-url", &settings.forge_api_url)?;
        check_token_limits(&settings).await?;
    }
    match check_own_token(settings.forge_token.as_deref(), &settings.forge_api_url).await {
        Err(error @ (Refusal::Denied { .. } | Refusal::Settings { .. })) => Err(format!("failed to {error}")),
        // `start` does not need the forge.
        Err(error) => Ok(format!("not verified: failed to {error}")),
        Ok(account) => Ok(account),
    }
}

/// A new folder that only this user can enter or replace. Deletes it when it is dropped.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> std::io::Result<Self> {
        Ok(Self(nix::unistd::mkdtemp(&std::env::temp_dir().join("pullyard-setup-XXXXXX"))?))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Checks git, and that the processes of jobs can be seen. Errors: a sentence for the user.
pub(super) async fn check_machine() -> Result<(), String> {
    let folder = TemporaryFolder::create().map_err(|error| format!("Cannot create a temporary folder: {error}."))?;
    let git = check_git(&Git::local(""), &folder.0).await;
    git.map_err(|reason| format!("The runner needs git with http support: {reason}."))?;
    check_processes().map(drop)
}

/// Attacks the isolation level with canaries, as `start` does. `file`: named in the note of level `none`.
pub(super) async fn check_level(answers: &Answers, level: &str, file: &Path) -> Checked {
    answers.check("isolation", level)?;
    let folder = TemporaryFolder::create().map_err(|error| format!("Cannot create a temporary folder: {error}."))?;
    let mut settings = answers.with("isolation", level).parse().settings;
    if !settings.work_dir.is_dir() {
        settings.work_dir = folder.0.clone();
    }
    let is_none = settings.isolation == Some(Isolation::None);
    let check = run_blocking(move || Ok(check_isolation(&settings)));
    let result = check.await.unwrap_or_else(|error| Err(error.to_string()))?;
    Ok(if is_none { format!("{result}; they can read the token and keys in {}", file.display()) } else { result })
}

/// Accepts a missing folder if this user may create it.
pub(super) fn check_log_dir(answers: &Answers, folder: &str) -> Checked {
    if folder.is_empty() {
        return Ok("no copies; the job's page has its log".into());
    }
    answers.check("log-dir", folder)?;
    let folder = PathBuf::from(folder);
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(&folder);
    if existing.is_dir() && access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() {
        Ok("writable".into())
    } else {
        Err(format!("This user cannot write into {}.", existing.display()))
    }
}
