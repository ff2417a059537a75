mod forges;
mod looks;

use super::*;
use crate::decision::Reason;
use crate::id::JobId;
use crate::text::Span;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + secs * 1_000)
}

#[test]
fn answered_review_is_not_decided_again_by_polling() {
    let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    assert!(is_answered(Some(&Reason::Accepted { job })));
    assert!(is_answered(Some(&Reason::OwnReview {})));
    assert!(!is_answered(None));
    let unknown = Reason::PermissionUnknown { forge: IntegrationId::new("gh1").unwrap(), author: "ann".into() };
    assert!(!is_answered(Some(&unknown)));
    let contended = Reason::Contended { subject: "acme/app#7".into(), left: Span(60) };
    assert!(!is_answered(Some(&contended)), "nothing was decided");
}

#[test]
fn unknown_permission_is_retried_for_a_day() {
    let unknown = Reason::PermissionUnknown { forge: IntegrationId::new("gh1").unwrap(), author: "ann".into() };
    let day = Duration::from_secs(24 * 3600);
    assert!(is_undecided(&unknown, Duration::ZERO) && is_undecided(&unknown, day - Duration::from_millis(1)));
    assert!(!is_undecided(&unknown, day));
    assert!(!is_undecided(&Reason::OwnReview {}, Duration::ZERO));
}

#[test]
fn missing_ticket_is_no_answer_once_one_is_linked() {
    let unlinked = Reason::NoLinkedTicket { pr: "acme/app#7".into() };
    assert!(is_answered(Some(&unlinked)) && !is_answered_when_linked(Some(&unlinked)));
    assert!(is_answered_when_linked(Some(&Reason::OwnReview {})) && !is_answered_when_linked(None));
}

fn of_a_repository() -> Hook {
    let kind = HookKind::Repository { name: RepositoryName::new("acme/app").unwrap(), id: 9 };
    Hook {
        name: HookName::new("acme").unwrap(),
        integration: IntegrationId::new("gh1").unwrap(),
        forge: ForgeKind::GitHub,
        home: ProjectId::new("acme").unwrap(),
        others: Vec::new(),
        kind,
        secret: SecretName::new("hook-acme").unwrap(),
        base_url: Some("https://pullyard.example/".into()),
        forge_id: None,
        created: at(0),
        rev: 0,
    }
}

#[test]
fn hook_path_names_the_forge_and_github_is_the_default() {
    let of = |forge| Hook { forge, ..of_a_repository() };
    for (forge, path, stored) in [
        (ForgeKind::GitHub, "/webhooks/github/acme", serde_json::Value::Null),
        (ForgeKind::Bitbucket, "/webhooks/bitbucket/acme", "bitbucket".into()),
    ] {
        assert_eq!(of(forge).path(), path);
        let written = serde_json::to_value(of(forge)).unwrap();
        assert_eq!(written["forge"], stored);
        assert_eq!(serde_json::from_value::<Hook>(written).unwrap(), of(forge));
    }
}

#[test]
fn repository_hook_covers_only_its_repository() {
    let mut hook = of_a_repository();
    assert!(hook.may_tell_of(9) && !hook.may_tell_of(10));
    assert_eq!(hook.url().as_deref(), Some("https://pullyard.example/webhooks/github/acme"));
    hook.kind = HookKind::App {};
    assert!(hook.may_tell_of(10));
    hook.base_url = None;
    assert_eq!(hook.url(), None, "without a base URL");
    hook.others = vec![ProjectId::new("neighbour").unwrap()];
    assert_eq!(hook.projects().map(ProjectId::as_str).collect::<Vec<_>>(), ["acme", "neighbour"]);
}

#[test]
fn hook_kind_has_a_display_name() {
    assert_eq!(of_a_repository().kind.words(), "acme/app");
    assert_eq!(HookKind::Organisation { login: "acme".into() }.words(), "all of acme");
    assert_eq!(HookKind::App {}.words(), "the App");
}

fn polled(gone_at: Option<i64>) -> Poll {
    Poll {
        project: ProjectId::new("acme").unwrap(),
        integration: IntegrationId::new("gh1").unwrap(),
        repository: 7,
        ingress: Ingress::Poll,
        gone_at: gone_at.map(at),
        next: at(0),
        look: Look::default(),
        tries: 0,
        not_before: None,
        rev: 3,
    }
}

#[test]
fn deletion_noted_during_a_poll_survives_its_answer() {
    for before in [None, Some(1), Some(5)] {
        let gone = polled(before).gone(at(6)).unwrap();
        assert_eq!(gone, polled(Some(6)), "{before:?}");
        assert_eq!(gone.back(at(5), at(9)), None, "{before:?}");
    }
    assert_eq!(polled(Some(6)).gone(at(6)), None);
    assert_eq!(polled(Some(7)).gone(at(6)), None);
}

#[test]
fn poll_clears_only_deletions_noted_before_it_asked() {
    let there = Poll { next: at(9), ..polled(None) };
    let check = |gone_at: Option<i64>, expected: Option<&Poll>| {
        assert_eq!(polled(gone_at).back(at(5), at(9)).as_ref(), expected, "{gone_at:?}");
    };
    check(None, None);
    check(Some(4), Some(&there));
    check(Some(5), Some(&there));
    check(Some(6), None);
}
