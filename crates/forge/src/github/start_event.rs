//! Parses the deliveries that start a template, with the facts that fill its parameters.

use super::responses::ActorResponse;
use super::webhook::{SUBJECTS, is_event_name};
use crate::Actor;
use crate::webhook::shape::check_subjects;
use crate::webhook::{EventRepository, ParseError, value::field};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names a push that changes no branch. Its space keeps it from starting a template.
const OTHER_PUSH: &str = "push of a tag or of a deleted branch";

/// A delivery that may start a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartEvent {
    /// `push`, `pull_request.opened` or `workflow_run.completed.failure`; another name starts nothing.
    pub name: String,
    pub repository: EventRepository,
    pub sender: Actor,
    /// The branch with the change.
    pub branch: String,
    /// Values by the names of parameters.
    pub facts: BTreeMap<String, String>,
}

/// `body` has the verified bytes of a delivery with this event in its header.
/// Errors: `ParseError` for a body without the shape of its claimed event.
pub fn parse_start_event(event: &str, body: &[u8]) -> Result<StartEvent, ParseError> {
    let body: Value = serde_json::from_slice(body).map_err(|_| ParseError::new("", "it is not JSON"))?;
    let subject = match event {
        "push" => "ref",
        "workflow_run" | "pull_request" => event,
        _ => "repository",
    };
    if subject != "repository" {
        let all: Vec<&str> = SUBJECTS.into_iter().chain(["workflow_run"]).collect();
        check_subjects(&all, &body, event, &[subject])?;
    }
    let at = |pointer: &str| match body.pointer(pointer) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let action = at("/action").filter(|action| is_event_name(action));
    let branch = at("/ref").and_then(|name| Some(name.strip_prefix("refs/heads/")?.to_owned()));
    // Null for a fork that is deleted.
    let head_repository = match event {
        "workflow_run" => at("/workflow_run/head_repository/id"),
        "pull_request" => at("/pull_request/head/repo/id"),
        _ => at("/repository/id"),
    };
    let name = match (event, &action) {
        ("push", _) if branch.is_none() || body["deleted"] == Value::Bool(true) => OTHER_PUSH.to_owned(),
        // The branch and the commit of another repository are not in this one.
        _ if head_repository != at("/repository/id") => format!("{event} of a fork"),
        // The header is not signed, so it alone must not match the events of a template.
        _ if subject == "repository" => format!("the event {event}"),
        (_, Some(action)) => match at(&format!("/{event}/conclusion")).filter(|end| is_event_name(end)) {
            Some(conclusion) => format!("{event}.{action}.{conclusion}"),
            None => format!("{event}.{action}"),
        },
        (_, None) => event.to_owned(),
    };
    let first = |pointers: &[&str]| pointers.iter().find_map(|pointer| at(pointer));
    let branch = branch.or_else(|| first(&["/workflow_run/head_branch", "/pull_request/head/ref"]));
    let facts = [
        ("event", Some(event.to_owned())),
        ("action", action),
        ("repo", at("/repository/full_name")),
        ("repo_slug", at("/repository/name")),
        ("clone_url", at("/repository/clone_url")),
        ("ref", at("/ref")),
        ("before", at("/before")),
        ("after", at("/after")),
        ("head_ref", branch.clone()),
        ("head_sha", first(&["/workflow_run/head_sha", "/pull_request/head/sha", "/after"])),
        ("base_ref", first(&["/pull_request/base/ref", "/workflow_run/pull_requests/0/base/ref"])),
        ("base_sha", first(&["/pull_request/base/sha", "/workflow_run/pull_requests/0/base/sha"])),
        ("pr_number", first(&["/pull_request/number", "/workflow_run/pull_requests/0/number"])),
        ("sender", at("/sender/login")),
        ("url", first(&["/workflow_run/html_url", "/pull_request/html_url", "/compare"])),
    ];
    Ok(StartEvent {
        name,
        repository: field(&body, "repository")?,
        sender: field::<ActorResponse>(&body, "sender")?.into(),
        branch: branch.unwrap_or_default(),
        facts: facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(event: &str, body: &Value) -> Result<StartEvent, ParseError> {
        let mut body = body.clone();
        body["repository"] = json!({ "id": 99, "full_name": "acme/app", "name": "app" });
        body["sender"] = json!({ "id": 5, "login": "ann", "type": "User" });
        parse_start_event(event, body.to_string().as_bytes())
    }

    #[test]
    fn events_have_their_name_branch_and_facts() {
        let push = json!({ "ref": "refs/heads/main", "before": "a", "after": "b", "compare": "https://x" });
        let run = json!({ "action": "completed", "workflow_run": { "conclusion": "failure", "head_branch": "fix",
            "head_repository": { "id": 99 }, "head_sha": "c", "html_url": "https://y",
            "pull_requests": [{ "number": 7, "base": { "ref": "main" } }] } });
        let pull = json!({ "action": "opened", "number": 8,
            "pull_request": { "number": 8, "head": { "ref": "f", "repo": { "id": 99 } } } });
        for (event, body, name, branch, (fact, value)) in [
            ("push", &push, "push", "main", ("head_sha", "b")),
            ("workflow_run", &run, "workflow_run.completed.failure", "fix", ("pr_number", "7")),
            ("pull_request", &pull, "pull_request.opened", "f", ("pr_number", "8")),
        ] {
            let found = parse(event, body).unwrap();
            assert_eq!((found.name.as_str(), found.branch.as_str()), (name, branch));
            assert_eq!(found.facts.get(fact).map(String::as_str), Some(value), "{found:?}");
            assert_eq!(found.facts["repo"], "acme/app");
        }
        let deleted = json!({ "ref": "refs/heads/main", "deleted": true });
        assert_eq!(parse("push", &deleted).unwrap().name, OTHER_PUSH);
        assert_eq!(parse("push", &json!({ "ref": "refs/tags/v1" })).unwrap().name, OTHER_PUSH);
        for fork in [json!({ "id": 98 }), Value::Null] {
            let (mut run, mut pull) = (run.clone(), pull.clone());
            run["workflow_run"]["head_repository"] = fork.clone();
            pull["pull_request"]["head"]["repo"] = fork;
            assert_eq!(parse("workflow_run", &run).unwrap().name, "workflow_run of a fork");
            assert_eq!(parse("pull_request", &pull).unwrap().name, "pull_request of a fork");
        }
    }

    #[test]
    fn body_of_another_event_is_refused() {
        let run = json!({ "action": "completed", "workflow_run": { "conclusion": "failure" } });
        assert!(parse("push", &run).is_err() && parse("pull_request", &run).is_err());
        assert!(parse("push", &json!({ "ref": "refs/heads/main", "comment": {} })).is_err());
    }
}
