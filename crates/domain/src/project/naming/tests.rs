use super::*;
use crate::agent::ModelKey;
use crate::run::notice::{Endpoint, EndpointKind};
use crate::text::id::EndpointId;

fn project(id: &str) -> ProjectId {
    ProjectId::new(id).unwrap()
}

fn set(ids: &[&str]) -> BTreeSet<ProjectId> {
    ids.iter().map(|id| project(id)).collect()
}

#[test]
fn list_decides_and_no_list_leaves_names_to_operators() {
    let other = project("other");
    for (caller, list, expected) in [
        (None, None, true),
        (None, Some(&["other"][..]), true),
        (None, Some(&["acme"][..]), false),
        (None, Some(&[][..]), false),
        (Some(&["other"][..]), None, false),
        (Some(&["other"][..]), Some(&["other"][..]), true),
        (Some(&["other"][..]), Some(&["acme"][..]), false),
        (Some(&["other"][..]), Some(&["acme", "other"][..]), true),
        (Some(&["other"][..]), Some(&[][..]), false),
        // A token of both projects carries no name from one to the other.
        (Some(&["acme", "other"][..]), Some(&["acme"][..]), false),
        (Some(&["acme", "other"][..]), None, false),
    ] {
        let (caller, list) = (caller.map(set), list.map(set));
        assert_eq!(may_name(caller.as_ref(), list.as_ref(), &other), expected, "{caller:?} {list:?}");
    }
}

#[test]
fn stored_name_works_until_a_list_leaves_the_project_out() {
    let other = project("other");
    assert!(may_use(None, &other));
    assert!(may_use(Some(&set(&["other"])), &other));
    assert!(!may_use(Some(&set(&["acme"])), &other));
    assert!(!may_use(Some(&set(&[])), &other));
}

fn endpoint(id: &str, url_secret: Option<&str>, secret: Option<&str>) -> Endpoint {
    Endpoint {
        id: EndpointId::new(id).unwrap(),
        kind: EndpointKind::Webhook,
        url: None,
        url_secret: url_secret.map(Into::into),
        secret: secret.map(Into::into),
        events: None,
    }
}

#[test]
fn name_is_kept_only_in_its_own_field() {
    let mut before = Settings::default();
    before.model_secrets.anthropic_api_key = Some("p/job/key".into());
    before.commits.signing_secret = Some("p/job/sign".into());
    before.notifications = vec![endpoint("ops", Some("p/user/url"), Some("p/user/signs"))];
    assert_eq!(new_secrets(&before, &before), []);
    assert_eq!(new_secrets(&before, &Settings::default()), []);

    let mut moved = before.clone();
    moved.model_secrets.openai_api_key = Some("p/job/sign".into());
    moved.commits.signing_secret = Some("p/job/key".into());
    moved.notifications = vec![endpoint("ops", Some("p/user/signs"), Some("p/user/url"))];
    moved.notifications.push(endpoint("ci", None, Some("p/user/signs")));
    let ops = EndpointId::new("ops").unwrap();
    let expected = [
        (SecretField::Model(ModelKey::OpenaiApiKey), "p/job/sign"),
        (SecretField::Signing, "p/job/key"),
        (SecretField::EndpointUrl(ops.clone()), "p/user/signs"),
        (SecretField::EndpointSigning(ops), "p/user/url"),
        (SecretField::EndpointSigning(EndpointId::new("ci").unwrap()), "p/user/signs"),
    ];
    assert_eq!(new_secrets(&before, &moved), expected);
}

#[test]
fn refusal_names_the_command_that_helps() {
    let refusal = |named| NotListed { named, project: project("other") };
    let job = refusal(Named::Secret("pullyard/job/anthropic".into()));
    assert_eq!(job.sentence(), "The secret pullyard/job/anthropic does not list the project other.");
    assert!(job.help().ends_with("`pullyard secrets allow anthropic --for-jobs --projects other`."), "{}", job.help());
    let forge = refusal(Named::Secret("pullyard/user/notify.acme.ops".into()));
    assert!(forge.help().ends_with("`pullyard secrets allow notify.acme.ops --projects other`."), "{}", forge.help());
    let integration = refusal(Named::Integration(IntegrationId::new("gh1").unwrap()));
    assert_eq!(integration.sentence(), "The integration gh1 does not list the project other.");
    assert!(integration.help().ends_with("`pullyard integrations allow gh1 --projects other`."));
}
