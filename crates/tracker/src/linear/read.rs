//! Reads a ticket and the newest change of its state.

use pullyard_domain::text::time::Timestamp;
use serde_json::{Value, json};

use super::{Linear, time};
use crate::client::{actor, change_without_history, check_snapshot, list, status_id, text};
use crate::{Actor, Change, Error, Snapshot, within};

/// A span is one stay in a state, unlike an entry of the history, which may contain several moves of its author.
/// The order of the spans is not described, so both ends are read.
const READ: &str = "query Read($id: String!) {
    issue(id: $id) {
        identifier title description url createdAt updatedAt trashed state { id } labels(first: 50) { nodes { name } }
        actor: creator { id name } botActor { id name }
        first: stateHistory(first: 2) { nodes { id startedAt endedAt stateId } }
        last: stateHistory(last: 2) { nodes { id startedAt endedAt stateId } }
        history(first: 20) { nodes { updatedAt toStateId actor { id name } botActor { id name } } }
    }
}";

impl Linear {
    pub async fn read(&self, key: &str, now: Timestamp) -> Result<Snapshot, Error> {
        let issue = within(self.limit, self.find(READ, json!({ "id": key }))).await?["issue"].take();
        let status = status_id(&issue, "/state/id")?;
        let labels = list(&issue, "/labels/nodes")?.iter().map(|label| text(label, "/name"));
        let snapshot = Snapshot {
            key: text(&issue, "/identifier")?,
            title: text(&issue, "/title")?,
            body: issue["description"].as_str().unwrap_or_default().trim().to_owned(),
            labels: labels.collect::<Result<_, _>>()?,
            url: text(&issue, "/url")?,
            change: newest_change(&issue, &status, now)?,
            status,
        };
        check_snapshot(snapshot, key)
    }
}

fn newest_change(issue: &Value, status: &str, now: Timestamp) -> Result<Change, Error> {
    let mut spans = [list(issue, "/first/nodes")?, list(issue, "/last/nodes")?].concat();
    let order = |span: &Value| (span["endedAt"].is_null(), span["startedAt"].to_string(), span["id"].to_string());
    spans.sort_by_cached_key(order);
    spans.dedup();
    let moves = list(issue, "/history/nodes")?.iter().filter(|entry| entry["toStateId"] == status);
    let newest = moves.rev().max_by_key(|entry| entry["updatedAt"].as_str());
    // Whether the first state has a span is not described.
    if newest.is_none() && spans.len() < 2 && spans.iter().all(|span| span["stateId"] == status) {
        let at = time(issue, "/createdAt")?;
        return Ok(Change { id: Change::CREATED.to_owned(), at, earliest: at, actor: author(issue), from: None });
    }
    let (earlier, current) = match spans.as_slice() {
        [earlier @ .., current] if current["endedAt"].is_null() && current["stateId"] == status => (earlier, current),
        _ => {
            let last = spans.last().and_then(|span| span["id"].as_str()).unwrap_or("none");
            return change_without_history(last, status, (time(issue, "/createdAt")?, time(issue, "/updatedAt")?), now);
        }
    };
    let from = earlier.last().map(|span| status_id(span, "/stateId")).transpose()?;
    // An older entry than those that were read leaves the author unknown.
    let at = time(current, "/startedAt")?;
    Ok(Change { id: text(current, "/id")?, at, earliest: at, actor: newest.and_then(author), from })
}

/// An app acts as a user of its own, or as a bot, whose id may be missing.
fn author(entry: &Value) -> Option<Actor> {
    let bot = &entry["botActor"];
    actor(&entry["actor"], "id", "name").or_else(|| actor(bot, "id", "name")).or_else(|| actor(bot, "name", "name"))
}
