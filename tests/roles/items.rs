//! Lists the table items that each function writes and reads, and compares the lists with the IAM roles.
//!
//! Roles limit items by partition key prefix (`dynamodb:LeadingKeys`), so a stolen function role cannot create tokens
//! or connect forges.

use super::deployment::{DEPLOYMENT, Deployment, arn};
use super::policy::Request;
use crate::calls::UsedPermission;
use crate::prelude::*;
use pullyard_entry::permissions::{
    CALLS, DELETERS, LIMITED_READERS, Resource, TOKEN_USE_ATTRIBUTES, TOKEN_USE_WRITERS, WRITERS,
};

/// The store's source, which names every kind of item.
const KEY_SOURCE: &str = include_str!("../../crates/store/src/key.rs");

pub(super) const LEADING_KEYS: &str = "dynamodb:LeadingKeys";
pub(super) const ATTRIBUTES: &str = "dynamodb:Attributes";

/// Calls that the tests need not reach: function, items, occasion.
const UNTESTED_CALLS: &[(&str, &str, &str)] = &[
    ("api", "PROJECT#", "a reconnected repository has a new name, and its old alias is deleted"),
    ("api", "POOL#", "a user requests the first job of a class"),
    ("tickets", "PR#", "a ticket event continues a pull request with deferred reviews"),
    ("sweeper", "ANALYSIS#", "it ends an analysis whose attempt is lost"),
    ("sweeper", "BUDGET#", "it ends a job and releases its reservation"),
    ("sweeper", "BREAKER#", "jobs wait for a model account whose breaker is open"),
    ("webhook", "POOL#", "a review starts the first job of a class"),
    ("effects", "POOL#", "a deferred entry or review starts the first job of a class"),
    ("pages", "POOL#", "a user starts the first job of a class"),
    ("sweeper", "POOL#", "a job moves to runners with its project"),
    ("webhook", "BUDGET#", "a review starts a job under a budget"),
    ("pages", "BUDGET#", "a user starts a job under a budget, or cancels one"),
    ("webhook", "POLL#", "a repository is gone"),
    ("webhook", "NOTICE#", "a closed pull request ends a job"),
    ("sweeper", "NOTICE#", "it ends a job"),
    ("sweeper", "RUN#", "a move that cannot be requested is postponed"),
    ("sweeper", "POLL#", "a poll that cannot be requested is postponed"),
];

const WRITE_ACTIONS: [&str; 3] = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"];
pub(super) const READ_ACTIONS: [&str; 3] = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"];

fn table() -> String {
    arn("dynamodb", &format!("table/{DEPLOYMENT}"))
}

fn is_listed(function: &str, action: &str) -> bool {
    CALLS.iter().any(|(name, does, resource, _)| *name == function && *does == action && *resource == Resource::Table)
}

fn example_key(items: &str) -> String {
    if items.ends_with('#') { format!("{items}acme#1") } else { items.to_owned() }
}

fn is_listed_write(function: &str, action: &str, items: &str) -> bool {
    let deletes = || DELETERS.iter().any(|(caller, prefixes)| *caller == function && prefixes.contains(&items));
    let writers = WRITERS.iter().find(|(prefix, ..)| *prefix == items).map(|(.., writers)| *writers);
    writers.is_some_and(|writers| writers.contains(&function)) && (action != "dynamodb:DeleteItem" || deletes())
}

pub(super) fn example_allowed_key(function: &str, action: &str) -> Option<String> {
    let writable =
        WRITERS.iter().find(|(items, ..)| WRITE_ACTIONS.contains(&action) && is_listed_write(function, action, items));
    let readable = LIMITED_READERS.iter().find(|(caller, _)| READ_ACTIONS.contains(&action) && *caller == function);
    writable.map(|(items, ..)| *items).or(readable.and_then(|(_, prefixes)| prefixes.first().copied())).map(example_key)
}

pub(super) fn is_allowed(deployed: &Deployment, function: &str, action: &str, key: &str, attributes: &[&str]) -> bool {
    let named = attributes.iter().map(|attribute| (ATTRIBUTES, *attribute));
    let context = std::iter::once((LEADING_KEYS, key)).chain(named).collect::<Vec<_>>();
    deployed.role(function).allows(&Request { action, resource: &table(), context: &context })
}

pub(super) fn refusal(used: &UsedPermission) -> Option<String> {
    static DEPLOYED: LazyLock<Deployment> = LazyLock::new(Deployment::read);
    let (function, action) = (used.function.as_str(), used.action.as_str());
    let Some(items) = &used.items else {
        // An index key is not the key of an item.
        let is_item_action = READ_ACTIONS.contains(&action) || WRITE_ACTIONS.contains(&action);
        let is_unknown = is_item_action && !used.resource.contains("/index/");
        return is_unknown
            .then(|| "unknown items: crates/testkit/src/observe/permission.rs does not find their key".to_owned());
    };
    let attributes = used.attributes.iter().map(String::as_str).collect::<Vec<_>>();
    if is_allowed(&DEPLOYED, function, action, &example_key(items), &attributes) {
        return None;
    }
    let naming = if attributes.is_empty() { String::new() } else { format!(", naming {attributes:?}") };
    let lists = match action {
        "dynamodb:DeleteItem" => "WRITERS and DELETERS",
        _ if READ_ACTIONS.contains(&action) => "LIMITED_READERS",
        _ => "WRITERS",
    };
    Some(format!(
        "its statement in infra/functions.yaml has no items `{items}`{naming}; see {lists} in crates/entry/src/permissions/items.rs"
    ))
}

pub(super) fn assert_all_recorded(used: &BTreeSet<UsedPermission>) {
    let is_recorded = |(function, items, actions): &(&str, &str, &[&str])| {
        let matches = |call: &&UsedPermission| call.function == *function && call.items.as_deref() == Some(*items);
        let is_exempt = UNTESTED_CALLS.iter().any(|(writer, kind, _)| writer == function && kind == items);
        is_exempt || used.iter().filter(matches).any(|call| actions.contains(&call.action.as_str()))
    };
    let writes =
        WRITERS.iter().flat_map(|(items, _, all)| all.iter().map(|function| (*function, *items, &WRITE_ACTIONS[..])));
    let rows = |list: &'static [(&str, &[&str])], actions: &'static [&str]| {
        list.iter().flat_map(move |(function, all)| all.iter().map(move |items| (*function, *items, actions)))
    };
    let listed = writes.chain(rows(DELETERS, &["dynamodb:DeleteItem"])).chain(rows(LIMITED_READERS, &READ_ACTIONS));
    let unused: Vec<_> = listed.filter(|row| !is_recorded(row)).collect();
    assert!(unused.is_empty(), "in crates/entry/src/permissions/items.rs but never recorded: {unused:?}");
    let is_note =
        |call: &&UsedPermission| call.items.as_deref() == Some("TOKEN#") && call.action == "dynamodb:UpdateItem";
    let notes: BTreeSet<&str> = used.iter().filter(is_note).map(|call| call.function.as_str()).collect();
    assert!(TOKEN_USE_WRITERS.iter().all(|function| notes.contains(function)), "only {notes:?} record token uses");
}

#[test]
fn every_item_kind_of_the_store_is_listed() {
    let production = KEY_SOURCE.split("#[cfg(test)]").next().unwrap();
    let (keys, _) = production.split_once("pub(crate) fn due_partition(").unwrap();
    // These prefixes occur only in index keys.
    let indexed = ["HOOK", "INTEGRATION", "PROJECT", "TOKEN", "JOB", "TICKET", "PR", "DELIVERY"];
    let literals = keys.split('"').skip(1).step_by(2);
    let kinds = literals.filter_map(|literal| {
        let end = literal.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(literal.len());
        let (kind, after) = literal.split_at(end);
        (!kind.is_empty()).then(|| if after.starts_with('#') { format!("{kind}#") } else { kind.to_owned() })
    });
    let sort_keys = [
        "REPO#",
        "REPONAME#",
        "ENDPOINT#",
        "NOTICE",
        "CLASS#",
        "CONTEXT#",
        "OUTPUT",
        "ATTEMPT#",
        "ARTIFACTS#",
        "INPUT#",
        "REVIEW#",
        "COMMENT#",
        "SETTINGS",
        "TEXT",
        "PROFILE",
        "NAME",
        "ROTATION",
        "BREAKER",
        "SIGNIN",
        "BUDGET",
        "IDEMPOTENCY",
        "POLL",
        "LIMIT",
        "RUN",
        "GROUP",
        "PLAN",
        "TEMPLATE#",
        "FLEET",
        "PROJECTS",
        "HOST",
        "LOOK",
        "SPENT",
    ];
    let listed = WRITERS.iter().map(|(items, ..)| *items).collect::<BTreeSet<_>>();
    let unknown = kinds.filter(|kind| {
        let kind = kind.as_str();
        !listed.contains(kind) && !sort_keys.contains(&kind) && !indexed.contains(&kind)
    });
    assert_eq!(unknown.collect::<BTreeSet<_>>(), BTreeSet::new(), "a kind of item without a writer");
    assert_eq!(listed.len(), WRITERS.len(), "a kind of item is listed twice");
    for (items, ..) in WRITERS {
        assert!(keys.contains(&format!("\"{items}")), "{items} is no longer a kind of item");
    }
}

#[test]
fn each_function_writes_only_its_listed_items() {
    let deployed = Deployment::read();
    let mut wrong = Vec::new();
    for function in FUNCTIONS {
        for (items, ..) in WRITERS {
            for action in WRITE_ACTIONS {
                let expected = is_listed_write(function, action, items) && is_listed(function, action);
                if is_allowed(&deployed, function, action, &example_key(items), &["pk", "sk", "anything"]) != expected {
                    wrong.push(format!("{function} {action} {items}: expected {expected}\n"));
                }
            }
        }
        for action in WRITE_ACTIONS {
            assert!(!is_allowed(&deployed, function, action, "SOMETHING#new", &[]), "{function} {action}");
            let request = Request { action, resource: &table(), context: &[] };
            assert!(!deployed.role(function).allows(&request), "{function} {action} without a leading key");
        }
    }
    assert!(
        wrong.is_empty(),
        "infra/functions.yaml differs from crates/entry/src/permissions/items.rs:\n{}",
        wrong.concat()
    );
}

#[test]
fn functions_with_limited_reads_read_only_listed_items() {
    let deployed = Deployment::read();
    for function in FUNCTIONS {
        let readable = LIMITED_READERS.iter().find(|(caller, _)| *caller == function).map(|(_, items)| *items);
        for (items, ..) in WRITERS {
            for action in READ_ACTIONS.into_iter().filter(|action| is_listed(function, action)) {
                let expected = readable.is_none_or(|readable| readable.contains(items));
                assert_eq!(
                    is_allowed(&deployed, function, action, &example_key(items), &[]),
                    expected,
                    "{function} {action} {items}"
                );
            }
        }
        for action in READ_ACTIONS.into_iter().filter(|action| readable.is_some() && is_listed(function, action)) {
            assert!(!is_allowed(&deployed, function, action, "SOMETHING#new", &[]), "{function} {action}");
            let request = Request { action, resource: &table(), context: &[] };
            assert!(!deployed.role(function).allows(&request), "{function} {action} without a leading key");
        }
    }
}

#[test]
fn noting_a_token_use_changes_no_other_attribute() {
    let deployed = Deployment::read();
    let update = "dynamodb:UpdateItem";
    for function in FUNCTIONS.into_iter().filter(|function| *function != "api") {
        let may_note = TOKEN_USE_WRITERS.contains(&function);
        assert_eq!(is_allowed(&deployed, function, update, "TOKEN#abc", &TOKEN_USE_ATTRIBUTES), may_note, "{function}");
        for attribute in ["scopes", "revoked", "kind", "projects", "expires", "lk"] {
            let attributes = [&TOKEN_USE_ATTRIBUTES[..], &[attribute]].concat();
            assert!(!is_allowed(&deployed, function, update, "TOKEN#abc", &attributes), "{function} {attribute}");
        }
        assert!(!is_allowed(&deployed, function, update, "TOKEN#abc", &[]), "{function}");
        assert!(!is_allowed(&deployed, function, update, "FIRST", &TOKEN_USE_ATTRIBUTES), "{function}");
    }
}
