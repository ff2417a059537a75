//! Translates a forge's delivery into our own event. Ids come from the signed body, so two hooks produce the same id.

use super::read::{state_of, time_of};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::spending::RaiseAmount;
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::review::{
    Author, MAX_MESSAGE_CHARS, PullRequestSnapshot, RequestedAction, ReviewEvent, ReviewRequest,
};
use pullyard_domain::text::id::{EventId, InvalidId, RepositoryName, ReviewId};
use pullyard_domain::text::nearest::find_nearest;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::truncate;
use pullyard_domain::text::untrusted::to_single_line;
use pullyard_forge::webhook::{
    CommentAction, CommentEvent, Event, PullRequestAction, PullRequestEvent, RepositoryEvent, ReviewAction,
};
use pullyard_forge::{Actor, Comment, PullRequest, Review, ReviewState};

/// The label that requests a revision, at forges with labels.
const REVISE_LABEL: &str = "pullyard:revise";
/// The label that requests a review by an agent.
const REVIEW_LABEL: &str = "pullyard:review";
/// The label that requests a review with fixes.
const RESOLVE_LABEL: &str = "pullyard:resolve";

const NAME: &str = "/pullyard";
const REVISE: &str = "revise";
const REVIEW: &str = "review";
const RESOLVE: &str = "resolve";
const RAISE: &str = "raise";
/// As the first word of a review's message: review everything again.
const FULL: &str = "full";

const MAX_TITLE_CHARS: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WebhookEvent {
    /// A review or request with all data for a decision.
    Review(Box<ReviewEvent>),
    Comment(Box<ReviseComment>),
    Raise(Box<RaiseComment>),
    /// An edit of a review. A ledger entry of its own keeps it from replacing the review's entry.
    Edited {
        repository: u64,
    },
    PullRequest {
        snapshot: Box<PullRequestSnapshot>,
        event: String,
    },
    Repository(RepositoryEvent),
    Issue {
        repository: u64,
        name: RepositoryName,
        number: u64,
    },
    Ping,
    Ignored {
        event: String,
    },
}

impl WebhookEvent {
    /// The forge's id of the repository; `None` if the event changes nothing.
    pub(crate) fn repository(&self) -> Option<u64> {
        match self {
            Self::Review(event) => Some(event.pull_request.id.repository),
            Self::Comment(comment) => Some(comment.repository),
            Self::Raise(comment) => Some(comment.repository),
            Self::Edited { repository } => Some(*repository),
            Self::PullRequest { snapshot, .. } => Some(snapshot.id.repository),
            Self::Repository(event) => Some(event.repository.id),
            Self::Issue { repository, .. } => Some(*repository),
            Self::Ping | Self::Ignored { .. } => None,
        }
    }

    /// Uses the forge's own event name, which users find there, if it contains the action.
    pub(crate) fn with_forge_event_name(self, forge: ForgeKind, name: &str) -> Self {
        if !forge.spec().hook.event_header_has_action {
            return self;
        }
        match self {
            Self::PullRequest { snapshot, .. } => Self::PullRequest { snapshot, event: name.to_owned() },
            Self::Ignored { .. } => Self::Ignored { event: name.to_owned() },
            other => other,
        }
    }
}

/// A comment with the revise command. Its pull request must be read before a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReviseComment {
    pub(crate) repository: u64,
    pub(crate) repository_name: RepositoryName,
    pub(crate) number: u64,
    pub(crate) request: RevisionRequest,
}

/// A comment that raises the limits of the ticket of an issue or a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RaiseComment {
    pub(crate) repository: u64,
    pub(crate) repository_name: RepositoryName,
    pub(crate) number: u64,
    pub(crate) is_pull_request: bool,
    pub(crate) comment: u64,
    pub(crate) author: Author,
    pub(crate) has_marker: bool,
    pub(crate) command: RaiseCommand,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RaiseCommand {
    Raise(RaiseAmount),
    /// The amount cannot be parsed.
    Fault(String),
    /// Almost a command, on an issue. On a pull request it may be almost another command, see `parse_command`.
    Misspelled,
}

impl RaiseCommand {
    fn parse(body: &str, is_pull_request: bool) -> Option<Self> {
        match RaiseAmount::parse_comment(body) {
            Some(Ok(amount)) => Some(Self::Raise(amount)),
            Some(Err(fault)) => Some(Self::Fault(fault)),
            None => (!is_pull_request && parse_command(body) == Some(RequestedAction::Misspelled {}))
                .then_some(Self::Misspelled),
        }
    }
}

/// An issue or a pull request with comments.
#[derive(Clone, Copy)]
pub(crate) struct CommentedItem<'a> {
    pub(crate) repository: u64,
    pub(crate) repository_name: &'a RepositoryName,
    pub(crate) number: u64,
    pub(crate) is_pull_request: bool,
}

impl RaiseComment {
    /// `None` if the comment is another one.
    pub(crate) fn from_comment(comment: &Comment, author: Option<&Actor>, item: CommentedItem<'_>) -> Option<Self> {
        let CommentedItem { repository, repository_name, number, is_pull_request } = item;
        Some(Self {
            repository,
            repository_name: repository_name.clone(),
            number,
            is_pull_request,
            comment: comment.id,
            author: to_author(author),
            has_marker: Marker::is_present(&comment.body),
            command: RaiseCommand::parse(&comment.body, is_pull_request)?,
        })
    }
}

/// A request for a revision, without its pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevisionRequest {
    review: ReviewId,
    asks: RequestedAction,
    author: Author,
    created_at: Timestamp,
    has_marker: bool,
}

impl RevisionRequest {
    /// `None` if the comment is no command and almost none.
    fn from_comment(comment: &Comment, author: Option<&Actor>) -> Option<Self> {
        Some(Self {
            review: ReviewId::for_comment(comment.id),
            asks: parse_command(&comment.body)?,
            author: to_author(author),
            created_at: time_of(comment.created_at),
            has_marker: Marker::is_present(&comment.body),
        })
    }

    pub(crate) fn into_event(
        self,
        source: Source,
        delivery: Option<EventId>,
        pull_request: PullRequestSnapshot,
    ) -> ReviewEvent {
        ReviewEvent {
            source,
            delivery,
            review: self.review,
            asks: self.asks,
            author: self.author,
            submitted_at: self.created_at,
            marked: self.has_marker,
            pull_request,
        }
    }
}

/// Returns the repository of a delivery, or `None` if it concerns several.
pub(crate) fn event_repository(event: &Event) -> Option<(u64, &str)> {
    let repository = match event {
        Event::Review(event) => &event.repository,
        Event::PullRequest(event) => &event.repository,
        Event::Comment(event) => &event.repository,
        Event::Repository(event) => &event.repository,
        Event::Issue { repository, .. } => repository,
        Event::Ping | Event::Ignored { .. } => return None,
    };
    Some((repository.id, &repository.full_name))
}

/// Translates a delivery of this hook. `delivery` is the forge's id, for display.
/// Errors: `InvalidId` for an impossible repository name.
pub(crate) fn translate(
    hook: &Webhook,
    delivery: Option<EventId>,
    event: Event,
    now: Timestamp,
) -> Result<WebhookEvent, InvalidId> {
    Ok(match event {
        Event::Ping => WebhookEvent::Ping,
        Event::Review(event) => {
            let name = RepositoryName::new(event.repository.full_name)?;
            let snapshot =
                to_pull_request_snapshot(hook.integration.clone(), event.repository.id, name, &event.pull_request);
            match (event.action, event.review.state) {
                (ReviewAction::Submitted, ReviewState::ChangesRequested) => {
                    let event = review_event(Source::Webhook, delivery, &event.review, snapshot, now);
                    WebhookEvent::Review(Box::new(event))
                }
                (ReviewAction::Edited, ReviewState::ChangesRequested) => {
                    WebhookEvent::Edited { repository: snapshot.id.repository }
                }
                (action, state) => WebhookEvent::Ignored { event: describe_review(action, state) },
            }
        }
        Event::PullRequest(event) => translate_pull_request(hook, delivery, *event)?,
        Event::Comment(event) => translate_comment(*event)?,
        Event::Repository(event) => WebhookEvent::Repository(event),
        Event::Issue { repository, number } => {
            let name = RepositoryName::new(repository.full_name)?;
            WebhookEvent::Issue { repository: repository.id, name, number }
        }
        Event::Ignored { event, action: None } => WebhookEvent::Ignored { event },
        Event::Ignored { event, action: Some(action) } => WebhookEvent::Ignored { event: format!("{event}.{action}") },
    })
}

/// Returns the event of a review that requests changes.
pub(crate) fn review_event(
    source: Source,
    delivery: Option<EventId>,
    review: &Review,
    pull_request: PullRequestSnapshot,
    now: Timestamp,
) -> ReviewEvent {
    ReviewEvent {
        source,
        delivery,
        review: ReviewId::for_forge_review(review.id),
        asks: RequestedAction::Changes {},
        author: to_author(review.author.as_ref()),
        submitted_at: review.submitted_at.or(review.updated_at).map_or(now, time_of),
        marked: Marker::is_present(&review.body),
        pull_request,
    }
}

/// Returns the event of a comment read from the forge. Its id is the webhook's, so that both create one job. `None` if
/// the comment is no command, or its author's account is deleted.
pub(crate) fn comment_event(comment: &Comment, pull_request: PullRequestSnapshot) -> Option<ReviewEvent> {
    let author = comment.author.as_ref()?;
    Some(RevisionRequest::from_comment(comment, Some(author))?.into_event(Source::Poll, None, pull_request))
}

pub(crate) fn to_pull_request_snapshot(
    integration: pullyard_domain::text::id::IntegrationId,
    repository: u64,
    name: RepositoryName,
    pull_request: &PullRequest,
) -> PullRequestSnapshot {
    PullRequestSnapshot {
        id: PullRequestId { integration, repository, number: pull_request.number },
        repository: name,
        state: state_of(pull_request.state),
        head: pull_request.head_sha.clone(),
        branch: pull_request.head_branch.clone(),
        url: pull_request.url.clone(),
        updated_at: time_of(pull_request.updated_at),
        title: truncate(&pull_request.title, MAX_TITLE_CHARS),
        base: pull_request.base_branch.clone(),
        from_fork: pull_request.head_repository != Some(repository),
        draft: pull_request.draft,
        opened_at: pull_request.created_at.map(time_of),
    }
}

fn translate_pull_request(
    hook: &Webhook,
    delivery: Option<EventId>,
    event: PullRequestEvent,
) -> Result<WebhookEvent, InvalidId> {
    let name = RepositoryName::new(event.repository.full_name)?;
    let snapshot = to_pull_request_snapshot(hook.integration.clone(), event.repository.id, name, &event.pull_request);
    let change = |event: &str, snapshot| WebhookEvent::PullRequest {
        snapshot: Box::new(snapshot),
        event: format!("pull_request.{event}"),
    };
    Ok(match event.action {
        PullRequestAction::Closed { merged: true } => change("closed by a merge", snapshot),
        PullRequestAction::Closed { merged: false } => change("closed", snapshot),
        PullRequestAction::Opened => change("opened", snapshot),
        PullRequestAction::ReadyForReview => change("ready_for_review", snapshot),
        PullRequestAction::Reopened => change("reopened", snapshot),
        PullRequestAction::Synchronize => change("synchronize", snapshot),
        PullRequestAction::Labeled { label } => {
            // The repository may have the label in another case.
            let ours = [REVISE_LABEL, REVIEW_LABEL, RESOLVE_LABEL];
            let Some(label) = ours.into_iter().find(|ours| ours.eq_ignore_ascii_case(&label)) else {
                return Ok(WebhookEvent::Ignored { event: "pull_request.labeled".into() });
            };
            let author = to_author(event.sender.as_ref());
            let review = ReviewId::for_label(&snapshot.id, author.id, snapshot.updated_at);
            let (review, asks) = match label == REVISE_LABEL {
                true => (review, RequestedAction::Revision { message: None }),
                // All labels may be set in the same second.
                false => {
                    let request = ReviewRequest { resolve: label == RESOLVE_LABEL, ..ReviewRequest::default() };
                    (ReviewId::for_request(label, review.as_str()), RequestedAction::Review(request))
                }
            };
            WebhookEvent::Review(Box::new(ReviewEvent {
                source: Source::Webhook,
                delivery,
                review,
                asks,
                author,
                submitted_at: snapshot.updated_at,
                marked: false,
                pull_request: snapshot,
            }))
        }
        PullRequestAction::Other(action) => WebhookEvent::Ignored { event: format!("pull_request.{action}") },
    })
}

fn translate_comment(event: CommentEvent) -> Result<WebhookEvent, InvalidId> {
    let author = event.comment.author.as_ref().or(Some(&event.sender));
    let is_raise = RaiseCommand::parse(&event.comment.body, event.is_pull_request).is_some();
    if event.action == CommentAction::Created && is_raise {
        let repository_name = RepositoryName::new(&event.repository.full_name)?;
        let (repository, number, is_pull_request) = (event.repository.id, event.number, event.is_pull_request);
        let item = CommentedItem { repository, repository_name: &repository_name, number, is_pull_request };
        if let Some(comment) = RaiseComment::from_comment(&event.comment, author, item) {
            return Ok(WebhookEvent::Raise(Box::new(comment)));
        }
    }
    let request = (event.action == CommentAction::Created && event.is_pull_request)
        .then(|| RevisionRequest::from_comment(&event.comment, author))
        .flatten();
    let Some(request) = request else {
        let action = match event.action {
            CommentAction::Created => "created",
            CommentAction::Edited => "edited",
            CommentAction::Deleted => "deleted",
        };
        return Ok(WebhookEvent::Ignored { event: format!("issue_comment.{action}") });
    };
    let repository_name = RepositoryName::new(event.repository.full_name)?;
    let (repository, number) = (event.repository.id, event.number);
    Ok(WebhookEvent::Comment(Box::new(ReviseComment { repository, repository_name, number, request })))
}

/// The action that a comment requests, or `None` if it is neither a command nor almost one. A raise requests no work on
/// the pull request; see `RaiseComment`. The case of letters and invisible characters, which phones and web pages
/// insert, do not matter.
pub(crate) fn parse_command(body: &str) -> Option<RequestedAction> {
    if RaiseAmount::parse_comment(body).is_some() {
        return None;
    }
    let (first, rest) = body.split_once('\n').unwrap_or((body, ""));
    let first = to_single_line(first, usize::MAX);
    let mut words = first.split_whitespace();
    let is_named = words.next().is_some_and(|typed| typed.eq_ignore_ascii_case(NAME));
    let verb = words.next().filter(|_| is_named && !first.starts_with(char::is_whitespace)).unwrap_or_default();
    let verb = verb.to_ascii_lowercase();
    if ![REVISE, REVIEW, RESOLVE].contains(&&*verb) {
        return is_near_miss(body).then_some(RequestedAction::Misspelled {});
    }
    let mut words = words.peekable();
    let full = verb == REVIEW && words.next_if(|word| word.eq_ignore_ascii_case(FULL)).is_some();
    let arguments: Vec<&str> = words.collect();
    let message = format!("{}\n{}", arguments.join(" "), rest.trim_end()).trim().to_owned();
    let message = (!message.is_empty()).then(|| message.chars().take(MAX_MESSAGE_CHARS).collect());
    let resolve = verb == RESOLVE;
    Some(match verb == REVISE {
        true => RequestedAction::Revision { message },
        false => RequestedAction::Review(ReviewRequest { resolve, full, message, ..ReviewRequest::default() }),
    })
}

/// Whether the first line with text looks as if its author wanted to give a command. Quotations and code are none.
fn is_near_miss(body: &str) -> bool {
    let visible = |line: &str| to_single_line(line, MAX_MESSAGE_CHARS).trim().to_lowercase();
    let Some(line) = body.lines().find(|line| !visible(line).is_empty()) else { return false };
    if line.starts_with("    ") || line.starts_with('\t') {
        return false;
    }
    let line = visible(line);
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default().trim_end_matches([':', ',']);
    match first.strip_prefix(NAME) {
        // `/pullyard`, `/pullyard-revise`, `/pullyardrevise`.
        Some(_) => true,
        None if first.starts_with('/') => find_nearest(first, [NAME]).is_some(),
        None => {
            let name = first.trim_start_matches(['@', '!']);
            let next = words.next().unwrap_or_default().trim_end_matches([':', ',', '.', '!']);
            name == NAME.trim_start_matches('/') && [REVISE, REVIEW, RESOLVE, RAISE].contains(&next)
        }
    }
}

pub(super) fn to_author(actor: Option<&Actor>) -> Author {
    // GitHub shows deleted accounts under this name, which no account can have.
    actor.map_or_else(
        || Author { id: 0, login: "ghost".into(), bot: false },
        |actor| Author { id: actor.id, login: actor.login.clone(), bot: actor.is_bot },
    )
}

fn describe_review(action: ReviewAction, state: ReviewState) -> String {
    let action = match action {
        ReviewAction::Submitted => "submitted",
        ReviewAction::Edited => "edited",
        ReviewAction::Dismissed => "dismissed",
    };
    let state = match state {
        ReviewState::ChangesRequested => "changes requested",
        ReviewState::Approved => "approved",
        ReviewState::Commented => "commented",
        ReviewState::Dismissed => "dismissed",
        ReviewState::Pending => "pending",
    };
    format!("pull_request_review.{action} ({state})")
}

#[cfg(test)]
mod tests {
    use super::{RaiseCommand, RequestedAction, ReviewRequest, parse_command};

    #[test]
    fn only_the_first_line_makes_a_comment_a_command() {
        let check = |body: &str, message: &str| {
            let message = (!message.is_empty()).then(|| message.to_owned());
            assert_eq!(parse_command(body), Some(RequestedAction::Revision { message }), "{body:?}");
        };
        check("/pullyard revise", "");
        check("/pullyard  revise use tabs\r\nand tests\n", "use tabs\nand tests");
        check("/pullyard revise\n\nuse tabs", "use tabs");
        check("/Pullyard Revise use Tabs", "use Tabs");
        check("\u{feff}/pull\u{200b}yard\u{a0}revise\u{2060} now", "now");
    }

    #[test]
    fn review_may_be_full_and_have_a_message() {
        for (body, full, message) in [
            ("/pullyard review", false, None),
            ("/pullyard Review Full", true, None),
            ("/pullyard review full the parser", true, Some("the parser")),
            ("/pullyard review fully", false, Some("fully")),
            ("/pullyard review\nLook at the locks.", false, Some("Look at the locks.")),
        ] {
            let message = message.map(str::to_owned);
            let request = ReviewRequest { full, message, ..ReviewRequest::default() };
            assert_eq!(parse_command(body), Some(RequestedAction::Review(request)), "{body:?}");
        }
        assert_eq!(parse_command("/pullyard reviewed"), Some(RequestedAction::Misspelled {}));
        for (body, message) in [("/pullyard Resolve", None), ("/pullyard resolve full\ntests", Some("full\ntests"))] {
            let message = message.map(str::to_owned);
            let request = ReviewRequest { resolve: true, message, ..ReviewRequest::default() };
            assert_eq!(parse_command(body), Some(RequestedAction::Review(request)), "{body:?}");
        }
    }

    #[test]
    fn near_miss_on_an_issue_is_almost_a_raise() {
        for body in ["/pullyard-raise 20", "pullyard raise 20", "\n/pullyard raise 20", "/pullyard"] {
            assert_eq!(RaiseCommand::parse(body, false), Some(RaiseCommand::Misspelled), "{body:?}");
            assert_eq!(RaiseCommand::parse(body, true), None, "{body:?}");
        }
        for body in ["It fails.", "> /pullyard raise 20", "/pullyard revise"] {
            assert_eq!(RaiseCommand::parse(body, false), None, "{body:?}");
        }
    }

    #[test]
    fn comment_that_is_almost_a_command_is_recognized() {
        for body in [
            " /pullyard revise",
            "\n/pullyard revise",
            "/pullyard revised",
            "/pullyard",
            "/pullyard please revise",
            "/pullyard-revise",
            "/pulyard revise",
            "/pullyard: revise",
            "pullyard revise",
            "@pullyard revise: use tabs",
            "pullyard resolve",
            "/pullyard-raise 20",
            "pullyard raise 20",
        ] {
            assert_eq!(parse_command(body), Some(RequestedAction::Misspelled {}), "{body:?}");
        }
        for body in [
            "please /pullyard revise",
            "> /pullyard revise",
            "    /pullyard revise",
            "\t/pullyard revise",
            "Hello\n/pullyard revise",
            "Pullyard revised this well.",
            "pullyard is slow",
            "/approve",
            "/pull",
            "`/pullyard revise`",
            "/pullyard raise 20",
            "/pullyard raise it",
            "",
            "\n",
        ] {
            assert_eq!(parse_command(body), None, "{body:?}");
        }
    }
}
