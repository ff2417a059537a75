//! Tests whether a model's provider accepts a key.

use crate::admin::secrets::check_secret_kind;
use crate::forge::endpoint;
use crate::{Context, Error};
use pullyard_domain::agent::{ModelKey, ModelSecrets};
use pullyard_domain::id::SecretName;
use pullyard_domain::model_key_test::{ModelKeyTest, ModelProvider};
use pullyard_domain::secret::SecretKind;
use pullyard_forge::{Error as Refusal, ModelApi, Token, check_model_key};

/// Base URLs that replace the providers' own for the agents of this machine.
#[derive(Clone, Debug, Default)]
pub struct ModelUrls {
    pub anthropic: Option<String>,
    pub openai: Option<String>,
}

/// Sends one request to the provider, and a second if the first got no answer.
pub async fn test_model_key(ctx: &Context, urls: &ModelUrls, kind: ModelKey, key: &str) -> ModelKeyTest {
    let (api, url, default) = match kind.provider() {
        Some(ModelProvider::Anthropic) => (ModelApi::Anthropic, &urls.anthropic, "https://api.anthropic.com"),
        Some(ModelProvider::OpenAi) => (ModelApi::OpenAi, &urls.openai, "https://api.openai.com/v1"),
        None => return ModelKeyTest::Untestable,
    };
    let endpoint = endpoint(ctx, url.as_deref().unwrap_or(default));
    match check_model_key(&endpoint, api, Token::new(key)).await {
        Ok(()) => ModelKeyTest::Accepted,
        Err(Refusal::Denied { .. }) => ModelKeyTest::Refused,
        Err(Refusal::Forbidden { .. }) => ModelKeyTest::Forbidden,
        Err(Refusal::RateLimited { .. } | Refusal::Unexpected { status: 402, .. }) => ModelKeyTest::Limited,
        Err(error) => {
            tracing::warn!(error = %error, "test of a model key failed");
            let unreachable = matches!(error, Refusal::Unreachable { .. });
            if unreachable { ModelKeyTest::Unreachable } else { ModelKeyTest::Failed }
        }
    }
}

/// Tests the key in a secret of jobs. Errors: `Invalid` for another secret; `Cloud`.
pub async fn test_stored_model_key(
    ctx: &Context,
    urls: &ModelUrls,
    kind: ModelKey,
    secret: &str,
) -> Result<ModelKeyTest, Error> {
    check_secret_kind(ctx, SecretKind::Job, secret, "/secret")?;
    if kind.provider().is_none() {
        return Ok(ModelKeyTest::Untestable);
    }
    let key = ctx.secrets.get(secret).await?;
    Ok(test_model_key(ctx, urls, kind, key.trim()).await)
}

/// Tests one of a project's model keys, which determine the provider. Errors: `NotFound` for another secret; `Cloud`.
pub async fn test_model_key_of_project(
    ctx: &Context,
    urls: &ModelUrls,
    keys: &ModelSecrets,
    name: &SecretName,
) -> Result<ModelKeyTest, Error> {
    let key = keys.iter().find(|(_, secret)| secret.rsplit('/').next() == Some(name.as_str()));
    let absent = || Error::not_found("model key of the project in the secret", name);
    let (kind, secret) = key.ok_or_else(absent)?;
    test_stored_model_key(ctx, urls, kind, secret).await
}
