//! Calls for tokens and secrets.

use super::{ApiClient, Error, RetryPolicy};
use crate::secret::{
    DeleteSecretQuery, DeletedSecret, Secret, SecretPage, SecretProjects, SetSecret, SetSecretProjects,
};
use crate::token::{CreateToken, CreatedToken, RevokedToken, Token, TokenPage};
use pullyard_domain::text::id::{SecretName, TokenId};
use reqwest::Method;

impl ApiClient {
    /// Creates a token with an idempotency key: a retry creates no second one, but fails with `token_shown` and its id.
    pub async fn create_token(&self, request: &CreateToken) -> Result<CreatedToken, Error> {
        let key = format!("{:032x}", rand::random::<u128>());
        let call = self.http.request(Method::POST, "/v1/tokens").json(request).header("idempotency-key", key);
        self.http.send(call, RetryPolicy::Idempotent).await
    }

    pub async fn tokens(&self, after: Option<&str>) -> Result<TokenPage, Error> {
        self.http.get_page("/v1/tokens", after).await
    }

    pub async fn own_token(&self) -> Result<Token, Error> {
        self.http.get("/v1/tokens/self").await
    }

    pub async fn revoke_token(&self, id: &TokenId) -> Result<RevokedToken, Error> {
        self.http.send(self.http.request(Method::DELETE, &format!("/v1/tokens/{id}")), RetryPolicy::Idempotent).await
    }

    pub async fn set_secret(&self, name: &SecretName, value: &SetSecret) -> Result<Secret, Error> {
        self.http.put(&format!("/v1/secrets/{name}"), value).await
    }

    /// Replaces the list of the projects that may use a secret.
    pub async fn set_secret_projects(
        &self,
        name: &SecretName,
        list: &SetSecretProjects,
    ) -> Result<SecretProjects, Error> {
        self.http.put(&format!("/v1/secrets/{name}/projects"), list).await
    }

    pub async fn delete_secret(&self, name: &SecretName, query: &DeleteSecretQuery) -> Result<DeletedSecret, Error> {
        let call = self.http.request(Method::DELETE, &format!("/v1/secrets/{name}")).query(query);
        self.http.send(call, RetryPolicy::Never).await
    }

    /// Lists the secrets that users set, without their values.
    pub async fn secrets(&self, after: Option<&str>) -> Result<SecretPage, Error> {
        self.http.get_page("/v1/secrets", after).await
    }
}
