use super::*;
use crate::fixtures::{
    finish, job_id, just_before, key, linked_pull_request, no_changes_failure, project_id, result, review_id, time_at,
};
use crate::job::{End, JobStatus};
use crate::text::id::IntegrationId;

fn author() -> Author {
    Author { id: 7, login: "ann".into(), bot: false }
}

pub(in crate::review) fn event(asks: RequestedAction) -> ReviewEvent {
    ReviewEvent {
        source: Source::Webhook,
        delivery: None,
        review: review_id("80"),
        asks,
        author: author(),
        submitted_at: time_at(10),
        marked: false,
        pull_request: PullRequestSnapshot {
            id: linked_pull_request().id,
            repository: RepositoryName::new("acme/app").unwrap(),
            state: PullRequestState::Open,
            head: "9f3".into(),
            branch: "b".into(),
            url: "https://forge.test/acme/app/pull/231".into(),
            updated_at: time_at(10),
            title: "Retry calls".into(),
            base: "main".into(),
            from_fork: false,
            draft: false,
            opened_at: None,
        },
    }
}

pub(in crate::review) fn review(name: &str, secs: u64, state: ReviewState) -> Review {
    Review {
        id: review_id(name),
        submitted_at: time_at(secs),
        ..Review::from_event(&event(RequestedAction::Changes {}), &project_id(), &key(), state, time_at(20))
    }
}

fn absorbed_review(name: &str, secs: u64, into: &str) -> Review {
    review(name, secs, ReviewState::Absorbed { into: review_id(into) })
}

fn started_review(name: &str, secs: u64, job: &str) -> Review {
    review(name, secs, ReviewState::Started { job: job_id(job) })
}

fn review_ids(reviews: &[&Review]) -> Vec<String> {
    reviews.iter().map(|review| review.id.to_string()).collect()
}

#[test]
fn absorbed_chain_resolves_to_its_last_review() {
    let all = [
        absorbed_review("a", 1, "b"),
        absorbed_review("b", 2, "c"),
        started_review("c", 3, "j"),
        absorbed_review("d", 0, "b"),
    ];
    for one in &all {
        assert_eq!(resolve_absorbed(one, &all).id, review_id("c"), "{}", one.id);
    }
    assert_eq!(review_ids(&covered_reviews(&job_id("j"), &all)), ["d", "a", "b", "c"], "oldest first");
}

#[test]
fn job_covers_only_its_own_started_reviews() {
    let all = [
        started_review("a", 1, "j1"),
        absorbed_review("b", 2, "c"),
        started_review("c", 3, "j2"),
        review("d", 4, ReviewState::Deferred {}),
        absorbed_review("e", 3, "d"),
    ];
    assert_eq!(review_ids(&covered_reviews(&job_id("j1"), &all)), ["a"]);
    assert_eq!(review_ids(&covered_reviews(&job_id("j2"), &all)), ["b", "c"]);
    assert!(covered_reviews(&job_id("j3"), &all).is_empty());
}

fn refused_after_failure() -> ReviewState {
    let reason = Reason::PreviousJobNotCompleted { ticket: key(), outcome: "failed".into() };
    ReviewState::Refused { reason, at: time_at(9) }
}

#[test]
fn refused_and_unfinished_reviews_are_unanswered() {
    let closed = Reason::PullRequestClosed { pr: "#231".into(), state: "closed".into() };
    let others = ProjectId::new("neighbour").unwrap();
    let all = [
        review("a", 1, refused_after_failure()),
        started_review("b", 2, "failed"),
        absorbed_review("c", 1, "b"),
        started_review("d", 3, "completed"),
        review("e", 4, ReviewState::Deferred {}),
        review("f", 5, ReviewState::Refused { reason: closed, at: time_at(9) }),
        Review { project: others.clone(), ..review("g", 6, refused_after_failure()) },
        Review { project: others, ..started_review("h", 7, "failed") },
    ];
    let unanswered = |unfinished: &[&str]| {
        let unfinished = unfinished.iter().map(|job| job_id(job)).collect();
        review_ids(&unanswered_reviews(&all, &project_id(), &key(), &unfinished))
    };
    assert_eq!(unanswered(&["failed"]), ["a", "b"]);
    assert_eq!(unanswered(&[]), ["a"]);
    assert_eq!(review_ids(&absorbed_reviews(&[all[1].clone()], &all)), ["c"]);
    assert!(absorbed_reviews(&[all[3].clone()], &all).is_empty());
}

fn user_request(name: &str, state: ReviewState, message: Option<&str>) -> Review {
    Review { request: Some(RevisionRequest { message: message.map(str::to_owned) }), ..review(name, 1, state) }
}

#[test]
fn unanswered_requests_exclude_forge_reviews() {
    let started = |job: &str| ReviewState::Started { job: job_id(job) };
    let all = [
        user_request("request-a", started("failed"), None),
        user_request("request-b", refused_after_failure(), Some("Use tabs.")),
        user_request("request-c", started("completed"), None),
        user_request("request-d", ReviewState::Deferred {}, None),
        review("80", 1, refused_after_failure()),
        started_review("81", 1, "failed"),
    ];
    let unanswered = |ticket: &TicketKey| {
        let unfinished = BTreeSet::from([job_id("failed")]);
        review_ids(&unanswered_requests(&all, &project_id(), ticket, &unfinished))
    };
    assert_eq!(unanswered(&key()), ["request-a", "request-b"]);
    assert!(unanswered(&TicketKey::new("APP-18").unwrap()).is_empty());
}

#[test]
fn request_messages_are_ordered_and_unique() {
    let started = || ReviewState::Started { job: job_id("j") };
    let covered = [
        user_request("request-a", started(), Some("Use tabs.")),
        started_review("80", 1, "j"),
        user_request("label-b", started(), None),
        user_request("request-c", started(), Some("Use spaces.")),
        user_request("comment-d", started(), Some("Use tabs.")),
    ];
    assert_eq!(request_messages(&covered), ["Use spaces.", "Use tabs."]);
    assert!(request_messages(&covered[1..3]).is_empty());
}

#[test]
fn revision_may_leave_reviews_only_as_the_last_job() {
    let made_for = |id: &str| JobId::for_review(&linked_pull_request().id, &review_id(id));
    let started = |id: &str, job: JobId| review(id, 1, ReviewState::Started { job });
    let again = Review { had: Some(made_for("b")), ..review("b", 1, refused_after_failure()) };
    let again = again.assign_to(&again.next_job_id());
    let (one, more, other) = (made_for("a"), again.next_job_id(), job_id("implements"));
    // The revision of `a` also covers `c`.
    let all = [started("a", one.clone()), again, started("c", one.clone()), started("d", other.clone())];
    let jobs: BTreeSet<&JobId> = all.iter().filter_map(Review::started_job).collect();
    assert_eq!(jobs, BTreeSet::from([&one, &more, &other]));
    let read = |last: Option<&JobId>| BTreeSet::from_iter(list_possible_review_owners(&jobs, &all, last));
    assert_eq!(read(None), BTreeSet::from([other.clone()]));
    assert_eq!(read(Some(&one)), BTreeSet::from([other.clone(), one.clone()]));
    assert_eq!(read(Some(&more)), BTreeSet::from([other.clone(), more.clone()]));
    // A job id that matches no known review may belong to any kind of job.
    assert_eq!(
        BTreeSet::from_iter(list_possible_review_owners(&jobs, &all[3..], None)),
        BTreeSet::from([one, more, other])
    );
}

#[test]
fn reassigned_review_raises_its_version() {
    let before = Review { version: 4, ..started_review("a", 1, "failed") };
    let taken = before.assign_to(&job_id("next"));
    assert_eq!((taken.started_job(), taken.version), (Some(&job_id("next")), 5));
    let mut settings = crate::fixtures::settings();
    settings.coalesce = true;
    let waits = before.defer_again(&settings).unwrap();
    assert_eq!((&waits.state, waits.started_job(), waits.version), (&ReviewState::Deferred {}, None, 5));
    settings.coalesce = false;
    assert_eq!(before.defer_again(&settings), None);
}

#[test]
fn requeued_review_names_its_next_job_after_the_last() {
    let settings = crate::fixtures::settings();
    let first = review("a", 1, refused_after_failure());
    assert_eq!(first.next_job_id(), JobId::for_review(&first.pull_request, &first.id));
    // Without an earlier job, the first name is still free.
    assert_eq!(first.defer_again(&settings).unwrap().next_job_id(), first.next_job_id());
    let mut had = vec![first.next_job_id()];
    let mut waits = first;
    for _ in 0..3 {
        waits = waits.assign_to(had.last().unwrap()).defer_again(&settings).unwrap();
        assert_eq!(waits.had.as_ref(), had.last());
        had.push(waits.next_job_id());
        // A refusal and a repeat do not change the earlier job.
        let refused = Review { state: refused_after_failure(), ..waits.clone() };
        let again = review("a", 1, ReviewState::Deferred {}).next_version(Some(&refused));
        assert_eq!(again.next_job_id(), waits.next_job_id());
        assert_eq!(refused.defer_again(&settings).unwrap().next_job_id(), waits.next_job_id());
    }
    assert_eq!(had.iter().collect::<BTreeSet<_>>().len(), had.len());
}

#[test]
fn review_returns_from_a_job_that_did_not_complete() {
    let syncing = crate::fixtures::active(JobStatus::Syncing);
    let failed = finish(&syncing, End::Failed(no_changes_failure(), None));
    let has = started_review("a", 1, "j").assign_to(&failed.id);
    let back = has.refuse_after(&failed, time_at(9)).unwrap();
    assert_eq!(
        (&back.state, &back.had, back.version),
        (&refused_after_failure(), &Some(failed.id.clone()), has.version + 1)
    );
    assert_eq!(review_ids(&unanswered_reviews(&[back], &project_id(), &key(), &BTreeSet::new())), ["a"]);
    assert_eq!(started_review("a", 1, "other").refuse_after(&failed, time_at(9)), None);
    assert_eq!(has.refuse_after(&syncing, time_at(9)), None);
    assert_eq!(has.refuse_after(&finish(&syncing, End::Completed(Some(result()))), time_at(9)), None);
    let cancelled = has.refuse_after(&finish(&syncing, End::Cancelled), time_at(9)).unwrap();
    let ReviewState::Refused { reason, .. } = &cancelled.state else { panic!("{cancelled:?}") };
    assert!(reason.sentence().contains("cancelled"), "{}", reason.sentence());
}

#[test]
fn user_request_takes_all_unanswered_reviews() {
    let request = Review { request: Some(RevisionRequest { message: None }), ..started_review("q", 9, "j") };
    let (one, absorbed) = (started_review("a", 1, "j"), absorbed_review("b", 2, "a"));
    for kind in [ForgeKind::GitHub, ForgeKind::Bitbucket] {
        let takes = |covered: &[Review]| unanswered_scope(kind, covered);
        assert_eq!(takes(std::slice::from_ref(&request)), UnansweredScope::All);
        assert_eq!(takes(&[one.clone(), request.clone()]), UnansweredScope::All, "assigned before a crash");
        assert_eq!(takes(&[request.clone(), absorbed.clone()]), UnansweredScope::All, "deferred together");
        assert_eq!(takes(&[]), UnansweredScope::All, "assigned to other jobs");
        assert!(UnansweredScope::All.includes(&[], None, None));
    }
    let alone = [one, absorbed];
    assert_eq!(unanswered_scope(ForgeKind::GitHub, &alone), UnansweredScope::None);
    assert_eq!(unanswered_scope(ForgeKind::Bitbucket, &alone), UnansweredScope::Earlier);
}

#[test]
fn earlier_comments_of_the_author_come_with_a_request() {
    let (ann, ben) = (author().id, author().id + 1);
    let covered = [
        started_review("a", 20, "j"),
        Review { request: Some(RevisionRequest { message: None }), ..started_review("q", 90, "j") },
    ];
    for (author, secs, comes) in [
        (Some(ann), Some(19), true),
        (Some(ann), Some(20), false),
        // After the author's review, and before the user's request.
        (Some(ann), Some(30), false),
        (Some(ann), None, false),
        (Some(ben), Some(19), false),
        (None, Some(19), false),
    ] {
        let submitted_at = secs.map(time_at);
        assert_eq!(UnansweredScope::Earlier.includes(&covered, author, submitted_at), comes, "{author:?} {secs:?}");
        assert!(!UnansweredScope::None.includes(&covered, author, submitted_at));
    }
}

#[test]
fn earlier_jobs_of_the_author_are_known_on_bitbucket() {
    let bens = Author { id: author().id + 1, ..author() };
    let elsewhere = ProjectId::new("neighbour").unwrap();
    let all = [
        started_review("a", 1, "j1"),
        absorbed_review("b", 2, "c"),
        started_review("c", 3, "j2"),
        Review { author: bens.clone(), ..started_review("d", 4, "j3") },
        Review { request: Some(RevisionRequest { message: None }), ..started_review("q", 5, "j4") },
        Review { project: elsewhere, ..started_review("e", 6, "j5") },
        review("f", 9, refused_after_failure()),
        started_review("g", 12, "j6"),
    ];
    let of = |kind, covered: &[Review]| {
        jobs_of_earlier_requests(kind, covered, &all).into_iter().cloned().collect::<BTreeSet<JobId>>()
    };
    let earlier_jobs = |covered: &[Review]| of(ForgeKind::Bitbucket, covered);
    let jobs = |names: &[&str]| names.iter().map(|name| job_id(name)).collect::<BTreeSet<JobId>>();
    // All earlier jobs count, because Bitbucket forgets withdrawn requests.
    assert_eq!(earlier_jobs(&[started_review("h", 8, "j")]), jobs(&["j1", "j2"]));
    assert!(of(ForgeKind::GitHub, &[started_review("h", 8, "j")]).is_empty(), "each has its own text");
    assert_eq!(earlier_jobs(&[started_review("h", 10, "j")]), jobs(&["j1", "j2"]), "no job has the refused review");
    assert_eq!(earlier_jobs(&[absorbed_review("b", 2, "c")]), jobs(&["j1"]));
    let these = [started_review("h", 8, "j"), started_review("c", 3, "j"), absorbed_review("b", 2, "c")];
    assert_eq!(earlier_jobs(&these), jobs(&["j1"]), "not itself");
    assert_eq!(earlier_jobs(&[Review { author: bens, ..started_review("h", 8, "j") }]), jobs(&["j3"]));
    let request = Review { request: Some(RevisionRequest { message: None }), ..started_review("h", 8, "j") };
    for nobody in [started_review("a", 1, "j"), request] {
        assert!(earlier_jobs(std::slice::from_ref(&nobody)).is_empty(), "{nobody:?}");
    }
}

#[test]
fn request_of_the_same_moment_is_not_earlier() {
    let covered = [started_review("b", 2, "j")];
    let earlier_count = |submitted_at| {
        let all = [Review { submitted_at, ..started_review("a", 1, "j1") }];
        jobs_of_earlier_requests(ForgeKind::Bitbucket, &covered, &all).len()
    };
    assert_eq!([just_before(time_at(2)), time_at(2), time_at(3)].map(earlier_count), [1, 0, 0]);
}

#[test]
fn broken_absorption_chain_ends_where_it_is() {
    let chain = [absorbed_review("a", 1, "gone")];
    assert_eq!(resolve_absorbed(&chain[0], &chain).id, review_id("a"));
    let ring = [absorbed_review("a", 1, "b"), absorbed_review("b", 2, "a")];
    resolve_absorbed(&ring[0], &ring);
    assert!(covered_reviews(&job_id("j"), &ring).is_empty());
}

#[test]
fn reviews_are_ordered_by_forge_time_then_ours_then_name() {
    let later = |review: Review, secs| Review { at: time_at(secs), ..review };
    let has = |name, secs| started_review(name, secs, "j");
    for (older, newer) in
        [(has("b", 1), later(has("a", 2), 0)), (has("b", 1), later(has("a", 1), 21)), (has("a", 1), has("b", 1))]
    {
        let expected = [older.id.to_string(), newer.id.to_string()];
        assert_eq!(review_ids(&covered_reviews(&job_id("j"), &[newer, older])), expected);
    }
}

#[test]
fn user_request_keeps_its_message() {
    let of =
        |asks| Review::from_event(&event(asks), &project_id(), &key(), ReviewState::Deferred {}, time_at(20)).request;
    assert_eq!(of(RequestedAction::Changes {}), None);
    assert_eq!(of(RequestedAction::Revision { message: None }), Some(RevisionRequest { message: None }));
    let message = Some("use a map".to_owned());
    assert_eq!(of(RequestedAction::Revision { message: message.clone() }), Some(RevisionRequest { message }));
}

#[test]
fn review_has_one_ledger_entry_from_any_source() {
    let original = event(RequestedAction::Changes {});
    let again =
        ReviewEvent { source: Source::Poll, delivery: Some(crate::fixtures::event_id("other")), ..original.clone() };
    let project = project_id();
    assert_eq!(original.ledger_id(&project), again.ledger_id(&project));
    let mut elsewhere = original.clone();
    elsewhere.pull_request.id.integration = IntegrationId::new("gh2").unwrap();
    assert_ne!(original.ledger_id(&project), elsewhere.ledger_id(&project));
    let other = ReviewEvent { review: review_id("81"), ..original.clone() };
    assert_ne!(original.ledger_id(&project), other.ledger_id(&project));
    let neighbour = ProjectId::new("neighbour").unwrap();
    assert_ne!(original.ledger_id(&project), original.ledger_id(&neighbour), "an entry per project");
}
