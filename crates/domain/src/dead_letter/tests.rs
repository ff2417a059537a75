use super::*;
use crate::delivery::Source;
use crate::id::{EventId, RepositoryName};
use crate::job::{Cancel, End};
use crate::pull_request::PullRequestState;
use crate::review::{Asks, Author, SeenPullRequest};
use crate::story::{
    active, at, entry, finished, job_and_ticket, job_id, key, linked, pending, project_id, pull_request_id, ready,
    result, review_id, ticket_in,
};
use crate::task_stopped::StopCause;
use crate::ticket::{Badge, Entry};
use std::collections::BTreeSet;

#[track_caller]
fn check(subject: Subject, code: &str, advice: Advice) -> DeadLetter {
    let said = subject.explained(at(400));
    assert_eq!((said.code(), said.class()), (code, advice), "{}", said.sentence());
    assert!(subject.may_be_redriven(Queue::Effects), "{code}");
    said
}

fn start(job: Job) -> Subject {
    Subject::Start(job.id.clone(), Some(job.into()))
}

fn settle(ticket: Ticket) -> Subject {
    Subject::Settle(ticket.project.clone(), ticket.key.clone(), Some(ticket.into()))
}

#[test]
fn a_start_matters_only_while_its_job_waits_for_one() {
    check(Subject::Start(job_id("j"), None), "start_gone", Advice::Drop);
    let owed = check(start(ready()), "start_owed", Advice::Either);
    // Due after 60 s: the next sweep is now.
    assert!(owed.sentence().ends_with(&format!("at {}.", said(at(400)))), "{}", owed.sentence());
    // Written down, and perhaps never asked for: the same as waiting.
    let begun = ready().dispatched(at(390)).unwrap();
    let owed = check(start(begun.clone()), "start_owed", Advice::Either);
    assert!(owed.sentence().contains(&said(at(690))), "{}", owed.sentence());
    check(start(begun.start_named(1, 1, "task").unwrap()), "start_under_way", Advice::Drop);
    check(start(Job { place: Place::Runners, ..ready() }), "start_elsewhere", Advice::Drop);
    check(start(pending()), "start_not_needed", Advice::Drop);
    check(start(active(Status::Executing)), "start_not_needed", Advice::Drop);
    let done = finished(&active(Status::Syncing), End::Completed(result()));
    let said = check(start(done), "start_not_needed", Advice::Drop).sentence();
    assert!(said.contains("which is completed and needs none"), "{said}");
    let cancelled = ready().cancelled(Cancel::new("ann", None, at(1)), at(1)).unwrap();
    check(start(cancelled), "start_not_needed", Advice::Drop);
    let left = begun.cancelled(Cancel::new("ann", None, at(395)), at(395)).unwrap();
    check(start(left), "stop_owed", Advice::Redrive);
}

fn said(at: Timestamp) -> String {
    crate::text::Fact::say(&at)
}

#[test]
fn a_settling_matters_only_while_its_ticket_needs_it() {
    check(Subject::Settle(project_id(), key(), None), "settle_gone", Advice::Drop);
    check(settle(ticket_in("Todo")), "settle_done", Advice::Drop);
    // What is left is seen to when its job ends.
    check(settle(job_and_ticket().1), "settle_done", Advice::Drop);
    let mut owed = ticket_in("Todo");
    owed.want(None, Some(Badge::AiFailed), None);
    owed.not_before = Some(at(500));
    let said_of = check(settle(owed), "settle_owed", Advice::Either);
    assert!(said_of.sentence().contains(&said(at(500))), "{}", said_of.sentence());
    let held = Ticket { held: true, again: Some(entry("e", 1)), ..ticket_in("AI Processing") };
    check(settle(held), "settle_held", Advice::Drop);
}

#[test]
fn an_admission_matters_only_while_its_job_is_pending() {
    check(Subject::Admit(job_id("j"), None), "admit_gone", Advice::Drop);
    let admit = |job: Job| Subject::Admit(job.id.clone(), Some(job.into()));
    check(admit(pending()), "admit_owed", Advice::Either);
    check(admit(ready()), "admit_done", Advice::Drop);
}

#[test]
fn a_note_matters_only_while_it_is_not_written() {
    check(Subject::Tell(pull_request_id(231), None), "tell_gone", Advice::Drop);
    let tell = |stored: PullRequest| Subject::Tell(stored.id.clone(), Some(stored.into()));
    check(tell(linked()), "tell_done", Advice::Drop);
    check(tell(PullRequest { note_version: 1, ..linked() }), "tell_owed", Advice::Either);
}

#[test]
fn looks_come_again_by_themselves() {
    let hook = HookName::new("acme").unwrap();
    check(Subject::Recover(hook, None), "hook_gone", Advice::Drop);
    let look = |poll: Option<Poll>| Subject::Poll {
        project: project_id(),
        integration: IntegrationId::new("gh1").unwrap(),
        repository: 99,
        poll: poll.map(Box::new),
    };
    check(look(None), "poll_off", Advice::Drop);
    let poll = Poll {
        project: project_id(),
        integration: IntegrationId::new("gh1").unwrap(),
        repository: 99,
        ingress: crate::hook::Ingress::Poll,
        gone_at: None,
        next: at(600),
        look: Default::default(),
        tries: 3,
        not_before: None,
        rev: 1,
    };
    check(look(Some(poll.clone())), "poll_due", Advice::Drop);
    check(look(Some(Poll { gone_at: Some(at(1)), ..poll })), "poll_off", Advice::Drop);
}

fn event() -> ReviewEvent {
    ReviewEvent {
        source: Source::Webhook,
        delivery: None,
        review: review_id("r1"),
        asks: Asks::Changes {},
        author: Author { id: 7, login: "ann".into(), bot: false },
        submitted_at: at(1),
        marked: false,
        pull_request: SeenPullRequest {
            id: pull_request_id(231),
            repository: RepositoryName::new("acme/app").unwrap(),
            state: PullRequestState::Open,
            head: "9f3".into(),
            branch: "b".into(),
            url: "https://forge.test/acme/app/pull/231".into(),
            updated_at: at(1),
        },
    }
}

fn ledger_entry() -> DeliveryId {
    event().ledger_id(&project_id())
}

fn decided(reason: Reason) -> Subject {
    let delivery = Delivery {
        id: ledger_entry(),
        project: project_id(),
        source: Source::Webhook,
        event: EventId::new("e").unwrap(),
        ticket: None,
        at: at(2),
        reason,
        job: None,
        facts: None,
        review: None,
        seen: Vec::new(),
    };
    Subject::Review(event().into(), ledger_entry(), Some(delivery.into()))
}

#[test]
fn a_review_that_nobody_decided_is_known_to_its_message_only() {
    check(Subject::Review(event().into(), ledger_entry(), None), "review_owed", Advice::Redrive);
    let owed = check(decided(Reason::Queued { pr: "acme/app#231".into() }), "review_owed", Advice::Redrive);
    assert!(owed.help().contains(ledger_entry().as_str()), "{}", owed.help());
    check(
        decided(Reason::Contended { subject: "it".into(), left: crate::text::Span(1) }),
        "review_owed",
        Advice::Redrive,
    );
    let over = check(decided(Reason::Accepted { job: job_id("j") }), "review_decided", Advice::Drop);
    assert!(over.sentence().ends_with("decided since: `accepted`."), "{}", over.sentence());
}

#[test]
fn an_item_that_cant_be_read_hides_no_other_letter() {
    let reason = format!("understand the item JOB#1 / JOB: {}", "x".repeat(500));
    let said = check(Subject::Corrupt(reason), "item_unreadable", Advice::Either);
    assert!(said.sentence().contains("understand the item JOB#1"), "{}", said.sentence());
    // A death has no queue to go back to: sent nowhere it would be lost.
    assert!(!Subject::Corrupt("x".into()).may_be_redriven(Queue::Undelivered));
}

#[test]
fn a_review_for_which_the_table_cant_be_read_is_no_less_known_to_its_message_only() {
    let reason = format!("read the item PR#gh1#99#231 / PR: {}", "x".repeat(500));
    let subject = Subject::ReviewCorrupt(event().into(), reason);
    assert_eq!((subject.about(), subject.name().as_deref()), (About::Review, Some("acme/app#231")));
    let said = check(subject, "review_unreadable", Advice::Redrive);
    assert!(said.sentence().contains("acme/app#231") && said.sentence().contains("PR#gh1#99"), "{}", said.sentence());
}

#[test]
fn a_death_matters_only_while_its_job_waits_for_that_task_or_is_held_by_it() {
    let of = |job: &Job, task: &str| {
        let stopped = TaskStopped {
            arn: task.into(),
            job: job.id.clone(),
            cause: StopCause::Exited { code: Some(1) },
            reason: "it ended".into(),
        };
        Subject::Death(Undone::Failed, Box::new(stopped), Some(Box::new(job.clone())))
    };
    let gone = match of(&ready(), "task") {
        Subject::Death(why, stopped, _) => Subject::Death(why, stopped, None),
        other => other,
    };
    check(gone, "death_gone", Advice::Drop);
    // On its way: the sweeper starts another when nobody claimed.
    let started = ready().dispatched(at(390)).unwrap().start_named(1, 1, "task").unwrap();
    let owed = check(of(&started, "task"), "death_owed", Advice::Either).sentence();
    assert!(owed.contains("failed three times when") && owed.contains(&said(at(690))), "{owed}");
    check(of(&started, "another"), "death_noted", Advice::Drop);
    // At work: the sweeper finds it at its time limit only.
    let mut working = active(Status::Executing);
    if let Some(run) = &mut working.run {
        run.task = Some("task".into());
    }
    check(of(&working, "task"), "death_owed", Advice::Either);
    check(of(&working, "an-older-one"), "death_noted", Advice::Drop);
    let noted = working.container_died("task", crate::failure::Failure::SpotInterrupted {}, at(399)).unwrap();
    check(of(&noted, "task"), "death_noted", Advice::Drop);
    let done = finished(&active(Status::Syncing), End::Completed(result()));
    let over = check(of(&done, "task"), "death_over", Advice::Drop).sentence();
    assert!(over.ends_with("which is completed by now."), "{over}");
    let other = Subject::DeathOfOther(Undone::Unreached);
    assert_eq!((other.about(), other.name(), other.project()), (About::Unknown, None, None));
    check(other, "death_of_other", Advice::Drop);
}

#[test]
fn what_cant_be_read_is_shown_tamely_and_never_sent_again() {
    let subject = Subject::Unreadable(format!("\u{1b}[31m{}\n\u{202e}", "x".repeat(10_000)));
    let said = subject.explained(at(0));
    assert_eq!((said.code(), said.class()), ("unreadable", Advice::Look));
    assert!(Queue::ALL.into_iter().all(|queue| !subject.may_be_redriven(queue)));
    let sentence = said.sentence();
    assert!(sentence.chars().count() <= 140 && !sentence.contains(['\u{1b}', '\n', '\u{202e}']), "{sentence}");
}

#[test]
fn an_advice_is_the_same_word_for_people_and_programs() {
    for advice in Advice::ALL {
        assert_eq!(serde_json::to_value(advice).unwrap(), advice.words());
    }
}

#[test]
fn every_row_is_a_short_sentence_and_no_code_is_another_vocabularys() {
    let mut codes = BTreeSet::new();
    for letter in DeadLetter::samples() {
        for text in [letter.sentence(), letter.help()] {
            assert!(text.ends_with('.') && text.chars().count() <= 140, "{text}");
        }
        assert!(codes.insert(letter.code()), "{} stands twice", letter.code());
    }
    for row in [Reason::rows(), crate::wait::Wait::rows(), crate::failure::Failure::rows()].concat() {
        assert!(!codes.contains(row.code), "{}", row.code);
    }
}

#[test]
fn what_is_due_is_what_the_table_itself_would_do() {
    // The advice never says "drop" where the sweeper has a row that it would not take up by itself.
    let entered = Ticket { again: Some(Entry { at: at(1), event: EventId::new("e").unwrap() }), ..ticket_in("Doing") };
    assert!(due::ticket(&entered).is_some());
    check(settle(entered), "settle_owed", Advice::Either);
}

#[test]
fn a_letter_is_shown_with_what_it_was_about_as_commands_name_that_and_whose_it_is() {
    let poll = Subject::Poll {
        project: project_id(),
        integration: IntegrationId::new("gh1").unwrap(),
        repository: 99,
        poll: None,
    };
    let admit = Subject::Admit(pending().id, Some(pending().into()));
    let acme = || Some(project_id());
    for (subject, about, name, project) in [
        (start(ready()), About::Job, ready().id.to_string(), acme()),
        (Subject::Start(job_id("j"), None), About::Job, job_id("j").to_string(), None),
        (admit, About::Job, pending().id.to_string(), acme()),
        (settle(ticket_in("Todo")), About::Ticket, "APP-17".into(), acme()),
        (Subject::Settle(project_id(), key(), None), About::Ticket, "APP-17".into(), acme()),
        (Subject::Tell(linked().id, Some(linked().into())), About::PullRequest, "#231".into(), acme()),
        (Subject::Tell(linked().id, None), About::PullRequest, "gh1/99/231".into(), None),
        (Subject::Recover(HookName::new("ours").unwrap(), None), About::Hook, "ours".into(), None),
        (poll, About::Repository, "gh1/99".into(), acme()),
        (decided(Reason::EditedReview {}), About::Review, "acme/app#231".into(), acme()),
    ] {
        assert_eq!((subject.about(), subject.name(), subject.project()), (about, Some(name), project));
    }
}
