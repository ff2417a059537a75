//! Lists webhooks page by page.

use super::compare::{HookView, load_hook_view, signature_drift};
use super::drift::Drift;
use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::hook::Webhook;

/// A page of webhooks with the cursor of the next page, without those that this version cannot parse.
pub async fn list_hook_views(
    ctx: &Context,
    after: Option<&str>,
    limit: i32,
    may_see: impl Fn(&Webhook) -> bool,
) -> Result<(Vec<HookView>, Option<String>), Error> {
    let (names, next) = ctx.store.list_hook_names(after, limit).await?;
    let mut views = Vec::new();
    for name in names {
        let hook = skip_corrupt(ctx, ctx.store.load_hook(&name).await)?.flatten();
        if let Some(hook) = hook.filter(&may_see) {
            views.extend(skip_corrupt(ctx, load_hook_view(ctx, hook).await)?);
        }
    }
    Ok((views, next))
}

/// The webhooks whose newest delivery was refused, among the first `limit` names. Reads only the table.
pub async fn list_failing_hooks(
    ctx: &Context,
    limit: i32,
    may_see: impl Fn(&Webhook) -> bool,
) -> Result<Vec<(Webhook, Drift)>, Error> {
    let (names, _) = ctx.store.list_hook_names(None, limit).await?;
    let mut failing = Vec::new();
    for name in names {
        let hook = skip_corrupt(ctx, ctx.store.load_hook(&name).await)?.flatten();
        let Some(hook) = hook.filter(&may_see) else { continue };
        let stats = skip_corrupt(ctx, ctx.store.load_hook_stats(&hook).await)?.unwrap_or_default();
        failing.extend(signature_drift(&stats).map(|drift| (hook, drift)));
    }
    Ok(failing)
}
