//! Tests which features work in the repository, one row per feature.

use crate::prelude::*;
use crate::setup::repositories::{FeatureRow, list_features};
use pullyard_domain::project::Repository;

pub(super) struct Permissions {
    pub(super) tone: &'static str,
    pub(super) sentence: SafeText,
    pub(super) rows: Vec<FeatureRow>,
}

pub(super) async fn test(visit: &PageContext, repository: &Repository) -> Result<Permissions, Fault> {
    let result = control::test_repository(&visit.ctx, &repository.project, &repository.name).await?;
    let summary = result.summarize(&repository.name);
    let sentence = line(&format!("{} {}", summary.sentence, summary.help));
    Ok(Permissions { tone: if summary.works { "ok" } else { "bad" }, sentence, rows: list_features(result) })
}
