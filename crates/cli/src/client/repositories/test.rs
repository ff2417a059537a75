//! `pullyard repos test`: prints one row per feature, then the result and help.

use crate::client::prelude::*;
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use pullyard_protocol::project::{FeatureTest, FeatureVerdict};

pub(super) async fn test(session: &Session, project: &ProjectId, name: &RepositoryName) -> Result<(), CliError> {
    let result = session.api.test_repository(project, name).await?;
    if session.screen.is_json() {
        session.screen.json(&result)?;
    } else {
        if !result.features.is_empty() {
            show(session, &result.features)?;
        }
        if result.works {
            session.screen.note(&result.sentence);
            session.screen.hint(&result.help);
        } else {
            session.screen.error(&result.sentence);
            session.screen.help(&result.help);
        }
    }
    if result.works { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
}

fn show(session: &Session, features: &[FeatureTest]) -> Result<(), CliError> {
    let mut table = Table::new([Fixed("RESULT"), Fixed("FEATURE"), Fixed("PERMISSION"), Flexible("DESCRIPTION")]);
    for feature in features {
        let (text, colour) = match feature.verdict {
            FeatureVerdict::Works => ("works", Some(Colour::Green)),
            FeatureVerdict::Missing => ("missing", Some(Colour::Red)),
            FeatureVerdict::Unknown => ("unknown", None),
            FeatureVerdict::NotNeeded => ("not needed", None),
        };
        let cell = Cell::new(text, format::to_code(&feature.verdict));
        let cells = [
            colour.into_iter().fold(cell, Cell::with_colour),
            Cell::new(format::to_code(&feature.feature).replace('_', " "), format::to_code(&feature.feature)),
            Cell::text(feature.permissions.join(", ")),
            Cell::text(&feature.description),
        ];
        table.row_with(cells, feature.note.as_deref().unwrap_or_default());
    }
    table.show(&session.screen, "")
}
