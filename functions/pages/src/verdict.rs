//! Decisions about a sent form: the accepted job, or one line on the next page. The line comes from the ledger, so that
//! reloading shows the same.

use crate::hints::{Page, name_buttons};
use crate::prelude::*;
use pullyard_control::Answer;
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::text::decision::{Reason, Verdict};
use pullyard_domain::text::id::{DeliveryId, JobId};

pub(crate) struct DecisionLine {
    pub(crate) tone: &'static str,
    pub(crate) sentence: SafeText,
    pub(crate) help: Option<Help>,
    pub(crate) job: Option<String>,
}

/// Returns the job of an accepted request. Errors: the refusal.
pub(crate) fn accepted_job(answer: &Answer) -> Result<JobId, Fault> {
    match (answer.reason.verdict(), &answer.job) {
        (Verdict::Accepted | Verdict::Duplicate, Some(job)) => Ok(job.clone()),
        _ => Err(Fault::refused(&answer.reason)),
    }
}

pub(crate) async fn load_decision_line(
    visit: &PageContext,
    project: &ProjectId,
    entry: Option<&DeliveryId>,
) -> Result<Option<DecisionLine>, Fault> {
    let Some(entry) = entry else { return Ok(None) };
    let delivery = visit.ctx.store.load_delivery(entry).await?;
    Ok(delivery.filter(|delivery| delivery.project == *project).and_then(|delivery| to_decision_line(&delivery)))
}

/// `None` for a new ticket in a column that starts no jobs.
fn to_decision_line(delivery: &Delivery) -> Option<DecisionLine> {
    let moved = describe_move(delivery);
    let sentence = delivery.reason.sentence();
    let active = delivery.facts.as_ref().and_then(|facts| facts.active_job.as_ref());
    let (tone, sentence, helps) = match (&delivery.reason, delivery.reason.verdict()) {
        (Reason::NotTriggerStatus { .. }, _) if active.is_some() => {
            ("warn", format!("{} Its job continues; cancel it on the job’s page.", moved?), false)
        }
        (Reason::NotTriggerStatus { .. }, _) => ("wait", moved?, false),
        (_, Verdict::Accepted) => ("ok", [moved.unwrap_or_default(), sentence].join(" "), false),
        (_, Verdict::Refused) => {
            let but = moved.map(|moved| format!("{moved} No job was started: "));
            ("warn", format!("{}{sentence}", but.unwrap_or_default()), true)
        }
        (_, Verdict::Invalid) => ("bad", sentence, true),
        _ => ("wait", sentence, false),
    };
    let job = match &delivery.reason {
        Reason::Accepted { job } | Reason::JobActive { job, .. } => Some(job.to_string()),
        Reason::NotTriggerStatus { .. } => active.map(ToString::to_string),
        _ => None,
    };
    let help = helps.then(|| text::help(&name_buttons(&delivery.reason.help(), Page::Other)));
    Some(DecisionLine { tone, sentence: line(&sentence), help, job })
}

fn describe_move(delivery: &Delivery) -> Option<String> {
    let (ticket, facts) = (delivery.ticket.as_ref()?, delivery.facts.as_ref()?);
    let before = facts.status_before.as_ref();
    before.is_some_and(|before| *before != facts.status).then(|| format!("{ticket} moved to {}.", facts.status))
}
