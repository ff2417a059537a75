//! Checks whether this machine can be a runner, without registering or claiming.

use super::agents;
use super::heartbeat::with_timeout;
use super::installed::OWN_VERSION;
use super::lifecycle::{check_limits, request_token, runner_name};
use super::output::print_table;
use super::settings::{ParsedSettings, Settings};
use super::state_folder::load_instance;
use crate::agent::environment::Environment;
use crate::git::workspace::disk::create_private_dirs;
use crate::git::{self, Git, GitCall};
use crate::options::OTHER_ISOLATIONS;
use crate::process::program::find_program;
use crate::process::{orphans, sandbox};
use crate::secrets::own_token::check_own_token;
use pullyard_domain::text::id::InstanceId;
use pullyard_protocol::client::{self, ApiClient, RunnerClient};
use pullyard_protocol::runner::RegisterRequest;
use pullyard_protocol::version::PROTOCOL;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

const MIN_FREE_GIB: f64 = 1.0;
const GIB: f64 = 1_073_741_824.0;
const SERVER_TIMEOUT: Duration = Duration::from_secs(15);

type CheckResult = Result<String, String>;

pub(crate) async fn run(parsed: &ParsedSettings, instance: Option<&InstanceId>) -> u8 {
    let settings = &parsed.settings;
    let git = Git::local("");
    let forge_token = check_own_token(settings.forge_token.as_deref(), &settings.forge_api_url).await;
    let mut checks: Vec<(&str, CheckResult)> = vec![
        ("git", git.run_for_line(GitCall::new(["version"])).await.map_err(|error| error.reason())),
        ("git works", check_git(&git, &settings.work_dir).await),
        ("signing", check_signing()),
        ("processes", check_processes()),
        ("work folder", check_work_dir(&settings.work_dir)),
        ("free space", check_free_space(&settings.work_dir)),
        ("token", check_token(parsed)),
        ("forge token", forge_token.map_err(|error| format!("failed to {error}"))),
        ("server", check_server(&settings.api_url).await),
        ("isolation", check_isolation(settings)),
        ("other settings", check_other_settings(parsed)),
    ];
    if settings.needs_limited_token() {
        checks.push(("token's limits", check_token_limits(settings).await));
    }
    if let Some(instance) = instance {
        checks.push(("this runner", check_instance(settings, instance).await));
    }
    for agent in agents::detect_agents(&Environment::from_process()).await {
        let required = if settings.has_explicit_capabilities { &settings.capabilities } else { &BTreeSet::new() };
        checks.push((agent.name(), agent.check_result(required)));
    }
    let has_failed = checks.iter().any(|(_, result)| result.is_err());
    let rows = checks.into_iter().map(|(name, result)| {
        let state = if result.is_ok() { "ok" } else { "WRONG" };
        [state.to_owned(), name.to_owned(), result.unwrap_or_else(|reason| reason)]
    });
    print_table(&rows.collect::<Vec<_>>());
    u8::from(has_failed)
}

/// Whether git can create a repository and a commit in the work folder, and has its helper for HTTPS.
pub(crate) async fn check_git(git: &Git, work_dir: &Path) -> CheckResult {
    let reason = |error: git::GitError| error.reason();
    create_private_dirs(work_dir).map_err(|error| error.to_string())?;
    // git runs in this folder, where a relative path would be another one.
    let dir = std::path::absolute(work_dir).map_err(|error| error.to_string())?;
    let dir = dir.join(format!("check-{}", std::process::id()));
    let check = async {
        let dir = git::init_bare(git, dir.clone()).await.map_err(reason)?;
        let tree = git.run_for_line(GitCall::new(["mktree"]).repository(&dir)).await.map_err(reason)?;
        let commit = GitCall::new(["commit-tree", "-m", "check", &tree]).repository(&dir).with_identity();
        git.run_for_line(commit).await.map_err(reason)?;
        let helpers = git.run_for_line(GitCall::new(["--exec-path"])).await.map_err(reason)?;
        if !Path::new(&helpers).join("git-remote-https").exists() {
            return Err(format!("git can't fetch over https: {helpers} has no git-remote-https"));
        }
        Ok("can commit, and fetch over https".to_owned())
    };
    let outcome = check.await;
    let _ = std::fs::remove_dir_all(&dir);
    outcome
}

fn check_signing() -> CheckResult {
    let path = Environment::from_process().get("PATH");
    Ok(match find_program("ssh-keygen", Path::new("/"), path.as_deref()) {
        Ok(_) => "ssh-keygen found (needed for signed commits)".into(),
        Err(_) => "no ssh-keygen: jobs with signed commits will fail; install the OpenSSH client".into(),
    })
}

/// The runner must verify that no process of an agent is alive before it publishes work.
pub(crate) fn check_processes() -> CheckResult {
    match orphans::count_processes().map_err(|error| format!("failed to {error}"))? {
        Some(count) => Ok(format!("{count} processes visible in /proc")),
        None => Ok("only process groups are visible: a process that leaves its group may outlive its job".into()),
    }
}

fn check_work_dir(work_dir: &Path) -> CheckResult {
    let probe = work_dir.join(format!("check-{}.probe", std::process::id()));
    let probe_result = create_private_dirs(work_dir).and_then(|()| std::fs::write(&probe, "probe"));
    let _ = std::fs::remove_file(&probe);
    match probe_result {
        Ok(()) => Ok(format!("{} is writable", work_dir.display())),
        Err(error) => Err(format!("{} is not writable: {error}", work_dir.display())),
    }
}

fn check_free_space(work_dir: &Path) -> CheckResult {
    let stats = nix::sys::statvfs::statvfs(work_dir).map_err(|error| error.to_string())?;
    // Floating point, because the width of these integers differs between systems.
    let gib = stats.blocks_available() as f64 * stats.fragment_size() as f64 / GIB;
    let size = format!("{gib:.1} GiB");
    if gib >= MIN_FREE_GIB { Ok(size) } else { Err(format!("{size}: mirrors and worktrees need at least 1 GiB")) }
}

fn check_token(parsed: &ParsedSettings) -> CheckResult {
    match parsed.errors.iter().find(|error| error.is_token_error) {
        Some(error) => Err(error.message.clone()),
        None => {
            let row = parsed.rows.iter().find(|row| row.name == "token");
            let (value, from) = row.map_or(("", ""), |row| (&row.value, &row.source));
            Ok(format!("{value} from {from}; `start` verifies it"))
        }
    }
}

pub(crate) async fn check_token_limits(settings: &Settings) -> CheckResult {
    let token = request_token(settings).await.map_err(|error| error.to_string())?;
    check_limits(settings, &token).map_err(|fatal| fatal.message)?;
    Ok("its projects are named".into())
}

pub(crate) async fn check_server(api_url: &str) -> CheckResult {
    if api_url.is_empty() {
        return Err("no URL is set".into());
    }
    // The route needs no credential, so the runner's token is not sent.
    let client = ApiClient::new(api_url, "-").map_err(|error| error.to_string())?;
    match timeout(SERVER_TIMEOUT, client.version()).await {
        Err(_) => Err(format!("{} did not answer within {} s", api_url, SERVER_TIMEOUT.as_secs())),
        // A problem from a server is a sentence of its own.
        Ok(Err(error @ client::Error::Problem(_))) => Err(format!("{}: {error}", api_url)),
        Ok(Err(error)) => Err(format!("failed to {error}")),
        Ok(Ok(server)) if server.protocol != PROTOCOL => Err(format!(
            "{} speaks protocol {}, this runner {PROTOCOL}: update the older one",
            api_url, server.protocol
        )),
        Ok(Ok(server)) => Ok(format!("{} answers: Pullyard {}, protocol {}", api_url, server.version, server.protocol)),
    }
}

/// Whether `start` continues as the runner of this instance. Another one would leave its jobs.
async fn check_instance(settings: &Settings, instance: &InstanceId) -> CheckResult {
    let failed = |error: client::Error| error.to_string();
    let name = runner_name(settings, Some(&request_token(settings).await.map_err(failed)?));
    if load_instance(&settings.work_dir, &name, &settings.api_url).as_ref() != Some(instance) {
        return Err("another name, URL or work folder makes another runner: stop this one and start it".into());
    }
    check_name(&settings.api_url, &settings.token, &name, instance).await.map_err(failed)?;
    Ok(format!("{name} continues"))
}

/// Checks whether an instance may register with this name, and registers nothing.
pub(crate) async fn check_name(url: &str, token: &str, name: &str, instance: &InstanceId) -> Result<(), client::Error> {
    let request = RegisterRequest {
        name: name.to_owned(),
        instance: instance.clone(),
        capabilities: BTreeSet::from(["command".to_owned()]),
        labels: BTreeSet::new(),
        version: OWN_VERSION.into(),
        slots: 1,
        active: BTreeSet::new(),
        isolation: None,
        offline_after_secs: None,
        updates: None,
        check_only: true,
    };
    with_timeout(SERVER_TIMEOUT, url, RunnerClient::new(url, token)?.register(&request)).await.map(drop)
}

pub(crate) fn check_isolation(settings: &Settings) -> CheckResult {
    let Some(isolation) = settings.isolation else { return Err("invalid, see other settings".into()) };
    match sandbox::check(isolation, settings.containers_of("check", &settings.work_dir), &settings.work_dir) {
        Ok(result) => Ok(format!("{}: {result}", isolation.as_str())),
        Err(reason) => Err(format!("{reason}; {OTHER_ISOLATIONS}")),
    }
}

fn check_other_settings(parsed: &ParsedSettings) -> CheckResult {
    let messages: Vec<_> =
        parsed.errors.iter().filter(|error| !error.is_token_error).map(|error| error.message.as_str()).collect();
    if messages.is_empty() { Ok("valid; `config` lists them".into()) } else { Err(messages.join(" ")) }
}
