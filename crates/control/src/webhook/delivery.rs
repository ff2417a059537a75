//! A delivery of a webhook: its request, its entry in the ledger, and the reason that refuses another repository.

use crate::{Context, Error};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::review::delivery::{Delivery, Source};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{DeliveryId, EventId, RepositoryName};

#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    pub forge: ForgeKind,
    pub hook: &'a str,
    /// GitHub's `X-GitHub-Event`, Bitbucket's `X-Event-Key`.
    pub event: &'a str,
    /// `X-GitHub-Delivery`, `X-Request-UUID`. Not signed.
    pub delivery: Option<&'a str>,
    /// `X-Hub-Signature-256`, `X-Hub-Signature`.
    pub signature: Option<&'a str>,
    pub body: &'a [u8],
}

pub(super) fn refuse_repository(hook: &Webhook, name: &str) -> Reason {
    match RepositoryName::new(name) {
        Ok(repo) => Reason::RepositoryNotIntegrated { repo, project: hook.home.clone() },
        Err(_) => Reason::EventIgnored { event: "event of another repository".into() },
    }
}

pub(super) async fn new_delivery(
    ctx: &Context,
    hook: &Webhook,
    id: DeliveryId,
    event: EventId,
    reason: Reason,
) -> Result<Delivery, Error> {
    let at = ctx.store.load_delivery(&id).await?.map_or_else(|| ctx.clock.now(), |first| first.at);
    Ok(Delivery::new(id, hook.home.clone(), Source::Webhook, event, at, reason))
}
