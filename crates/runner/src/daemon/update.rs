//! Updates the runner's program: downloads and verifies the release, waits for the runner's jobs, tries the new program,
//! and makes it current. Until then the old program runs and can start again.

use super::context::DaemonContext;
use super::installed::{InstalledPrograms, OWN_VERSION, is_same_file};
use super::program::{own_program, run_program};
use super::release::{self, PROGRAM};
use super::state::StateSnapshot;
use super::state_folder::StoredOrder;
use super::trial::{register_again, try_program};
use crate::disk_limit;
use crate::git::workspace::disk::run_blocking;
use pullyard_domain::runner::order::Release;
use pullyard_protocol::runner::HeartbeatOrder;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

const VERSION_LIMIT: Duration = Duration::from_secs(10);
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(15 * 60);
const JOBS_LIMIT: Duration = Duration::from_secs(2 * 3_600);

/// A release that replaces this program.
struct Target {
    version: String,
    program: PathBuf,
    own: PathBuf,
}

/// Returns the new program. Claims no job between the verification and the end; after a failure, the old program
/// continues.
/// Errors: a sentence for an administrator.
/// Writes: the folder of the release, the order, and then `current`.
/// Idempotent: a repeat installs the release again.
pub(crate) async fn update(daemon: &DaemonContext, order: &HeartbeatOrder) -> Result<PathBuf, String> {
    let (version, release) = order
        .version
        .as_deref()
        .and_then(|version| Some((version.to_owned(), version.parse::<Release>().ok()?)))
        .ok_or("The order names no release.")?;
    if !daemon.settings.updates.is_allowed {
        return Err("The owner of this runner does not allow updates: --allow-remote-update.".into());
    }
    let (programs, own) = (daemon.state_folder.programs(), own_program()?);
    let owner = programs.owner_version(&own);
    if owner.parse().is_ok_and(|owner| release < owner) {
        return Err(format!("The owner of this runner installed {owner}; install {version} on its machine."));
    }
    let target = Target { program: programs.program(&version), version, own };
    // By this order, before the runner was killed.
    let is_current = programs.current().is_some_and(|current| current.version == target.version);
    let is_installed = is_same_file(&target.own, &target.program) || is_current && target.program.is_file();
    let installation = async {
        if !is_installed {
            install(daemon, &programs, &target).await?;
        }
        daemon.state().update(|state| state.is_updating = true);
        let limit = JOBS_LIMIT.as_secs() / 3_600;
        timeout(JOBS_LIMIT, wait_for_jobs(daemon))
            .await
            .map_err(|_| format!("The runner's jobs did not end within {limit} h."))?;
        replace(daemon, &programs, &target, order).await
    };
    if let Err(reason) = installation.await {
        if !is_installed && let Some(folder) = target.program.parent().map(Path::to_owned) {
            let _ = run_blocking(move || Ok(std::fs::remove_dir_all(folder))).await;
        }
        daemon.state().update(|state| state.is_updating = false);
        return Err(format!("{reason} {OWN_VERSION} continues."));
    }
    Ok(target.program)
}

/// Waits until no job runs, none is being claimed, and no finish is undelivered.
async fn wait_for_jobs(daemon: &DaemonContext) {
    let is_idle = |state: &StateSnapshot| !state.is_claiming && state.active_jobs().is_empty();
    daemon.state().wait_until(is_idle).await;
}

async fn install(daemon: &DaemonContext, programs: &InstalledPrograms, target: &Target) -> Result<(), String> {
    let (settings, version) = (&daemon.settings.updates, &target.version);
    let address = settings.address.as_deref().ok_or("This program knows no release address; set PULLYARD_RELEASES.")?;
    let keys = match &settings.keys {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| format!("Cannot read the release keys of {}: {error}.", file.display()))?,
        None => include_str!("../../release-keys.pem").to_owned(),
    };
    if let Some(reason) = disk_limit::load_low_space(daemon.jobs.starter.work_dir.clone()).await {
        return Err(format!("The work folder's disk has too little space: {reason}."));
    }
    let download = timeout(DOWNLOAD_LIMIT, release::download(address, &keys, version));
    let limit = DOWNLOAD_LIMIT.as_secs() / 60;
    let archive =
        download.await.unwrap_or_else(|_| Err(format!("The download of {version} did not end within {limit} min.")))?;
    let (programs, own) = (programs.clone(), target.own.clone());
    let (folder, to) = (version.clone(), target.program.clone());
    let unpack = run_blocking(move || {
        Ok(programs
            .remove_others(&own)
            .and_then(|()| programs.create_folder(&folder))
            .and_then(|()| release::unpack(&archive, &to)))
    });
    let result = unpack.await.map_err(|error| error.to_string())?;
    result.map_err(|error| format!("Cannot unpack the release {version}: {error}."))?;
    let printed = run_program(&target.program, &["--version".into()], VERSION_LIMIT).await?;
    // The signature covers no version: an older release may be in the folder of this one.
    if printed.starts_with(&format!("{PROGRAM} {version} ")) {
        Ok(())
    } else {
        Err(format!("The release {version} contains another program: {}.", printed.trim()))
    }
}

/// Tries the new program and makes it current. The stored order names its version, so only that program reports success.
async fn replace(
    daemon: &DaemonContext,
    programs: &InstalledPrograms,
    target: &Target,
    order: &HeartbeatOrder,
) -> Result<(), String> {
    let stored = StoredOrder { id: order.id.clone(), version: Some(target.version.clone()) };
    let replacement = async {
        try_program(daemon, &target.version, &target.program).await?;
        daemon.state_folder.store_order(&stored).map_err(|error| format!("The update failed to {error}."))?;
        let current = programs.set_current(&target.version, &target.own);
        current.map_err(|error| format!("Cannot make {} current: {error}.", target.version))
    };
    let result = replacement.await;
    if result.is_err() {
        register_again(daemon).await;
    }
    result
}
