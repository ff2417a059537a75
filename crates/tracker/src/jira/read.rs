//! Reads a ticket and the newest change of its status.

use pullyard_domain::text::time::Timestamp;
use serde_json::Value;

use super::{Jira, adf, join};
use crate::client::{actor, change_without_history, check_snapshot, list, optional_list, status_id, text, unexpected};
use crate::{Change, Error, Snapshot, within};

/// Jira returns the newest entries, at most as many.
const MAX_HISTORY: usize = 100;

impl Jira {
    /// Source: `GET /rest/api/3/issue/{issueIdOrKey}`
    pub async fn read(&self, key: &str, now: Timestamp) -> Result<Snapshot, Error> {
        let names = "summary,description,labels,status,created,creator,updated";
        let query = [("fields", names), ("expand", "changelog")];
        let issue = within(self.limit, self.get(&["issue", key], &query)).await?;
        let (found, fields) = (text(&issue, "/key")?, &issue["fields"]);
        let status = status_id(fields, "/status/id")?;
        let labels = optional_list(fields, "/labels").iter().map(|label| text(label, "")).collect::<Result<_, _>>()?;
        let snapshot = Snapshot {
            change: newest_change(&issue, &status, now)?,
            url: join(&self.site, &["browse", &found], &[]).into(),
            key: found,
            title: text(fields, "/summary")?,
            body: adf::to_text(&fields["description"]),
            labels,
            status,
        };
        check_snapshot(snapshot, key)
    }
}

fn newest_change(issue: &Value, status: &str, now: Timestamp) -> Result<Change, Error> {
    // Newest first; of two moves in one millisecond, the last one is the maximum.
    let histories = list(issue, "/changelog/histories")?;
    let moves = histories.iter().rev().filter_map(|entry| {
        let item = optional_list(entry, "/items").iter().find(|item| item["field"] == "status")?;
        Some((entry, item))
    });
    let to_change = |(entry, item): (&Value, &'_ Value)| {
        let change = change(&text(entry, "/id")?, entry, &entry["author"])?;
        Ok::<_, Error>((Change { from: text(item, "/from").ok(), ..change }, item["to"] == status))
    };
    let moves = moves.map(to_change).collect::<Result<Vec<_>, _>>()?;
    let time = |pointer| parse_time(&text(issue, pointer)?);
    let times = || Ok::<_, Error>((time("/fields/created")?, time("/fields/updated")?));
    match moves.into_iter().max_by_key(|(change, _)| change.at) {
        Some((change, true)) => Ok(change),
        Some((change, false)) => change_without_history(&change.id, status, times()?, now),
        None if histories.len() < MAX_HISTORY => change(Change::CREATED, &issue["fields"], &issue["fields"]["creator"]),
        // The ticket changed too often since its last move.
        None => change_without_history("older", status, times()?, now),
    }
}

fn change(id: &str, at: &Value, author: &Value) -> Result<Change, Error> {
    let at = parse_time(&text(at, "/created")?)?;
    Ok(Change { id: id.to_owned(), at, earliest: at, actor: actor(author, "accountId", "displayName"), from: None })
}

/// Parses `2026-11-20T12:04:01.000+0000`, whose offset has no colon, unlike RFC 3339.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, Error> {
    let end = text.len().checked_sub(5).and_then(|at| text.split_at_checked(at));
    let parts = end.and_then(|(time, offset)| Some((time, offset.split_at_checked(3)?)));
    let rfc3339 = match parts {
        Some((time, (hours, minutes))) if hours.starts_with(['+', '-']) => format!("{time}{hours}:{minutes}"),
        _ => text.to_owned(),
    };
    Timestamp::parse(&rfc3339).map_err(|_| unexpected(format!("{text} is no time")))
}
