mod forges;
mod polls;

use super::*;
use crate::text::Span;
use crate::text::decision::Reason;
use crate::text::id::JobId;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + secs * 1_000)
}

#[test]
fn answered_review_is_not_decided_again_by_polling() {
    let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    assert!(is_decided(Some(&Reason::Accepted { job })));
    assert!(is_decided(Some(&Reason::OwnReview {})));
    assert!(!is_decided(None));
    let unknown = Reason::PermissionUnknown { forge: IntegrationId::new("gh1").unwrap(), author: "ann".into() };
    assert!(!is_decided(Some(&unknown)));
    let contended = Reason::Contended { subject: "acme/app#7".into(), left: Span(60) };
    assert!(!is_decided(Some(&contended)), "nothing was decided");
}

#[test]
fn unknown_permission_is_retried_for_a_day() {
    let unknown = Reason::PermissionUnknown { forge: IntegrationId::new("gh1").unwrap(), author: "ann".into() };
    let day = Duration::from_secs(24 * 3600);
    assert!(
        should_retry_permission(&unknown, Duration::ZERO)
            && should_retry_permission(&unknown, day - Duration::from_millis(1))
    );
    assert!(!should_retry_permission(&unknown, day));
    assert!(!should_retry_permission(&Reason::OwnReview {}, Duration::ZERO));
}

#[test]
fn missing_ticket_is_no_answer_once_one_is_linked() {
    let unlinked = Reason::NoLinkedTicket { pr: "acme/app#7".into() };
    assert!(is_decided(Some(&unlinked)) && !is_decided_for_linked(Some(&unlinked)));
    assert!(is_decided_for_linked(Some(&Reason::OwnReview {})) && !is_decided_for_linked(None));
}

fn repository_hook() -> Webhook {
    Webhook { base_url: Some("https://pullyard.example/".into()), ..crate::fixtures::hook() }
}

#[test]
fn hook_path_names_the_forge() {
    let of = |forge| Webhook { forge, ..repository_hook() };
    for (forge, path) in
        [(ForgeKind::GitHub, "/webhooks/github/acme"), (ForgeKind::Bitbucket, "/webhooks/bitbucket/acme")]
    {
        assert_eq!(of(forge).path(), path);
    }
}

#[test]
fn repository_hook_covers_only_its_repository() {
    let mut hook = repository_hook();
    let other = ProjectId::new("other").unwrap();
    assert!(hook.is_for_repository(99) && !hook.is_for_repository(10));
    assert!(hook.serves(&hook.home) && !hook.serves(&other));
    assert_eq!(hook.url().as_deref(), Some("https://pullyard.example/webhooks/github/acme"));
    hook.kind = WebhookScope::App {};
    assert!(hook.is_for_repository(10) && hook.serves(&other));
    hook.base_url = None;
    assert_eq!(hook.url(), None, "without a base URL");
}

fn poll(gone_at: Option<i64>) -> Poll {
    Poll { gone_at: gone_at.map(at), next: at(0), rev: 3, ..Poll::new(&crate::fixtures::repository(), at(0)) }
}

#[test]
fn deletion_noted_during_a_poll_survives_its_answer() {
    for before in [None, Some(1), Some(5)] {
        let missing = poll(before).mark_gone(at(6)).unwrap();
        assert_eq!(missing, poll(Some(6)), "{before:?}");
        assert_eq!(missing.mark_present(at(5), at(9)), None, "{before:?}");
    }
    assert_eq!(poll(Some(6)).mark_gone(at(6)), None);
    assert_eq!(poll(Some(7)).mark_gone(at(6)), None);
}

#[test]
fn poll_clears_only_deletions_noted_before_it_asked() {
    let there = Poll { next: at(9), ..poll(None) };
    let check = |gone_at: Option<i64>, expected: Option<&Poll>| {
        assert_eq!(poll(gone_at).mark_present(at(5), at(9)).as_ref(), expected, "{gone_at:?}");
    };
    check(None, None);
    check(Some(4), Some(&there));
    check(Some(5), Some(&there));
    check(Some(6), None);
}
