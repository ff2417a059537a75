//! Tests the differences of hooks between the forges.

use crate::project::forge::ForgeKind::{self, Bitbucket, GitHub};
use crate::project::hook::{app_webhook_refusal, secret_fault};
use crate::text::id::{IntegrationId, SecretName};

#[test]
fn subscribed_events_are_sorted_and_needed() {
    for events in ForgeKind::ALL.map(|kind| kind.spec().hook.events) {
        // Sorted and unique, because it is compared with the list of the forge.
        assert!(events.is_sorted_by(|one, next| one < next), "{events:?}");
    }
    // This event carries no fact that we use, and comes with each push and title change.
    assert!(!Bitbucket.spec().hook.events.contains(&"pullrequest:updated"));
}

#[test]
fn secret_too_long_for_the_forge_is_named_without_value() {
    let name = SecretName::new("hook-shop").unwrap();
    for (kind, length, fits) in
        [(GitHub, 65_536, true), (Bitbucket, 128, true), (Bitbucket, 129, false), (Bitbucket, 65_536, false)]
    {
        let value = "\u{fc}".repeat(length);
        let fault = secret_fault(kind, &name, &value);
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
fn only_github_has_app_hooks() {
    let id = IntegrationId::new("bb1").unwrap();
    assert_eq!(app_webhook_refusal(GitHub, &id), None);
    assert!(
        app_webhook_refusal(Bitbucket, &id)
            .is_some_and(|fault| fault.starts_with("bb1 is on Bitbucket, which has no Apps"))
    );
}
