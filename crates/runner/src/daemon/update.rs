//! Updates the runner's program: waits for its jobs, downloads and verifies the release, tries the new program, and makes
//! it current. Until then the old program runs and can start again.

use super::context::DaemonContext;
use super::heartbeat::with_timeout;
use super::installed::InstalledPrograms;
use super::lifecycle::TRIAL_PASSED;
use super::program::{own_program, run_program};
use super::release::{self, PROGRAM};
use super::state::StateSnapshot;
use crate::disk_limit;
use crate::git::workspace::disk::{create_private_dirs, run_blocking};
use pullyard_domain::runner::order::Release;
use pullyard_protocol::runner::HeartbeatOrder;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Returns the new program. Claims no job until then; after a failure, the old program continues.
/// Errors: a sentence for an administrator.
/// Writes: the folder of the release, and then `current`.
/// Idempotent: a repeat installs the release again.
pub(crate) async fn update(daemon: &DaemonContext, order: &HeartbeatOrder) -> Result<PathBuf, String> {
    let version = order.version.as_deref().filter(|version| version.parse::<Release>().is_ok());
    let version = version.ok_or("The order names no release.")?;
    if !daemon.settings.updates.is_allowed {
        return Err("The owner of this runner does not allow updates: --allow-remote-update.".into());
    }
    let programs = InstalledPrograms::new(&daemon.jobs.starter.work_dir);
    let _lock = programs.lock().map_err(|error| format!("Cannot use the folder of programs: {error}."))?;
    daemon.state().update(|state| state.is_updating = true);
    wait_for_jobs(daemon).await;
    let program = programs.program(version);
    // Another runner of this work folder may have installed it, or this one before it was killed.
    let is_installed = programs.current().is_some_and(|current| current.version == version) && program.is_file();
    let installation = async {
        if !is_installed {
            install(daemon, &programs, version, &program).await?;
        }
        try_program(daemon, version, &program).await?;
        let current = programs.set_current(version, &order.id, SystemTime::now());
        current.map_err(|error| format!("Cannot make {version} current: {error}."))
    };
    if let Err(reason) = installation.await {
        if !is_installed && let Some(folder) = program.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
        register_again(daemon).await;
        daemon.state().update(|state| state.is_updating = false);
        return Err(format!("{reason} {} continues.", env!("CARGO_PKG_VERSION")));
    }
    Ok(program)
}

/// Waits until no job runs, none is being claimed, and no finish is undelivered.
async fn wait_for_jobs(daemon: &DaemonContext) {
    let is_idle = |state: &StateSnapshot| !state.is_claiming && state.active_jobs().is_empty();
    daemon.state().wait_until(is_idle).await;
}

async fn install(
    daemon: &DaemonContext,
    programs: &InstalledPrograms,
    version: &str,
    program: &Path,
) -> Result<(), String> {
    let settings = &daemon.settings.updates;
    let address = settings.address.as_deref().ok_or("This program knows no release address; set PULLYARD_RELEASES.")?;
    let keys = match &settings.keys {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| format!("Cannot read the release keys of {}: {error}.", file.display()))?,
        None => include_str!("../../release-keys.pem").to_owned(),
    };
    let own = own_program()?;
    programs.remove_others(&own).map_err(|error| format!("Cannot remove older programs: {error}."))?;
    if let Some(reason) = disk_limit::load_low_space(daemon.jobs.starter.work_dir.clone()).await {
        return Err(format!("The work folder's disk has too little space: {reason}."));
    }
    let archive = release::download(address, &keys, version).await?;
    let to = program.to_owned();
    let unpack = run_blocking(move || {
        Ok(to.parent().map_or(Ok(()), create_private_dirs).and_then(|()| release::unpack(&archive, &to)))
    });
    let result = unpack.await.map_err(|error| error.to_string())?;
    result.map_err(|error| format!("Cannot unpack the release {version}: {error}."))
}

/// Starts the new program as this runner. It registers, sends a heartbeat, and exits.
async fn try_program(daemon: &DaemonContext, version: &str, program: &Path) -> Result<(), String> {
    let printed = run_program(program, &["--version".into()], VERSION_LIMIT).await?;
    // The signature covers no version: an older release may be in the folder of this one.
    if !printed.starts_with(&format!("{PROGRAM} {version} ")) {
        return Err(format!("The release {version} contains another program: {}.", printed.trim()));
    }
    let instance = daemon.state_folder.instance.as_str();
    let trial = ["start".to_owned(), format!("--trial={instance}"), format!("--name={}", daemon.settings.name)];
    let flags = daemon.check_args.iter().skip(1).filter(|flag| !flag.to_string_lossy().starts_with("--name="));
    let args: Vec<OsString> = trial.map(OsString::from).into_iter().chain(flags.cloned()).collect();
    let printed = run_program(program, &args, daemon.trial_limit).await?;
    if printed.lines().any(|line| line == TRIAL_PASSED) { Ok(()) } else { Err(format!("{version} did not register.")) }
}

/// The trial has changed the version that the control plane shows. A failure lasts until the next registration.
async fn register_again(daemon: &DaemonContext) {
    let (limit, url) = (daemon.settings.request_timeout, &daemon.settings.api_url);
    if let Err(error) = with_timeout(limit, url, daemon.client.register(&daemon.request)).await {
        tracing::warn!(error = %error, "cannot register again after a failed update: {error}");
    }
}
