//! Tests whether a model's provider accepts a key.

use crate::admin::secrets::check_secret_kind;
use crate::forge::endpoint;
use crate::{Context, Error};
use pullyard_domain::agent::ModelKey;
use pullyard_domain::model_key_test::{ModelKeyTest, ModelProvider};
use pullyard_domain::secret::SecretKind;
use pullyard_forge::{Error as Refusal, ModelApi, Token, check_model_key};

/// Sends one request to the provider, and a second if the first got no answer. `base_url` replaces the provider's own.
pub async fn test_model_key(ctx: &Context, kind: ModelKey, base_url: Option<&str>, key: &str) -> ModelKeyTest {
    let (api, url) = match kind.provider() {
        Some(ModelProvider::Anthropic) => (ModelApi::Anthropic, "https://api.anthropic.com"),
        Some(ModelProvider::OpenAi) => (ModelApi::OpenAi, "https://api.openai.com/v1"),
        None => return ModelKeyTest::Untestable,
    };
    let endpoint = endpoint(ctx, base_url.unwrap_or(url));
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
    kind: ModelKey,
    base_url: Option<&str>,
    secret: &str,
) -> Result<ModelKeyTest, Error> {
    check_secret_kind(ctx, SecretKind::Job, secret, "/secret")?;
    if kind.provider().is_none() {
        return Ok(ModelKeyTest::Untestable);
    }
    let key = ctx.secrets.get(secret).await?;
    Ok(test_model_key(ctx, kind, base_url, key.trim()).await)
}
