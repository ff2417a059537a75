//! The secrets of an attempt, for as long as it holds its job.
//!
//! A token of an App is minted at every call, for one repository and what a runner does there. It is stored
//! nowhere: its runner revokes it at its end, or it ends by itself within the hour.

use super::load_trusted;
use crate::forge::{endpoint, mint};
use crate::{Context, Error};
use pullyard_domain::agent::ModelKey;
use pullyard_domain::auth::Auth;
use pullyard_domain::job::{Fence, Job};
use pullyard_domain::project::{Integration, Project, Repository};
use pullyard_forge::features::{Workflows, of_attempt};
use pullyard_forge::{InstallationToken, Only, revoke_installation_token};
use std::sync::Arc;
use std::time::Duration;

/// What an attempt proves itself with to the forge.
#[derive(Clone)]
pub struct Credentials {
    pub forge_token: Arc<str>,
    /// How long it works at least; none when that is not known.
    pub expires_in: Option<Duration>,
    /// For the agent's model, where the project names secrets for it.
    pub model: Vec<(ModelKey, Arc<str>)>,
    /// The SSH key that signs its commits, where the project names one.
    pub signing_key: Option<Arc<str>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials { .. }")
    }
}

/// The forge token for an attempt: its own at every call, where the forge is connected as an App.
///
/// Errors: `LeaseLost`; `NoSecret` when a secret of the integration is missing, `NoModelSecret` when one for the
/// agent's model is, `NoSigningSecret` when the key for commits is; the forge's.
pub async fn credentials(ctx: &Context, fence: &Fence) -> Result<Credentials, Error> {
    let job = load_trusted(ctx, fence).await?;
    let integration = ctx.store.integration(&job.integration).await?;
    let integration =
        integration.ok_or_else(|| Error::Inconsistent(format!("{} names an integration that is gone", job.id)))?;
    let project = of_project(ctx, &job).await?;
    let model = of_model(ctx, &job, project.as_ref()).await?;
    let signing_key = of_commits(ctx, &job, project.as_ref()).await?;
    let (forge_token, expires_in) = match &integration.auth {
        Auth::Token { secret } => (ctx.secrets.get(secret).await?, None),
        Auth::App { .. } => minted(ctx, fence, &job, &integration).await?,
    };
    Ok(Credentials { forge_token, expires_in, model, signing_key })
}

/// The job's project as it is now, where it named a secret when the job was made: the others pay for no look.
async fn of_project(ctx: &Context, job: &Job) -> Result<Option<Project>, Error> {
    // Where it only adopts, it asks no model and commits nothing.
    if job.adopts.is_some() || job.policy.model_of.is_none() && !job.policy.signs {
        return Ok(None);
    }
    Ok(ctx.store.project(&job.project).await?)
}

/// What the project names now for signing commits; nothing where it signs none any more.
async fn of_commits(ctx: &Context, job: &Job, project: Option<&Project>) -> Result<Option<Arc<str>>, Error> {
    let named =
        project.filter(|_| job.policy.signs).and_then(|project| project.settings.commits.signing_secret.as_ref());
    let Some(secret) = named else { return Ok(None) };
    match ctx.secrets.get(secret).await {
        Ok(key) => Ok(Some(key)),
        Err(pullyard_cloud::Error::NoSecret { name }) => Err(Error::NoSigningSecret { name }),
        Err(error) => Err(error.into()),
    }
}

/// What the project names now for the model of the job's agent.
async fn of_model(ctx: &Context, job: &Job, project: Option<&Project>) -> Result<Vec<(ModelKey, Arc<str>)>, Error> {
    let (Some(capability), Some(project)) = (&job.policy.model_of, project) else {
        return Ok(Vec::new());
    };
    let named = &project.settings.model_secrets;
    let mut model = Vec::new();
    for (key, secret) in named.named().filter(|(key, _)| key.is_for(capability)) {
        match ctx.secrets.get(secret).await {
            Ok(value) => model.push((key, value)),
            Err(pullyard_cloud::Error::NoSecret { name }) => {
                return Err(Error::NoModelSecret { name });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(model)
}

async fn minted(
    ctx: &Context,
    fence: &Fence,
    job: &Job,
    integration: &Integration,
) -> Result<(Arc<str>, Option<Duration>), Error> {
    let repository = match ctx.store.repository(&job.project, &job.integration, job.repository).await? {
        Some(repository) => Some(repository),
        // Removed in the moment in which the job was made: it goes on with what it was made with.
        None => ctx.store.context(&job.id, &job.context).await?.map(|context| context.repository),
    };
    let Repository { name, workflows, .. } =
        repository.ok_or_else(|| Error::Inconsistent(format!("{} names a repository that is gone", job.id)))?;
    let workflows = if workflows { Workflows::Change } else { Workflows::Keep };
    let only = Only::Id(job.repository);
    let InstallationToken { token, expires_in } =
        mint(ctx, integration, &name, only, |_| of_attempt(workflows)).await?;
    // Meanwhile the attempt may have been superseded, and its runner is to get nothing new.
    if let Err(lost) = load_trusted(ctx, fence).await {
        if let Err(error) = revoke_installation_token(&endpoint(ctx, &integration.api_url), token).await {
            tracing::warn!(job.id = %job.id, error = %error, "a token that nobody got was not revoked; it ends by itself");
        }
        return Err(lost);
    }
    tracing::info!(job.id = %job.id, attempt = fence.attempt, repository = %name, "a forge token was minted");
    Ok((token.reveal().into(), Some(expires_in)))
}
