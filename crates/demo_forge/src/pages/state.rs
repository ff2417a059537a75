//! Receives the form that merges, closes or reopens a pull request.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{FailedForm, PageError};
use crate::{
    Error,
    access::{Actor, Requirement},
    forge_state::Shared,
    merge::{self, MergeOutcome, Obstacle},
    pulls::{self, Outcome, PullUpdate, Rejection},
    pushes,
    record::{Pull, PullState},
    repositories::RepositoryEntry,
};

#[derive(Deserialize)]
pub(super) struct StateForm {
    user: String,
    state: NewState,
    sha: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NewState {
    Merged,
    Closed,
    Open,
}

pub(super) async fn submit(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, String)>,
    Form(form): Form<StateForm>,
) -> Result<Response, PageError> {
    let (entry, pull) = super::find(&shared, &owner, &name, &number).await?;
    let need = match form.state {
        NewState::Merged => Requirement::CONTENTS_WRITE,
        NewState::Closed | NewState::Open => Requirement::PULLS_CHANGE,
    };
    let actor = super::actor(&shared, &entry, &form.user, need).await?;
    let problem = match form.state {
        NewState::Merged => merge(&shared, &entry, &actor, &pull, &form.sha).await?,
        NewState::Closed => update(&shared, &entry, &actor, &pull, PullState::Closed).await?,
        NewState::Open => update(&shared, &entry, &actor, &pull, PullState::Open).await?,
    };
    let Some(problem) = problem else {
        return Ok(Redirect::to(&format!("/{}/pull/{number}", entry.full_name())).into_response());
    };
    let (entry, pull) = super::find(&shared, &owner, &name, &number).await?;
    let failed = FailedForm { state: Some(problem), ..FailedForm::default() };
    Ok((StatusCode::CONFLICT, super::page(&shared, &entry, &pull, failed).await?).into_response())
}

async fn merge(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    pull: &Pull,
    sha: &str,
) -> Result<Option<String>, Error> {
    // In a linked repository, the user may have merged with git, without a push through the forge.
    pushes::apply_push(shared, entry, actor).await?;
    let record = &pull.record;
    let obstacle = match merge::merge(shared, entry, actor, record.number, Some(sha)).await? {
        MergeOutcome::Merged { .. } => return Ok(None),
        MergeOutcome::NotMergeable(Obstacle::Merged) if record.is_open() => return Ok(None),
        MergeOutcome::NotMergeable(obstacle) => obstacle,
        MergeOutcome::Missing => return Ok(Some("This pull request no longer exists.".to_owned())),
        MergeOutcome::Moved(_) => {
            return Ok(Some("A branch has new commits: look at the changes again, then merge.".to_owned()));
        }
    };
    let (head, base, full_name) = (&record.head, &record.base, entry.full_name());
    Ok(Some(match obstacle {
        Obstacle::Merged => already_merged(record.number),
        Obstacle::Closed => format!("Pull request #{} is closed: reopen it, then merge.", record.number),
        Obstacle::Draft => format!("Pull request #{} is a draft and cannot be merged.", record.number),
        Obstacle::Conflict => format!("{head} conflicts with {base}: merge {base} into {head} and push it."),
        Obstacle::CheckedOut => {
            format!(
                "The folder of {full_name} has changes that are in no commit: commit or remove them, then press Merge \
                 again."
            )
        }
    }))
}

async fn update(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    pull: &Pull,
    state: PullState,
) -> Result<Option<String>, PageError> {
    let number = pull.record.number;
    let change = PullUpdate { title: None, body: None, state: Some(state) };
    match pulls::update(shared, entry, actor, number, change).await? {
        Outcome::Stored(pull) if pull.record.merged.is_some() => Ok(Some(already_merged(number))),
        Outcome::Stored(_) => Ok(None),
        Outcome::Missing => Err(PageError::NotFound),
        Outcome::Refused(objections) => {
            let reason = objections.iter().find_map(|objection| match objection {
                Rejection::CannotReopen(reason) => reason.strip_prefix("state cannot be changed. "),
                _ => None,
            });
            Ok(Some(reason.unwrap_or("This pull request cannot be reopened.").to_owned()))
        }
    }
}

fn already_merged(number: u64) -> String {
    format!("Pull request #{number} is already merged.")
}
