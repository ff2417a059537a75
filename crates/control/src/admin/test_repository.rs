//! Tests which features work in a repository with our credentials.

use crate::allowed_names::check_integration_use;
use crate::forge::{app_client, forge_client};
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::text::format_error_chain;
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use pullyard_forge::Error as Refusal;
use pullyard_forge::features::WorkflowPolicy;
pub use pullyard_forge::features::{Feature, FeatureNeed, FeatureRow, FeatureStatus};

/// Id of the connection to the forge that `pullyard up` embeds.
pub const LOCAL_FORGE: &str = "local";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryTestResult {
    Features(Vec<(&'static FeatureRow, FeatureStatus)>),
    /// The forge refuses every push.
    Archived,
    Refused {
        /// Completes "failed to …".
        reason: String,
        help: String,
    },
}

/// Errors: `NotFound`, `NotListed`, `Store`, `Cloud`, and `Forge` if transient. A lasting error of the forge is part of the result.
pub async fn test_repository(
    ctx: &Context,
    project: &ProjectId,
    name: &RepositoryName,
) -> Result<RepositoryTestResult, Error> {
    let repository =
        ctx.store.load_repository_by_name(project, name).await?.ok_or_else(|| Error::not_found("repository", name))?;
    let integration = ctx.store.load_integration(&repository.integration).await?;
    let integration =
        integration.ok_or_else(|| Error::Inconsistent(format!("the integration of {name} does not exist any more")))?;
    check_integration_use(&integration, &repository.project)?;
    let workflows = if repository.workflows { WorkflowPolicy::Allow } else { WorkflowPolicy::Forbid };
    let access = async {
        let name = repository.name.as_str();
        if let Some(app) = app_client(ctx, &integration).await? {
            return Ok::<_, Error>(app.test_features(name, workflows).await?);
        }
        Ok(forge_client(ctx, &integration, &repository).await?.test_features(name, workflows).await?)
    };
    let install = integration.auth.issuer().is_some();
    match access.await {
        Ok(_) if is_archived(ctx, &integration, &repository).await => Ok(RepositoryTestResult::Archived),
        Ok(mut rows) => {
            if ctx.on_one_machine && integration.id.as_str() == LOCAL_FORGE {
                // The embedded forge has no permissions that a user could grant.
                rows.retain(|(_, status)| !matches!(status, FeatureStatus::Unknown(_)));
            }
            if repository.uses_runner_token() {
                let pushes = |row: &FeatureRow| {
                    matches!(row.feature, Feature::Push | Feature::Workflows | Feature::PullRequests)
                };
                // No job fails without the integration's permission.
                for (row, status) in rows.iter_mut().filter(|(row, it)| pushes(row) && *it != FeatureStatus::Works) {
                    *status = FeatureStatus::NotNeeded(match row.feature {
                        Feature::Workflows => "for jobs, which use the runner's token (see `pullyard-runner check`)",
                        Feature::Push => "for jobs, which use the runner's token; `runs pr merge` needs it",
                        _ => "for jobs, which use the runner's token; `runs pr create` and `runs pr merge` need it",
                    });
                }
            }
            Ok(RepositoryTestResult::Features(rows))
        }
        Err(Error::Forge(error)) if error.is_transient() => Err(error.into()),
        Err(Error::Forge(error)) => {
            let help = match (&error, install) {
                (Refusal::NotFound { .. }, true) => format!("Install the App of {} on {name}.", integration.id),
                (Refusal::NotFound { .. }, false) => format!("Give the token of {} access to {name}.", integration.id),
                (Refusal::Forbidden { .. }, true) => {
                    "Request the owner of the installation to unsuspend it.".to_owned()
                }
                _ => format!("Test it with `pullyard integrations test {}`.", integration.id),
            };
            Ok(RepositoryTestResult::Refused { reason: format_error_chain(&error), help })
        }
        Err(error) => Err(error),
    }
}

/// Best effort: without an answer, the features still help.
async fn is_archived(ctx: &Context, integration: &Integration, repository: &Repository) -> bool {
    match forge_client(ctx, integration, repository).await {
        Ok(forge) => forge.repository(repository.name.as_str()).await.is_ok_and(|found| found.archived),
        Err(_) => false,
    }
}
