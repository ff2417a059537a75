//! What hooks are at each kind of forge.

use crate::hook::{events, no_apps, unfit_secret};
use crate::id::{IntegrationId, SecretName};
use crate::project::ForgeKind::{Bitbucket, GitHub};

#[test]
fn every_forge_tells_of_reviews_comments_and_what_becomes_of_pull_requests_and_repositories() {
    for (kind, told) in [
        (GitHub, &["issue_comment", "pull_request", "pull_request_review", "repository"][..]),
        (
            Bitbucket,
            &[
                "pullrequest:changes_request_created",
                "pullrequest:comment_created",
                "pullrequest:fulfilled",
                "pullrequest:rejected",
                "repo:deleted",
                "repo:updated",
            ],
        ),
    ] {
        let events = events(kind);
        assert!(told.iter().all(|event| events.contains(event)), "{events:?}");
        // In order and each once: what a forge has is compared with it.
        assert!(events.is_sorted_by(|one, next| one < next), "{events:?}");
    }
    // It says nothing that we go by, and comes with each push and each new title beside what does.
    assert!(!events(Bitbucket).contains(&"pullrequest:updated"));
}

#[test]
fn a_secret_that_a_forge_does_not_take_is_named_and_never_told() {
    let name = SecretName::new("hook-shop").unwrap();
    for (kind, length, fits) in
        [(GitHub, 65_536, true), (Bitbucket, 128, true), (Bitbucket, 129, false), (Bitbucket, 65_536, false)]
    {
        let value = "\u{fc}".repeat(length);
        let fault = unfit_secret(kind, &name, &value);
        assert_eq!(fault.is_none(), fits, "{kind:?} {length}: {fault:?}");
        let says = |fault: &String| {
            fault
                .starts_with("the value of the secret hook-shop is longer than the 128 characters that Bitbucket takes")
                && !fault.contains('\u{fc}')
        };
        assert!(fault.iter().all(says), "{fault:?}");
    }
}

#[test]
fn the_hook_of_an_app_is_githubs_alone() {
    let id = IntegrationId::new("bb1").unwrap();
    assert_eq!(no_apps(GitHub, &id), None);
    assert!(no_apps(Bitbucket, &id).is_some_and(|fault| fault.starts_with("bb1 is on Bitbucket, which has no Apps")));
}

#[test]
fn what_a_forge_does_not_list_is_not_asked_for_again() {
    assert!(GitHub.lists_deliveries() && !Bitbucket.lists_deliveries());
}
