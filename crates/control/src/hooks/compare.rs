//! Compares a hook with its configuration at the forge, and repairs it.

use super::app;
use super::drift::{Drift, drift};
use super::install::{load_events, load_hook_scope, sync_forge_hook};
use crate::admin::rotate_secret::previous_valid_until;
use crate::error::format_for_table;
use crate::forge::forge_client_for_hook;
use crate::{Context, Error};
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::HookName;
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::Delivery;
use pullyard_store::{HookStats, Write};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookView {
    pub hook: Webhook,
    pub delivery_counts: HookStats,
    /// Until this time the previous secret is accepted, too.
    pub old_secret_until: Option<Timestamp>,
}

impl HookView {
    /// Whether the newest delivery had a wrong signature, because the forge has another secret.
    pub fn is_refusing(&self) -> bool {
        signature_drift(&self.delivery_counts).is_some()
    }
}

pub async fn load_hook_view(ctx: &Context, hook: Webhook) -> Result<HookView, Error> {
    let stats = ctx.store.load_hook_stats(&hook).await?;
    let secret = ctx.secret_name(SecretKind::Forge, &hook.secret);
    let old_secret_until = match previous_valid_until(ctx, &secret).await {
        Err(Error::Cloud(pullyard_cloud::Error::NoSecret { .. })) => None,
        until => until?,
    };
    Ok(HookView { hook, delivery_counts: stats, old_secret_until })
}

/// Errors: `NotFound`, `Store`. Any other failure is reported as a drift.
pub async fn verify_hook(ctx: &Context, name: &HookName) -> Result<(HookView, Vec<Drift>), Error> {
    let hook = ctx.load_hook(name).await?;
    let view = load_hook_view(ctx, hook).await?;
    if let Some(drift) = find_missing_start(ctx, &view.hook).await? {
        return Ok((view, vec![drift]));
    }
    let mut drifts = match compare_at_forge(ctx, &view).await {
        Ok(drifts) => drifts,
        Err(Error::Store(error)) => return Err(error.into()),
        Err(error) => vec![drift("unreadable", format!("Pullyard {} at the forge.", format_for_table(&error)), false)],
    };
    drifts.extend(signature_drift(&view.delivery_counts));
    Ok((view, drifts))
}

/// Idempotent: a repeat sends the same settings.
/// Errors: `NotFound`, `Forge`, `Contended`; `Invalid` for a secret that the forge does not accept.
pub async fn repair_hook(ctx: &Context, name: &HookName) -> Result<(HookView, Vec<Drift>), Error> {
    let mut rounds = ctx.retries(name);
    loop {
        let hook = ctx.load_hook(name).await?;
        let integration = ctx.load_integration(&hook.integration).await?;
        let hook = Webhook { forge: integration.kind, ..hook };
        // Without a list of events, the forge would send its default events.
        if find_missing_start(ctx, &hook).await?.is_some() {
            return verify_hook(ctx, name).await;
        }
        let forge_id = sync_forge_hook(ctx, &integration, &hook).await?;
        if ctx.store.put_hook(&Webhook { forge_id, ..hook.clone() }).await? == Write::Applied {
            // The forge has the present secret now, which ends the report of another one.
            ctx.store.update_hook_repaired_at(&hook, ctx.clock.now()).await?;
            return verify_hook(ctx, name).await;
        }
        rounds.backoff().await?;
    }
}

async fn compare_at_forge(ctx: &Context, view: &HookView) -> Result<Vec<Drift>, Error> {
    let hook = &view.hook;
    let integration = ctx.load_integration(&hook.integration).await?;
    let forge = forge_client_for_hook(ctx, &integration, hook).await?;
    let scope = load_hook_scope(ctx, hook).await?;
    let hooks = forge.hooks(&scope).await?.items;
    let url = hook.url();
    let settings = match app::load_app_of_hook(ctx, &integration, hook).await? {
        Some(app) => Some(app.app().await?),
        None => None,
    };
    let forge_hook = match settings {
        // An App has exactly one hook, regardless of its address.
        Some(_) => hooks.first(),
        None => {
            let by_id = hooks.iter().find(|each| Some(each.id) == hook.forge_id);
            by_id.or_else(|| hooks.iter().find(|each| Some(&each.url) == url.as_ref()))
        }
    };
    let Some(forge_hook) = forge_hook else {
        let none = || drift("missing", format!("{} has no such hook.", hook.kind.label()), true);
        return Ok(vec![settings.as_ref().map_or_else(none, app::missing_hook_drift)]);
    };
    let mut drifts = Vec::new();
    if url.as_ref() != Some(&forge_hook.url) {
        let sentence = match forge_hook.url.is_empty() {
            true => "It has no URL.".to_owned(),
            false => format!("It calls {} instead of Pullyard.", forge_hook.url),
        };
        drifts.push(drift("url", sentence, true));
    }
    match &settings {
        Some(app) => drifts.extend(app::settings_drifts(app)),
        None => {
            let events = load_events(ctx, hook, integration.kind).await?;
            drifts.extend(subscription_drifts(&events, forge_hook));
        }
    }
    if !forge_hook.has_secret {
        drifts.push(drift("no_secret", "It has no secret, so all its deliveries are rejected.", true));
    }
    if !forge_hook.json {
        drifts.push(drift(
            "content_type",
            "It sends forms instead of JSON; set its content type to application/json.",
            true,
        ));
    }
    if !forge_hook.verifies_tls {
        drifts.push(drift("insecure_ssl", "It does not verify Pullyard's certificate.", true));
    }
    if !integration.kind.spec().hook.lists_deliveries {
        return Ok(drifts);
    }
    match forge.deliveries(&scope, forge_hook.id).await {
        Ok(newest) => {
            let never = newest.is_empty() && view.delivery_counts.verified_at.is_none();
            drifts.extend(settings.as_ref().filter(|_| never).map(app::no_deliveries_drift));
            drifts.extend(failing_deliveries_drift(&newest));
        }
        Err(error) => {
            drifts.push(drift("deliveries", format!("Can't list its deliveries: failed to {error}."), false));
        }
    }
    Ok(drifts)
}

/// The only drift of a webhook whose template no delivery starts: no repair helps until a user has corrected it.
async fn find_missing_start(ctx: &Context, hook: &Webhook) -> Result<Option<Drift>, Error> {
    let Some(template) = &hook.template else { return Ok(None) };
    if !load_events(ctx, hook, hook.forge).await?.is_empty() {
        return Ok(None);
    }
    let sentence = format!(
        "No webhook starts its template {template}: it was deleted, has no `on`, or this version cannot read its plan. \
         Correct it with `pullyard templates put {template} -f FILE`, unless a newer version stored it, or delete the \
         webhook with `pullyard hooks delete {}`.",
        hook.name
    );
    Ok(Some(drift("events", sentence, false)))
}

fn subscription_drifts(events: &BTreeSet<String>, forge_hook: &pullyard_forge::Hook) -> Vec<Drift> {
    let mut drifts = Vec::new();
    if !forge_hook.active {
        drifts.push(drift("disabled", "It is disabled.", true));
    }
    let actual: BTreeSet<&str> = forge_hook.events.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> = events.iter().map(String::as_str).collect();
    if actual != expected && !actual.contains("*") {
        let list = |of: Vec<&&str>| of.into_iter().copied().collect::<Vec<_>>().join(", ");
        let missing = list(expected.difference(&actual).collect());
        let extra = list(actual.difference(&expected).collect());
        let missing = (!missing.is_empty()).then(|| format!("does not send {missing}"));
        let extra = (!extra.is_empty()).then(|| format!("sends {extra}, which Pullyard ignores"));
        let parts: Vec<String> = missing.into_iter().chain(extra).collect();
        drifts.push(drift("events", format!("It {}.", parts.join(" and ")), true));
    }
    drifts
}

fn failing_deliveries_drift(newest: &[Delivery]) -> Option<Drift> {
    let last = newest.first().filter(|last| !last.is_success())?;
    let failed = newest.iter().take_while(|delivery| !delivery.is_success()).count();
    let code = match last.status_code {
        0 => "no answer".to_owned(),
        code => code.to_string(),
    };
    Some(drift(
        "failing",
        format!("The newest delivery got {code} ({}); failed ones since the last success: {failed}.", last.status),
        false,
    ))
}

pub(super) fn signature_drift(stats: &HookStats) -> Option<Drift> {
    let wrong = stats.refused_at > stats.verified_at.max(stats.repaired_at);
    wrong.then(|| drift("secret", "The newest signatures were wrong: the forge has another secret.", true))
}
