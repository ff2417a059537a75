//! The permissions that each feature needs, and whether a feature works in a repository.

use super::Bitbucket;
use crate::Error;
use crate::features::{Feature, FeatureNeed, FeatureRow, FeatureStatus, Grant, Level, WorkflowPolicy};

static FEATURES: [FeatureRow; 3] = {
    use Level::{Read, Write};
    const fn row(feature: Feature, text: &'static str, permissions: &'static [Grant]) -> FeatureRow {
        FeatureRow { feature, description: text, permissions, scope: "", need: FeatureNeed::Always }
    }
    [
        row(Feature::ReadRepository, "find the repository", &[("repository", Read)]),
        row(Feature::Push, "fetch and push branches", &[("repository", Read), ("repository", Write)]),
        row(
            Feature::PullRequests,
            "open pull requests, read reviews, answer comments",
            &[("pullrequest", Read), ("pullrequest", Write)],
        ),
    ]
};

/// Whether the token can read pull requests of a visible repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulls {
    Readable,
    Hidden,
}

/// Bitbucket cannot list a token's scopes, so a missing write scope shows only at a write.
fn check(row: &FeatureRow, pulls: Pulls) -> FeatureStatus {
    let needs = row.permissions.iter().map(|(name, level)| format!("{}:{name}", level.code()));
    let needs = needs.collect::<Vec<_>>().join(" and ");
    match (row.feature, pulls) {
        (Feature::ReadRepository, _) => FeatureStatus::Works,
        (Feature::PullRequests, Pulls::Hidden) => FeatureStatus::Missing(format!("give the token {needs}")),
        _ => FeatureStatus::Unknown(format!("it needs {needs}")),
    }
}

impl Bitbucket {
    /// Checks that repository and pull requests are readable. Workflow files need no permission of their own.
    pub async fn test_features(
        &self,
        full_name: &str,
        _workflows: WorkflowPolicy,
    ) -> Result<Vec<(&'static FeatureRow, FeatureStatus)>, Error> {
        self.repository(full_name).await?;
        let pulls = match self.pull_requests(full_name, 1).await {
            Ok(_) => Pulls::Readable,
            Err(Error::Forbidden { .. } | Error::NotFound { .. }) => Pulls::Hidden,
            Err(error) => return Err(error),
        };
        Ok(FEATURES.iter().map(|row| (row, check(row, pulls))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_reads_are_reported_but_no_write_rights() {
        let statuses = |pulls| FEATURES.each_ref().map(|row| check(row, pulls));
        let pulls = "read:pullrequest and write:pullrequest";
        let push = FeatureStatus::Unknown("it needs read:repository and write:repository".into());
        let untold = FeatureStatus::Unknown(format!("it needs {pulls}"));
        assert_eq!(statuses(Pulls::Readable), [FeatureStatus::Works, push.clone(), untold]);
        let missing = FeatureStatus::Missing(format!("give the token {pulls}"));
        assert_eq!(statuses(Pulls::Hidden), [FeatureStatus::Works, push, missing]);
    }
}
