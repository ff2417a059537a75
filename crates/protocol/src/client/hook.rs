//! The calls of people about webhooks.

use super::{Error, Operator, Repeat};
use crate::decision::Decision;
use crate::hook::{
    Hook, HookCheck, HookPage, Ingresses, InstallHook, RecoverHook, Recovered, RemovedHook, RepositoryIngress,
    SetIngress,
};
use crate::secret::{RotateSecret, RotatedSecret};
use pullyard_domain::id::{DeliveryId, HookName, ProjectId, SecretName};
use reqwest::Method;
use serde_json::json;

impl Operator {
    /// Makes a hook here and at its forge. Safe to repeat: by its name.
    pub async fn install_hook(&self, request: &InstallHook) -> Result<Hook, Error> {
        self.http.post("/v1/hooks", request, Repeat::Safe).await
    }

    /// The hooks, by name.
    pub async fn hooks(&self, after: Option<&str>) -> Result<HookPage, Error> {
        let after = after.map(|after| format!("?after={after}")).unwrap_or_default();
        self.http.get(&format!("/v1/hooks{after}")).await
    }

    /// A hook.
    pub async fn hook(&self, name: &HookName) -> Result<Hook, Error> {
        self.http.get(&format!("/v1/hooks/{name}")).await
    }

    /// In which ways a hook is not what it should be.
    pub async fn verify_hook(&self, name: &HookName) -> Result<HookCheck, Error> {
        self.http.post(&format!("/v1/hooks/{name}/verify"), &json!({}), Repeat::Safe).await
    }

    /// Has the forge's hook be what it should be.
    pub async fn repair_hook(&self, name: &HookName) -> Result<HookCheck, Error> {
        self.http.post(&format!("/v1/hooks/{name}/repair"), &json!({}), Repeat::Safe).await
    }

    /// Looks for what a hook should have told, now.
    pub async fn recover_hook(&self, name: &HookName, request: &RecoverHook) -> Result<Recovered, Error> {
        self.http.post(&format!("/v1/hooks/{name}/recover"), request, Repeat::Never).await
    }

    /// Forgets a hook, at its forge too unless it is kept there.
    pub async fn remove_hook(&self, name: &HookName, keep_at_forge: bool) -> Result<RemovedHook, Error> {
        let keep = if keep_at_forge { "?keep_at_forge=true" } else { "" };
        self.http.send(self.http.request(Method::DELETE, &format!("/v1/hooks/{name}{keep}")), Repeat::Never).await
    }

    /// Gives a secret another value; the one it had counts beside it for a while. Safe to repeat: by the value.
    pub async fn rotate_secret(&self, name: &SecretName, request: &RotateSecret) -> Result<RotatedSecret, Error> {
        self.http.post(&format!("/v1/secrets/{name}/rotate"), request, Repeat::Safe).await
    }

    /// How what happens in a repository is heard of.
    pub async fn set_ingress(&self, project: &ProjectId, request: &SetIngress) -> Result<RepositoryIngress, Error> {
        let call = self.http.request(Method::PUT, &format!("/v1/projects/{project}/ingress")).json(request);
        self.http.send(call, Repeat::Safe).await
    }

    /// How what happens in each repository of a project is heard of.
    pub async fn ingresses(&self, project: &ProjectId) -> Result<Ingresses, Error> {
        self.http.get(&format!("/v1/projects/{project}/ingress")).await
    }

    /// Decides a delivery again, from what its forge says now. Safe to repeat: what has its job keeps it.
    pub async fn replay_delivery(&self, delivery: &DeliveryId) -> Result<Decision, Error> {
        self.http.post(&format!("/v1/deliveries/{delivery}/replay"), &json!({}), Repeat::Safe).await
    }
}
