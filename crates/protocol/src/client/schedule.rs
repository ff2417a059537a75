//! Calls for schedules.

use super::{ApiClient, Error};
use crate::schedule::{Schedule, Schedules};
use pullyard_domain::id::ProjectId;
use pullyard_domain::schedule::{ScheduleId, ScheduleSpec};
use serde_json::json;

impl ApiClient {
    pub async fn schedules(&self, project: &ProjectId) -> Result<Schedules, Error> {
        self.http.get(&format!("/v1/schedules/{project}")).await
    }

    pub async fn schedule(&self, id: &ScheduleId) -> Result<Schedule, Error> {
        self.http.get(&format!("/v1/schedules/{id}")).await
    }

    pub async fn put_schedule(&self, id: &ScheduleId, spec: &ScheduleSpec) -> Result<Schedule, Error> {
        self.http.put(&format!("/v1/schedules/{id}"), spec).await
    }

    pub async fn delete_schedule(&self, id: &ScheduleId) -> Result<Schedule, Error> {
        self.http.delete(&format!("/v1/schedules/{id}")).await
    }

    /// `command`: `resume`, `pause` or `run`. Not repeated, because `run` may start analyses that have ended.
    pub async fn command_schedule(&self, id: &ScheduleId, command: &str) -> Result<Schedule, Error> {
        self.http.post_once(&format!("/v1/schedules/{id}/{command}"), &json!({})).await
    }

    /// Starts the due schedules of all projects of the token. Idempotent.
    pub async fn run_due_schedules(&self) -> Result<Schedules, Error> {
        self.http.post_idempotent("/v1/due-schedules/run", &json!({})).await
    }
}
