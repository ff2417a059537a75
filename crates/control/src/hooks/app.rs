//! Reports settings of an App that its hook needs, but that only GitHub's settings page can change.

use super::drift::{Drift, drift};
use crate::forge::app_client;
use crate::{Context, Error};
use pullyard_domain::project::forge::{ForgeKind, Integration};
use pullyard_domain::project::hook::{Webhook, WebhookScope};
use pullyard_forge::{App, GitHubApp, minimum_app_permissions, missing_permissions};

pub(super) async fn load_app_of_hook(
    ctx: &Context,
    integration: &Integration,
    hook: &Webhook,
) -> Result<Option<GitHubApp>, Error> {
    match hook.kind {
        WebhookScope::App {} => app_client(ctx, integration).await,
        WebhookScope::Organisation { .. } | WebhookScope::Repository { .. } => Ok(None),
    }
}

pub(super) fn settings_drifts(app: &App) -> Vec<Drift> {
    let page = format!("{}/permissions", app.settings_url);
    let mut drifts = Vec::new();
    let required = ForgeKind::GitHub.spec().hook.events.iter().copied();
    let missing_events: Vec<&str> =
        required.filter(|event| !app.events.iter().any(|subscribed| subscribed == event)).collect();
    if !missing_events.is_empty() {
        let sentence = format!("It does not send {} events; select them at {page}.", missing_events.join(", "));
        drifts.push(drift("events", sentence, false));
    }
    let missing = missing_permissions(&app.permissions, &minimum_app_permissions());
    if !missing.is_empty() {
        let sentence = format!(
            "The App lacks the permission {}; add it at {page}, then accept it where the App is installed.",
            missing.join(", ")
        );
        drifts.push(drift("permissions", sentence, false));
    }
    drifts
}

pub(super) fn missing_hook_drift(app: &App) -> Drift {
    drift("missing", format!("The App has no webhook; switch it on at {}.", app.settings_url), false)
}

/// The API does not show whether an App's hook is active. A hook without any delivery may be inactive.
pub(super) fn no_deliveries_drift(app: &App) -> Drift {
    let sentence = format!("No deliveries yet; check at {} that its webhook is active.", app.settings_url);
    drift("silent", sentence, false)
}

pub(super) async fn missing_hook_error(app: &GitHubApp) -> Result<Error, Error> {
    let page = app.app().await?.settings_url;
    let fault = format!("the App has no webhook; switch it on at {page}, then install it here again");
    Ok(Error::Invalid { pointer: "/app", fault })
}
