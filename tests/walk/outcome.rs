//! Collects the result of a flow in a form in which two runs can be compared.
//! Random names and times are replaced; counters of tries are removed.

use super::world::World;
use crate::prelude::*;
use pullyard_domain::job::Job;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::schedule::Schedule;
use pullyard_domain::run::Run;
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::run::notice::Notice;
use pullyard_domain::ticket::Ticket;
use serde::de::DeserializeOwned;

/// Items by their key, everything else by a name.
pub(super) type Outcome = BTreeMap<String, Value>;

/// Attributes that depend on the way to a state: marks, revisions and times.
const WRITE_ATTRIBUTES: [&str; 5] = ["mark", "rev", "ws", "ls", "expires"];

/// Fields that differ after a crash: a repeated dispatch has a new number and a delay, a lost note of a pull request is
/// written later, and polls depend on time.
const RETRY_FIELDS: [(&str, &[&str]); 2] = [
    ("dispatch", &["number", "due", "fault", "trace", "dead", "task", "starting"]),
    ("", &["tries", "not_before", "note_version", "noted_version", "look"]),
];

pub(super) fn untyped(value: &Value) -> Value {
    let (kind, inner) = value.as_object().and_then(|typed| typed.iter().next()).unwrap();
    match kind.as_str() {
        "N" => serde_json::from_str(inner.as_str().unwrap()).unwrap(),
        "M" => inner.as_object().unwrap().iter().map(|(name, value)| (name.clone(), untyped(value))).collect(),
        "L" => inner.as_array().unwrap().iter().map(untyped).collect(),
        "B" => json!("<bytes>"),
        "NULL" => Value::Null,
        _ => inner.clone(),
    }
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

pub(super) async fn items(world: &World) -> Vec<Value> {
    world.raw.items().await.iter().map(|item| untyped(&json!({ "M": item }))).collect()
}

/// Whether no item needs a next step, except polls and the work of a held project.
pub(super) fn is_idle(items: &[Value]) -> bool {
    let held = items.iter().filter(|item| item["settings"]["held_by"].is_string());
    let held: Vec<_> = held.map(|project| text(project, "pk").replace("PROJECT#", "HELD#")).collect();
    let waits = |item: &Value| match text(item, "sk") {
        "POLL" => false,
        _ => item.get("wk").is_some_and(|row| !held.iter().any(|held| row == held.as_str())),
    };
    !items.iter().any(waits)
}

/// The time until the next work is due, in milliseconds; 0 if some work waits for no time. Polls are always soon.
pub(super) fn time_to_work_ms(items: &[Value], now: i64) -> u64 {
    let rows = items.iter().filter(|item| text(item, "sk") != "POLL" && item.get("wk").is_some());
    let due = rows.map(|item| if text(item, "wk").starts_with("DUE#") { item["ws"].as_i64().unwrap() } else { now });
    due.min().map_or(0, |due| u64::try_from(due - now).unwrap_or_default())
}

pub(super) async fn collect(world: &World) -> Outcome {
    let items = items(world).await;
    for item in &items {
        check_index_row(item);
    }
    let mut names = replacements(&items);
    let forge = world.forge.as_ref().map(|forge| forge.url());
    names.extend(
        [world.forge_url(), forge].into_iter().flatten().map(|url| (url, super::forge::FORGE_PLACEHOLDER.to_owned())),
    );
    if let Some((fake, proxy)) = &world.tracker {
        names.extend([fake.url(), proxy.url()].map(|url| (url.to_owned(), "http://tracker.test".to_owned())));
    }
    names.push((world.receiver.url().to_owned(), "http://receiver.test".to_owned()));
    let keyed: BTreeSet<_> =
        items.iter().filter(|item| text(item, "sk") == "IDEMPOTENCY").map(|item| text(item, "result")).collect();
    let is_there = |pk: &str, sk: &str| items.iter().any(|item| text(item, "pk") == pk && text(item, "sk") == sk);
    let mut outcome = Outcome::new();
    for item in &items {
        let (pk, sk) = (text(item, "pk").to_owned(), text(item, "sk").to_owned());
        // The sweeper's own item and tokens are not part of a flow. A job that has ended may stay a holder of its place
        // until another job waits.
        if pk == "SWEEPER" || pk.starts_with("TOKEN#") || sk == "LIMIT" {
            continue;
        }
        // `outside_table` compares the names of secrets with the secrets, of which some have random names.
        if pk == "SECRETS" {
            continue;
        }
        // A text is stored before the item that refers to it. Without that item the text is unreachable.
        let referred = if sk.starts_with("CONTEXT#") { "JOB" } else { "TICKET" };
        if (sk == "TEXT" || sk.starts_with("CONTEXT#")) && !is_there(&pk, referred) {
            continue;
        }
        // The same for the requirements of a class whose first job was not created.
        let is_of_class = |job: &Value| text(job, "sk") == "JOB" && job["class"] == item["class"];
        if pk.starts_with("POOL#") && !items.iter().any(is_of_class) {
            continue;
        }
        // A board action without a key writes one ledger entry per try, or none if its process died first. The ticket
        // shows the result.
        let is_board = sk == "DELIVERY" && item["source"] == "board";
        if is_board && item["job"].is_null() && !keyed.contains(text(item, "id")) {
            continue;
        }
        let mut item = item.clone();
        remove_volatile(&mut item);
        if pk.starts_with("RUNNERS#") && !item["mailbox"].is_null() {
            item["mailbox"] = "<made at random>".into();
        }
        if pk.starts_with("RUNNERS#") && !item["order"].is_null() {
            item["order"]["id"] = "<made at random>".into();
        }
        if is_look(&item) {
            // Another look at the same change decides again, unless it started a job.
            let reason = item["reason"]["code"] == "accepted";
            (item["facts"], item["reason"]) = (Value::Null, reason.into());
        }
        if sk == "ROTATION" {
            // Version names are random; the secret's entry shows which value counts.
            item["previous"].take();
        }
        if sk == "IDEMPOTENCY" {
            // A hash of the request, which may contain a job id.
            item["content"].take();
            // A token's id is derived from its random text.
            if pk.contains("%20tokens#") {
                item["result"].take();
            }
        }
        outcome.insert(replace_names(&format!("{pk} {sk}"), &names), normalize(&item, &names));
    }
    let mut tasks: Vec<_> = world.tasks().await.iter().map(|task| task["desiredStatus"].clone()).collect();
    tasks.retain(|status| status == "RUNNING");
    outcome.insert("tasks that run".into(), tasks.len().into());
    if let Some(seen) = super::forge::pull_request_view(world).await {
        outcome.insert("at the forge".into(), normalize(&seen, &names));
    }
    let received: BTreeSet<_> = world.receiver.take().iter().map(|message| message.header("webhook-id")).collect();
    let received = received.iter().map(|id| Value::from(replace_names(id, &names)));
    outcome.insert("at the endpoint".into(), received.collect());
    if let Some(seen) = super::forge::tool_view(world).await {
        outcome.insert("in the ticket tool".into(), normalize(&seen, &names));
    }
    if let Some((fake, _)) = &world.tracker {
        outcome.insert("in the ticket tool".into(), super::flows::scoped_trackers::view(&fake.state()));
    }
    outcome.extend(super::outside_table::collect(world, &items).await);
    outcome
}

/// Whether an item is the ledger entry of a look at a ticket in its tool.
fn is_look(item: &Value) -> bool {
    item["sk"] == "DELIVERY" && text(item, "event").starts_with("look-")
}

fn check_index_row(item: &Value) {
    fn due_of<T: DeserializeOwned>(item: &Value, due: fn(&T) -> Option<Due>) -> Option<Due> {
        due(&serde_json::from_value(item.clone()).unwrap_or_else(|error| panic!("{error}: {item}")))
    }
    let due = match text(item, "sk") {
        "JOB" => due_of::<Job>(item, due::job),
        "TICKET" => due_of::<Ticket>(item, due::ticket),
        "PR" => due_of::<PullRequest>(item, due::pull_request),
        "POLL" => due_of::<Poll>(item, due::poll),
        "NOTICE" => due_of::<Notice>(item, due::notice),
        "RUN" => due_of::<Run>(item, due::run),
        sk if sk.starts_with("SCHEDULE#") => due_of::<Schedule>(item, due::schedule),
        _ => return,
    };
    let row = due.map(|due| match due {
        Due::At(at) => (format!("DUE#{}", due::shard(text(item, "pk"))), at.millis()),
        Due::Held { project, order } => (format!("HELD#{project}"), order),
        Due::Limited { project, repository, order } => (format!("LIMIT#{project}#{repository}"), order),
        Due::Ready { class, order } => (format!("READY#{class}"), order),
    });
    let stored_row = item.get("wk").map(|row| (row.as_str().unwrap().to_owned(), item["ws"].as_i64().unwrap()));
    assert_eq!(stored_row, row, "{item}");
}

/// Random names and their replacements. Jobs are numbered by creation.
fn replacements(items: &[Value]) -> Vec<(String, String)> {
    let mut jobs: Vec<_> = items.iter().filter(|item| text(item, "sk") == "JOB").collect();
    jobs.sort_by_key(|job| job["created"].as_i64());
    let mut names = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let (id, label) = (text(job, "id"), format!("<job {}>", n + 1));
        // The branch and the delivery of a requested job contain its id.
        let short = &id[id.len() - 8..];
        names.push((format!("job-{short}"), format!("job-{label}")));
        let deliveries = items.iter().filter(|item| text(item, "sk") == "DELIVERY" && text(item, "event") == id);
        names.extend(deliveries.map(|item| (text(item, "id").to_owned(), format!("<delivery of {label}>"))));
        names.push((id.to_owned(), label));
        // A context's name is a hash of text that contains the forge's URL.
        let context = text(job, "context");
        names.extend((!context.is_empty()).then(|| (context.to_owned(), "<context>".to_owned())));
    }
    // Board actions have random ids in the ledger and on the ticket. Pull request events are named by a hash of their
    // body, which contains commit ids.
    let mut told_news = BTreeMap::new();
    for item in items {
        let hook_secret = item["hook_secret"].as_str();
        names.extend(hook_secret.map(|name| (name.to_owned(), "<secret of its webhook>".to_owned())));
        match text(item, "sk") {
            // Its id is a hash of the job's id.
            "NOTICE" => names.push((text(item, "id").to_owned(), format!("<notice of {}>", text(item, "event")))),
            "DELIVERY" if is_pull_request_event(item) => {
                let times: &mut u32 = told_news.entry(text(item, "event")).or_default();
                *times += 1;
                let name = format!("<news {times} of {}>", text(item, "event"));
                names.push((text(item, "id").to_owned(), name));
            }
            // A hash of the tool's number of the change, which depends on the number of calls.
            "DELIVERY" if is_look(item) => {
                let name = format!("<look at {}>", text(&item["facts"], "status"));
                names.extend(["id", "event"].map(|field| (text(item, field).to_owned(), name.clone())));
            }
            "DELIVERY" if item["source"] == "board" => {
                names.push((text(item, "event").to_owned(), "<board>".to_owned()));
            }
            // A hash of the schedule's due time.
            "DELIVERY" if item["source"] == "schedule" && item["job"].is_null() => {
                names.push((text(item, "id").to_owned(), format!("<start of {}>", text(&item["reason"], "run"))));
            }
            "IDEMPOTENCY" if text(item, "result").starts_with("dlv_") => {
                names.push((text(item, "result").to_owned(), format!("<delivery of {}>", text(item, "pk"))));
            }
            _ => {}
        }
    }
    // Its id is a hash of the due time; the hash of its request names the repository.
    let scheduled = items.iter().filter(|item| text(item, "sk") == "RUN" && text(item, "by").starts_with("schedule "));
    names.extend(scheduled.map(|run| (text(run, "id").to_owned(), format!("<run {}>", text(run, "content")))));
    names
}

fn replace_names(text: &str, names: &[(String, String)]) -> String {
    names.iter().fold(text.to_owned(), |text, (name, label)| text.replace(name, label))
}

fn remove_volatile(item: &mut Value) {
    let Some(fields) = item.as_object_mut() else { return };
    for name in WRITE_ATTRIBUTES {
        fields.remove(name);
    }
    for (of, tries) in RETRY_FIELDS {
        let inner = if of.is_empty() { Some(&mut *fields) } else { fields.get_mut(of).and_then(Value::as_object_mut) };
        if let Some(inner) = inner {
            for name in tries {
                inner.remove(*name);
            }
        }
    }
}

fn normalize(value: &Value, names: &[(String, String)]) -> Value {
    match value {
        // Milliseconds since 1970, like every time in the table; the rank of a new card is negative. The versions of a
        // ticket in a tool begin at the seconds.
        Value::Number(number) if number.as_i64().is_some_and(|n| n.abs() > 1_500_000_000) => json!("<time>"),
        Value::String(text) => {
            let text = replace_names(text, names);
            if is_commit(&text) {
                return json!("<commit>");
            }
            let is_day = text.len() > 10 && text.is_char_boundary(text.len() - 10) && is_day(&text[text.len() - 10..]);
            match text.split_once("arn:aws:ecs:") {
                Some((before, _)) => json!(format!("{before}<task>")),
                None if is_day => json!(format!("{}<day>", &text[..text.len() - 10])),
                None => json!(text),
            }
        }
        Value::Array(all) => all.iter().map(|value| normalize(value, names)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match name.as_str() {
                // The age of a runner's heartbeat depends on the machine.
                "ago" => (name.clone(), json!("<ago>")),
                _ => (replace_names(name, names), normalize(value, names)),
            })
            .collect(),
        _ => value.clone(),
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|letter| letter.is_ascii_hexdigit())
}

fn is_day(text: &str) -> bool {
    let mut letters = text.chars().enumerate();
    letters.all(|(at, letter)| if at == 4 || at == 7 { letter == '-' } else { letter.is_ascii_digit() })
}

/// Removes differences between a webhook and a poll: `HEARD` items, entries of pull request events, and the source,
/// event id and URL of a review.
pub(super) fn without_source(final_outcome: &Outcome) -> Outcome {
    let is_delivery = |item: &Value| item["sk"] == "DELIVERY";
    let mut same = final_outcome.clone();
    same.retain(|_, item| item["sk"] != "HEARD" && !is_pull_request_event(item));
    for item in same.values_mut().filter(|item| is_delivery(item) && item["review"].is_object()) {
        item["source"].take();
        item["event"].take();
        item["review"]["url"].take();
    }
    same
}

/// Whether an item is the ledger entry of a webhook that is no review.
fn is_pull_request_event(item: &Value) -> bool {
    item["sk"] == "DELIVERY" && item["source"] == "webhook" && item["review"]["review"].is_null()
}

pub(super) fn final_statuses(final_outcome: &Outcome) -> Vec<&str> {
    final_outcome.values().filter(|item| item["sk"] == "JOB").map(|job| text(job, "status")).collect()
}

pub(super) fn differences(one: &Outcome, other: &Outcome) -> Vec<String> {
    let mut all = Vec::new();
    let names = one.keys().chain(other.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        compare(name, one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null), &mut all);
    }
    all
}

fn compare(at: &str, one: &Value, other: &Value, all: &mut Vec<String>) {
    match (one, other) {
        _ if one == other => {}
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys()).collect::<std::collections::BTreeSet<_>>();
            for name in names {
                let of = |fields: &serde_json::Map<_, _>| fields.get(name).cloned().unwrap_or_default();
                compare(&format!("{at}/{name}"), &of(a), &of(b), all);
            }
        }
        _ => all.push(format!("{at}: {other}, not {one}")),
    }
}
