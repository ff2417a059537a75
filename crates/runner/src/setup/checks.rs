//! Checks of answers with the control plane, a model's provider and this machine. Each returns a note, or the reason of
//! a refusal. None registers or writes anything.

use super::answers::Answers;
use crate::api::ids;
use crate::daemon::check::{check_isolation, check_server};
use crate::daemon::state_folder::known_instances;
use crate::git::workspace::disk::run_blocking;
use nix::unistd::{AccessFlags, access};
use pullyard_domain::agent::ModelKey;
use pullyard_domain::id::InstanceId;
use pullyard_forge::{Endpoint, Error as Refusal, Token as Key, check_model_key};
use pullyard_protocol::client::{ApiClient, Error, RunnerClient};
use pullyard_protocol::runner::RegisterRequest;
use pullyard_protocol::token::{Token, TokenKind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

pub(super) type Checked = Result<String, String>;

const LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn check_url(answers: &Answers, url: &str) -> Checked {
    answers.check("api-url", url)?;
    check_server(url.trim_end_matches('/')).await
}

/// Loads the token's restrictions.
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
    let projects = token.projects.iter().flatten().map(|project| project.as_str()).collect::<Vec<_>>().join(", ");
    if projects.is_empty() { "valid for all projects".into() } else { format!("valid for {projects}") }
}

pub(super) struct RunnerName<'a> {
    pub(super) url: &'a str,
    pub(super) token: &'a str,
    pub(super) name: &'a str,
    pub(super) work_dir: &'a Path,
}

impl RunnerName<'_> {
    /// Whether the name is free, or that of a runner whose instance is in the work folder.
    pub(super) async fn check(&self) -> Checked {
        let own = known_instances(self.work_dir, self.name, self.url);
        let mut result = Err(String::new());
        let new = ids::new_instance_id().map_err(|error| error.to_string())?;
        for instance in own.iter().chain([&new]) {
            result = self.check_instance(instance).await.map_err(|error| match &error {
                Error::Problem(problem) if problem.code == "body_unreadable" => {
                    "The control plane is older than this program, so the name cannot be checked. Update it first."
                        .into()
                }
                Error::Problem(problem) => [Some(problem.detail.as_str()), problem.help.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" "),
                error => format!("The name could not be checked: {error}"),
            });
            if result.is_ok() {
                let note = if *instance == new { "free" } else { "this machine's runner" };
                return Ok(note.into());
            }
        }
        result.map(|()| String::new())
    }

    /// Whether a process of this runner is online: it is not the process of an instance that nobody has.
    pub(super) async fn is_online(&self) -> bool {
        let Ok(other) = ids::new_instance_id() else { return false };
        self.check_instance(&other).await.is_err_and(|error| error.code() == Some("runner_live"))
    }

    async fn check_instance(&self, instance: &InstanceId) -> Result<(), Error> {
        let request = RegisterRequest {
            name: self.name.to_owned(),
            instance: instance.clone(),
            capabilities: BTreeSet::from(["command".to_owned()]),
            labels: BTreeSet::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            slots: 1,
            active: BTreeSet::new(),
            isolation: None,
            offline_after_secs: None,
            updates: None,
            check_only: true,
        };
        let client = RunnerClient::new(self.url, self.token)?;
        let url = || Error::Unreachable { url: self.url.to_owned(), reason: "no answer in time".into() };
        timeout(LIMIT, client.register(&request)).await.map_err(|_| url())?.map(|_| ())
    }
}

pub(super) async fn check_key(answers: &Answers, key: ModelKey, value: &str) -> Checked {
    if value.is_empty() {
        return Ok("the projects' keys are used".into());
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
        // Its jobs may work nevertheless.
        Err(error) => Ok(format!("not verified: {error}")),
    }
}

/// Attacks the level as `start` does, in a temporary folder.
pub(super) async fn check_level(answers: &Answers, level: &str) -> Checked {
    answers.check("isolation", level)?;
    let mut settings = answers.with("isolation", level).parse().settings;
    settings.work_dir = std::env::temp_dir().join(format!("pullyard-setup-{}", std::process::id()));
    let check = run_blocking(move || {
        let result = check_isolation(&settings);
        let _ = std::fs::remove_dir_all(&settings.work_dir);
        Ok(result)
    });
    check.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// The folder may be missing, if this user may create it.
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
