//! Tests which features work in the repository, one row per feature.

use crate::fault::Fault;
use crate::labels::Pill;
use crate::text::{SafeText, line};
use crate::visit::PageContext;
use pullyard_control::{self as control, FeatureNeed, FeatureRow, FeatureStatus, RepositoryTestResult};
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
    let name = &repository.name;
    let rows = match control::test_repository(&visit.ctx, &repository.project, name).await? {
        RepositoryTestResult::Features(rows) => rows,
        RepositoryTestResult::Refused { why, help } => {
            let sentence = line(&format!("The forge refused the request: failed to {why}. {help}"));
            return Ok(Permissions { tone: "bad", sentence, rows: Vec::new() });
        }
    };
    let is_missing = |(_, status): &&(&FeatureRow, FeatureStatus)| matches!(status, FeatureStatus::Missing(_));
    let missing = rows.iter().filter(is_missing).map(|(row, _)| row.need).collect::<Vec<_>>();
    let fails = |need: &FeatureNeed| matches!(need, FeatureNeed::Always | FeatureNeed::ByRepository);
    let (tone, sentence) = if missing.is_empty() {
        ("ok", format!("No missing permission was found in {name}."))
    } else if missing.iter().any(fails) {
        ("bad", format!("Jobs can’t work in {name}. Grant the missing permissions at the forge, then test again."))
    } else {
        ("warn", format!("Jobs work in {name}; an optional permission is missing."))
    };
    Ok(Permissions { tone, sentence: line(&sentence), rows: rows.into_iter().map(to_row).collect() })
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
