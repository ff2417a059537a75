//! Calls for ticket tools.

use super::ticket::ticket_path;
use super::{ApiClient, Error, RetryPolicy};
use crate::ticket::Ticket;
use crate::tracker::{ChosenTracker, CreateTracker, CreatedTracker, DeletedTracker, ToolList, Tracker, Trackers};
use pullyard_domain::project::ToolChoice;
use pullyard_domain::text::id::{IntegrationId, ProjectId, TicketKey};
use reqwest::Method;
use serde_json::json;

impl ApiClient {
    pub async fn trackers(&self) -> Result<Trackers, Error> {
        self.http.get("/v1/trackers").await
    }

    pub async fn tracker(&self, id: &IntegrationId) -> Result<Tracker, Error> {
        self.http.get(&format!("/v1/trackers/{id}")).await
    }

    /// Not repeated, because only the first answer has the secret.
    pub async fn create_tracker(&self, new: &CreateTracker) -> Result<CreatedTracker, Error> {
        self.http.post_once("/v1/trackers", new).await
    }

    pub async fn test_tracker(&self, id: &IntegrationId) -> Result<Tracker, Error> {
        self.http.post_idempotent(&format!("/v1/trackers/{id}/test"), &json!({})).await
    }

    /// Without a scope, the answer lists the scopes.
    pub async fn tool_statuses(&self, id: &IntegrationId, scope: &str) -> Result<ToolList, Error> {
        let call = self.http.request(Method::GET, &format!("/v1/trackers/{id}/statuses"));
        let call = call.query(&[("scope", scope)]);
        self.http.send(call, RetryPolicy::Idempotent).await
    }

    pub async fn delete_tracker(&self, id: &IntegrationId) -> Result<DeletedTracker, Error> {
        self.http.delete(&format!("/v1/trackers/{id}")).await
    }

    pub async fn use_tracker(&self, project: &ProjectId, choice: &ToolChoice) -> Result<ChosenTracker, Error> {
        self.http.put(&format!("/v1/projects/{project}/tracker"), choice).await
    }

    pub async fn unuse_tracker(&self, project: &ProjectId) -> Result<ChosenTracker, Error> {
        self.http.delete(&format!("/v1/projects/{project}/tracker")).await
    }

    pub async fn sync_ticket(&self, project: &ProjectId, key: &TicketKey) -> Result<Ticket, Error> {
        self.http.post_idempotent(&ticket_path(project, key, "/sync"), &json!({})).await
    }
}
