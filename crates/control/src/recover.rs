//! Finds events that our webhooks missed: requests redelivery, and compares all open pull requests with the forge.
//!
//! Redelivery: works for the three days that GitHub keeps deliveries, and includes comments and labels.
//! Comparison: needs no delivery; finds reviews, closed, merged and (for a single repository) reopened pull requests,
//! and moved heads, but no old comments and labels. Forges without a list of deliveries have only this.

mod look;

use crate::forge::{forge_of_hook, repository_of_hook, too_slow};
use crate::hooks::at_address;
use crate::review::Reach;
use crate::sweep::put_off;
use crate::webhook::reach_of;
use crate::{Context, Error};
use look::{Found, look};
use pullyard_domain::hook::recovery::{Look, Recovery, Tried};
use pullyard_domain::hook::{Hook, HookKind, Ingress, POLL_EVERY, Poll, RECOVER_EVERY, poll_every};
use pullyard_domain::id::{HookName, IntegrationId, ProjectId};
use pullyard_domain::project::Repository;
use pullyard_domain::time::Timestamp;
use pullyard_forge::{Forge, HookScope};
use pullyard_store::{WorkKey, Write};
use std::time::Duration;

const MOST_PAGES: u32 = 30;

/// Time limit for reading the list and requesting redeliveries: the function has a minute, and the comparison follows.
const LIST_WITHIN: Duration = Duration::from_secs(10);
const ASK_UNTIL: Duration = Duration::from_secs(12);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub looked_at: usize,
    pub asked: usize,
    pub missing: usize,
    pub given_up: u64,
    pub pull_requests: usize,
    /// Reviews that no webhook had delivered.
    pub reviews: usize,
    /// Why the list of deliveries, or a pull request, could not be read.
    pub problems: Vec<String>,
}

/// Idempotent: a redelivery is the same delivery, and reviews are known by their ids.
/// Errors: the table's. A refusal by the forge is noted on the hook. After an error that no retry fixes, the hook is
/// put off, longer each time until a round succeeds: otherwise every sweep would send it again.
pub async fn recover_hook(ctx: &Context, name: &HookName) -> Result<Recovered, Error> {
    match recover_if_due(ctx, name).await {
        Err(error) if !error.is_transient() => {
            put_off(ctx, &WorkKey::Hook(name.clone()), Some(&error)).await;
            Err(error)
        }
        recovered => recovered,
    }
}

async fn recover_if_due(ctx: &Context, name: &HookName) -> Result<Recovered, Error> {
    let Some(hook) = ctx.store.hook(name).await? else { return Ok(Recovered::default()) };
    let now = ctx.clock.now();
    if hook.recovery.next > now || hook.not_before.is_some_and(|not_before| not_before > now) {
        return Ok(Recovered::default());
    }
    recover(ctx, hook).await
}

/// Errors: `NotFound`; `Contended`; the table's.
pub async fn recover_since(ctx: &Context, name: &HookName, since: Option<Timestamp>) -> Result<Recovered, Error> {
    let mut rounds = ctx.rounds(name);
    loop {
        let hook = ctx.store.hook(name).await?;
        let mut hook = hook.ok_or_else(|| Error::NotFound { what: "hook", name: name.to_string() })?;
        if let Some(since) = since {
            hook.recovery.from(since, hook.created);
        }
        hook.recovery.next = ctx.clock.now();
        hook.not_before = None;
        if ctx.store.put_hook(&hook).await? == Write::Applied {
            hook.rev += 1;
            return recover(ctx, hook).await;
        }
        rounds.again().await?;
    }
}

async fn recover(ctx: &Context, mut hook: Hook) -> Result<Recovered, Error> {
    let now = ctx.clock.now();
    let mut found = Recovered::default();
    let integration = ctx.store.integration(&hook.integration).await?;
    let Some(integration) = integration else {
        return Err(Error::NotFound { what: "integration", name: hook.integration.to_string() });
    };
    // An older release, after a rollback, writes hooks without this field.
    hook.forge = integration.kind;
    let scope = scope_of(ctx, &hook).await?;
    let known = hook.forge_id.or(matches!(hook.kind, HookKind::App {}).then_some(0));
    let mut learnt = None;
    let list = async {
        // Without a list of deliveries, only the comparison applies. A hook without id and address cannot be found.
        if !integration.kind.lists_deliveries() || (known.is_none() && hook.url().is_none()) {
            return Ok(None);
        }
        let forge = forge_of_hook(ctx, &integration, &hook).await?;
        let id = match known {
            Some(id) => id,
            // Created by hand, and its first ping, the only one, may have been lost: find it by its address.
            None => match at_address(&forge, &scope, &hook).await? {
                Some(id) => *learnt.insert(id),
                None => return Ok(None),
            },
        };
        let listed = rows(&forge, &scope, id, &hook.recovery, now).await?;
        Ok::<_, Error>(Some((id, forge, listed)))
    };
    let listed = tokio::time::timeout(LIST_WITHIN, list).await;
    let listed = listed.unwrap_or_else(|_| Err(too_slow(&integration, LIST_WITHIN)));
    if let Some(id) = learnt {
        tracing::info!(hook = %hook.name, id, "a hook was found at its forge by its address");
        hook.forge_id = Some(id);
    }
    let (known, ask) = match listed {
        Ok(Some((id, forge, listed))) => {
            found.looked_at = listed.rows.len();
            let (mut known, ask) = hook.recovery.take_stock(&listed.rows, now);
            if listed.left_out {
                tracing::warn!(hook = %hook.name, read = found.looked_at, "older deliveries of a hook were passed over");
                known.problem = Some(PASSED_OVER.to_owned());
            }
            (known, Some((id, forge, ask)))
        }
        Ok(None) => (hook.recovery.take_stock(&[], now).0, None),
        Err(error) => {
            let problem = Some(said(&error));
            (Recovery { next: now.plus(RECOVER_EVERY), problem, ..hook.recovery.clone() }, None)
        }
    };
    found.problems.extend(known.problem.clone());
    (found.missing, found.given_up) = (known.missing.len(), known.given_up);
    hook.recovery = known;
    hook.not_before = None;
    // Store before requesting: a crash in between loses one of three tries, and never adds one.
    if ctx.store.put_hook(&hook).await? == Write::Stale {
        // The hook changed: discard the results. The concurrent writer handled it, or left it due.
        return Ok(Recovered { problems: vec![CHANGED.to_owned()], ..Recovered::default() });
    }
    hook.rev += 1;
    if let Some((id, forge, ask)) = ask {
        let mut unused: &[u64] = &[];
        for (at, delivery) in ask.iter().enumerate() {
            if ctx.clock.now().since(now) >= ASK_UNTIL {
                unused = ask.get(at..).unwrap_or_default();
                break;
            }
            match forge.redeliver(&scope, id, *delivery).await {
                Ok(()) => found.asked += 1,
                Err(error) => {
                    tracing::warn!(hook = %hook.name, delivery, error = %error, "a delivery could not be asked for again");
                    if error.is_transient() {
                        // This request may have succeeded; the later ones were not sent.
                        unused = ask.get(at + 1..).unwrap_or_default();
                        break;
                    }
                }
            }
        }
        if !unused.is_empty() {
            match give_back(ctx, &hook, unused, now).await {
                Ok(Some(again)) => hook = again,
                Ok(None) => return Ok(found),
                // The comparison below matters more than a lost try.
                Err(error) => tracing::warn!(hook = %hook.name, error = %error, "tries that were not used are lost"),
            }
        }
    }
    let only = match &hook.kind {
        HookKind::Repository { id, .. } => Some(*id),
        HookKind::Organisation { .. } | HookKind::App {} => None,
    };
    // A hook's rounds are as rare as list reads should be, and a user may request one.
    let (reach, from, lists_every) = (&reach_of(&hook), hook.created, Duration::ZERO);
    let place = look::Place { reach, integration: &integration, only, from, lists_every };
    let looked = look(ctx, &place, &hook.recovery.look).await?;
    counted(&mut found, looked, &mut hook.recovery.look);
    // Only now: `tries` must grow while rounds fail.
    hook.tries = 0;
    // If stale, the next round compares again.
    ctx.store.put_hook(&hook).await?;
    tracing::info!(hook = %hook.name, ?found, "a hook was looked after");
    Ok(found)
}

/// Restores unused tries on the current hook, which may have changed. `None`: it was removed.
///
/// Errors: `Contended`.
async fn give_back(ctx: &Context, asked: &Hook, unused: &[u64], asked_at: Timestamp) -> Result<Option<Hook>, Error> {
    let mut rounds = ctx.rounds(&asked.name);
    let mut hook = asked.clone();
    loop {
        hook.recovery.not_asked(unused, asked_at);
        if ctx.store.put_hook(&hook).await? == Write::Applied {
            hook.rev += 1;
            return Ok(Some(hook));
        }
        rounds.again().await?;
        // A new hook with the same name had no requests.
        match ctx.store.hook(&asked.name).await?.filter(|again| again.created == asked.created) {
            Some(again) => hook = again,
            None => return Ok(None),
        }
    }
}

fn counted(found: &mut Recovered, looked: (Found, Look), kept: &mut Look) {
    let (seen, next) = looked;
    found.pull_requests = seen.pull_requests;
    found.reviews = seen.reviews;
    found.problems.extend(next.problem.clone());
    *kept = next;
}

/// Reported when the list exceeds the limit. Older entries are lost to redelivery; the comparison finds their reviews.
const PASSED_OVER: &str = "more than 3,000 deliveries were to be looked at, and the older of them were passed over; \
                           comments and labels among them are not asked for again";

const CHANGED: &str = "the hook was changed while its deliveries were read; what is missing is looked for anew";

struct Listed {
    rows: Vec<Tried>,
    left_out: bool,
}

/// The relevant deliveries, newest first. Unfiltered: the forge's own filter omits those without a response.
async fn rows(
    forge: &Forge,
    scope: &HookScope,
    hook: u64,
    known: &Recovery,
    now: Timestamp,
) -> Result<Listed, pullyard_forge::Error> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let page = forge.deliveries(scope, hook, cursor.as_deref()).await?;
        for delivery in page.found {
            let tried = Tried {
                id: delivery.id,
                arrived: delivery.arrived(),
                at: Timestamp::from_millis(delivery.delivered_at.millis()),
                event: delivery.event,
                guid: delivery.guid,
            };
            if known.knows(&tried, now) {
                return Ok(Listed { rows, left_out: false });
            }
            rows.push(tried);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Listed { rows, left_out: false });
        }
    }
    Ok(Listed { rows, left_out: true })
}

pub(crate) async fn scope_of(ctx: &Context, hook: &Hook) -> Result<HookScope, Error> {
    Ok(match &hook.kind {
        HookKind::App {} => HookScope::App,
        HookKind::Organisation { login } => HookScope::Organisation(login.clone()),
        HookKind::Repository { name, id } => {
            let known = repository_of_hook(ctx, hook, *id).await?;
            HookScope::Repository(known.map_or_else(|| name.to_string(), |known| known.name.to_string()))
        }
    })
}

pub(crate) fn said(error: &Error) -> String {
    pullyard_domain::text::clipped(&format!("failed to {error}"), 300)
}

/// Idempotent: reviews are known by their ids.
/// Errors: the table's. A refusal by the forge is noted. After an error that no retry fixes, the repository is put off,
/// longer each time until a round succeeds.
pub async fn poll_repository(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
) -> Result<(), Error> {
    match poll_if_due(ctx, project, integration, repository).await {
        Err(error) if !error.is_transient() => {
            put_off(ctx, &WorkKey::Poll(project.clone(), integration.clone(), repository), Some(&error)).await;
            Err(error)
        }
        polled => polled,
    }
}

async fn poll_if_due(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
) -> Result<(), Error> {
    let Some(mut poll) = ctx.store.poll(project, integration, repository).await? else { return Ok(()) };
    let now = ctx.clock.now();
    let resting = poll.not_before.is_some_and(|not_before| not_before > now);
    if poll.ingress == Ingress::Webhook || poll.gone_at.is_some() || poll.next > now || resting {
        return Ok(());
    }
    let known = ctx.store.integration(integration).await?;
    // Store the next due time before calling the forge: a failed or killed round must not restart at once.
    poll.next = now.plus(known.as_ref().map_or(POLL_EVERY, |known| poll_every(known.kind)));
    poll.not_before = None;
    if ctx.store.put_poll(&poll).await? == Write::Stale {
        return Ok(());
    }
    poll.rev += 1;
    match known {
        Some(known) => {
            let reach = Reach::of(project.clone());
            let (only, lists_every) = (Some(repository), RECOVER_EVERY);
            let place = look::Place { reach: &reach, integration: &known, only, from: now, lists_every };
            poll.look = look(ctx, &place, &poll.look).await?.1;
        }
        None => poll.look.problem = Some(format!("there is no integration {integration}")),
    }
    poll.tries = 0;
    // If stale, the next round compares again.
    ctx.store.put_poll(&poll).await?;
    Ok(())
}

/// Idempotent: a level.
/// Errors: `Contended`; the table's.
pub async fn set_ingress(ctx: &Context, repository: &Repository, ingress: Ingress) -> Result<Poll, Error> {
    let mut rounds = ctx.rounds(&repository.name);
    loop {
        let now = ctx.clock.now();
        let known = ctx.store.poll(&repository.project, &repository.integration, repository.id).await?;
        let mut poll = known.unwrap_or_else(|| Poll {
            project: repository.project.clone(),
            integration: repository.integration.clone(),
            repository: repository.id,
            ingress: Ingress::Webhook,
            gone_at: None,
            next: now,
            look: Look::default(),
            tries: 0,
            not_before: None,
            rev: 0,
        });
        if poll.ingress == ingress && poll.rev > 0 {
            return Ok(poll);
        }
        if poll.ingress == Ingress::Webhook {
            poll.look = Look { since: Some(now), ..Look::default() };
        }
        (poll.ingress, poll.next, poll.gone_at) = (ingress, now, None);
        if ctx.store.put_poll(&poll).await? == Write::Applied {
            poll.rev += 1;
            return Ok(poll);
        }
        rounds.again().await?;
    }
}
