//! Results of tests as a sentence and advice, for the API and the pages.

use crate::admin::test_integration::IntegrationTestResult;
use crate::admin::test_repository::RepositoryTestResult;
use pullyard_domain::text::id::{IntegrationId, RepositoryName};
use pullyard_forge::features::{FeatureNeed, FeatureStatus};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSummary {
    /// For a repository: the test found no missing permission or setting.
    pub works: bool,
    pub sentence: String,
    pub help: String,
}

impl IntegrationTestResult {
    pub fn summarize(&self, integration: &IntegrationId) -> TestSummary {
        let (works, sentence, help) = match self {
            Self::Works => (true, format!("{integration} accepts our token."), "Nothing to do.".to_owned()),
            Self::OtherAccount(account) => (
                false,
                format!(
                    "The token of {integration} belongs to {}, not to the account that was connected.",
                    account.login
                ),
                format!("Store a token of the first account in its secret, or connect {} again.", account.login),
            ),
            Self::Unreachable(reason) => (
                false,
                format!("{integration} failed to {reason}."),
                "Check that the forge is up and that the server’s network reaches it, then test again.".to_owned(),
            ),
            Self::Refused { reason, secret } => (
                false,
                format!("{integration} failed to {reason}."),
                format!(
                    "Create a new token at the forge, and renew it here: `pullyard secrets set {}`.",
                    secret.rsplit('/').next().unwrap_or_default()
                ),
            ),
        };
        TestSummary { works, sentence, help }
    }
}

impl RepositoryTestResult {
    pub fn summarize(&self, repository: &RepositoryName) -> TestSummary {
        let rows = match self {
            Self::Refused { reason, help } => {
                let sentence = format!("The forge refused the request: failed to {reason}.");
                return TestSummary { works: false, sentence, help: help.clone() };
            }
            Self::Archived => {
                let sentence = format!("{repository} is archived, so nothing can be pushed to it.");
                let help =
                    format!("Unarchive it in its settings at the forge, or `pullyard repos delete {repository}`.");
                return TestSummary { works: false, sentence, help };
            }
            Self::Features(rows) => rows,
        };
        let missing = rows.iter().filter(|(_, status)| matches!(status, FeatureStatus::Missing(_)));
        let works =
            !missing.clone().any(|(row, _)| matches!(row.need, FeatureNeed::Always | FeatureNeed::ByRepository));
        let (sentence, help) = match (works, missing.count()) {
            (true, 0) => (format!("No missing permission was found in {repository}."), "Nothing to do."),
            (true, _) => {
                (format!("Jobs work in {repository}; something optional is missing."), "Grant what is missing.")
            }
            (false, _) => (format!("Jobs can't work in {repository}."), "Grant what is missing, then test again."),
        };
        TestSummary { works, sentence, help: help.into() }
    }
}
