//! One decision: the guards in their order, each with the fact that it read, and Replay.

use super::Row;
use crate::hints::{Page, name_buttons};
use crate::prelude::*;
use crate::text::block;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::guard_steps::{GuardResult, GuardStep, guard_steps};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::DeliveryId;

#[derive(Template)]
#[template(path = "decision.html")]
struct DecisionPage {
    frame: Frame,
    id: String,
    row: Row,
    help: Help,
    steps: Vec<Step>,
    evaluated: usize,
    facts: Option<SafeText>,
    decided: Option<String>,
    /// Why a replay would not change the decision.
    no_replay: Option<&'static str>,
}

struct Step {
    title: &'static str,
    fact: Option<SafeText>,
    result: GuardResult,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<DeliveryId>) -> Result<Response, Fault> {
    let delivery = load(&visit, id).await?;
    let to_step = |GuardStep { title, fact, result }| Step { title, fact: fact.as_deref().map(line), result };
    let steps: Vec<Step> = guard_steps(&delivery).into_iter().map(to_step).collect();
    let row = Row::new(&visit.ctx, &delivery, visit.ctx.clock.now());
    let page = DecisionPage {
        frame: visit.frame(&format!("Decision: {}", row.sentence), "decisions", Some(&delivery.project)),
        id: delivery.id.to_string(),
        help: text::help(&name_buttons(&delivery.reason.help(), Page::Other)),
        evaluated: steps.iter().filter(|step| step.result != GuardResult::NotEvaluated).count(),
        steps,
        facts: stored_facts(&delivery).map(|facts| block(&facts)),
        decided: delivery.facts.as_ref().map(|facts| facts.decided_at.to_string()),
        no_replay: no_replay(&delivery),
        row,
    };
    Ok(render_page(StatusCode::OK, &page))
}

/// Decides the delivery again. Served by the API function, as the same request of the command line.
pub(crate) async fn replay(visit: PageContext, Path(id): Path<DeliveryId>) -> Result<Response, Fault> {
    visit.check_admin("replay deliveries")?;
    let delivery = load(&visit, id).await?;
    let answer = control::replay_delivery(&visit.ctx, &delivery.id).await?;
    Ok(redirect(&format!("/decisions/{}?project={}", answer.delivery, delivery.project)))
}

async fn load(visit: &PageContext, id: DeliveryId) -> Result<Delivery, Fault> {
    let delivery = visit.ctx.store.load_delivery(&id).await?;
    let visible = delivery.filter(|delivery| visit.visitor.may_access(&delivery.project));
    visible.ok_or_else(|| {
        Fault::not_found(&format!("There is no decision {id}."))
            .help("Decisions are stored for 30 days. Check the address, or open the list of decisions.")
    })
}

fn stored_facts(delivery: &Delivery) -> Option<String> {
    let review = delivery.review.as_ref().and_then(|subject| subject.facts.as_ref());
    match review {
        Some(facts) => serde_json::to_string_pretty(facts).ok(),
        None => serde_json::to_string_pretty(delivery.facts.as_ref()?).ok(),
    }
}

fn no_replay(delivery: &Delivery) -> Option<&'static str> {
    match (&delivery.reason, &delivery.review, &delivery.facts) {
        (Reason::Accepted { .. }, ..) => Some("A replay changes nothing: the delivery has its job."),
        (Reason::Echo {}, ..) => {
            Some("A replay changes nothing. To start a job, move the ticket out of the status and into it again.")
        }
        (reason, ..) if reason.is_final() => Some("A replay changes nothing: the decision is final."),
        (_, None, None) => Some("The content of this delivery is not stored. Send it again from its source."),
        (_, Some(subject), _) if subject.review.is_none() => {
            Some("This delivery concerns only the pull request itself. Polling finds its state.")
        }
        _ => None,
    }
}
