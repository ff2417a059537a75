use super::derived::{hash_id, pull_request_group, ticket_group};
use super::*;
use crate::text::key_of::KeyOwner;
use crate::text::pull_request_id::PullRequestId;
use crate::text::time::Timestamp;

#[test]
fn derived_ids_separate_their_parts() {
    assert_ne!(hash_id("", "d", &["ab", "c"]), hash_id("", "d", &["a", "bc"]));
    assert_ne!(hash_id("", "d", &["a"]), hash_id("", "da", &[]));
}

#[test]
fn each_button_of_each_page_has_its_own_event_id() {
    let key = |page: &str, ticket: &str, status: &str| {
        EventId::for_button(page, &TicketKey::new(ticket).unwrap(), status, "")
    };
    let one = key("page-1", "A-1", "Done");
    assert_eq!(one, key("page-1", "A-1", "Done"));
    assert_ne!(one, EventId::for_button("page-1", &TicketKey::new("A-1").unwrap(), "Done", "A-2"));
    assert_eq!(EventId::new(one.as_str()), Ok(one.clone()));
    for other in [key("page-2", "A-1", "Done"), key("page-1", "A-2", "Done"), key("page-1", "A-1", "Blocked")] {
        assert_ne!(one, other);
    }
}

#[test]
fn request_key_cannot_collide_with_a_ticket_job() {
    let project = ProjectId::new("acme").unwrap();
    let ticket = TicketKey::new("A-1").unwrap();
    let (at, event) = (Timestamp::from_millis(5), EventId::new("e").unwrap());
    assert_ne!(JobId::for_entry(&project, &ticket, at, &event), JobId::for_request(&project, "A-1", "5"));
}

#[test]
fn review_names_its_job_and_each_later_one_differently() {
    let pull_request = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 };
    let review = ReviewId::new("80").unwrap();
    let mut jobs = vec![JobId::for_review(&pull_request, &review)];
    for _ in 0..3 {
        let had = jobs.last().unwrap();
        let after = JobId::for_review_after(&pull_request, &review, had);
        assert_eq!(after, JobId::for_review_after(&pull_request, &review, had));
        jobs.push(after);
    }
    let other = ReviewId::new("81").unwrap();
    jobs.push(JobId::for_review_after(&pull_request, &other, &jobs[0]));
    assert_eq!(jobs.iter().collect::<std::collections::BTreeSet<_>>().len(), jobs.len());
}

#[test]
fn invalid_ids_are_rejected() {
    assert!(ProjectId::new("Acme").is_err());
    assert!(ProjectId::new("-a").is_err());
    assert!(ProjectId::new("a#b").is_err());
    assert!(TicketKey::new("").is_err());
    assert!(TicketKey::new("a\nb").is_err());
    assert!(TicketKey::new("x".repeat(65)).is_err());
    assert!(TicketKey::new(".").is_err() && TicketKey::new("..").is_err());
    assert!(TicketKey::new("A#1/ü").is_ok());
    for name in [
        "acme",
        "acme/",
        "/app",
        "a/b/c",
        "../x",
        "a/..",
        "a b/c",
        "acme/app.git",
        "-o/x",
        "acme/.git",
        "acme/.",
        ".acme/app",
        "acme/-x",
    ] {
        assert!(RepositoryName::new(name).is_err(), "{name}");
    }
    for name in ["acme/app.rs", "acme/.github", "acme/.x", "acme/..."] {
        assert!(RepositoryName::new(name).is_ok(), "{name}");
    }
}

/// Stored items are found by their derived ids: a changed derivation would create a second job or ledger entry.
#[test]
fn derived_ids_are_stable_across_versions() {
    let (project, ticket) = (ProjectId::new("acme").unwrap(), TicketKey::new("APP-17").unwrap());
    let event = EventId::new("e1").unwrap();
    let at = Timestamp::from_millis(1_795_154_400_000);
    let pull_request = PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 };
    let review = ReviewId::new("80").unwrap();
    let first = JobId::for_review(&pull_request, &review);
    let request_job = JobId::for_request(&project, "pat", "k1");
    let (hook, file) = (HookName::new("acme").unwrap(), ArtifactName::new("changes.patch").unwrap());
    let labels = ["eu", "gpu"].map(str::to_owned).into();
    for (id, expected) in [
        (JobId::for_entry(&project, &ticket, at, &event).to_string(), "job_lw2xem5iktet3xr5f4aomg2ksz"),
        (request_job.to_string(), "job_sosut73pfrahw4zhnclt2mrkbu"),
        (first.to_string(), "job_aycjrdc47n2vpgmncbroukeffq"),
        (JobId::for_review_after(&pull_request, &review, &first).to_string(), "job_zmhcz32bsc4tobgdvqqtslnvze"),
        (EventId::for_move("pat", "k1").to_string(), "board-uxws6fkrqabkn5kokydytklshu"),
        (DeliveryId::for_ticket_event(&project, &event).to_string(), "dlv_prp5srg4fwlmjxpao32sfpsgy7"),
        (DeliveryId::for_review(&project, &pull_request, &review).to_string(), "dlv_l3zxywexwrs2inzlfnsadoxitx"),
        (DeliveryId::for_webhook(&hook, "00ff").to_string(), "dlv_qgcnqcpp4ftgx273uazr3uopoe"),
        (DeliveryId::for_request(&request_job).to_string(), "dlv_srtmw7j3jzvpxrzqn5zhzqvwkt"),
        (DeliveryId::for_unreadable("pat", "00ff").to_string(), "dlv_dxcc7vhfx322crrttjo6age23b"),
        (RunnerId::for_registration("t1", "kite").to_string(), "rnr_u2oqvg3qhzkdizjssexepqc26p"),
        (ArtifactId::for_artifact(&request_job, 1, "patch", &file).to_string(), "art_depwlhy7bvvwmxtzeqkqnc55iq"),
        (ClassId::for_key("acme", "codex", &labels, KeyOwner::Runner).to_string(), "tnrgn6kudkebxk5t"),
        (ClassId::for_key("acme", "codex", &labels, KeyOwner::Project).to_string(), "jivax5yewandsyrv"),
        (ticket_group(&project, &ticket), "ticket-a4zgpsel2b3sowhhqzjuu577ir"),
        (pull_request_group(&pull_request), "pr-wt57uprilltquku7lrvvugihcq"),
    ] {
        assert_eq!(id, expected);
    }
    assert_eq!(JobId::for_entry(&project, &ticket, at, &event).short(), "2KSZ");
    assert_eq!(TokenId::from_hash(&"0123456789abcdef".repeat(4)).as_str(), "0123456789abcdef");
}

#[test]
fn ids_have_exact_length_limits() {
    fn check<Id>(new: impl Fn(String) -> Result<Id, InvalidId>, longest: &str) {
        assert!(new(longest.to_owned()).is_ok(), "{longest}");
        assert!(new(format!("{longest}a")).is_err(), "{longest} plus one");
    }
    check(ProjectId::new, &"a".repeat(40));
    check(TicketKey::new, &"ü".repeat(64));
    check(EventId::new, &"ü".repeat(128));
    check(ReviewId::new, &"a".repeat(64));
    check(SecretName::new, &"a".repeat(128));
    check(RepositoryName::new, &format!("{}/{}", "a".repeat(100), "b".repeat(100)));
    check(JobId::new, &format!("job_{}", "a".repeat(26)));
    check(DeliveryId::new, &format!("dlv_{}", "a".repeat(26)));
    check(RunnerId::new, &format!("rnr_{}", "a".repeat(26)));
    check(ArtifactId::new, &format!("art_{}", "a".repeat(26)));
    check(TokenId::new, &"a".repeat(16));
    check(Sha256Hex::new, &"a".repeat(64));
    assert!(JobId::new(format!("job_{}", "a".repeat(25))).is_err());
    assert!(TokenId::new("a".repeat(15)).is_err() && TokenId::new("g".repeat(16)).is_err());
    assert!(Sha256Hex::new("a".repeat(63)).is_err() && Sha256Hex::new("A".repeat(64)).is_err());
    assert!(RepositoryName::new(format!("{}/b", "a".repeat(101))).is_err());
    assert!(SecretName::new(".a").is_err() && SecretName::new("").is_err());
    assert!(EventId::new(" e1").is_err() && EventId::new("").is_err());
}

#[test]
fn only_plain_ticket_keys_fit_into_a_path() {
    for (key, fits) in
        [("APP-17", true), ("a.b_c~1", true), ("A/1", false), ("A 1", false), ("A%201", false), ("ü", false)]
    {
        assert_eq!(TicketKey::new(key).unwrap().is_path_segment(), fits, "{key}");
    }
}
