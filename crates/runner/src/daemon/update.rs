//! Updates the runner's program: downloads and verifies the release, waits for the runner's jobs, tries the new program,
//! and makes it current. Until then the old program runs and can start again.

use super::context::DaemonContext;
use super::installed::{InstalledPrograms, OWN_VERSION, is_same_file};
use super::program::{own_program, run_program};
use super::release::{self, PROGRAM};
use super::state::StateSnapshot;
use super::state_folder::StoredOrder;
use crate::disk_limit;
use crate::git::workspace::disk::run_blocking;
use pullyard_domain::agent::runner::order::Release;
use pullyard_protocol::runner::HeartbeatOrder;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const VERSION_LIMIT: Duration = Duration::from_secs(10);
/// `check` attacks the isolation, which may start containers. The new program repeats that while it sends no heartbeat,
/// and after 90 s of silence the runner loses its jobs.
const CHECK_LIMIT: Duration = Duration::from_secs(60);
/// Of the whole update, which waits for running jobs.
const LIMIT: Duration = Duration::from_secs(2 * 3_600);

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
    let version = order.version.clone().unwrap_or_default();
    let release = version.parse::<Release>().map_err(|_| "The order names no release.")?;
    if !daemon.settings.updates.is_allowed {
        return Err("The owner of this runner does not allow updates: --allow-remote-update.".into());
    }
    let (programs, own) = (daemon.state_folder.programs(), own_program()?);
    let owner = programs.owner_version(&own);
    if owner.parse().is_ok_and(|owner| release < owner) {
        return Err(format!("The owner of this runner installed {owner}; install {version} on its machine."));
    }
    let target = Target { program: programs.program(&version), version, own };
    if is_same_file(&target.own, &target.program) {
        return Err(format!("{} runs already.", target.version));
    }
    let installation = async {
        install(daemon, &programs, &target).await?;
        // Before the wait for running jobs, because most faults last.
        check_program(daemon, &target.program).await?;
        daemon.state().update(|state| state.is_updating = true);
        // A job that was claimed just then is taken over, as in a restart. A finish may still be undelivered.
        daemon.state().wait_until(|state| state.active_jobs().is_empty()).await;
        replace(daemon, &programs, &target, order).await
    };
    let result = timeout(LIMIT, installation).await.unwrap_or_else(|_| Err(describe_delay(daemon)));
    if let Err(reason) = result {
        if let Some(folder) = target.program.parent().map(Path::to_owned) {
            let _ = run_blocking(move || std::fs::remove_dir_all(folder)).await;
        }
        daemon.state().update(|state| state.is_updating = false);
        return Err(format!("{reason} {OWN_VERSION} continues."));
    }
    Ok(target.program)
}

fn describe_delay(daemon: &DaemonContext) -> String {
    let jobs = daemon.state().read(StateSnapshot::active_jobs);
    // The control plane cuts a longer reason.
    let ids = Vec::from_iter(jobs.iter().take(3).map(ToString::to_string)).join(", ");
    let reason = format!("The update did not end within {} h", LIMIT.as_secs() / 3_600);
    match jobs.is_empty() {
        true => format!("{reason}."),
        false => format!("{reason}. Drain the runner first, or lower limits.wall_secs; jobs ({}): {ids}.", jobs.len()),
    }
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
    let archive = release::download(address, &keys, version).await?;
    let (programs, folder, to) = (programs.clone(), version.clone(), target.program.clone());
    let unpack = run_blocking(move || programs.create_folder(&folder).and_then(|()| release::unpack(&archive, &to)));
    unpack.await.map_err(|error| format!("Cannot unpack the release {version}: {error}."))?;
    let mut command = Command::new(&target.program);
    // It does not hide its environment, which has the runner's token, from agents.
    command.arg("--version").env_clear();
    let printed = run_program(command, VERSION_LIMIT).await?;
    // The signature covers no version: an older release may be in the folder of this one.
    if printed.starts_with(&format!("{PROGRAM} {version} ")) {
        Ok(())
    } else {
        Err(format!("The release {version} contains another program: {}.", printed.trim()))
    }
}

/// Tries a program, of this or another release: its `check` must find this runner, and registers nothing.
pub(super) async fn check_program(daemon: &DaemonContext, program: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(&daemon.launch.check).arg(format!("--instance={}", daemon.state_folder.instance.as_str()));
    run_program(command, daemon.launch.update_limit.unwrap_or(CHECK_LIMIT)).await.map(drop)
}

/// Tries the new program and makes it current. The stored order names its version, so only that program reports success.
async fn replace(
    daemon: &DaemonContext,
    programs: &InstalledPrograms,
    target: &Target,
    order: &HeartbeatOrder,
) -> Result<(), String> {
    check_program(daemon, &target.program).await?;
    let stored = StoredOrder { id: order.id.clone(), version: Some(target.version.clone()) };
    daemon.state_folder.store_order(&stored).map_err(|error| format!("The update failed to {error}."))?;
    // Earlier jobs, which may use other programs, have ended.
    let current = programs.remove_others(&target.program, &target.own);
    let current = current.and_then(|()| programs.set_current(&target.version, &target.own));
    current.map_err(|error| format!("Cannot make {} current: {error}.", target.version))
}
