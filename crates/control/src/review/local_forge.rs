//! A pull request of the local forge: its content for a page, and its user's reviews, merges and closes.

use crate::allowed_names::check_integration_use;
use crate::forge::forge_client_with_secret;
use crate::poll::compare_pull_request;
use crate::{Context, Error, LOCAL_FORGE};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::secret::LOCAL_PERSON_SECRET;
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_forge::{
    Comment, Error as ForgeError, Forge, NewReview, NewState, PullRequest, PullRequestDetails, Review, ReviewComment,
    Verdict,
};

/// GitHub's limit, which the local forge has too.
const MAX_COMMENT_CHARS: usize = 65_536;

/// Whether this is the forge of `pullyard up`, which has no pages of its own.
pub fn is_local_forge(ctx: &Context, integration: &IntegrationId) -> bool {
    ctx.on_one_machine && integration.as_str() == LOCAL_FORGE
}

#[derive(Clone, Debug)]
pub struct LocalPullRequest {
    pub pull_request: PullRequest,
    pub details: PullRequestDetails,
    pub reviews: Vec<Review>,
    pub line_comments: Vec<ReviewComment>,
    pub comments: Vec<Comment>,
    /// git's patch, or the forge's reason why it returns none.
    pub diff: Result<String, String>,
}

/// Errors: `NotListed`.
async fn person_client(ctx: &Context, integration: &Integration, project: &ProjectId) -> Result<Forge, Error> {
    check_integration_use(integration, project)?;
    forge_client_with_secret(ctx, integration.kind, &integration.api_url, LOCAL_PERSON_SECRET).await
}

/// Errors: `NotFound` for an unknown number, and if another repository has the name now; `NotListed`; `Forge`.
pub async fn load_local_pull_request(
    ctx: &Context,
    repository: &Repository,
    number: u64,
) -> Result<LocalPullRequest, Error> {
    let integration = ctx.load_integration(&repository.integration).await?;
    let forge = person_client(ctx, &integration, &repository.project).await?;
    let name = repository.name.as_str();
    let pull_request = match forge.pull_request(name, number).await {
        Err(ForgeError::NotFound { .. }) => return Err(Error::not_found("pull request", number)),
        pull_request => pull_request?,
    };
    if pull_request.base_repository.as_ref().is_none_or(|base| base.id != repository.id) {
        return Err(Error::not_found("pull request", number));
    }
    Ok(LocalPullRequest {
        pull_request,
        details: forge.pull_request_details(name, number).await?,
        reviews: forge.reviews(name, number).await?.items,
        line_comments: forge.comments(name, number).await?.items,
        comments: forge.issue_comments(name, number).await?.items,
        diff: match forge.diff(name, number).await {
            Err(ForgeError::Refused { reason }) => Err(reason),
            diff => Ok(diff?),
        },
    })
}

#[derive(Clone, Debug)]
pub enum LocalAction {
    Review(NewReview),
    /// `head` is the commit that the user saw.
    Merge {
        head: String,
    },
    SetState(NewState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    Done,
    /// The forge's reason, as a sentence without its end.
    Refused(String),
}

/// Acts as the local forge's user, then decides the new reviews and the new state at once.
/// Idempotent: a review by its key. A crash before the decision loses nothing, because
/// the poll decides the same events by the same keys.
pub async fn act_on_local_pull_request(
    ctx: &Context,
    repository: &Repository,
    number: u64,
    action: LocalAction,
) -> Result<ActionOutcome, Error> {
    let integration = ctx.load_integration(&repository.integration).await?;
    let forge = person_client(ctx, &integration, &repository.project).await?;
    let name = repository.name.as_str();
    let written = match action {
        LocalAction::Review(new) => send_review(&forge, name, number, new).await,
        LocalAction::Merge { head } => forge.merge(name, number, &head, None).await,
        LocalAction::SetState(state) => forge.set_state(name, number, state).await,
    };
    match written {
        Err(ForgeError::Refused { reason }) => return Ok(ActionOutcome::Refused(reason)),
        Err(ForgeError::NotFound { .. }) => return Err(Error::not_found("pull request", number)),
        written => written?,
    }
    if let Err(error) = Box::pin(compare_pull_request(ctx, &integration, repository, number)).await {
        tracing::warn!(repository = %repository.name, number, error = %error, "pull request not compared; the poll will");
    }
    Ok(ActionOutcome::Done)
}

/// The summary of a review without a verdict is a comment on the whole pull request, because commands are such comments.
async fn send_review(forge: &Forge, name: &str, number: u64, new: NewReview) -> Result<(), ForgeError> {
    if new.verdict != Verdict::Comment {
        return forge.create_review(name, number, &new).await;
    }
    // Checked before the line comments are sent.
    if new.body.chars().count() > MAX_COMMENT_CHARS {
        return Err(ForgeError::Refused { reason: format!("a summary has at most {MAX_COMMENT_CHARS} characters") });
    }
    let (summary, comments) = (new.body.clone(), NewReview { body: String::new(), ..new });
    if !comments.comments.is_empty() {
        forge.create_review(name, number, &comments).await?;
    }
    match summary.is_empty() {
        true => Ok(()),
        false => forge.create_comment_once(name, number, &summary, &comments.key).await,
    }
}
