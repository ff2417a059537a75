//! What tells events apart. Their names are in a header that nobody signs: a body that was signed as one event
//! and is sent under another's name must be refused, or a deleted star would pass as a deleted repository.

use super::value::{At, Unreadable};

/// Fields that name what an event of GitHub's is about, of every event that shares a field with one that we read.
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

/// The same of Bitbucket's events. What changed is one of them: it makes all the difference between two that have nothing
/// else to be known by.
const AT_BITBUCKET: [&str; 9] =
    ["approval", "changes", "changes_request", "comment", "commit_status", "fork", "issue", "pullrequest", "push"];

/// What everything about a repository may have besides its subject.
const ENVELOPE: [&str; 7] = ["action", "changes", "repository", "sender", "organization", "installation", "enterprise"];

/// What everything about an App's installation may have.
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

/// Has these subjects and no other. Fields that are no subject may be anything: forges add.
pub(super) fn about(body: &At<'_>, event: &str, subjects: &[&str]) -> Result<(), Unreadable> {
    only_of(&SUBJECTS, body, event, subjects)
}

/// The same of a body of Bitbucket's.
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

/// Has no subject but the repository: what it has must be listed, as there is nothing else to know it by.
pub(super) fn about_a_repository(body: &At<'_>) -> Result<(), Unreadable> {
    only(body, "repository", &ENVELOPE)
}

/// Has no subject but the installation.
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
    // A field's name is of the body, too: only a plain one is repeated.
    let plain = field.len() <= 40 && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let field = if plain { format!("the field {field}") } else { "a field".to_owned() };
    body.fault(format!("it has {field}, which a {event} event never has"))
}
