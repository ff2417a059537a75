//! A webhook: its check against the forge, its repair and its removal.

use super::{
    FormFault, HEALTHY, NO_DELIVERY, RemovalPage, WEBHOOK_FAILING, check_admin, check_admin_of_all_projects, list_url,
};
use crate::labels::format_time;
use crate::prelude::*;
use pullyard_control::hooks::{self as control, Drift, HookView};
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::text::id::HookName;

pub(super) struct HookRow {
    pub(super) address: String,
    pub(super) name: SafeText,
    pub(super) scope: SafeText,
    pub(super) state: Pill,
    pub(super) last: Option<TimeLabel>,
}

impl HookRow {
    pub(super) fn new(view: &HookView, now: Timestamp) -> Self {
        let counts = &view.delivery_counts;
        Self {
            address: hook_url(&view.hook.name),
            name: line(view.hook.name.as_str()),
            scope: line(&format!("For {}, through {}", view.hook.kind.label(), view.hook.integration)),
            state: match counts.verified_at {
                _ if view.is_refusing() => WEBHOOK_FAILING,
                None => NO_DELIVERY,
                Some(_) => HEALTHY,
            },
            last: counts.verified_at.map(|at| format_time(at, now)),
        }
    }
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct HookPage {
    frame: Frame,
    row: HookRow,
    drifts: Vec<SafeText>,
    repairable: bool,
    facts: Vec<(&'static str, SafeText)>,
    /// Values to enter at the forge, for a webhook that Pullyard did not create there.
    by_hand: Option<Vec<(&'static str, SafeText)>>,
    may_set_secret: bool,
    fault: Option<FormFault>,
}

/// A webhook that the visitor may not manage counts as missing.
async fn load_manageable(visit: &PageContext, name: HookName) -> Result<Webhook, Fault> {
    check_admin(visit)?;
    let hook = visit.ctx.store.load_hook(&name).await?;
    let manageable = hook.filter(|hook| visit.may_manage_hook(hook));
    manageable.ok_or_else(|| Fault::not_found(&format!("There is no webhook {name}.")))
}

pub(super) fn hook_url(name: &HookName) -> String {
    format!("/setup/repositories/webhooks/{name}")
}

/// Compares the webhook with the forge on each view. The comparison only reads.
pub(super) async fn show(visit: PageContext, Path(name): Path<HookName>) -> Result<Response, Fault> {
    let hook = load_manageable(&visit, name).await?;
    render(&visit, hook, None).await
}

async fn render(visit: &PageContext, hook: Webhook, fault: Option<FormFault>) -> Result<Response, Fault> {
    let (view, drifts) = control::verify_hook(&visit.ctx, &hook.name).await?;
    let page = HookPage {
        frame: visit.frame(&format!("Webhook {}", hook.name), "repositories", Some(&hook.home)),
        row: HookRow::new(&view, visit.ctx.clock.now()),
        repairable: drifts.iter().any(|drift| drift.repairable),
        drifts: drifts.iter().map(|Drift { sentence, .. }| line(sentence)).collect(),
        facts: list_facts(&view),
        by_hand: hook.forge_id.is_none().then(|| {
            vec![
                ("Payload URL", line(hook.url().as_deref().unwrap_or("–"))),
                ("Content type", line("application/json")),
                ("Events", line(&hook.forge.spec().hook.events.join(", "))),
            ]
        }),
        may_set_secret: visit.visitor.may_access_all_projects(),
        fault,
    };
    Ok(render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page))
}

fn list_facts(view: &HookView) -> Vec<(&'static str, SafeText)> {
    let (hook, counts) = (&view.hook, &view.delivery_counts);
    let mut facts = vec![
        ("URL", line(hook.url().as_deref().unwrap_or("–"))),
        ("Projects", line(if hook.is_shared() { "all" } else { hook.home.as_str() })),
        ("Secret", line(hook.secret.as_str())),
        ("Last refused", line(&counts.refused_at.map_or_else(|| "never".into(), |at| at.to_string()))),
        ("Refused", line(&counts.refused.to_string())),
    ];
    facts.extend(view.old_secret_until.map(|until| ("Old secret until", line(&until.to_string()))));
    facts
}

pub(super) async fn repair(visit: PageContext, Path(name): Path<HookName>) -> Result<Response, Fault> {
    let hook = load_manageable(&visit, name).await?;
    match control::repair_hook(&visit.ctx, &hook.name).await {
        Ok(_) => Ok(redirect(&hook_url(&hook.name))),
        Err(error) => render(&visit, hook, Some(error.into())).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretForm {
    value: String,
}

pub(super) async fn set_secret(
    visit: PageContext,
    Path(name): Path<HookName>,
    Form(form): Form<SecretForm>,
) -> Result<Response, Fault> {
    check_admin_of_all_projects(&visit)?;
    let hook = load_manageable(&visit, name).await?;
    match pullyard_control::set_secret(&visit.ctx, SecretKind::Forge, &hook.secret, &form.value).await {
        Ok(_) => Ok(redirect(&hook_url(&hook.name))),
        Err(error) => render(&visit, hook, Some(error.into())).await,
    }
}

pub(super) async fn confirm_removal(visit: PageContext, Path(name): Path<HookName>) -> Result<Response, Fault> {
    let hook = load_manageable(&visit, name).await?;
    Ok(removal_page(&visit, &hook, None).render())
}

fn removal_page(visit: &PageContext, hook: &Webhook, fault: Option<Fault>) -> RemovalPage {
    let name = &hook.name;
    RemovalPage {
        frame: visit.frame(&format!("Remove {name}"), "repositories", Some(&hook.home)),
        question: line(&format!("Remove the webhook {name}?")),
        effect: line(&format!(
            "Pullyard deletes it at the forge and here. Events of {} then arrive by polling, a few minutes later.",
            hook.kind.label()
        )),
        verb: "Remove webhook",
        action: format!("{}/remove", hook_url(name)),
        fields: Vec::new(),
        option: Some("Remove it here only, because the forge no longer accepts our calls"),
        back: hook_url(name),
        fault,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveForm {
    keep_at_forge: Option<String>,
}

pub(super) async fn remove(
    visit: PageContext,
    Path(name): Path<HookName>,
    Form(form): Form<RemoveForm>,
) -> Result<Response, Fault> {
    let hook = load_manageable(&visit, name).await?;
    match control::remove_hook(&visit.ctx, &hook.name, form.keep_at_forge.is_some()).await {
        Ok(()) => Ok(redirect(&format!("{}&removed={}", list_url(Some(&hook.home)), hook.name))),
        Err(error @ Error::Forge(_)) => Ok(removal_page(&visit, &hook, Some(error.into())).render()),
        Err(error) => Err(error.into()),
    }
}
