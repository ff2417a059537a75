//! Decides a delivery of a webhook that starts a template.

use super::delivery::{WebhookRequest, refuse_repository};
use crate::review::permission::get_permission;
use crate::templates::{Start, refusal, start};
use crate::{Context, Error};
use data_encoding::HEXLOWER;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::plan::PlanFault;
use pullyard_domain::project::template::{StartedBy, TemplateId};
use pullyard_domain::review::{Author, Permission};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::TemplateName;
use pullyard_domain::text::truncate;
use pullyard_forge::StartEvent;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The branches of Pullyard's own work.
const OWN_BRANCHES: &str = "pullyard/";

/// Starts a run for an event that the template names. Pullyard's own changes and users without write access start none.
/// Writes: RUN and PLAN, if absent.
/// Idempotent: by hook and body.
pub(super) async fn decide_start(
    ctx: &Context,
    hook: &Webhook,
    call: &WebhookRequest<'_>,
    template: &TemplateName,
    event: StartEvent,
) -> Result<Reason, Error> {
    let StartEvent { name, repository, sender, branch, facts } = event;
    let id = TemplateId { project: hook.home.clone(), name: template.clone() };
    let Some(stored) = ctx.store.load_template(&id).await? else {
        return Ok(refusal(template, &PlanFault::new("", "it was deleted")));
    };
    let plan = match stored.parse() {
        Ok(plan) => plan,
        Err(fault) => return Ok(refusal(template, &fault)),
    };
    let connected = match hook.is_for_repository(repository.id) {
        true => ctx.store.load_repository(&hook.home, &hook.integration, repository.id).await?,
        false => None,
    };
    let Some(connected) = connected else { return Ok(refuse_repository(hook, &repository.full_name)) };
    if !plan.starts_on(&name) {
        return Ok(Reason::EventIgnored { event: truncate(&name, 80) });
    }
    let integration = ctx.load_integration(&hook.integration).await?;
    if branch.starts_with(OWN_BRANCHES) || (sender.id == integration.account.id && sender.is_bot) {
        return Ok(Reason::Echo {});
    }
    if sender.id == integration.account.id {
        let fault = "its sender is the user of the integration's token, whose changes may be Pullyard's own: \
                     act as another user, or use an App";
        return Ok(refusal(template, &PlanFault::new("", fault)));
    }
    let author = Author { id: sender.id, login: sender.login, bot: sender.is_bot };
    // After an error the forge lists the delivery as failed, so that a user can redeliver it.
    let permission = match get_permission(ctx, &integration, &connected, 0, &author).await {
        Err(Error::NotListed { refusal: unlisted, .. }) => {
            return Ok(refusal(template, &PlanFault::new("", unlisted.sentence().trim_end_matches('.'))));
        }
        permission => permission?,
    };
    if permission != Permission::Write {
        return Ok(Reason::AuthorNotPermitted { author: author.login, repo: connected.name });
    }
    let declared = facts.into_iter().filter(|(name, _)| plan.parameters.contains_key(name));
    let params: BTreeMap<String, String> = declared.collect();
    // The hook's, unless the plan names one.
    let repository = (!plan.names_repository(&params)).then_some(connected.name);
    let request = Start {
        project: &hook.home,
        template,
        kind: StartedBy::Webhook,
        params,
        repository,
        key: format!("{} {}", hook.name, HEXLOWER.encode(&Sha256::digest(call.body))),
        by: format!("webhook {}, {}", hook.name, author.login),
    };
    Ok(match start(ctx, request).await? {
        Ok(run) => Reason::RunStarted { run },
        Err(fault) => refusal(template, &fault),
    })
}
