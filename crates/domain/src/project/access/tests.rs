use super::*;
use crate::fixtures;
use crate::project::hook::WebhookScope;
use crate::text::id::RunnerId;

fn project(id: &str) -> ProjectId {
    ProjectId::new(id).unwrap()
}

fn set(ids: &[&str]) -> BTreeSet<ProjectId> {
    ids.iter().map(|id| project(id)).collect()
}

#[track_caller]
fn check(object: Object<'_>, acme: Result<(), MissingAccess<'_>>) {
    assert_eq!(check_access(Some(&set(&["acme"])), object), acme, "{object:?}");
    assert_eq!(check_access(None, object), Ok(()), "{object:?}");
}

#[test]
fn admin_scope_includes_every_other() {
    for (own, needed, expected) in [
        (Scope::Read, Scope::Read, true),
        (Scope::Read, Scope::Jobs, false),
        (Scope::Jobs, Scope::Read, false),
        (Scope::Admin, Scope::Tickets, true),
    ] {
        assert_eq!(has_scope(&[own].into(), needed), expected, "{own:?} {needed:?}");
    }
}

#[test]
fn limited_token_accesses_only_its_own_projects() {
    let (acme, other) = (project("acme"), project("other"));
    check(Object::Project(&acme), Ok(()));
    check(Object::Project(&other), Err(MissingAccess::Project(&other)));
    check(Object::Deployment, Err(MissingAccess::AllProjects));
}

#[test]
fn shared_webhook_needs_all_projects() {
    let other = project("other");
    let hook = |home: &str, kind| Webhook { home: project(home), kind, ..fixtures::hook() };
    let of_repository = fixtures::hook().kind;
    check(Object::Webhook(&hook("acme", of_repository.clone())), Ok(()));
    check(Object::Webhook(&hook("other", of_repository)), Err(MissingAccess::Project(&other)));
    check(Object::Webhook(&hook("acme", WebhookScope::App {})), Err(MissingAccess::AllProjects));
}

#[test]
fn runner_needs_all_projects_that_it_serves() {
    let other = project("other");
    let runner = |projects| Profile {
        id: RunnerId::for_registration("token", "kite"),
        name: "r".into(),
        capabilities: BTreeSet::new(),
        labels: BTreeSet::new(),
        version: "1".into(),
        projects,
        isolation: None,
    };
    check(Object::Runner(&runner(Some(set(&["acme"])))), Ok(()));
    check(Object::Runner(&runner(Some(set(&["acme", "other"])))), Err(MissingAccess::Project(&other)));
    check(Object::Runner(&runner(None)), Err(MissingAccess::AllProjects));
}

#[test]
fn breaker_of_a_runner_needs_all_projects() {
    let (acme, other) = (Account::Project(project("acme")), Account::Project(project("other")));
    check(Object::Breaker(&acme), Ok(()));
    check(Object::Breaker(&other), Err(MissingAccess::Project(&project("other"))));
    let runner = Account::Runner(RunnerId::for_registration("token", "kite"));
    check(Object::Breaker(&runner), Err(MissingAccess::AllProjects));
}
