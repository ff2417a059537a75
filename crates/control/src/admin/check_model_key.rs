//! Tests whether a model's provider accepts a key.

use crate::admin::secrets::check_secret_kind;
use crate::allowed_names::check_secret_use;
use crate::forge::endpoint;
use crate::{Context, Error};
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::agent::{ModelKey, Provider};
use pullyard_domain::project::Project;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::{ProjectId, SecretName};
use pullyard_forge::{Error as Refusal, Token};

/// Base URLs that replace the providers' own for the agents of this machine.
#[derive(Clone, Debug, Default)]
pub struct ModelUrls(Vec<(Provider, String)>);

impl ModelUrls {
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let url = |provider: Provider| Some((provider, variable(provider.spec().url_variable)?));
        Self(Provider::ALL.into_iter().filter_map(url).collect())
    }

    fn find(&self, provider: Provider) -> &str {
        let own = self.0.iter().find(|(own, _)| *own == provider);
        own.map_or(provider.spec().url, |(_, url)| url)
    }
}

/// Sends one request to the provider, and a second if the first got no answer.
pub async fn check_model_key(ctx: &Context, urls: &ModelUrls, kind: ModelKey, key: &str) -> ModelKeyTest {
    let spec = kind.spec();
    if !spec.is_testable {
        return ModelKeyTest::Untestable;
    }
    let endpoint = endpoint(ctx, urls.find(spec.provider));
    match pullyard_forge::check_model_key(&endpoint, spec.provider, Token::new(key)).await {
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

/// Tests the key in a secret of the project's jobs. Errors: `Invalid` for another secret; `NotListed`; `Cloud`.
pub async fn check_stored_model_key(
    ctx: &Context,
    urls: &ModelUrls,
    project: &ProjectId,
    (kind, secret): (ModelKey, &str),
) -> Result<ModelKeyTest, Error> {
    check_secret_kind(ctx, SecretKind::Job, secret, "/secret")?;
    check_secret_use(ctx, project, &[secret]).await?;
    if !kind.spec().is_testable {
        return Ok(ModelKeyTest::Untestable);
    }
    let key = ctx.secrets.get(secret).await?;
    Ok(check_model_key(ctx, urls, kind, key.trim()).await)
}

/// Tests one of a project's model keys, which determine the provider.
/// Errors: `NotFound` for another secret; `NotListed`; `Cloud`.
pub async fn check_model_key_of_project(
    ctx: &Context,
    urls: &ModelUrls,
    project: &Project,
    name: &SecretName,
) -> Result<ModelKeyTest, Error> {
    let mut keys = project.settings.model_secrets.iter();
    let key = keys.find(|(_, secret)| secret.rsplit('/').next() == Some(name.as_str()));
    let key = key.ok_or_else(|| Error::not_found("model key of the project in the secret", name))?;
    check_stored_model_key(ctx, urls, &project.id, key).await
}
