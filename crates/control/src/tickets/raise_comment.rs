//! Raises the limits of a ticket by a comment on its issue or its pull request at the forge.

use crate::allowed_names::check_integration_use;
use crate::answer::Answer;
use crate::forge::forge_client;
use crate::own_comment::OwnComment;
use crate::review::permission::get_permission;
use crate::review::translate::{RaiseCommand, RaiseComment};
use crate::review::{ProjectScope, PullRequestRef};
use crate::tickets::raise_limit::{LimitRaise, RaisedSubject, SpendingView, raise_limit};
use crate::trackers::issues::{has_issues_as_tickets, issue_key};
use crate::{Context, Error, Requester};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::is_decided_for_linked;
use pullyard_domain::project::spending::{DEFAULT_RAISE_TIME, RaiseAmount, RaiseRight, SpendingLimits};
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::pull_request::{PullRequestId, pull_request_label};
use pullyard_domain::review::{Permission, published};
use pullyard_domain::text::Cause;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, IntegrationId, ProjectId, ReviewId};
use pullyard_forge::Error as ForgeError;
use pullyard_store::Write;

/// The ticket or pull request whose limits the comment raises.
struct Target {
    project: ProjectId,
    repository: Repository,
    /// `None`: a pull request that no job and no user has linked.
    subject: Option<RaisedSubject>,
    /// The name of the ticket or pull request.
    name: String,
}

/// A comment, and the way on which it arrived.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    main_project: &'a ProjectId,
    source: Source,
    integration: &'a Integration,
    comment: &'a RaiseComment,
}

/// Raises the limits if the comment's author may push to the repository, which counts as the scope `jobs`. The reply
/// at the forge has the new limit or the reason of the refusal; authors who may not push get none.
/// Writes: SPENT, see `raise_limit`; DELIVERY last, so that a repeat sends a missing reply.
/// Idempotent: by the comment's id, for deliveries and polls: it raises once, and a repeat edits the first reply.
/// Errors: `Forge` if the reply failed, or the author's permission unless the forge refuses it; repeat it.
pub(crate) async fn raise_by_forge_comment(
    ctx: &Context,
    scope: &ProjectScope,
    source: Source,
    integration: &Integration,
    comment: &RaiseComment,
) -> Result<Answer, Error> {
    let mut targets = find_targets(ctx, scope, integration, comment).await?;
    let last = targets.pop();
    // Several projects may have the issue as their ticket.
    let arrival = Arrival { main_project: &scope.main_project, source, integration, comment };
    for target in &targets {
        decide_for(ctx, arrival, Some(target)).await?;
    }
    decide_for(ctx, arrival, last.as_ref()).await
}

async fn decide_for(ctx: &Context, arrival: Arrival<'_>, target: Option<&Target>) -> Result<Answer, Error> {
    let Arrival { main_project, source, integration, comment } = arrival;
    let project = target.map_or(main_project, |target| &target.project).clone();
    let id = delivery_id(&project, &integration.id, comment);
    let first = ctx.store.load_delivery(&id).await?;
    if let Some(first) = first.as_ref().filter(|first| first.reason.is_final()) {
        let reason = Reason::Repeat { first: first.reason.code().to_owned() };
        return Ok(Answer { delivery: id, reason, job: None });
    }
    let reason = match target {
        Some(target) => decide_and_reply(ctx, integration, target, comment).await?,
        // No project of the event connects the repository.
        None if comment.is_pull_request => Reason::NoLinkedTicket { pr: label_of(comment) },
        None => Reason::EventIgnored { event: format!("a raise on {}, which is no ticket", label_of(comment)) },
    };
    let at = first.map_or_else(|| ctx.clock.now(), |first| first.at);
    let event = EventId::new(ReviewId::for_comment(comment.comment).as_str())?;
    let entry = Delivery::new(id.clone(), project.clone(), source, event, at, reason.clone().clipped());
    if ctx.store.record_delivery(&entry).await? == Write::Stale {
        tracing::info!(project = %project, delivery = %id, "another process raised the limit by this comment");
    }
    ctx.counters().count_decision(&reason);
    tracing::info!(project = %project, decision.reason = reason.code(), delivery = %id, "comment with a raise decided");
    Ok(Answer { delivery: id, reason, job: None })
}

/// Like `raise_by_forge_comment`, for a comment that a poll lists again and again.
pub(crate) async fn raise_if_missed(
    ctx: &Context,
    scope: &ProjectScope,
    integration: &Integration,
    comment: &RaiseComment,
) -> Result<(), Error> {
    let id = delivery_id(&scope.main_project, &integration.id, comment);
    if is_decided_for_linked(ctx.store.load_delivery(&id).await?.as_ref().map(|first| &first.reason)) {
        return Ok(());
    }
    Box::pin(raise_by_forge_comment(ctx, scope, Source::Poll, integration, comment)).await.map(drop)
}

/// The ledger entry of the comment. Issues and pull requests of a repository share their numbers.
fn delivery_id(project: &ProjectId, integration: &IntegrationId, comment: &RaiseComment) -> DeliveryId {
    let (repository, number) = (comment.repository, comment.number);
    let item = PullRequestId { integration: integration.clone(), repository, number };
    DeliveryId::for_review(project, &item, &ReviewId::for_comment(comment.comment))
}

fn label_of(comment: &RaiseComment) -> String {
    pull_request_label(Some(&comment.repository_name), comment.number)
}

async fn find_targets(
    ctx: &Context,
    scope: &ProjectScope,
    integration: &Integration,
    comment: &RaiseComment,
) -> Result<Vec<Target>, Error> {
    let number = comment.number;
    let id = PullRequestId { integration: integration.id.clone(), repository: comment.repository, number };
    let linked = match comment.is_pull_request {
        true => ctx.store.load_pull_request(&id).await?,
        false => None,
    };
    let (mut targets, mut unlinked) = (Vec::new(), None);
    for project in scope.projects().filter(|project| check_integration_use(integration, project).is_ok()) {
        let Some(repository) = ctx.store.load_repository(project, &integration.id, comment.repository).await? else {
            continue;
        };
        let found = match &linked {
            Some(linked) if linked.project == *project => {
                let label = pull_request_label(Some(&repository.name), number);
                let name = linked.ticket.as_ref().map_or(label, ToString::to_string);
                let (repository, integration) = (repository.name.clone(), Some(integration.id.clone()));
                let reference = PullRequestRef { project: project.clone(), repository, number, integration };
                Some((RaisedSubject::PullRequest(reference), name))
            }
            None if comment.is_pull_request => {
                let (project, name) = (project.clone(), label_of(comment));
                unlinked = unlinked.or(Some(Target { project, repository, subject: None, name }));
                continue;
            }
            None if has_issues_as_tickets(ctx, project, &integration.id).await? => {
                let Some(key) = issue_key(&comment.repository_name, number) else { continue };
                let has_ticket = ctx.store.load_ticket(project, &key).await?.is_some();
                has_ticket.then(|| (RaisedSubject::Ticket(project.clone(), key.clone()), key.to_string()))
            }
            _ => None,
        };
        if let Some((subject, name)) = found {
            targets.push(Target { project: project.clone(), repository, subject: Some(subject), name });
        }
    }
    targets.extend(unlinked);
    Ok(targets)
}

async fn decide_and_reply(
    ctx: &Context,
    integration: &Integration,
    target: &Target,
    comment: &RaiseComment,
) -> Result<Reason, Error> {
    let author = &comment.author;
    if author.id == integration.account.id && (author.bot || comment.has_marker) {
        return Ok(Reason::OwnReview {});
    }
    // Not cached as unknown: the forge sends a failed delivery again.
    let permission = match get_permission(ctx, integration, &target.repository, comment.number, author).await {
        // A repeat would be refused, too. No reply, because the author may be a stranger.
        Err(Error::Forge(ForgeError::Forbidden { .. } | ForgeError::NotFound { .. } | ForgeError::Refused { .. })) => {
            let fault = format!("{} may not read the permission of {}", integration.id, author.login);
            return Ok(Reason::RaiseRefused { ticket: target.name.clone(), fault: Cause(fault) });
        }
        permission => permission?,
    };
    if permission != Permission::Write {
        // Strangers get no visible answer.
        let repo = target.repository.name.clone();
        return Ok(Reason::AuthorNotPermitted { author: author.login.clone(), repo });
    }
    let reason = match (&comment.command, &target.subject) {
        (RaiseCommand::Misspelled, _) => Reason::UnknownCommand { pr: label_of(comment) },
        // Decided again once a job or a user has linked it.
        (_, None) => Reason::NoLinkedTicket { pr: label_of(comment) },
        (RaiseCommand::Fault(fault), _) => refuse(target, fault.clone()),
        (RaiseCommand::Raise(amount), Some(subject)) => {
            raise(ctx, integration, (target, subject), comment, *amount).await?
        }
    };
    let forge = forge_client(ctx, integration, &target.repository).await?;
    let marker = Marker::new_reply(comment.comment, &target.project);
    let text = format!("{}\n\n{}", published::to_markdown(&reason.sentence()), reason.help());
    let reply = OwnComment {
        integration,
        repository: target.repository.name.as_str(),
        number: comment.number,
        body: marker.append_to(integration.kind, &text),
        marker,
        id: None,
    };
    // After a refusal the ledger has the answer.
    reply.post(&forge).await?;
    Ok(reason)
}

fn refuse(target: &Target, fault: String) -> Reason {
    Reason::RaiseRefused { ticket: target.name.clone(), fault: Cause(fault) }
}

async fn raise(
    ctx: &Context,
    integration: &Integration,
    (target, subject): (&Target, &RaisedSubject),
    comment: &RaiseComment,
    RaiseAmount { usd_micros, jobs }: RaiseAmount,
) -> Result<Reason, Error> {
    let project = ctx.load_project(&target.project).await?;
    if let Some(missing) = SpendingLimits::from(&project.settings).missing_limit(usd_micros, jobs) {
        return Ok(Reason::NoLimitToRaise { ticket: target.name.clone(), fault: Cause(missing.fault) });
    }
    let author = &comment.author;
    let caller = Requester { id: format!("{}:{}", integration.id, author.id), name: author.login.clone() };
    let key = format!("comment/{}", comment.comment);
    let id = format!("{}/{key}", caller.id);
    let raise = LimitRaise {
        subject: subject.clone(),
        usd_micros,
        jobs,
        duration: DEFAULT_RAISE_TIME,
        right: RaiseRight::Jobs,
        caller,
        key: Some(key),
    };
    let refuse = |fault: &str| Ok(refuse(target, fault.to_owned()));
    let SpendingView { limits, raises, .. } = match raise_limit(ctx, &raise).await {
        Ok(view) => view,
        Err(Error::Invalid { fault, .. }) => return refuse(&fault),
        // A poll reads the comment as it is now.
        Err(Error::KeyReused) => return refuse("the comment was edited after it had raised it"),
        Err(Error::NotFound { .. }) => return refuse("Pullyard does not know the ticket yet"),
        Err(error) => return Err(error),
    };
    let Some(raise) = raises.iter().find(|raise| raise.id == id) else {
        return refuse("its time is over");
    };
    let limit = raise.describe_limit(&limits);
    Ok(Reason::LimitRaised { who: author.login.clone(), ticket: target.name.clone(), limit, time: raise.until })
}
