//! Calls for webhooks and their secrets, ingress and replays.

use super::{ApiClient, Error};
use crate::decision::Decision;
use crate::hook::{Hook, HookCheck, HookPage, Ingresses, InstallHook, RemovedHook, RepositoryIngress, SetIngress};
use crate::secret::{RotateSecret, RotatedSecret, SecretTest, TestSecret};
use pullyard_domain::text::id::{DeliveryId, HookName, ProjectId, SecretName};
use serde_json::json;

impl ApiClient {
    /// Creates a webhook in the table and at its forge. Idempotent: by its name.
    pub async fn install_hook(&self, request: &InstallHook) -> Result<Hook, Error> {
        self.http.post_idempotent("/v1/hooks", request).await
    }

    pub async fn hooks(&self, after: Option<&str>) -> Result<HookPage, Error> {
        self.http.get_page("/v1/hooks", after).await
    }

    pub async fn hook(&self, name: &HookName) -> Result<Hook, Error> {
        self.http.get(&format!("/v1/hooks/{name}")).await
    }

    pub async fn verify_hook(&self, name: &HookName) -> Result<HookCheck, Error> {
        self.http.post_idempotent(&format!("/v1/hooks/{name}/verify"), &json!({})).await
    }

    pub async fn repair_hook(&self, name: &HookName) -> Result<HookCheck, Error> {
        self.http.post_idempotent(&format!("/v1/hooks/{name}/repair"), &json!({})).await
    }

    /// Deletes a webhook, also at its forge unless `keep_at_forge`.
    pub async fn remove_hook(&self, name: &HookName, keep_at_forge: bool) -> Result<RemovedHook, Error> {
        let keep = if keep_at_forge { "?keep_at_forge=true" } else { "" };
        self.http.delete(&format!("/v1/hooks/{name}{keep}")).await
    }

    /// Replaces a secret's value; the previous one stays valid for a while. Idempotent: by the value.
    pub async fn rotate_secret(&self, name: &SecretName, request: &RotateSecret) -> Result<RotatedSecret, Error> {
        self.http.post_idempotent(&format!("/v1/secrets/{name}/rotate"), request).await
    }

    /// Tests a project's model key with its provider.
    pub async fn test_secret(&self, name: &SecretName, request: &TestSecret) -> Result<SecretTest, Error> {
        self.http.post_idempotent(&format!("/v1/secrets/{name}/test"), request).await
    }

    pub async fn set_ingress(&self, project: &ProjectId, request: &SetIngress) -> Result<RepositoryIngress, Error> {
        self.http.put(&format!("/v1/projects/{project}/ingress"), request).await
    }

    pub async fn ingresses(&self, project: &ProjectId) -> Result<Ingresses, Error> {
        self.http.get(&format!("/v1/projects/{project}/ingress")).await
    }

    /// Decides a delivery again with the forge's present data. Idempotent: a delivery with a job keeps it.
    pub async fn replay_delivery(&self, delivery: &DeliveryId) -> Result<Decision, Error> {
        self.http.post_idempotent(&format!("/v1/deliveries/{delivery}/replay"), &json!({})).await
    }
}
