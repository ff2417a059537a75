//! Which items of the table each function writes, and which it reads where it may not read all of them.
//!
//! A role tells items apart by what their partition key begins with (`dynamodb:LeadingKeys`). So whoever takes over
//! a function can change what that function changes anyway, and can't give himself a token, a session or a forge.

use super::deployed::{DEPLOYMENT, Deployed, arn};
use super::list::{LIST, What};
use super::policy::{Effect, Request};
use crate::calls::{Asked, FUNCTIONS};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The keys of the store: every kind of item is named there.
const KEYS: &str = include_str!("../../crates/store/src/key.rs");

pub(super) const LEADING_KEYS: &str = "dynamodb:LeadingKeys";
pub(super) const ATTRIBUTES: &str = "dynamodb:Attributes";

/// What the partition key begins with, what it is, and who writes it.
pub(super) type Items = (&'static str, &'static str, &'static [&'static str]);

pub(super) const WRITTEN: &[Items] = &[
    (
        "JOB#",
        "jobs, their contexts and attempts",
        &["webhook", "tickets", "api", "pages", "dispatcher", "tasks", "effects", "sweeper"],
    ),
    ("EVENTS#", "what agents said", &["api"]),
    ("TICKET#", "tickets and their texts", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("PR#", "links to pull requests, and their reviews", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("DELIVERY#", "the ledger of decisions", &["webhook", "tickets", "api", "pages", "effects"]),
    ("BUDGET#", "what a day's jobs took", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("PROJECT#", "projects, their repositories and the names of those", &["webhook", "api", "pages", "effects"]),
    ("INTEGRATION#", "connected forges", &["api"]),
    ("HOOK#", "webhooks, and when they were heard", &["webhook", "api"]),
    ("POLL#", "repositories that are looked at", &["webhook", "api", "effects", "sweeper"]),
    ("POOL#", "classes of runners' jobs", &["webhook", "tickets", "api", "pages", "effects", "sweeper"]),
    ("RUNNERS#", "runners", &["api", "sweeper"]),
    ("RUNNER#", "profiles of runners", &["api", "sweeper"]),
    ("NAME#", "names of runners", &["api", "sweeper"]),
    ("BREAKER#", "models' accounts that are left alone", &["api"]),
    ("ROTATION#", "secrets that are being replaced", &["api"]),
    ("IDEMPOTENCY#", "keys of requests", &["api", "pages"]),
    ("SIGNIN#", "sign-in links that were used", &["pages"]),
    ("TOKEN#", "tokens", &["api"]),
    ("SWEEPER", "the last sweep", &["api", "sweeper"]),
    ("FIRST", "which token was the first; written by `pullyard init --stack`, with the operator's own rights", &[]),
];

/// Who deletes what of it: function and what the items' partition key begins with.
const DELETED: &[(&str, &[&str])] = &[
    ("webhook", &["PROJECT#"]),
    ("effects", &["PROJECT#"]),
    ("api", &["PROJECT#", "POLL#", "HOOK#", "RUNNERS#", "RUNNER#", "NAME#", "BREAKER#"]),
    ("sweeper", &["RUNNERS#", "RUNNER#", "NAME#"]),
];

/// Who may read these items only: function and what their partition key begins with. The others, api and pages, show
/// people everything, and may read the whole table.
///
/// In no line is what nobody needs who shows people nothing: sessions that began, keys of requests, what agents said,
/// which token was the first. Of tokens, tickets and sweeper read the one whose hash they have.
pub(super) const READ: &[(&str, &[&str])] = &[
    (
        "webhook",
        &["JOB#", "TICKET#", "PR#", "DELIVERY#", "BUDGET#", "PROJECT#", "INTEGRATION#", "HOOK#", "POLL#", "ROTATION#"],
    ),
    ("tickets", &["JOB#", "TICKET#", "PR#", "DELIVERY#", "BUDGET#", "PROJECT#", "TOKEN#"]),
    ("dispatcher", &["JOB#", "BREAKER#"]),
    ("tasks", &["JOB#"]),
    ("effects", &["JOB#", "TICKET#", "PR#", "DELIVERY#", "BUDGET#", "PROJECT#", "INTEGRATION#", "POLL#"]),
    (
        "sweeper",
        &[
            "JOB#", "TICKET#", "PR#", "BUDGET#", "PROJECT#", "POLL#", "POOL#", "RUNNERS#", "RUNNER#", "TOKEN#",
            "SWEEPER",
        ],
    ),
];

/// Who notes that a token was used, and makes and changes none: an update that names these attributes only.
pub(super) const NOTE_USES: &[&str] = &["tickets", "pages"];
pub(super) const OF_A_USE: [&str; 4] = ["pk", "sk", "mark", "last_used"];

/// What the code does where the tests need not come by: function, items, when.
const RARE: &[(&str, &str, &str)] = &[
    ("api", "PROJECT#", "a repository is connected again under a name that it got since, which frees the old one"),
    ("api", "POOL#", "a person asks for such a job before any ticket had one"),
    ("tickets", "PR#", "a ticket that is told of goes on with a pull request whose reviews waited"),
    ("sweeper", "BUDGET#", "it ends a job whose reservation is given back"),
    ("webhook", "POOL#", "a review starts a job of a project whose jobs wait for runners"),
    ("effects", "POOL#", "what waited starts such a job"),
    ("pages", "POOL#", "a person starts such a job"),
    ("sweeper", "POOL#", "a job follows its project to runners"),
    ("webhook", "BUDGET#", "a review starts a job under a budget"),
    ("pages", "BUDGET#", "a person starts a job under a budget, or cancels one"),
    ("webhook", "POLL#", "a repository is gone"),
    ("sweeper", "POLL#", "a look that can't be asked for is put off"),
];

const WRITES: [&str; 3] = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"];
pub(super) const READS: [&str; 3] = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"];

fn table() -> String {
    arn("dynamodb", &format!("table/{DEPLOYMENT}"))
}

fn is_asked(function: &str, action: &str) -> bool {
    LIST.iter().any(|(of, does, what, _)| *of == function && *does == action && *what == What::Table)
}

/// A partition key of these items.
fn example(items: &str) -> String {
    if items.ends_with('#') { format!("{items}acme#1") } else { items.to_owned() }
}

/// Whether this function does this to such items.
fn writes(function: &str, action: &str, items: &str) -> bool {
    let deletes = || DELETED.iter().any(|(of, deleted)| *of == function && deleted.contains(&items));
    let writers = WRITTEN.iter().find(|(of, ..)| *of == items).map(|(.., writers)| *writers);
    writers.is_some_and(|writers| writers.contains(&function)) && (action != "dynamodb:DeleteItem" || deletes())
}

/// A partition key that this function may do this with, if it is limited to some.
pub(super) fn allowed_key(function: &str, action: &str) -> Option<String> {
    let written = WRITTEN.iter().find(|(items, ..)| WRITES.contains(&action) && writes(function, action, items));
    let read = READ.iter().find(|(of, _)| READS.contains(&action) && *of == function);
    written.map(|(items, ..)| *items).or(read.and_then(|(_, all)| all.first().copied())).map(example)
}

/// Whether a function may do this with the item of this key, naming these attributes.
pub(super) fn may(deployed: &Deployed, function: &str, action: &str, key: &str, attributes: &[&str]) -> bool {
    let named = attributes.iter().map(|attribute| (ATTRIBUTES, *attribute));
    let context = std::iter::once((LEADING_KEYS, key)).chain(named).collect::<Vec<_>>();
    deployed.role(function).allows(&Request { action, resource: &table(), context: &context })
}

/// Why a role would refuse what is asked for about items, and what to change.
pub(super) fn refusal(asked: &Asked) -> Option<String> {
    static DEPLOYED: LazyLock<Deployed> = LazyLock::new(Deployed::read);
    let (function, action) = (asked.function.as_str(), asked.action.as_str());
    let Some(items) = &asked.items else {
        // What an index is asked by is no item's key.
        let of_items = READS.contains(&action) || WRITES.contains(&action);
        let is_unknown = of_items && !asked.resource.contains("/index/");
        return is_unknown
            .then(|| "of which items? crates/emulator/src/observe/permission.rs does not find their key".to_owned());
    };
    let attributes = asked.attributes.iter().map(String::as_str).collect::<Vec<_>>();
    if may(&DEPLOYED, function, action, &example(items), &attributes) {
        return None;
    }
    let named = if attributes.is_empty() { String::new() } else { format!(", naming {attributes:?}") };
    let list = match action {
        "dynamodb:DeleteItem" => "WRITTEN and DELETED",
        _ if READS.contains(&action) => "READ",
        _ => "WRITTEN",
    };
    Some(format!(
        "its statement in infra/functions.yaml has no items `{items}`{named}; whose they are stands in {list} of \
         tests/roles/items.rs"
    ))
}

/// Everything that is in the list was recorded.
pub(super) fn check_all(asked: &BTreeSet<Asked>) {
    let done = |(function, items, actions): &(&str, &str, &[&str])| {
        let of = |one: &&Asked| one.function == *function && one.items.as_deref() == Some(*items);
        let rare = RARE.iter().any(|(rarely, what, _)| rarely == function && what == items);
        rare || asked.iter().filter(of).any(|one| actions.contains(&one.action.as_str()))
    };
    let written =
        WRITTEN.iter().flat_map(|(items, _, all)| all.iter().map(|function| (*function, *items, &WRITES[..])));
    let each = |list: &'static [(&str, &[&str])], actions: &'static [&str]| {
        list.iter().flat_map(move |(function, all)| all.iter().map(move |items| (*function, *items, actions)))
    };
    let listed = written.chain(each(DELETED, &["dynamodb:DeleteItem"])).chain(each(READ, &READS));
    let never: Vec<_> = listed.filter(|one| !done(one)).collect();
    assert!(never.is_empty(), "in tests/roles/items.rs and never done: {never:?}");
    let note = |one: &&Asked| one.items.as_deref() == Some("TOKEN#") && one.action == "dynamodb:UpdateItem";
    let notes: BTreeSet<&str> = asked.iter().filter(note).map(|one| one.function.as_str()).collect();
    assert!(NOTE_USES.iter().all(|function| notes.contains(function)), "only {notes:?} note uses");
}

#[test]
fn every_kind_of_item_is_in_the_list() {
    let production = KEYS.split("#[cfg(test)]").next().unwrap();
    let (keys, _) = production.split_once("/// The `work` partition of due items.").unwrap();
    // What stands in an index only is no item.
    let indexed = ["HOOK", "INTEGRATION", "PROJECT", "TOKEN", "JOB", "TICKET", "PR", "DELIVERY"];
    let words = keys.split('"').skip(1).step_by(2);
    let kinds = words.filter_map(|word| {
        let end = word.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(word.len());
        let (kind, rest) = word.split_at(end);
        (!kind.is_empty()).then(|| if rest.starts_with('#') { format!("{kind}#") } else { kind.to_owned() })
    });
    let sort = [
        "REPO#",
        "REPONAME#",
        "CLASS#",
        "CONTEXT#",
        "ATTEMPT#",
        "ARTIFACTS#",
        "INPUT#",
        "REVIEW#",
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
    ];
    let listed = WRITTEN.iter().map(|(items, ..)| *items).collect::<BTreeSet<_>>();
    let unknown = kinds.filter(|kind| {
        let kind = kind.as_str();
        !listed.contains(kind) && !sort.contains(&kind) && !indexed.contains(&kind)
    });
    assert_eq!(unknown.collect::<BTreeSet<_>>(), BTreeSet::new(), "a kind of item that nobody may write");
    assert_eq!(listed.len(), WRITTEN.len(), "one stands there twice");
    for (items, ..) in WRITTEN {
        assert!(keys.contains(&format!("\"{items}")), "{items} is no kind of item any more");
    }
}

#[test]
fn each_function_writes_its_own_items_and_no_others() {
    let deployed = Deployed::read();
    let mut wrong = Vec::new();
    for function in FUNCTIONS {
        for (items, ..) in WRITTEN {
            for action in WRITES {
                let expected = writes(function, action, items) && is_asked(function, action);
                if may(&deployed, function, action, &example(items), &["pk", "sk", "anything"]) != expected {
                    wrong.push(format!("{function} {action} {items}: expected {expected}\n"));
                }
            }
        }
        for action in WRITES {
            assert!(!may(&deployed, function, action, "SOMETHING#new", &[]), "{function} {action}");
            let request = Request { action, resource: &table(), context: &[] };
            assert!(!deployed.role(function).allows(&request), "{function} {action} of no item that is said");
        }
    }
    assert!(wrong.is_empty(), "infra/functions.yaml and tests/roles/items.rs:\n{}", wrong.concat());
}

#[test]
fn who_reads_a_part_of_the_table_reads_no_other() {
    let deployed = Deployed::read();
    for function in FUNCTIONS {
        let only = READ.iter().find(|(of, _)| *of == function).map(|(_, items)| *items);
        for (items, ..) in WRITTEN {
            for action in READS.into_iter().filter(|action| is_asked(function, action)) {
                let expected = only.is_none_or(|only| only.contains(items));
                assert_eq!(
                    may(&deployed, function, action, &example(items), &[]),
                    expected,
                    "{function} {action} {items}"
                );
            }
        }
        for action in READS.into_iter().filter(|action| only.is_some() && is_asked(function, action)) {
            assert!(!may(&deployed, function, action, "SOMETHING#new", &[]), "{function} {action}");
            let request = Request { action, resource: &table(), context: &[] };
            assert!(!deployed.role(function).allows(&request), "{function} {action} of no item that is said");
        }
    }
}

#[test]
fn the_use_of_a_token_is_noted_and_nothing_else_of_it_changed() {
    let deployed = Deployed::read();
    let note = "dynamodb:UpdateItem";
    for function in FUNCTIONS.into_iter().filter(|function| *function != "api") {
        let notes = NOTE_USES.contains(&function);
        assert_eq!(may(&deployed, function, note, "TOKEN#abc", &OF_A_USE), notes, "{function}");
        for other in ["scopes", "revoked", "kind", "projects", "expires", "v", "lk"] {
            let attributes = [&OF_A_USE[..], &[other]].concat();
            assert!(!may(&deployed, function, note, "TOKEN#abc", &attributes), "{function} {other}");
        }
        // An update that names nothing would be none; it must not slip through either.
        assert!(!may(&deployed, function, note, "TOKEN#abc", &[]), "{function}");
        assert!(!may(&deployed, function, note, "FIRST", &OF_A_USE), "{function}");
    }
}

#[test]
fn no_statement_about_writing_is_without_the_items_it_is_about() {
    let deployed = Deployed::read();
    for function in FUNCTIONS {
        for statement in deployed.role(function).statements.iter().filter(|one| one.effect == Effect::Allow) {
            let writes = statement.actions.iter().any(|action| WRITES.contains(&action.as_str()));
            let limited = statement.conditions.iter().any(|condition| condition.is_about(LEADING_KEYS));
            assert!(!writes || limited, "{function}: {:?}", statement.actions);
        }
    }
}
