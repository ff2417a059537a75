//! `pullyard deliveries simulate`: decides each delivery of the ledger by itself with other settings; changes nothing.

use super::super::pages;
use crate::client::prelude::*;
use pullyard_domain::id::JobId;
use pullyard_domain::nearest::find_nearest;
use pullyard_domain::review::guard::{DecisionStep, ReviewFacts, ReviewSettings, decide};
use pullyard_protocol::delivery::Delivery;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

const KEYS: [&str; 3] = ["revise_on_review", "coalesce", "held_by"];

#[derive(Clone, Debug)]
pub(crate) struct Change {
    key: String,
    value: Value,
}

pub(crate) fn parse_change(text: &str) -> Result<Change, String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    let fits = match key {
        "revise_on_review" | "coalesce" => value.is_boolean(),
        "held_by" => value.is_string() || value.is_null(),
        _ => {
            let nearest =
                find_nearest(key, KEYS).map(|nearest| format!("did you mean {nearest}? ")).unwrap_or_default();
            return Err(format!("{nearest}use revise_on_review, coalesce or held_by"));
        }
    };
    if fits { Ok(Change { key: key.to_owned(), value }) } else { Err(format!("{value} is not a value of {key}")) }
}

#[derive(Serialize)]
struct Difference<'a> {
    delivery: &'a Delivery,
    was: String,
    would_be: String,
}

pub(super) async fn run(session: &Session, changes: &[Change], since: Duration) -> Result<(), CliError> {
    let project = session.project().await?;
    let now = format::now();
    let (mut all, mut at) = (Vec::new(), now);
    let oldest = now.minus(since);
    loop {
        let day = at.day();
        let of_day = pages::load_all(async |after| {
            let page = session.api.deliveries(&project, Some(&day), after.as_deref()).await?;
            Ok((page.deliveries, page.next))
        });
        all.extend(of_day.await?);
        if day == oldest.day() {
            break;
        }
        at = at.minus(Duration::from_secs(86_400));
    }
    let reviews: Vec<(&Delivery, ReviewFacts)> = all
        .iter()
        .filter(|delivery| delivery.at >= oldest)
        .filter_map(|delivery| Some((delivery, serde_json::from_value(delivery.facts.clone()).ok()?)))
        .collect();
    let mut differences = Vec::new();
    for (delivery, facts) in &reviews {
        let other =
            ReviewFacts { settings: facts.settings.clone().map(|old| apply_changes(old, changes)), ..facts.clone() };
        let (was, would_be) = (decision_code(facts), decision_code(&other));
        if was != would_be {
            differences.push(Difference { delivery, was, would_be });
        }
    }
    let mut table = Table::new([Fixed("WHEN"), Flexible("WAS"), Flexible("WOULD BE"), Fixed("DELIVERY")]);
    for difference in &differences {
        table.row([
            format::time_cell(difference.delivery.at, now),
            Cell::text(&difference.was),
            Cell::text(&difference.would_be),
            Cell::text(&difference.delivery.id),
        ]);
    }
    let answer = json!({ "decided": reviews.len(), "different": differences });
    table.show_answer(&session.screen, &answer, &format!("No decision on {} reviews would differ.", reviews.len()))
}

fn apply_changes(settings: ReviewSettings, changes: &[Change]) -> ReviewSettings {
    let mut settings = settings;
    for Change { key, value } in changes {
        match key.as_str() {
            "revise_on_review" => settings.revise_on_review = value == &Value::Bool(true),
            "coalesce" => settings.coalesce = value == &Value::Bool(true),
            _ => settings.held_by = value.as_str().map(str::to_owned),
        }
    }
    settings
}

fn decision_code(facts: &ReviewFacts) -> String {
    let Ok(job) = JobId::new(format!("job_{}", "a".repeat(26))) else { return String::new() };
    match decide(facts, job) {
        DecisionStep::Decided(decision) => decision.reason.code().to_owned(),
        DecisionStep::NeedsPermission => "depends on the author's permission".to_owned(),
    }
}
