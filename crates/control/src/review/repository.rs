//! A repository was renamed, given away or deleted at its forge. Its id stays, and with it every link.

use super::facts::Reach;
use crate::forge::forge_of;
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::hook::{Ingress, Poll, recovery::Look};
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::project::{Integration, Repository};
use pullyard_domain::time::Timestamp;
use pullyard_forge::webhook::{RepositoryChange, RepositoryEvent};
use pullyard_store::Write;

/// Notes what became of a repository in every project that it is connected to. A name is taken from the
/// forge's own answer, not from the delivery: an old delivery that comes late must not bring an old name back.
///
/// Idempotent: what is noted already stays; that it is gone is noted by when that was told last.
/// Errors: `Forge` when it does not answer; the delivery is asked for again then.
pub(crate) async fn repository_changed(
    ctx: &Context,
    reach: &Reach,
    integration: &IntegrationId,
    event: &RepositoryEvent,
) -> Result<Reason, Error> {
    let id = event.repository.id;
    let (mut connected, mut said) = (false, "renamed");
    for project in std::iter::once(&reach.home).chain(&reach.others) {
        let Some(known) = ctx.store.repository(project, integration, id).await? else { continue };
        connected = true;
        match event.change {
            RepositoryChange::Deleted => {
                said = "deleted";
                gone(ctx, &known, ctx.clock.now()).await?;
            }
            // Nothing that was signed says that it is gone: its forge does, or that it is there.
            RepositoryChange::PerhapsDeleted => {
                said = "deleted";
                rename(ctx, known, &event.repository.full_name).await?;
            }
            RepositoryChange::Renamed { .. } | RepositoryChange::Transferred => {
                said = if event.change == RepositoryChange::Transferred { "transferred" } else { "renamed" };
                rename(ctx, known, &event.repository.full_name).await?;
            }
        }
    }
    let event = format!("repository.{said} of {}", pullyard_domain::text::clipped(&event.repository.full_name, 60));
    Ok(match connected {
        true => Reason::Noted { event },
        false => Reason::EventIgnored { event },
    })
}

async fn rename(ctx: &Context, known: Repository, told: &str) -> Result<(), Error> {
    let integration = ctx.store.integration(&known.integration).await?;
    let integration =
        integration.ok_or_else(|| Error::NotFound { what: "integration", name: known.integration.to_string() })?;
    let forge = forge_of(ctx, &integration, &known).await?;
    let asked = ctx.clock.now();
    let found = match forge.repository(told).await {
        // A delivery that is old or late tells a name that leads nowhere any more, where the forge does not lead on from
        // former ones. Of one that has the name we know by now nothing follows for ours, which is under neither.
        Err(pullyard_forge::Error::NotFound { .. }) if known.name.as_str() != told => {
            match forge.repository(known.name.as_str()).await {
                Ok(found) if found.id != known.id => {
                    return gone(ctx, &known, asked).await;
                }
                found => found,
            }
        }
        found => found,
    };
    let found = match found {
        Ok(found) => found,
        // Given to somebody who does not let us in any more, or deleted since: what we have still tells people.
        Err(pullyard_forge::Error::NotFound { .. }) => {
            return gone(ctx, &known, asked).await;
        }
        Err(error) => return Err(error.into()),
    };
    // The name belongs to another repository by now: the event is old.
    if found.id != known.id {
        return Ok(());
    }
    take_name(ctx, known.clone(), &found).await?;
    back(ctx, &known, asked).await
}

/// Takes the name over that an answer of the forge has for a repository, in every project that it is connected to: its
/// event may have been lost, and the old name leads there only until somebody else takes it. From the forge's own
/// answer about the new name, as where the event tells it.
///
/// Idempotent: what is noted already stays. That it is not there under the new name means nothing: only an event says
/// that it is gone.
/// Errors: `Forge` when it does not answer; the next look has the same answer.
pub(crate) async fn name_learnt(
    ctx: &Context,
    reach: &Reach,
    integration: &Integration,
    known: &Repository,
    told: &str,
) -> Result<(), Error> {
    if known.name.as_str() == told {
        return Ok(());
    }
    let found = forge_of(ctx, integration, known).await?.repository(told).await?;
    if found.id != known.id {
        return Ok(());
    }
    for project in reach.all() {
        if let Some(there) = ctx.store.repository(project, &integration.id, known.id).await? {
            take_name(ctx, there, &found).await?;
        }
    }
    Ok(())
}

/// Stores what the forge says of a repository that may have another name now.
async fn take_name(ctx: &Context, known: Repository, found: &pullyard_forge::Repository) -> Result<(), Error> {
    let name = RepositoryName::new(&found.full_name).map_err(|bad| Error::Inconsistent(bad.to_string()))?;
    let mut rounds = ctx.rounds(&name);
    let mut known = known;
    loop {
        let next = Repository {
            name: name.clone(),
            default_branch: found.default_branch.clone(),
            // Only where it leads to the host that it led to before: git takes our token there.
            clone_url: match same_host(&known.clone_url, &found.clone_url) {
                true => found.clone_url.clone(),
                false => known.clone_url.clone(),
            },
            ..known.clone()
        };
        if next == known {
            return Ok(());
        }
        if ctx.store.rename_repository(&known, &next).await? == Write::Applied {
            tracing::info!(project = %next.project, from = %known.name, repository = %next.name, "a repository has another name");
            return Ok(());
        }
        rounds.again().await?;
        match ctx.store.repository(&known.project, &known.integration, known.id).await? {
            Some(again) => known = again,
            None => return Ok(()),
        }
    }
}

/// It stays connected, and says that it is gone: jobs of the past name it. `since` is when that was told, or when its
/// forge was asked.
async fn gone(ctx: &Context, repository: &Repository, since: Timestamp) -> Result<(), Error> {
    let Repository { project, integration, id, .. } = repository;
    let mut rounds = ctx.rounds(id);
    loop {
        let known = ctx.store.poll(project, integration, *id).await?;
        let poll = known.unwrap_or_else(|| Poll {
            project: project.clone(),
            integration: integration.clone(),
            repository: *id,
            ingress: Ingress::Webhook,
            gone_at: None,
            next: since,
            look: Look::default(),
            tries: 0,
            not_before: None,
            rev: 0,
        });
        let Some(poll) = poll.gone(since) else { return Ok(()) };
        if ctx.store.put_poll(&poll).await? == Write::Applied {
            return Ok(());
        }
        rounds.again().await?;
    }
}

/// It was taken for gone, as it had been renamed once more when the name before that was told. Its forge says that it is
/// there, so it is looked at again. `asked` is when its forge was asked for that: what was noted since is newer.
async fn back(ctx: &Context, repository: &Repository, asked: Timestamp) -> Result<(), Error> {
    let Repository { project, integration, id, .. } = repository;
    let mut rounds = ctx.rounds(id);
    loop {
        let known = ctx.store.poll(project, integration, *id).await?;
        let Some(poll) = known.and_then(|known| known.back(asked, ctx.clock.now())) else { return Ok(()) };
        if ctx.store.put_poll(&poll).await? == Write::Applied {
            return Ok(());
        }
        rounds.again().await?;
    }
}

fn same_host(one: &str, other: &str) -> bool {
    let host = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        Some((scheme.to_owned(), rest.split('/').next()?.to_owned()))
    };
    host(one).is_some() && host(one) == host(other)
}
