//! Executes validated calls on the state.

use serde_json::{Map, Value, json};

use super::Fault;
use super::schema::schema;
use super::validate::{Call, inner};
use crate::state::{BOT, Comment, Entry, Hook, Owner, PERSON, STATUSES, Span, person, scope_of, to_time, uuid};
use crate::{State, Ticket, TicketBody};

const TEAM: &str = "ENG";
const POSITIONS: [u8; 4] = [9, 2, 3, 1];
const LARGEST_PAGE: usize = 250;

pub(super) fn execute(state: &mut State, is_app: bool, operation: &str, calls: &[Call]) -> Result<Value, Fault> {
    let root = if operation == "mutation" { "Mutation" } else { "Query" };
    let mut data = Map::new();
    for call in calls {
        let found = if root == "Mutation" { mutate(state, call)? } else { query(state, is_app, call)? };
        data.insert(call.alias.clone(), show(state, call, root, found)?);
    }
    Ok(Value::Object(data))
}

fn query(state: &State, is_app: bool, call: &Call) -> Result<Value, Fault> {
    let id = call.arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    Ok(match call.name.as_str() {
        "viewer" => json!({ "id": BOT.0, "name": BOT.1, "app": is_app }),
        "teams" => json!([team("ABC", state), team(TEAM, state)]),
        "issue" => issue(state, find(state, id).ok_or_else(|| Fault::missing("Issue"))?),
        "issues" => {
            state.tickets.values().filter(|ticket| !ticket.is_trashed).map(|ticket| issue(state, ticket)).collect()
        }
        "issueLabels" => labels(state, None),
        "applicationInfo" => json!({ "id": uuid(4), "name": "Pullyard" }),
        "webhooks" => state.hooks.iter().map(|hook| json!({ "id": uuid(hook.id), "url": hook.url })).collect(),
        other => unreachable!("{other} is in the schema"),
    })
}

/// By identifier or by UUID.
fn find<'a>(state: &'a State, id: &str) -> Option<&'a Ticket> {
    state.tickets.get(id).or_else(|| state.tickets.values().find(|ticket| issue_id(&ticket.key) == id))
}

/// A UUID for each identifier, such as `ENG-7`.
fn issue_id(key: &str) -> String {
    uuid(700 + key.rsplit('-').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default())
}

fn team(key: &str, state: &State) -> Value {
    // Linear lists states in no order of the board, and positions order the states of one type only.
    let states = (0..STATUSES.len()).rev().map(|status| {
        json!({ "id": state.status_id(status), "name": STATUSES[status].0, "type": STATUSES[status].2, "position": POSITIONS[status] })
    });
    json!({ "id": team_id(key), "key": key, "name": format!("Team {key}"), "states": states.collect::<Vec<_>>() })
}

fn team_id(key: &str) -> String {
    uuid(u64::from(key == TEAM))
}

fn labels(state: &State, of: Option<&Ticket>) -> Value {
    let shown = state.labels.iter().filter(|(_, name, _)| of.is_none_or(|ticket| ticket.labels.contains(name)));
    let label = |(id, name, owner): &(u64, String, Owner)| {
        let of = match owner {
            Owner::Team => Some(team(TEAM, state)),
            Owner::OtherTeam => Some(team("ABC", state)),
            Owner::Workspace => None,
        };
        json!({ "id": uuid(*id), "name": name, "team": of })
    };
    shown.map(label).collect()
}

fn issue(state: &State, ticket: &Ticket) -> Value {
    let entry = |entry: &Entry| {
        let state_id = |status: Option<usize>| status.map(|status| state.status_id(status));
        json!({ "updatedAt": to_time(entry.updated, "Z"), "actor": person(entry.by, "id", "name"),
            "toStateId": state_id(entry.moved.map(|(_, to)| to)) })
    };
    let span = |(at, span): (usize, &Span)| {
        let end = ticket.spans.get(at + 1).map(|next| to_time(next.at, "Z"));
        json!({ "id": uuid(span.id), "startedAt": to_time(span.at, "Z"), "endedAt": end, "stateId": state.status_id(span.status) })
    };
    let attachment = |(url, title): (&String, &String)| json!({ "url": url, "title": title });
    let description = match &ticket.body {
        TicketBody::Text(text) => json!(text),
        _ => Value::Null,
    };
    json!({
        "id": issue_id(&ticket.key), "identifier": ticket.key, "title": ticket.title, "description": description,
        "url": format!("{}/x/issue/{}", state.url, ticket.key), "createdAt": to_time(ticket.created, "Z"),
        "updatedAt": to_time(ticket.updated, "Z"), "creator": person(PERSON, "id", "name"),
        "state": { "id": state.status_id(ticket.status), "name": STATUSES[ticket.status].0 }, "team": team(scope_of(&ticket.key), state),
        "labels": labels(state, Some(ticket)), "history": ticket.history.iter().rev().map(entry).collect::<Vec<_>>(),
        "stateHistory": ticket.spans.iter().enumerate().map(span).collect::<Vec<_>>(), "trashed": ticket.is_trashed,
        "attachments": ticket.links.iter().map(attachment).collect::<Vec<_>>(),
        "comments": ticket.comments.iter().map(|comment| json!({ "id": comment.id })).collect::<Vec<_>>(),
    })
}

fn mutate(state: &mut State, call: &Call) -> Result<Value, Fault> {
    let input = call.arguments.get("input").cloned().unwrap_or_default();
    let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    let issue_key = |state: &State, id: &str| {
        find(state, id).map(|ticket| ticket.key.clone()).ok_or_else(|| Fault::missing("Issue"))
    };
    let id = call.arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    match call.name.as_str() {
        "issueUpdate" => {
            let key = issue_key(state, id)?;
            update(state, &key, &input)?;
            return Ok(json!({ "success": true, "issue": issue(state, state.ticket(&key)) }));
        }
        "issueLabelCreate" => {
            let name = text("name");
            let owner = if input["teamId"] == team_id(TEAM) { Owner::Team } else { Owner::Workspace };
            let is_same = |other: &str| other.to_lowercase() == name.to_lowercase();
            if state.labels.iter().any(|(_, other, of)| is_same(other) && *of != Owner::OtherTeam) {
                return Err(Fault::input("duplicate label name", format!("A label named {name} exists.")));
            }
            let id = state.add_label(&name, owner);
            return Ok(json!({ "success": true, "issueLabel": { "id": uuid(id) } }));
        }
        "attachmentCreate" => {
            let key = issue_key(state, &text("issueId"))?;
            state.ticket_mut(&key).links.insert(text("url"), text("title"));
        }
        "commentCreate" => {
            let (key, id) = (issue_key(state, &text("issueId"))?, text("id"));
            let is_version_4 = id.len() == 36 && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]);
            if !is_version_4 {
                return Err(Fault::input("Argument Validation Error", "id must be a UUID."));
            }
            let is_known = |ticket: &Ticket| {
                ticket
                    .comments
                    .iter()
                    .map(|comment| &comment.id)
                    .chain(&ticket.deleted_comments)
                    .any(|known| *known == id)
            };
            if state.tickets.values().any(is_known) {
                return Err(Fault::input(
                    "conflict on insert of Comment",
                    format!("Entity Comment with id {id} already exists."),
                ));
            }
            let comment = Comment { id, body: input["body"].clone(), properties: Value::Null };
            state.ticket_mut(&key).comments.push(comment);
        }
        "webhookCreate" => {
            if ![team_id(TEAM), TEAM.to_owned(), "ABC".to_owned()].contains(&text("teamId")) {
                return Err(Fault::missing("Team"));
            }
            let id = state.take_id();
            let secret = input["secret"].as_str().map(str::to_owned);
            state.hooks.push(Hook { id, url: text("url"), secret, filter: text("teamId"), enabled: true });
        }
        "webhookUpdate" => {
            let hook =
                state.hooks.iter_mut().find(|hook| uuid(hook.id) == id).ok_or_else(|| Fault::missing("Webhook"))?;
            hook.secret = input["secret"].as_str().map(str::to_owned).or(hook.secret.take());
            hook.enabled = input["enabled"].as_bool().unwrap_or(hook.enabled);
        }
        "webhookDelete" => {
            let at = state.hooks.iter().position(|hook| uuid(hook.id) == id);
            state.hooks.remove(at.ok_or_else(|| Fault::missing("Webhook"))?);
        }
        other => unreachable!("{other} is in the schema"),
    }
    Ok(json!({ "success": true }))
}

/// All or nothing, in one step.
fn update(state: &mut State, key: &str, input: &Value) -> Result<(), Fault> {
    let known = state.labels.clone();
    let names = |field: &str| {
        let ids = input[field].as_array().cloned().unwrap_or_default();
        let name = |id: &Value| known.iter().find(|(known, ..)| *id == uuid(*known)).map(|(_, name, _)| name.clone());
        ids.iter().map(|id| name(id).ok_or_else(|| Fault::missing("IssueLabel"))).collect::<Result<Vec<_>, _>>()
    };
    let (added, removed) = (names("addedLabelIds")?, names("removedLabelIds")?);
    let status = match input["stateId"].as_str() {
        Some(id) => Some(state.status_index(id).ok_or_else(|| Fault::missing("WorkflowState"))?),
        None => None,
    };
    let labels = &mut state.ticket_mut(key).labels;
    labels.retain(|label| !removed.contains(label) && !added.contains(label));
    labels.extend(added);
    match status {
        Some(status) => state.move_by_us(key, status),
        None => state.touch(key, BOT),
    }
    Ok(())
}

/// Selects the fields of a value. A list in the place of a connection is filtered, sorted and cut.
fn show(state: &State, call: &Call, of: &str, value: Value) -> Result<Value, Fault> {
    let member = schema().types.get(of).and_then(|members| members.get(&call.name));
    let of = member.map(|member| inner(&member.of)).unwrap_or_default();
    if let (true, Value::Array(nodes)) = (of.ends_with("Connection"), &value) {
        let connection = connect(state, call, nodes)?;
        return select(state, &call.selection, of, &connection);
    }
    match value {
        Value::Array(items) if !call.selection.is_empty() => {
            items.iter().map(|item| select(state, &call.selection, of, item)).collect()
        }
        value => select(state, &call.selection, of, &value),
    }
}

fn select(state: &State, selection: &[Call], of: &str, value: &Value) -> Result<Value, Fault> {
    if selection.is_empty() || value.is_null() {
        return Ok(value.clone());
    }
    let field = |call: &Call| Ok((call.alias.clone(), show(state, call, of, value[&call.name].clone())?));
    selection.iter().map(field).collect::<Result<Map<_, _>, Fault>>().map(Value::Object)
}

fn connect(state: &State, call: &Call, nodes: &[Value]) -> Result<Value, Fault> {
    let arguments = &call.arguments;
    let filter = arguments.get("filter").unwrap_or(&Value::Null);
    let mut fitting = nodes.iter().filter(|node| fits(node, filter)).collect::<Vec<_>>();
    if arguments.contains_key("sort") {
        fitting.sort_by_key(|node| node["updatedAt"].as_str());
    }
    let size = ["first", "last"].iter().find_map(|name| arguments.get(*name)?.as_u64());
    let size = size.map_or(50, |size| usize::try_from(size).unwrap_or(0));
    if size == 0 || size > LARGEST_PAGE {
        return Err(Fault::input("Argument Validation Error", "first must not be greater than 250"));
    }
    let start = arguments.get("after").and_then(Value::as_str).and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let start = if arguments.contains_key("last") { fitting.len().saturating_sub(size) } else { start };
    // Lists in an issue keep their size, so that a test can shrink the pages of the outer list alone.
    let size = if call.name.to_lowercase().contains("history") { size } else { size.min(state.page_size) };
    let page = fitting.iter().skip(start).take(size).copied().cloned().collect::<Vec<_>>();
    let end = start + page.len();
    Ok(
        json!({ "nodes": page, "pageInfo": { "endCursor": end.to_string(), "hasNextPage": end < fitting.len() || state.has_endless_pages } }),
    )
}

/// Whether a value fits a filter of comparators, such as `{"team": {"key": {"eq": "ENG"}}}`.
fn fits(value: &Value, filter: &Value) -> bool {
    filter.as_object().into_iter().flatten().all(|(name, wanted)| match name.as_str() {
        "eq" => value == wanted,
        "eqIgnoreCase" => value.as_str().map(str::to_lowercase) == wanted.as_str().map(str::to_lowercase),
        "gte" => value.as_str() >= wanted.as_str(),
        _ => fits(&value[name], wanted),
    })
}
