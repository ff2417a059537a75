//! Tests the plan of a new job and its effect on the ticket.

use super::*;
use crate::agent::{Agent, CODEX, ModelSecrets};
use crate::fixtures::{
    REVIEW, TODO, TRIGGER, active, entry, finish, job_and_ticket, job_id, key, linked_pull_request, plan, plan_job,
    pull_request_id, repository, result, review_id, revision, settings, ticket_in, time_at,
};
use crate::kinds::{RevisionPlan, plan_revision, plan_without_ticket};
use crate::project::{Limits, Repository, Settings};
use crate::ticket::{Badge, StatusMove, Target, Ticket};

#[test]
fn plan_locks_the_ticket_and_clears_old_marks() {
    let mut before = ticket_in(TRIGGER).hold_entry(entry("e9", 1));
    (before.owed, before.tries, before.not_before) = (Some(Badge::AiFailed), 3, Some(time_at(90)));
    before.wanted.badge = Some(Badge::AiFailed);
    before.wanted.version = 4;
    before.synced_version = 4;
    before.branches = 2;
    let (job, ticket) = plan_job(&settings(), job_id("j9"), &before, time_at(50));
    assert_eq!(
        (job.status, job.attempt, job.created, job.ready_since),
        (JobStatus::Ready, 0, time_at(50), time_at(50))
    );
    assert_eq!(job.dispatch.due, time_at(50).plus(WAKE_TIMEOUT));
    assert_eq!((job.branch.as_str(), ticket.branches), ("pullyard/acme/app-17-3", 3));
    assert_eq!(ticket.active_job, Some(job_id("j9")));
    assert_eq!((ticket.found_in.as_deref(), ticket.again.as_ref()), (Some(TRIGGER), None));
    assert_eq!((ticket.wanted.badge, ticket.wanted.version), (None, 5));
    assert_eq!((ticket.held, ticket.owed, ticket.tries, ticket.not_before), (false, None, 0, None));
    assert!(!job_and_ticket().1.is_unsynced());
}

#[test]
fn new_job_cancels_an_older_pending_move() {
    // The last job's move was not written yet when a person moved the ticket in again.
    let mut before = ticket_in(TRIGGER);
    let expected = TRIGGER.to_owned();
    before.request_state(Some(StatusMove { to: Target::Completion, expected }), None, None);
    assert!(before.is_unsynced());
    let (_, ticket) = plan_job(&settings(), job_id("j9"), &before, time_at(50));
    assert_eq!(ticket.wanted.status, None);
    match ticket.next_settle_step(&settings(), time_at(1_000)) {
        crate::ticket::SettleStep::WriteBack(written) => assert_eq!(written.status, TRIGGER, "not {REVIEW} or {TODO}"),
        other => panic!("link and badge are not written back: {other:?}"),
    }
}

#[test]
fn job_continues_only_the_pull_request_of_its_repository() {
    let mut ticket = ticket_in(TRIGGER);
    let done = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
    ticket.pull_request = crate::review::outcome::pull_request_link(&done);
    let continued =
        |ticket: &crate::ticket::Ticket| plan_job(&settings(), job_id("j9"), ticket, time_at(50)).0.continues;
    let expected = ContinuedPullRequest { number: 231, branch: "pullyard/acme/app-17-1".into() };
    assert_eq!(continued(&ticket), Some(expected));
    let mut elsewhere = ticket.clone();
    elsewhere.pull_request.as_mut().unwrap().id.repository = 98;
    assert_eq!(continued(&elsewhere), None);
    let mut other_host = ticket;
    other_host.pull_request.as_mut().unwrap().id.integration = IntegrationId::new("gh2").unwrap();
    assert_eq!(continued(&other_host), None);
}

#[test]
fn default_input_limit_of_a_week_is_not_stored() {
    let week = plan_job(&settings(), job_id("j9"), &ticket_in(TRIGGER), time_at(50)).0.policy;
    assert_eq!((week.input_secs, week.max_suspension()), (None, DEFAULT_SUSPENSION_LIMIT));
    let mut short = settings();
    short.limits.input_secs = 600;
    let short = plan_job(&short, job_id("j9"), &ticket_in(TRIGGER), time_at(50)).0.policy;
    assert_eq!((short.input_secs, short.max_suspension()), (Some(600), Duration::from_secs(600)));
}

#[test]
fn revision_locks_its_ticket_in_place() {
    let before = ticket_in(REVIEW).schedule_review(&pull_request_id(9), time_at(70));
    let before = Ticket { held: true, tries: 3, not_before: Some(time_at(90)), ..before };
    let (job, ticket, pull_request) = revision("r1", &before, &linked_pull_request(), time_at(50));
    let expected = Ticket {
        active_job: Some(job.id.clone()),
        found_in: Some(REVIEW.into()),
        held: false,
        tries: 0,
        not_before: None,
        ..before
    };
    assert_eq!(ticket, expected);
    assert_eq!(
        (job.kind, job.status, job.branch.as_str()),
        (JobKind::Revise, JobStatus::Pending, "pullyard/acme/app-17-1")
    );
    assert_eq!((&job.waits, &job.ticket), (&Some(ContextWait::new(time_at(50))), &Some(key())));
    assert_eq!(pull_request.revised.map(|revised| revised.at), Some(time_at(50)));
}

#[test]
fn revision_starts_at_the_given_or_the_known_head() {
    let head = |forge_head: Option<&str>| {
        let (settings, repository) = (settings(), repository());
        let plan = plan(job_id("j9"), &settings, &repository, time_at(50));
        let made_for = RevisionPlan { review: &review_id("r1"), head: forge_head };
        let (job, _, pull_request) = plan_revision(&plan, &ticket_in(REVIEW), &linked_pull_request(), made_for);
        (job.revises.unwrap().head, pull_request.head)
    };
    assert_eq!(head(Some("abc")), ("abc".to_owned(), "abc".to_owned()));
    assert_eq!(head(None), ("9f3".to_owned(), "9f3".to_owned()));
}

#[test]
fn job_uses_the_project_key_of_its_agent() {
    let job_with = |model_secrets| {
        let settings = Settings { model_secrets, ..settings() };
        let agent = Agent { capability: CODEX.into(), command: Vec::new(), model: None };
        let repository = Repository { agent, ..repository() };
        plan_without_ticket(&plan(job_id("j9"), &settings, &repository, time_at(50)))
    };
    let key = || Some("pullyard/job/key".to_owned());
    let has = job_with(ModelSecrets { openai_api_key: key(), ..ModelSecrets::default() });
    let has_none = job_with(ModelSecrets { claude_token: key(), ..ModelSecrets::default() });
    assert_eq!((has.policy.model_of.as_deref(), has.policy.key_owner()), (Some(CODEX), KeyOwner::Project));
    assert_eq!((has_none.policy.model_of.as_deref(), has_none.policy.key_owner()), (None, KeyOwner::Runner));
    assert_ne!(has.class, has_none.class, "the accounts differ");
}

#[test]
fn project_limits_become_the_job_policy() {
    let mut settings = settings();
    settings.limits = Limits {
        wall_secs: 601,
        stall_secs: 302,
        requeues: 3,
        cost_usd_micros: Some(40_000),
        turns: Some(5),
        input_secs: 607,
        running_jobs: None,
        unclaimed_secs: 608,
        ..Limits::default()
    };
    settings.offline = OfflinePolicy::Requeue;
    settings.resume = Resume::Require;
    let expected = JobPolicy {
        wall_secs: 601,
        stall_secs: 302,
        requeues: 3,
        offline: OfflinePolicy::Requeue,
        cost_usd_micros: Some(40_000),
        turns: Some(5),
        input_secs: Some(607),
        resume: Resume::Require,
        model_of: None,
        signs: false,
        uses_runner_token: false,
    };
    assert_eq!(plan_job(&settings, job_id("j9"), &ticket_in(TRIGGER), time_at(50)).0.policy, expected);
}
