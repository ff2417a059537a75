//! Tests which features work in a repository.

use crate::routes::prelude::*;
use pullyard_control::{Feature, FeatureRow, FeatureStatus, RepositoryTestResult, TestSummary};
use pullyard_domain::text::id::RepositoryName;
use pullyard_protocol::project::{self, FeatureTest, FeatureVerdict, RepositoryTest};

pub(crate) async fn test(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    Path((_, owner, name)): Path<(ProjectId, String, String)>,
) -> Result<Json<RepositoryTest>, Problem> {
    let unknown = |_| Problem::not_found(format!("There is no repository {owner}/{name}."));
    let repository = RepositoryName::new(format!("{owner}/{name}")).map_err(unknown)?;
    let result = control::test_repository(&caller.ctx, &project, &repository).await?;
    let TestSummary { works, sentence, help } = result.summarize(&repository);
    let features = match result {
        RepositoryTestResult::Refused { .. } | RepositoryTestResult::Archived => Vec::new(),
        RepositoryTestResult::Features(rows) => rows.into_iter().map(to_wire_feature_test).collect(),
    };
    Ok(Json(RepositoryTest { works, sentence, help, features }))
}

fn to_wire_feature_test((row, verdict): (&FeatureRow, FeatureStatus)) -> FeatureTest {
    let (verdict, note) = match verdict {
        FeatureStatus::Works => (FeatureVerdict::Works, None),
        FeatureStatus::Missing(detail) => (FeatureVerdict::Missing, Some(detail)),
        FeatureStatus::Unknown(detail) => (FeatureVerdict::Unknown, Some(detail)),
        FeatureStatus::NotNeeded(reason) => (FeatureVerdict::NotNeeded, Some(reason.to_owned())),
    };
    let permissions = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code())).collect();
    FeatureTest {
        feature: to_wire_feature(row.feature),
        description: row.description.into(),
        permissions,
        verdict,
        note,
    }
}

fn to_wire_feature(feature: Feature) -> project::Feature {
    match feature {
        Feature::ReadRepository => project::Feature::Repository,
        Feature::Push => project::Feature::Push,
        Feature::Workflows => project::Feature::Workflows,
        Feature::PullRequests => project::Feature::PullRequests,
        Feature::Threads => project::Feature::Conversations,
        Feature::Comments => project::Feature::Comments,
        Feature::Statuses => project::Feature::Statuses,
        Feature::Hooks => project::Feature::Hooks,
    }
}
