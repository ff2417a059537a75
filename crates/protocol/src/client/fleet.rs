//! Calls for the administration of self-hosted runners.

use super::{ApiClient, Error};
use crate::runner_admin::{RemovedRunner, Runner, RunnerCommand, RunnerList, RunnerOrder};
use pullyard_domain::text::percent_encode;

impl ApiClient {
    pub async fn runners(&self, after: Option<&str>) -> Result<RunnerList, Error> {
        self.http.get_page("/v1/runners", after).await
    }

    pub async fn runner(&self, runner: &str) -> Result<Runner, Error> {
        self.http.get(&path(runner)).await
    }

    pub async fn command_runner(&self, runner: &str, command: RunnerOrder) -> Result<Runner, Error> {
        self.http.post_idempotent(&format!("{}/commands", path(runner)), &RunnerCommand::new(command)).await
    }

    /// Requests that a runner installs a release.
    pub async fn update_runner(&self, runner: &str, version: &str) -> Result<Runner, Error> {
        let command = RunnerCommand { command: RunnerOrder::Update, version: Some(version.to_owned()) };
        self.http.post_idempotent(&format!("{}/commands", path(runner)), &command).await
    }

    /// Removes a runner. Never retried: a second try would not find it.
    pub async fn remove_runner(&self, runner: &str) -> Result<RemovedRunner, Error> {
        self.http.delete(&path(runner)).await
    }
}

/// An invalid name gets 404 like an unknown one.
fn path(runner: &str) -> String {
    format!("/v1/runners/{}", percent_encode(runner))
}
