//! Tests which features work in the repository, one row per feature.

use crate::fault::Fault;
use crate::labels::Pill;
use crate::text::{SafeText, line};
use crate::visit::PageContext;
use pullyard_control::{self as control, FeatureRow, FeatureStatus, RepositoryTestResult};
use pullyard_domain::project::Repository;

pub(super) struct Permissions {
    pub(super) tone: &'static str,
    pub(super) sentence: SafeText,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) pill: Pill,
    pub(super) feature: &'static str,
    pub(super) permissions: String,
    pub(super) note: Option<SafeText>,
}

pub(super) async fn test(visit: &PageContext, repository: &Repository) -> Result<Permissions, Fault> {
    let result = control::test_repository(&visit.ctx, &repository.project, &repository.name).await?;
    let summary = result.summarize(&repository.name);
    let sentence = line(&format!("{} {}", summary.sentence, summary.help));
    let rows = match result {
        RepositoryTestResult::Features(rows) => rows.into_iter().map(to_row).collect(),
        RepositoryTestResult::Refused { .. } => Vec::new(),
    };
    Ok(Permissions { tone: if summary.works { "ok" } else { "bad" }, sentence, rows })
}

fn to_row((row, status): (&FeatureRow, FeatureStatus)) -> Row {
    const DASH: &str = "M2.5 6h7";
    let pill = |word, shape, path, tone| Pill { word, shape, path, tone };
    let (pill, note) = match status {
        FeatureStatus::Works => (pill("Works", "tick", "M2 6.5 5 9.5 10 3", "ok"), None),
        FeatureStatus::Missing(what) => (pill("Missing", "cross", "M3 3l6 6M9 3l-6 6", "bad"), Some(what)),
        FeatureStatus::Unknown(what) => (pill("Unknown", "dash", DASH, "wait"), Some(what)),
        FeatureStatus::NotNeeded(why) => (pill("Not needed", "dash", DASH, "wait"), Some(why.to_owned())),
    };
    let permissions = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code()));
    Row {
        pill,
        feature: row.description,
        permissions: permissions.collect::<Vec<_>>().join(", "),
        note: note.map(|note| line(&note)),
    }
}
