//! Tries the new program of an update: it starts as this runner, registers, sends a heartbeat, and exits.
//!
//! The program of one release starts that of another. Therefore these stay as they are: the flags `--trial`,
//! `--trial-limit-secs` and `--name` of `start`, the line [`TRIAL_PASSED`], and the first line of `--version`.

use super::call_failure::{CallKind, FatalExit, RunnerCallFailure, classify_failure};
use super::context::DaemonContext;
use super::heartbeat::with_timeout;
use super::lifecycle::{UNUSABLE_SANDBOX_EXIT, check_isolation, register, registration, until_reachable};
use super::pauses;
use super::program::run_program;
use super::settings::Settings;
use super::state::StateSnapshot;
use crate::Error;
use pullyard_domain::id::InstanceId;
use pullyard_protocol::client::RunnerClient;
use pullyard_protocol::runner::HeartbeatRequest;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Printed by a trial, so that a program that exits without one does not pass.
const TRIAL_PASSED: &str = "registered as the runner and sent a heartbeat";

/// Registers as the running daemon, which has no job, and sends a heartbeat: this program works here.
/// Errors: also if the control plane does not answer within `limit`.
pub(crate) async fn run_trial(settings: Settings, instance: InstanceId, limit: Duration) -> Result<u8, FatalExit> {
    let isolation =
        check_isolation(&settings).await.map_err(|message| FatalExit { code: UNUSABLE_SANDBOX_EXIT, message })?;
    let client = RunnerClient::new(&settings.api_url, &settings.token).map_err(Error::Client)?;
    let mut request = registration(&settings, false, instance.clone(), isolation);
    let trial = async {
        let register = async || register(&settings, &client, &mut request).await;
        let runner = until_reachable(&settings, "registration", register).await?.runner;
        let heartbeat =
            HeartbeatRequest { instance, active: BTreeSet::new(), draining: true, last: false, order: None };
        let send = async || {
            with_timeout(settings.request_timeout, &settings.api_url, client.heartbeat(&runner, &heartbeat)).await
        };
        until_reachable(&settings, "heartbeat", send).await
    };
    let result = timeout(limit, trial).await.unwrap_or_else(|_| {
        Err(FatalExit { code: 1, message: "The control plane did not answer the trial in time.".into() })
    });
    result.map(|_| {
        println!("{TRIAL_PASSED}");
        0
    })
}

/// Starts the new program as this runner.
pub(super) async fn try_program(daemon: &DaemonContext, version: &str, program: &Path) -> Result<(), String> {
    let instance = daemon.state_folder.instance.as_str();
    // The trial itself ends first, so that it can name the reason.
    let limit = daemon.trial_limit.as_secs() * 9 / 10;
    let trial = [
        "start".to_owned(),
        format!("--trial={instance}"),
        format!("--trial-limit-secs={limit}"),
        format!("--name={}", daemon.settings.name),
    ];
    let flags = daemon.check_args.iter().skip(1).filter(|flag| !flag.to_string_lossy().starts_with("--name="));
    let args: Vec<OsString> = trial.map(OsString::from).into_iter().chain(flags.cloned()).collect();
    let printed = run_program(program, &args, daemon.trial_limit).await?;
    if printed.lines().any(|line| line == TRIAL_PASSED) { Ok(()) } else { Err(format!("{version} did not register.")) }
}

/// A trial has changed the version that the control plane shows, and would refuse the next update with.
pub(super) async fn register_again(daemon: &DaemonContext) {
    let mut request = daemon.request.clone();
    for failures in 1.. {
        request.active = daemon.state().read(StateSnapshot::active_jobs);
        let Err(error) = register(&daemon.settings, &daemon.client, &mut request).await else { return };
        tracing::warn!(error = %error, "cannot register again after a failed update: {error}");
        if let RunnerCallFailure::Fatal(_) = classify_failure(&error, CallKind::Registration, &daemon.settings.name) {
            return;
        }
        sleep(pauses::back_off(failures, rand::random())).await;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn line_of_a_passed_trial_stays_as_released_programs_expect_it() {
        assert_eq!(super::TRIAL_PASSED, "registered as the runner and sent a heartbeat");
    }
}
