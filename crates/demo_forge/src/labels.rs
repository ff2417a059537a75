//! Labels of a repository and of its pull requests.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Error, access::Actor, events, forge_state::Shared, pulls, record::LabelRecord, render,
    repositories::RepositoryEntry,
};

pub(crate) async fn list(shared: &Shared, entry: &RepositoryEntry, number: u64) -> Option<Vec<Value>> {
    let record = entry.record.lock().await;
    let pull = record.pulls.iter().find(|pull| pull.number == number)?;
    let find = |name: &String| record.labels.iter().find(|label| label.name == *name);
    Some(pull.labels.iter().filter_map(find).map(|label| render::label(shared, entry, label)).collect())
}

/// Adds labels and creates missing ones. Returns false if the pull request is missing.
/// Idempotent: an existing label causes no event.
pub(crate) async fn add(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    names: Vec<String>,
) -> Result<bool, Error> {
    let mut record = entry.record.lock().await;
    let mut changed = record.clone();
    let mut new = Vec::new();
    for name in names {
        let existing = changed.labels.iter().find(|label| label.name.eq_ignore_ascii_case(&name)).cloned();
        let label = match existing {
            Some(label) => label,
            None => {
                let color = "ededed".to_owned();
                let label = LabelRecord { id: shared.ids.next()?, name, color, description: None };
                changed.labels.push(label.clone());
                label
            }
        };
        let Some(pull) = changed.pulls.iter_mut().find(|pull| pull.number == number) else { return Ok(false) };
        if !pull.labels.contains(&label.name) {
            pull.labels.push(label.name.clone());
            pull.updated_at = shared.clock.now();
            new.push(label);
        }
    }
    entry.save(&mut record, changed).await?;
    drop(record);
    publish(shared, entry, actor, number, ("labeled", new)).await?;
    Ok(true)
}

pub(crate) async fn remove(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    name: &str,
) -> Result<bool, Error> {
    let mut record = entry.record.lock().await;
    let mut changed = record.clone();
    let Some(label) = changed.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name)).cloned() else {
        return Ok(false);
    };
    let Some(pull) = changed.pulls.iter_mut().find(|pull| pull.number == number) else { return Ok(false) };
    if !pull.labels.contains(&label.name) {
        return Ok(false);
    }
    pull.labels.retain(|existing| *existing != label.name);
    pull.updated_at = shared.clock.now();
    entry.save(&mut record, changed).await?;
    drop(record);
    publish(shared, entry, actor, number, ("unlabeled", vec![label])).await?;
    Ok(true)
}

async fn publish(
    shared: &Arc<Shared>,
    entry: &RepositoryEntry,
    actor: &Actor,
    number: u64,
    (action, labels): (&str, Vec<LabelRecord>),
) -> Result<(), Error> {
    let Some(pull) = pulls::find(shared, entry, number).await? else { return Ok(()) };
    for label in labels {
        let more = json!({ "label": render::label(shared, entry, &label) });
        events::publish_pull_request(shared, entry, actor, &pull, action, more).await;
    }
    Ok(())
}
