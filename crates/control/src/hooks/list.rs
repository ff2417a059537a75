//! Lists webhooks page by page; an unreadable one does not hide the others.

use super::compare::{HookView, view};
use crate::{Context, Error};
use pullyard_domain::hook::Hook;
use pullyard_domain::id::HookName;
use pullyard_store::Error as StoreError;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookViews {
    pub hooks: Vec<HookView>,
    /// Unreadable hooks with the reason. Their projects are unknown.
    pub unreadable: Vec<(HookName, String)>,
    pub next: Option<String>,
}

/// Errors: the table's. An item that this version cannot parse is listed as unreadable.
pub async fn hook_views(
    ctx: &Context,
    after: Option<&str>,
    limit: i32,
    may_see: impl Fn(&Hook) -> bool,
) -> Result<HookViews, Error> {
    let (names, next) = ctx.store.hook_names(after, limit).await?;
    let mut views = HookViews { next, ..HookViews::default() };
    for name in names {
        match shown(ctx, &name, &may_see).await {
            Ok(hook) => views.hooks.extend(hook),
            Err(Error::Store(error @ StoreError::Corrupt { .. })) => views.unreadable.push((name, error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(views)
}

async fn shown(ctx: &Context, name: &HookName, may_see: &impl Fn(&Hook) -> bool) -> Result<Option<HookView>, Error> {
    match ctx.store.hook(name).await? {
        Some(hook) if may_see(&hook) => view(ctx, hook).await.map(Some),
        _ => Ok(None),
    }
}
