//! Tests which features work in a repository.

use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context, Feature, Need, RepositoryTested, Row, Verdict};
use pullyard_domain::id::{ProjectId, RepositoryName};
use pullyard_entry::{Caller, Path, Problem, scope};
use pullyard_protocol::project::{self, FeatureTest, FeatureVerdict, RepositoryTest};

pub(crate) async fn test(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path((project, owner, name)): Path<(ProjectId, String, String)>,
) -> Result<Json<RepositoryTest>, Problem> {
    caller.may_touch(&project)?;
    let unknown = |_| Problem::not_found(format!("There is no repository {owner}/{name}."));
    let repository = RepositoryName::new(format!("{owner}/{name}")).map_err(unknown)?;
    Ok(Json(match control::test_repository(&ctx, &project, &repository).await? {
        RepositoryTested::Unseen { why, help } => RepositoryTest {
            works: false,
            sentence: format!("The forge refused the request: failed to {why}."),
            help,
            features: Vec::new(),
        },
        RepositoryTested::Seen(rows) => {
            let missing = rows.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Missing(_)));
            let works = !missing.clone().any(|(row, _)| matches!(row.need, Need::Always | Need::OfRepository));
            let (sentence, help) = match (works, missing.count()) {
                (true, 0) => (format!("No missing permission was found in {repository}."), "Nothing to do."),
                (true, _) => {
                    (format!("Jobs work in {repository}; something optional is missing."), "Grant what is missing.")
                }
                (false, _) => (format!("Jobs can't work in {repository}."), "Grant what is missing, then test again."),
            };
            RepositoryTest { works, sentence, help: help.into(), features: rows.into_iter().map(feature).collect() }
        }
    }))
}

fn feature((row, verdict): (&Row, Verdict)) -> FeatureTest {
    let (verdict, note) = match verdict {
        Verdict::Works => (FeatureVerdict::Works, None),
        Verdict::Missing(what) => (FeatureVerdict::Missing, Some(what)),
        Verdict::Untold(what) => (FeatureVerdict::Untold, Some(what)),
        Verdict::Needless(why) => (FeatureVerdict::Needless, Some(why.to_owned())),
    };
    let permissions = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code())).collect();
    FeatureTest { feature: on_the_wire(row.feature), words: row.words.into(), permissions, verdict, note }
}

fn on_the_wire(feature: Feature) -> project::Feature {
    match feature {
        Feature::Look => project::Feature::Look,
        Feature::Push => project::Feature::Push,
        Feature::Workflows => project::Feature::Workflows,
        Feature::PullRequests => project::Feature::PullRequests,
        Feature::Threads => project::Feature::Threads,
        Feature::Comments => project::Feature::Comments,
        Feature::Statuses => project::Feature::Statuses,
        Feature::Hooks => project::Feature::Hooks,
    }
}
