//! Calls for runs, and for the templates and schedules that start them.

use super::{ApiClient, Error, NoFields};
use crate::run::{CheckPlan, MergeRun, OpenPullRequest, ResumeRun, Run, RunPage, StartRun};
use crate::schedule::{Schedule, Schedules};
use crate::template::{PutTemplate, StartTemplate, Template, Templates};
use pullyard_domain::project::schedule::{ScheduleId, ScheduleSpec};
use pullyard_domain::project::template::{Submission, TemplateId};
use pullyard_domain::text::id::{ProjectId, RunId};
use serde::de::IgnoredAny;

impl ApiClient {
    /// Changes nothing.
    pub async fn check_plan(&self, request: &CheckPlan) -> Result<(), Error> {
        // A later server may return fields.
        let IgnoredAny = self.http.post_idempotent("/v1/plans/check", request).await?;
        Ok(())
    }

    /// Starts a run. Idempotent: by `run_id` of the request, else by `idempotency_key`.
    pub async fn start_run(&self, request: &StartRun, idempotency_key: Option<&str>) -> Result<Run, Error> {
        self.http.post("/v1/runs", request, idempotency_key).await
    }

    pub async fn runs(&self, project: &ProjectId, after: Option<&str>) -> Result<RunPage, Error> {
        self.http.get_page(&format!("/v1/runs?project={project}"), after).await
    }

    pub async fn run(&self, run: &RunId) -> Result<Run, Error> {
        self.http.get(&format!("/v1/runs/{run}")).await
    }

    /// A run with its plan and the values of its parameters.
    pub async fn run_with_plan(&self, run: &RunId) -> Result<Run, Error> {
        self.http.get(&format!("/v1/runs/{run}?plan=true")).await
    }

    /// Idempotent.
    pub async fn cancel_run(&self, run: &RunId) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/cancel"), &NoFields {}).await
    }

    /// Not repeated: the run may have failed again.
    pub async fn resume_run(&self, run: &RunId, request: &ResumeRun) -> Result<Run, Error> {
        self.http.post_once(&format!("/v1/runs/{run}/resume"), request).await
    }

    /// Idempotent.
    pub async fn open_pull_request(&self, run: &RunId, request: &OpenPullRequest) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/pull-request"), request).await
    }

    /// Idempotent.
    pub async fn merge_run(&self, run: &RunId, request: &MergeRun) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/pull-request/merge"), request).await
    }

    /// Idempotent. `answer`: `approve` or `refuse`. The caller checks the form of the step's name.
    pub async fn answer_step(&self, run: &RunId, step: &str, answer: &str) -> Result<Run, Error> {
        self.http.post_idempotent(&format!("/v1/runs/{run}/steps/{step}/{answer}"), &NoFields {}).await
    }

    pub async fn templates(&self, project: &ProjectId) -> Result<Templates, Error> {
        self.http.get(&format!("/v1/templates/{project}")).await
    }

    pub async fn template(&self, id: &TemplateId) -> Result<Template, Error> {
        self.http.get(&format!("/v1/templates/{id}")).await
    }

    pub async fn put_template(&self, id: &TemplateId, request: &PutTemplate) -> Result<Template, Error> {
        self.http.put(&format!("/v1/templates/{id}"), request).await
    }

    pub async fn delete_template(&self, id: &TemplateId) -> Result<Template, Error> {
        self.http.delete(&format!("/v1/templates/{id}")).await
    }

    /// Starts a run. Idempotent: by `run_id` of the request, else by `idempotency_key`.
    pub async fn start_template(
        &self,
        id: &TemplateId,
        request: &StartTemplate,
        idempotency_key: Option<&str>,
    ) -> Result<Run, Error> {
        self.http.post(&format!("/v1/templates/{id}/runs"), request, idempotency_key).await
    }

    /// Starts the run of a submission, or returns the first one with its id. Idempotent.
    pub async fn submit(&self, submission: &Submission) -> Result<Run, Error> {
        self.http.post_idempotent("/v1/submissions", submission).await
    }

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
        self.http.post_once(&format!("/v1/schedules/{id}/{command}"), &NoFields {}).await
    }

    /// Starts the due schedules of all projects of the token. Idempotent.
    pub async fn run_due_schedules(&self) -> Result<Schedules, Error> {
        self.http.post_idempotent("/v1/due-schedules/run", &NoFields {}).await
    }
}
