//! Verifies that a body has the shape of its claimed event.
//! Headers are not signed: without this check, a signed body could be replayed as another event. For example, a deleted
//! star could count as a deleted repository.

use super::value::{At, Unreadable};

/// Subjects of GitHub events that share a field with an event we parse.
const SUBJECTS: [&str; 12] = [
    "alert",
    "commit",
    "comment",
    "discussion",
    "hook",
    "issue",
    "pull_request",
    "ref",
    "release",
    "review",
    "thread",
    "zen",
];

/// Subjects of Bitbucket events. `changes` is included because two events differ in no other field.
const AT_BITBUCKET: [&str; 9] =
    ["approval", "changes", "changes_request", "comment", "commit_status", "fork", "issue", "pullrequest", "push"];

const ENVELOPE: [&str; 7] = ["action", "changes", "repository", "sender", "organization", "installation", "enterprise"];

const INSTALLATION: [&str; 9] = [
    "action",
    "installation",
    "repositories",
    "repository",
    "repository_selection",
    "requester",
    "sender",
    "organization",
    "enterprise",
];

/// Requires exactly these subjects. Other fields are ignored, because forges add some.
pub(super) fn about(body: &At<'_>, event: &str, subjects: &[&str]) -> Result<(), Unreadable> {
    only_of(&SUBJECTS, body, event, subjects)
}

pub(super) fn about_at_bitbucket(body: &At<'_>, event: &str, subjects: &[&str]) -> Result<(), Unreadable> {
    only_of(&AT_BITBUCKET, body, event, subjects)
}

fn only_of(all: &[&str], body: &At<'_>, event: &str, subjects: &[&str]) -> Result<(), Unreadable> {
    for subject in subjects {
        body.field(subject)?;
    }
    match body.names().find(|name| all.contains(name) && !subjects.contains(name)) {
        Some(other) => Err(foreign(body, event, other)),
        None => Ok(()),
    }
}

/// Allows only the listed fields, because repository events have no other distinguishing subject.
pub(super) fn about_a_repository(body: &At<'_>) -> Result<(), Unreadable> {
    only(body, "repository", &ENVELOPE)
}

pub(super) fn about_an_installation(body: &At<'_>, event: &str, lists: &[&str]) -> Result<(), Unreadable> {
    for list in lists {
        body.field(list)?;
    }
    only(body, event, &[&INSTALLATION[..], lists].concat())
}

fn only(body: &At<'_>, event: &str, listed: &[&str]) -> Result<(), Unreadable> {
    match body.names().find(|name| !listed.contains(name)) {
        Some(other) => Err(foreign(body, event, other)),
        None => Ok(()),
    }
}

fn foreign(body: &At<'_>, event: &str, field: &str) -> Unreadable {
    // The name comes from the body, so repeat it only if it is plain.
    let plain = field.len() <= 40 && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let field = if plain { format!("the field {field}") } else { "a field".to_owned() };
    body.fault(format!("it has {field}, which a {event} event never has"))
}
