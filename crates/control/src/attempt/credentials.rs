//! Issues the credentials of an attempt while it holds its job. An App's token is minted per call and never stored.

use crate::allowed_names::{check_integration_use, check_secret_use};
use crate::forge::{endpoint, mint_installation_token};
use crate::jobs::load_leased_job::load_trusted_job;
use crate::{Context, Error, SecretFault};
use pullyard_domain::agent::ModelKey;
use pullyard_domain::job::{Fence, Job, Publishes};
use pullyard_domain::project::forge::{Auth, Integration};
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::text::id::ProjectId;
use pullyard_forge::features::WorkflowPolicy;
use pullyard_forge::{
    InstallationToken, RepositorySelector, analysing_permissions, attempt_permissions, reading_permissions,
    reviewing_permissions, revoke_installation_token,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub struct Credentials {
    pub forge_token: Arc<str>,
    pub expires_in: Option<Duration>,
    pub model: Vec<(ModelKey, Arc<str>)>,
    pub signing_key: Option<Arc<str>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials { .. }")
    }
}

/// Errors: `LeaseLost`; `Forge`; for a secret that is missing or lists other projects `NoModelSecret`,
/// `NoSigningSecret` or `Cloud` with `NoSecret`; `NotListed` for an integration of other projects.
pub async fn issue_credentials(ctx: &Context, fence: &Fence) -> Result<Credentials, Error> {
    let job = load_trusted_job(ctx, fence).await?;
    let integration = ctx.store.load_integration(&job.integration).await?;
    let integration = integration
        .ok_or_else(|| Error::Inconsistent(format!("the integration of {} does not exist any more", job.id)))?;
    check_integration_use(&integration, &job.project)?;
    let project = match job.policy.model_of.is_some() || job.policy.signs {
        true => ctx.store.load_project(&job.project).await?,
        false => None,
    };
    let model = load_model_secrets(ctx, &job, project.as_ref()).await?;
    let signing_key = load_signing_key(ctx, &job, project.as_ref()).await?;
    let (forge_token, expires_in) = match &integration.auth {
        _ if job.policy.uses_runner_token => ("".into(), None),
        Auth::Token { secret } => (ctx.secrets.get(secret).await?, None),
        Auth::App { .. } => mint_forge_token(ctx, fence, &job, &integration).await?,
    };
    Ok(Credentials { forge_token, expires_in, model, signing_key })
}

async fn load_signing_key(ctx: &Context, job: &Job, project: Option<&Project>) -> Result<Option<Arc<str>>, Error> {
    let project = project.filter(|_| job.policy.signs);
    let Some(secret) = project.and_then(|project| project.settings.commits.signing_secret.as_ref()) else {
        return Ok(None);
    };
    load_secret(ctx, &job.project, secret, |name, fault| Error::NoSigningSecret { name, fault }).await.map(Some)
}

async fn load_model_secrets(
    ctx: &Context,
    job: &Job,
    project: Option<&Project>,
) -> Result<Vec<(ModelKey, Arc<str>)>, Error> {
    let (Some(capability), Some(project)) = (&job.policy.model_of, project) else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    for (key, secret) in project.settings.model_secrets.iter() {
        if key.supports_capability(capability) {
            let value = load_secret(ctx, &job.project, secret, |name, fault| Error::NoModelSecret { name, fault });
            keys.push((key, value.await?));
        }
    }
    Ok(keys)
}

/// The list is asked at each call, because the setting may be older than it.
async fn load_secret(
    ctx: &Context,
    project: &ProjectId,
    name: &str,
    to_error: impl Fn(String, SecretFault) -> Error,
) -> Result<Arc<str>, Error> {
    match check_secret_use(ctx, project, &[name]).await {
        Err(Error::NotListed { .. }) => Err(to_error(name.into(), SecretFault::NotListed(project.clone()))),
        listed => {
            listed?;
            ctx.secrets.get(name).await.map_err(|error| match error {
                pullyard_cloud::Error::NoSecret { name } => to_error(name, SecretFault::Missing),
                error => error.into(),
            })
        }
    }
}

async fn mint_forge_token(
    ctx: &Context,
    fence: &Fence,
    job: &Job,
    integration: &Integration,
) -> Result<(Arc<str>, Option<Duration>), Error> {
    let repository = ctx.load_repository_of(job).await?;
    let Repository { name, workflows, .. } = repository
        .ok_or_else(|| Error::Inconsistent(format!("the repository of {} does not exist any more", job.id)))?;
    let workflows = if workflows { WorkflowPolicy::Allow } else { WorkflowPolicy::Forbid };
    let permissions = match job.publishes() {
        Publishes::Change => attempt_permissions(workflows),
        Publishes::Review => reviewing_permissions(),
        Publishes::Nothing if job.kind.spec().checkout => reading_permissions(),
        Publishes::Nothing => analysing_permissions(),
    };
    let selector = RepositorySelector::Id(job.repository);
    let InstallationToken { token, expires_in } =
        mint_installation_token(ctx, integration, &name, selector, |_| permissions).await?;
    // If the attempt lost its job during the mint, its runner must not receive the token.
    if let Err(lost) = load_trusted_job(ctx, fence).await {
        if let Err(error) = revoke_installation_token(&endpoint(ctx, &integration.api_url), token).await {
            tracing::warn!(job.id = %job.id, error = %error, "unused forge token not revoked; it will expire");
        }
        return Err(lost);
    }
    tracing::info!(job.id = %job.id, attempt = fence.attempt, repository = %name, "forge token minted");
    Ok((token.reveal().into(), Some(expires_in)))
}
