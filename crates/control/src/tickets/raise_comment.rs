//! Raises the limits of a ticket by a comment on its issue or its pull request at the forge.

use crate::admin::names::check_integration_use;
use crate::forge::forge_client;
use crate::review::permission::get_permission;
use crate::review::translate::RaiseComment;
use crate::review::{ProjectScope, PullRequestRef};
use crate::tickets::move_ticket::Answer;
use crate::tickets::raise_limit::{LimitRaise, RaisedSubject, SpendingView, raise_limit};
use crate::trackers::issues::{has_issues_as_tickets, issue_key};
use crate::{Context, Error, Requester};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::{Delivery, Source};
use pullyard_domain::forge::Integration;
use pullyard_domain::forge::marker::Marker;
use pullyard_domain::hook::is_decided_for_linked;
use pullyard_domain::id::{DeliveryId, EventId, IntegrationId, ProjectId, ReviewId};
use pullyard_domain::project::Repository;
use pullyard_domain::published;
use pullyard_domain::pull_request::{PullRequestId, pull_request_label};
use pullyard_domain::review::Permission;
use pullyard_domain::spending::{DEFAULT_RAISE_TIME, RaiseAmount, RaiseRight, SpendingLimits};
use pullyard_domain::text::Cause;
use pullyard_forge::ErrorKind;
use pullyard_store::Write;

/// The ticket or pull request whose limits the comment raises.
struct Target {
    project: ProjectId,
    repository: Repository,
    subject: RaisedSubject,
    /// The name of the ticket or pull request.
    name: String,
}

/// Raises the limits if the comment's author may push to the repository, which counts as the scope `jobs`. The reply
/// at the forge has the new limit or the reason of the refusal; authors who may not push get none.
/// Writes: SPENT, see `raise_limit`; DELIVERY last, so that a repeat sends a missing reply.
/// Idempotent: by the comment's id, for deliveries and polls: it raises once, and a repeat edits the first reply.
/// Errors: `Forge` if the author's permission or the reply failed; repeat it.
pub(crate) async fn raise_by_forge_comment(
    ctx: &Context,
    scope: &ProjectScope,
    source: Source,
    integration: &IntegrationId,
    comment: &RaiseComment,
) -> Result<Answer, Error> {
    let mut targets = find_targets(ctx, scope, integration, comment).await?;
    let last = targets.pop();
    // Several projects may have the issue as their ticket.
    let received = Received { main_project: &scope.main_project, source, integration, comment };
    for target in &targets {
        decide_for(ctx, received, Some(target)).await?;
    }
    decide_for(ctx, received, last.as_ref()).await
}

#[derive(Clone, Copy)]
struct Received<'a> {
    main_project: &'a ProjectId,
    source: Source,
    integration: &'a IntegrationId,
    comment: &'a RaiseComment,
}

async fn decide_for(ctx: &Context, received: Received<'_>, target: Option<&Target>) -> Result<Answer, Error> {
    let Received { main_project, source, integration, comment } = received;
    let project = target.map_or(main_project, |target| &target.project).clone();
    let id = delivery_id(&project, integration, comment);
    let first = ctx.store.load_delivery(&id).await?;
    if let Some(first) = first.as_ref().filter(|first| first.reason.is_final()) {
        let reason = Reason::Repeat { first: first.reason.code().to_owned() };
        return Ok(Answer { delivery: id, reason, job: None });
    }
    let reason = match target {
        Some(target) => decide_and_reply(ctx, integration, target, comment).await?,
        None => {
            let label = pull_request_label(Some(&comment.repository_name), comment.number);
            match comment.is_pull_request {
                // Decided again once a job or a user has linked it.
                true => Reason::NoLinkedTicket { pr: label },
                false => Reason::EventIgnored { event: format!("a raise on {label}, which is no ticket") },
            }
        }
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
    integration: &IntegrationId,
    comment: &RaiseComment,
) -> Result<(), Error> {
    let id = delivery_id(&scope.main_project, integration, comment);
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

async fn find_targets(
    ctx: &Context,
    scope: &ProjectScope,
    integration: &IntegrationId,
    comment: &RaiseComment,
) -> Result<Vec<Target>, Error> {
    let number = comment.number;
    let id = PullRequestId { integration: integration.clone(), repository: comment.repository, number };
    let linked = match comment.is_pull_request {
        true => ctx.store.load_pull_request(&id).await?,
        false => None,
    };
    let listing = ctx.load_integration(integration).await?;
    let mut found_in = Vec::new();
    for project in scope.projects().filter(|project| check_integration_use(&listing, project).is_ok()) {
        let Some(repository) = ctx.store.load_repository(project, integration, comment.repository).await? else {
            continue;
        };
        let found = match &linked {
            Some(linked) if linked.project == *project => {
                let label = pull_request_label(Some(&repository.name), number);
                let name = linked.ticket.as_ref().map_or(label, ToString::to_string);
                let (repository, integration) = (repository.name.clone(), Some(integration.clone()));
                let reference = PullRequestRef { project: project.clone(), repository, number, integration };
                Some((RaisedSubject::PullRequest(reference), name))
            }
            None if !comment.is_pull_request && has_issues_as_tickets(ctx, project, integration).await? => {
                let Some(key) = issue_key(&comment.repository_name, number) else { continue };
                let has_ticket = ctx.store.load_ticket(project, &key).await?.is_some();
                has_ticket.then(|| (RaisedSubject::Ticket(project.clone(), key.clone()), key.to_string()))
            }
            _ => None,
        };
        if let Some((subject, name)) = found {
            found_in.push(Target { project: project.clone(), repository, subject, name });
        }
    }
    Ok(found_in)
}

async fn decide_and_reply(
    ctx: &Context,
    integration: &IntegrationId,
    target: &Target,
    comment: &RaiseComment,
) -> Result<Reason, Error> {
    let integration = ctx.load_integration(integration).await?;
    let author = &comment.author;
    if author.id == integration.account.id && (author.bot || comment.has_marker) {
        return Ok(Reason::OwnReview {});
    }
    // Not cached as unknown: the forge sends a failed delivery again.
    let permission = get_permission(ctx, &integration, &target.repository, comment.number, author).await?;
    if permission != Permission::Write {
        // Strangers get no visible answer.
        let repo = target.repository.name.clone();
        return Ok(Reason::AuthorNotPermitted { author: author.login.clone(), repo });
    }
    let reason = raise(ctx, &integration, target, comment).await?;
    reply(ctx, &integration, target, comment, &reason).await?;
    Ok(reason)
}

async fn raise(
    ctx: &Context,
    integration: &Integration,
    target: &Target,
    comment: &RaiseComment,
) -> Result<Reason, Error> {
    let ticket = target.name.clone();
    let refuse = |fault: String| Ok(Reason::RaiseRefused { ticket: ticket.clone(), fault: Cause(fault) });
    let RaiseAmount { usd_micros, jobs } = match &comment.amount {
        Ok(amount) => *amount,
        Err(fault) => return refuse(fault.clone()),
    };
    let project = ctx.load_project(&target.project).await?;
    if let Some(missing) = SpendingLimits::from(&project.settings).missing_limit(usd_micros, jobs) {
        return Ok(Reason::NoLimitToRaise { ticket, fault: Cause(missing.fault) });
    }
    let author = &comment.author;
    let caller = Requester { id: format!("{}:{}", integration.id, author.id), name: author.login.clone() };
    let key = format!("comment/{}", comment.comment);
    let id = format!("{}/{key}", caller.id);
    let raise = LimitRaise {
        subject: target.subject.clone(),
        usd_micros,
        jobs,
        duration: DEFAULT_RAISE_TIME,
        right: RaiseRight::Jobs,
        caller,
        key: Some(key),
    };
    let SpendingView { limits, raises, .. } = match raise_limit(ctx, &raise).await {
        Ok(view) => view,
        Err(Error::Invalid { fault, .. }) => return refuse(fault),
        // A poll reads the comment as it is now.
        Err(Error::KeyReused) => return refuse("the comment was edited after it had raised it".into()),
        Err(Error::NotFound { .. }) => return refuse("Pullyard does not know the ticket yet".into()),
        Err(error) => return Err(error),
    };
    let Some(raise) = raises.iter().find(|raise| raise.id == id) else {
        return refuse("its time is over".into());
    };
    let limit = raise.describe_limit(&limits);
    Ok(Reason::LimitRaised { who: author.login.clone(), ticket, limit, time: raise.until })
}

/// Posts the answer, or edits the one of an earlier delivery of the comment.
async fn reply(
    ctx: &Context,
    integration: &Integration,
    target: &Target,
    comment: &RaiseComment,
    reason: &Reason,
) -> Result<(), Error> {
    let forge = forge_client(ctx, integration, &target.repository).await?;
    let (repository, number) = (target.repository.name.as_str(), comment.number);
    let marker = Marker::Reply(comment.comment, target.project.clone());
    let text = format!("{}\n\n{}", published::to_markdown(&reason.sentence()), reason.help());
    let body = marker.append_to(integration.kind, &text);
    let is_ours = |listed: &pullyard_forge::Comment| {
        let is_author = |author: &pullyard_forge::Actor| integration.account.may_be_author(author.id);
        listed.author.as_ref().is_some_and(is_author) && Marker::parse(&listed.body).as_ref() == Some(&marker)
    };
    // If the list cannot be read, a second reply is better than none.
    let listed = forge.issue_comments(repository, number).await;
    let first = listed.ok().and_then(|listed| listed.items.into_iter().find(is_ours));
    let edited = match &first {
        Some(first) if first.body.trim_end() == body.trim_end() => return Ok(()),
        Some(first) => Some(forge.edit_comment(repository, number, first.id, &body).await),
        None => None,
    };
    // A comment found by its marker may be another author's copy.
    let is_gone = |error: &pullyard_forge::Error| matches!(error.kind(), ErrorKind::Missing | ErrorKind::Denied);
    let posted = match edited {
        Some(edited) if !edited.as_ref().is_err_and(is_gone) => edited,
        _ => forge.create_comment(repository, number, &body).await,
    };
    match posted {
        // A repeat would be refused, too; the ledger has the answer.
        Err(error) if matches!(error.kind(), ErrorKind::Missing | ErrorKind::Denied | ErrorKind::Refused) => {
            tracing::warn!(project = %target.project, error = %error, "no reply to a comment with a raise");
            Ok(())
        }
        posted => posted.map(drop).map_err(Error::from),
    }
}
