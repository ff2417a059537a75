use super::*;
use pullyard_domain::run::dead_letter::{Advice, Subject};
use pullyard_domain::text::id::JobId;
use serde_json::json;

const UNREADABLE: &str = "This version of Pullyard can't read it.";

fn job_id() -> String {
    JobId::for_request(&"acme".parse().unwrap(), "request", "j").to_string()
}

fn check(queue: Queue, body: &str, advice: Advice, about: Subject, name: Option<&str>, sentence: &str) {
    let message = parse_dead_letter(queue, body);
    assert_eq!((message.advice(), message.subject()), (advice, about), "{body}");
    assert_eq!(message.subject_name().as_deref(), name, "{body}");
    assert_eq!(message.sentence(), sentence);
}

#[test]
fn dead_letter_names_its_subject_and_advice() {
    let job = job_id();
    let about_job = json!({ "job": job }).to_string();
    let start = format!("Starts or stops a task for job {job}.");
    check(Queue::Dispatch, &about_job, Advice::Either, Subject::Job, Some(&job), &start);
    let admit = format!("Reads the reviews of job {job}.");
    check(Queue::Effects, &about_job, Advice::Either, Subject::Job, Some(&job), &admit);
    let settle = json!({ "project": "acme", "ticket": "APP-1" }).to_string();
    check(Queue::Effects, &settle, Advice::Either, Subject::Ticket, Some("APP-1"), "Settles APP-1.");
    assert_eq!(parse_dead_letter(Queue::Effects, &settle).project(), Some(&"acme".parse().unwrap()));
    let poll = json!({ "poll": "acme", "integration": "gh1", "repository": 99 }).to_string();
    let look = "Polls repository gh1/99.";
    check(Queue::Effects, &poll, Advice::Either, Subject::Repository, Some("gh1/99"), look);
    let submission = json!({ "id": "a1", "project": "acme", "template": "ask" }).to_string();
    let start = "Starts template ask for submission a1.";
    check(Queue::Submissions, &submission, Advice::Redrive, Subject::Template, Some("ask"), start);
    // A sender of submissions cannot name an effect.
    check(Queue::Submissions, &settle, Advice::Look, Subject::Unknown, None, UNREADABLE);
}

#[test]
fn task_stop_is_redriven_only_when_a_job_started_the_task() {
    let event = |started_by: &str| {
        json!({ "detail-type": "ECS Task State Change", "source": "aws.ecs", "detail": {
            "taskArn": "task-1", "lastStatus": "STOPPED", "startedBy": started_by,
            "stopCode": "EssentialContainerExited", "stoppedReason": "it ended", "containers": [],
        } })
        .to_string()
    };
    let job = job_id();
    let death = format!("The tasks function was not reached when a task of job {job} stopped.");
    check(Queue::Undelivered, &event(&job), Advice::Redrive, Subject::Job, Some(&job), &death);
    let other = "The tasks function was not reached when a task stopped that no job had started.";
    check(Queue::Undelivered, &event("somebody"), Advice::Drop, Subject::Unknown, None, other);
}

#[test]
fn unreadable_message_gets_the_advice_look() {
    for queue in Queue::ALL {
        check(queue, "poison", Advice::Look, Subject::Unknown, None, UNREADABLE);
    }
}
