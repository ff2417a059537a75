//! The test of a repository: each feature with its permissions.

use super::{RepositoryQuery, check_admin, list_url, load_repository, repository_query};
use crate::fault::Fault;
use crate::frame::{Frame, render_page};
use crate::hints::{Page, name_buttons};
use crate::labels::Pill;
use crate::params::Query;
use crate::text::{self, Help, SafeText, line};
use crate::visit::PageContext;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pullyard_control::{self as control, FeatureStatus, RepositoryTestResult, TestSummary};
use pullyard_domain::id::{ProjectId, RepositoryName};
use serde::Deserialize;

const WORKS: Pill = Pill { word: "Works", shape: "tick", path: "M2 6.5 5 9.5 10 3", tone: "ok" };
const MISSING: Pill = Pill { word: "Missing", shape: "tri", path: super::TRIANGLE, tone: "warn" };
const UNKNOWN: Pill = Pill { word: "Unknown", shape: "ring", path: super::RING, tone: "wait" };
const NOT_NEEDED: Pill = Pill { word: "Not needed", shape: "dash", path: "M2.5 6h7", tone: "wait" };

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
    back: String,
}

struct FeatureRow {
    state: Pill,
    what: &'static str,
    permissions: String,
    note: Option<SafeText>,
}

/// Tests the repository on each view. A test only reads.
pub(super) async fn show(
    visit: PageContext,
    Query(TestQuery { project, repository, added }): Query<TestQuery>,
) -> Result<Response, Fault> {
    check_admin(&visit)?;
    let query = RepositoryQuery { project, repository };
    let repository = load_repository(&visit, &query).await?;
    let result = control::test_repository(&visit.ctx, &query.project, &repository.name).await?;
    let TestSummary { works, sentence, help } = result.summarize(&repository.name);
    let rows = match result {
        RepositoryTestResult::Refused { .. } => Vec::new(),
        RepositoryTestResult::Features(rows) => rows,
    };
    let row = |(row, status): (&'static control::FeatureRow, FeatureStatus)| {
        let (state, note) = match status {
            FeatureStatus::Works => (WORKS, None),
            FeatureStatus::Missing(what) => (MISSING, Some(line(&what))),
            FeatureStatus::Unknown(what) => (UNKNOWN, Some(line(&what))),
            FeatureStatus::NotNeeded(why) => (NOT_NEEDED, Some(line(why))),
        };
        let permissions = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code()));
        FeatureRow { state, what: row.description, permissions: permissions.collect::<Vec<_>>().join(", "), note }
    };
    let page = TestPage {
        frame: visit.frame(&format!("Test of {}", repository.name), "repositories", Some(&query.project)),
        name: line(repository.name.as_str()),
        added: added.is_some(),
        works,
        sentence: line(&sentence),
        help: text::help(&name_buttons(&help, Page::Other)),
        rows: rows.into_iter().map(row).collect(),
        query: repository_query(&repository),
        back: list_url(Some(&query.project)),
    };
    Ok(render_page(StatusCode::OK, &page))
}
