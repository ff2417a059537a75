//! Rules that can be left out on purpose, so that some life must break an invariant.
//!
//! The product is unchanged: a call loses a condition, a read loses a field, or a process uses another one's
//! credential.

use crate::cloud::queue::Queue;
use crate::mood::{LATE, Mood, RESTING, RESTLESS, REVIEWED, SILENT, TWICE, USUAL};
use serde_json::{Map, Value, json};

/// A rule, and how it is left out.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) how: How,
    /// The profile of the lives.
    pub(crate) mood: Mood,
    /// A part of the expected violation.
    pub(crate) shows: &'static str,
}

#[derive(Debug)]
pub(crate) enum How {
    /// Changes the actions of a write.
    Written(fn(&mut Vec<Value>)),
    /// Hides a part of each item that is read.
    Unseen(fn(&mut Map<String, Value>)),
    /// Every attempt uses the lease of its job's newest attempt.
    AnyLease,
    /// Every task uses the bootstrap token of its job's newest task.
    AnyProof,
    /// The sweeper's messages to this queue are lost.
    NotSentAgain(Queue),
}

/// The names of transaction actions, and of the single calls that do the same.
const ACTIONS: [(&str, &str); 3] = [("Put", "PutItem"), ("Update", "UpdateItem"), ("Delete", "DeleteItem")];

impl Mutant {
    /// The changed body of a write.
    pub(crate) fn write(&self, operation: &str, body: &[u8]) -> Vec<u8> {
        let How::Written(change) = self.how else { return body.to_vec() };
        let mut call: Value = serde_json::from_slice(body).unwrap();
        if let Some((action, _)) = ACTIONS.iter().find(|(_, alone)| *alone == operation) {
            let mut actions = vec![json!({ *action: call })];
            change(&mut actions);
            call = actions.remove(0)[*action].take();
        } else if let Some(actions) = call["TransactItems"].as_array_mut() {
            change(actions);
        }
        call.to_string().into_bytes()
    }

    /// The changed answer of a read.
    pub(crate) fn read(&self, answer: &str) -> String {
        let How::Unseen(change) = self.how else { return answer.to_owned() };
        let mut answer: Value = serde_json::from_str(answer).unwrap();
        if let Some(item) = answer["Item"].as_object_mut() {
            change(item);
        }
        for list in ["Items", "Responses"] {
            let lists = match &mut answer[list] {
                Value::Array(items) => vec![items],
                Value::Object(tables) => tables.values_mut().filter_map(Value::as_array_mut).collect(),
                _ => vec![],
            };
            lists.into_iter().flatten().filter_map(Value::as_object_mut).for_each(change);
        }
        if answer["Items"].is_null() {
            answer.as_object_mut().unwrap().remove("Items");
        }
        if answer["Responses"].is_null() {
            answer.as_object_mut().unwrap().remove("Responses");
        }
        answer.to_string()
    }
}

/// The body of an action of any kind.
fn body(action: &mut Value) -> &mut Value {
    let kind = ACTIONS.iter().map(|(kind, _)| *kind).find(|kind| action[*kind].is_object()).unwrap_or("ConditionCheck");
    &mut action[kind]
}

/// Sort key and partition key.
fn key(body: &Value) -> (&str, &str) {
    let key = if body["Item"].is_object() { &body["Item"] } else { &body["Key"] };
    (key["sk"]["S"].as_str().unwrap_or_default(), key["pk"]["S"].as_str().unwrap_or_default())
}

fn status(body: &Value) -> &str {
    body["Item"]["status"]["S"].as_str().unwrap_or_default()
}

fn has_ended(body: &Value) -> bool {
    key(body).0 == "JOB" && ["completed", "failed", "cancelled"].contains(&status(body))
}

fn stands_still(body: &Value) -> bool {
    key(body).0 == "JOB" && ["paused", "awaiting_input"].contains(&status(body))
}

/// Updates remove another field instead of the job's slot.
fn leave_slots(actions: &mut [Value]) {
    for action in actions {
        let body = body(action);
        let update = body["UpdateExpression"].as_str().unwrap_or_default();
        if update.contains("REMOVE slots.#job") {
            body["UpdateExpression"] = update.replace("REMOVE slots.#job", "REMOVE #job").into();
        }
    }
}

/// Makes a part of a condition always true. DynamoDB refuses unused values, so all stay in the condition.
fn loosen(body: &mut Value, part: &str) {
    let condition = body["ConditionExpression"].as_str().unwrap_or_default();
    if condition.contains(part) {
        let always = format!("{part} OR attribute_exists(pk) OR attribute_not_exists(pk)");
        // DynamoDB refuses redundant parentheses.
        let loose = if condition.contains(&format!("({part})")) { always } else { format!("({always})") };
        body["ConditionExpression"] = condition.replacen(part, &loose, 1).into();
    }
}

/// Removes the condition on the revision from the selected actions.
fn any_revision(actions: &mut [Value], of: impl Fn(&Value) -> bool) {
    for action in actions {
        let body = body(action);
        if of(body) {
            loosen(body, "rev = :seen");
        }
    }
}

fn each(actions: &mut [Value], part: &str) {
    actions.iter_mut().for_each(|action| loosen(body(action), part));
}

// Revisions.

pub(crate) static JOB_REVISION: Mutant = Mutant {
    how: How::Written(|actions| any_revision(actions, |body| key(body).0 == "JOB")),
    mood: USUAL,
    shows: "from revision",
};

pub(crate) static CLAIM_REVISION: Mutant = Mutant {
    how: How::Written(|actions| any_revision(actions, |body| key(body).0 == "JOB" && status(body) == "claimed")),
    mood: TWICE,
    shows: "from revision",
};

pub(crate) static END_REVISION: Mutant =
    Mutant { how: How::Written(|actions| any_revision(actions, has_ended)), mood: TWICE, shows: "from revision" };

pub(crate) static TICKET_REVISION: Mutant = Mutant {
    how: How::Written(|actions| any_revision(actions, |body| key(body).0 == "TICKET")),
    mood: USUAL,
    shows: "from revision",
};

pub(crate) static TICKET_REVISION_AT_AN_END: Mutant = Mutant {
    how: How::Written(|actions| {
        if actions.iter_mut().any(|action| has_ended(body(action))) {
            any_revision(actions, |body| key(body).0 == "TICKET");
        }
    }),
    mood: RESTLESS,
    shows: "from revision",
};

// The ledger, requests, budgets.

pub(crate) static REQUEST_KEY: Mutant = Mutant {
    how: How::Written(|actions| each(actions, "attribute_not_exists(pk) OR #expires <= :now")),
    mood: TWICE,
    shows: "was asked for once",
};

pub(crate) static GIVEN_BACK: Mutant = Mutant {
    how: How::Written(|actions| {
        if actions.iter_mut().any(|action| has_ended(body(action))) {
            actions.retain(|action| {
                !action["Update"]["Key"]["pk"]["S"].as_str().unwrap_or_default().starts_with("BUDGET#")
            });
        }
    }),
    mood: USUAL,
    shows: "says taken",
};

// Runners and their slots.

pub(crate) static FREED_SLOT: Mutant =
    Mutant { how: How::Written(|actions| leave_slots(actions)), mood: SILENT, shows: "a slot is left" };

pub(crate) static FREED_BY_A_REST: Mutant = Mutant {
    how: How::Written(|actions| {
        if actions.iter_mut().any(|action| stands_still(body(action))) {
            leave_slots(actions);
        }
    }),
    mood: RESTING,
    shows: "a slot is left",
};

pub(crate) static OFFLINE_EPOCH: Mutant = Mutant {
    how: How::Written(|actions| each(actions, "#status = :offline AND epoch = :epoch")),
    mood: SILENT,
    shows: "and says otherwise",
};

pub(crate) static HEARD_LAST: Mutant = Mutant {
    how: How::Written(|actions| each(actions, "epoch = :epoch AND last_heartbeat = :heard")),
    mood: SILENT,
    shows: "and says otherwise",
};

pub(crate) static HEARD_SINCE: Mutant = Mutant {
    how: How::Written(|actions| each(actions, "last_heartbeat = :heard AND epoch = :seen")),
    mood: SILENT,
    shows: "was taken Offline",
};

pub(crate) static OLDER_HEARTBEAT: Mutant =
    Mutant { how: How::Written(|actions| each(actions, "last_heartbeat <= :heard")), mood: SILENT, shows: "goes back" };

// Leases, pushes, finishes.

pub(crate) static HELD_BY: Mutant = Mutant { how: How::AnyLease, mood: SILENT, shows: "does not hold" };

pub(crate) static MEANT_ATTEMPT: Mutant = Mutant { how: How::AnyProof, mood: LATE, shows: "was started for" };

pub(crate) static PUSH_UNTIL: Mutant = Mutant {
    how: How::Unseen(|item| {
        item.remove("push_until");
    }),
    mood: SILENT,
    shows: "while its runner might push",
};

pub(crate) static LOST_PUSH: Mutant = Mutant {
    how: How::Unseen(|item| {
        item.remove("lost_a_push");
    }),
    mood: SILENT,
    shows: "nobody looked for",
};

/// Every end of an adopting attempt counts as a search that found nothing.
pub(crate) static WHO_LOOKED: Mutant = Mutant {
    how: How::Written(|actions| {
        for action in actions {
            if let Some(how) = body(action).pointer_mut("/Item/looked/M/how/S") {
                *how = "found_nothing".into();
            }
        }
    }),
    mood: SILENT,
    shows: "does not say that it may have pushed",
};

pub(crate) static FINISH_ID: Mutant = Mutant {
    how: How::Unseen(|item| {
        if let Some(by) = item.get_mut("ended_by").and_then(|by| by["M"].as_object_mut()) {
            by.remove("finish");
        }
    }),
    mood: TWICE,
    shows: "is stored and was told",
};

// Entries and hints.

pub(crate) static SECOND_ENTRY: Mutant = Mutant {
    how: How::Unseen(|item| {
        item.remove("again");
    }),
    mood: RESTLESS,
    shows: "was forgotten",
};

pub(crate) static JOB_HINT: Mutant =
    Mutant { how: How::NotSentAgain(Queue::Dispatch), mood: RESTLESS, shows: "nobody started" };

pub(crate) static TICKET_HINT: Mutant =
    Mutant { how: How::NotSentAgain(Queue::Effects), mood: RESTLESS, shows: "is not settled" };

// Reviews.

pub(crate) static LAST_REVISION: Mutant = Mutant {
    how: How::Unseen(|item| {
        item.remove("revised");
    }),
    mood: REVIEWED,
    shows: "began within the hour",
};

pub(crate) static WAITING_REVIEWS: Mutant = Mutant {
    how: How::Unseen(|item| {
        item.remove("deferred");
    }),
    mood: REVIEWED,
    shows: "and nobody settles it",
};

pub(crate) static LOOKED_FOR: Mutant =
    Mutant { how: How::NotSentAgain(Queue::Effects), mood: REVIEWED, shows: "nobody answered" };

/// The ledger does not receive the job of a deferred review.
pub(crate) static NAMED_BY_ITS_ENTRY: Mutant = Mutant {
    how: How::Written(|actions| {
        for action in actions {
            let body = body(action);
            let update = body["UpdateExpression"].as_str().unwrap_or_default();
            if key(body).0 == "DELIVERY" && update.contains(", job = :job") {
                body["UpdateExpression"] = update.replace(", job = :job", ", nobody_reads = :job").into();
            }
        }
    }),
    mood: REVIEWED,
    shows: "is that it waits for",
};

// Inputs.

pub(crate) static SAID_BEFORE: Mutant = Mutant {
    how: How::Unseen(|item| {
        if item.get("sk").and_then(|sk| sk["S"].as_str()).is_some_and(|sk| sk.starts_with("INPUT#")) {
            item.remove("key");
        }
    }),
    mood: RESTING,
    shows: "was said 2 times",
};

pub(crate) static KEPT_WITH_ITS_JOB: Mutant = Mutant {
    how: How::Written(|actions| actions.retain_mut(|action| !key(body(action)).0.starts_with("INPUT#"))),
    mood: RESTING,
    shows: "are kept",
};
