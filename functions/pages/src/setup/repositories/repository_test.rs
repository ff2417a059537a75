//! The test of a repository: each feature with its permissions.

use super::{check_admin, load_repository, repository_query};
use crate::hints::{Page, name_buttons};
use crate::labels::{DASH, RING, TICK, TRIANGLE};
use crate::prelude::*;
use pullyard_control::{FeatureStatus, RepositoryTestResult, TestSummary};
use pullyard_domain::text::id::RepositoryName;

const WORKS: Pill = Pill { word: "Works", shape: "tick", path: TICK, tone: "ok" };
const MISSING: Pill = Pill { word: "Missing", shape: "tri", path: TRIANGLE, tone: "warn" };
const UNKNOWN: Pill = Pill { word: "Unknown", shape: "ring", path: RING, tone: "wait" };
const NOT_NEEDED: Pill = Pill { word: "Not needed", shape: "dash", path: DASH, tone: "wait" };

#[derive(Deserialize)]
pub(super) struct TestQuery {
    project: ProjectId,
    repository: RepositoryName,
    added: Option<u8>,
}

#[derive(Template)]
#[template(path = "repository_test.html")]
struct TestPage {
    frame: Frame,
    name: SafeText,
    added: bool,
    works: bool,
    sentence: SafeText,
    help: Help,
    rows: Vec<FeatureRow>,
    query: String,
}

pub(in crate::setup) struct FeatureRow {
    pub(in crate::setup) state: Pill,
    pub(in crate::setup) feature: &'static str,
    pub(in crate::setup) permissions: String,
    pub(in crate::setup) note: Option<SafeText>,
}

/// Tests the repository on each view. A test only reads.
pub(super) async fn show(
    visit: PageContext,
    Query(TestQuery { project, repository, added }): Query<TestQuery>,
) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let repository = load_repository(&visit, &project, &repository).await?;
    let result = control::test_repository(&visit.ctx, &project, &repository.name).await?;
    let TestSummary { works, sentence, help } = result.summarize(&repository.name);
    let page = TestPage {
        frame: visit.frame(&format!("Test of {}", repository.name), "repositories", Some(&project)),
        name: line(repository.name.as_str()),
        added: added.is_some(),
        works,
        sentence: line(&sentence),
        help: text::help(&name_buttons(&help, Page::Other)),
        rows: list_features(result),
        query: repository_query(&repository),
    };
    Ok(render_page(StatusCode::OK, &page))
}

pub(in crate::setup) fn list_features(result: RepositoryTestResult) -> Vec<FeatureRow> {
    let row = |(row, status): (&'static control::FeatureRow, FeatureStatus)| {
        let (state, note) = match status {
            FeatureStatus::Works => (WORKS, None),
            FeatureStatus::Missing(detail) => (MISSING, Some(line(&detail))),
            FeatureStatus::Unknown(detail) => (UNKNOWN, Some(line(&detail))),
            FeatureStatus::NotNeeded(reason) => (NOT_NEEDED, Some(line(reason))),
        };
        let permissions = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code()));
        FeatureRow { state, feature: row.description, permissions: permissions.collect::<Vec<_>>().join(", "), note }
    };
    match result {
        RepositoryTestResult::Refused { .. } | RepositoryTestResult::Archived => Vec::new(),
        RepositoryTestResult::Features(rows) => rows.into_iter().map(row).collect(),
    }
}
