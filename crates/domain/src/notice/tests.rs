use super::*;
use crate::fixtures::{
    active, awaiting_input_job, crash_failure, finish, job_id, paused_job, project_id, ready_job, result, time_at,
};
use crate::job::{Cancel, End};
use crate::project::Settings;
use crate::setting_fault::SettingFault;
use crate::text::Span;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const SETUP: &str = "https://p.example/setup/notifications?project=acme";

fn endpoint(id: &str, kind: EndpointKind) -> Endpoint {
    let name = |name: &str| Some(format!("pullyard/user/{name}"));
    let id = EndpointId::new(id).unwrap();
    match kind {
        EndpointKind::Slack => Endpoint { id, kind, url: None, url_secret: name("slack"), secret: None, events: None },
        EndpointKind::Webhook => {
            let url = Some("https://hooks.acme.example/p".into());
            Endpoint { id, kind, url, url_secret: None, secret: name("hook"), events: None }
        }
    }
}

fn slack() -> Endpoint {
    endpoint("ops", EndpointKind::Slack)
}

fn webhook() -> Endpoint {
    endpoint("ci", EndpointKind::Webhook)
}

fn state(endpoint: &Endpoint) -> EndpointState {
    EndpointState::new(project_id(), endpoint.id.clone())
}

fn failed() -> Job {
    finish(&active(JobStatus::Executing), End::Failed(crash_failure(), None))
}

fn notice_to(number: u32, endpoint: &Endpoint, now: Timestamp) -> Notice {
    let data = NoticeData::of_job(NoticeEvent::JobFailed, &failed(), "https://p.example/jobs/x".into());
    let id = NoticeId::for_job(&job_id("j"), number, "job.failed");
    Notice::new(id, NoticeEvent::JobFailed, data, [endpoint], now).unwrap()
}

#[test]
fn event_follows_the_new_state_of_a_job() {
    let job = active(JobStatus::Executing);
    let fail = |failure: Failure| finish(&job, End::Failed(failure, None));
    let spent = Failure::CostLimit { spent: "$2".into(), limit: "$1".into() };
    let stalled = Failure::Stalled { limit: Span(900), event: "Bash".into() };
    let cancel = Cancel::new("ana", None, time_at(1));
    for (after, event) in [
        (fail(crash_failure()), Some(NoticeEvent::JobFailed)),
        (fail(Failure::TimeLimit { limit: Span(60) }), Some(NoticeEvent::JobTimedOut)),
        (fail(stalled), Some(NoticeEvent::JobTimedOut)),
        (fail(spent), Some(NoticeEvent::JobCostExceeded)),
        (finish(&active(JobStatus::Syncing), End::Completed(Some(result()))), Some(NoticeEvent::JobCompleted)),
        (ready_job().cancel(cancel, time_at(1)).unwrap(), Some(NoticeEvent::JobCancelled)),
        (awaiting_input_job(), Some(NoticeEvent::JobAsks)),
        (paused_job(), None),
        (ready_job(), None),
        (job.clone(), None),
    ] {
        assert_eq!(NoticeEvent::of_job(&job, &after), event, "{:?}", after.status);
    }
}

#[test]
fn completed_job_is_only_reported_to_subscribers() {
    let completed = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
    let notice = |endpoints: &[Endpoint]| {
        Notice::of_job(&active(JobStatus::Executing), &completed, endpoints, "u".into(), time_at(9))
    };
    assert_eq!(notice(&[]), None);
    assert_eq!(notice(&[slack(), webhook()]), None);
    let chosen = Endpoint { events: Some([NoticeEvent::JobCompleted].into()), ..webhook() };
    let notice = notice(&[slack(), chosen.clone()]).unwrap();
    assert_eq!(notice.to.keys().collect::<Vec<_>>(), [&chosen.id]);
    assert_eq!(notice.next(), Some(time_at(9)));
    assert!(!chosen.receives(NoticeEvent::JobFailed), "a choice replaces the default");
}

#[test]
fn body_has_the_facts_and_no_words_of_the_agent() {
    let failure =
        Failure::AgentFailed { agent: "Codex".into(), exit: "code 1".into(), last_words: "planted words".into() };
    let job = finish(&active(JobStatus::Executing), End::Failed(failure, None));
    let url = format!("https://p.example/jobs/{}", job.id);
    let notice = Notice::of_job(&active(JobStatus::Executing), &job, &[webhook()], url.clone(), time_at(9)).unwrap();
    let body = serde_json::to_value(notice.message()).unwrap();
    let data = serde_json::json!({
        "project": "acme", "job": job.id, "ticket": "APP-17", "kind": "implement", "attempt": 1, "code": "agent_failed",
        "class": "agent", "sentence": "Codex stopped with code 1: \"…\".",
        "help": "Read `pullyard jobs logs`; then `pullyard jobs retry`.", "spent_usd_micros": 0, "url": url,
    });
    let expected = serde_json::json!({ "type": "job.failed", "timestamp": time_at(9).to_string(), "data": data });
    assert_eq!(body, expected);
    assert!(body.to_string().len() < 2_048);
    let mut quotes = 0;
    for failure in Failure::samples() {
        let mut facts = serde_json::to_value(&failure).unwrap();
        for fact in ["last_words", "event"] {
            if let Some(words) = facts.get_mut(fact) {
                (*words, quotes) = ("planted words".into(), quotes + 1);
            }
        }
        let failure: Failure = serde_json::from_value(facts).unwrap();
        let job = finish(&active(JobStatus::Executing), End::Failed(failure.clone(), None));
        let data = NoticeData::of_job(NoticeEvent::JobFailed, &job, "u".into());
        assert!(!data.sentence.contains("planted"), "{}: {}", failure.code(), data.sentence);
    }
    assert_eq!(quotes, 4);
}

#[test]
fn faulty_endpoints_are_refused() {
    let refusal = |notifications: Vec<Endpoint>| {
        let fault = Settings { notifications, ..Settings::default() }.validate();
        fault.err().map(|SettingFault { pointer, fault }| format!("{pointer}: {fault}")).unwrap_or_default()
    };
    assert_eq!(refusal(vec![slack(), webhook()]), "");
    let in_secret = Endpoint { url: None, url_secret: Some("pullyard/user/u".into()), ..webhook() };
    assert_eq!(refusal(vec![in_secret.clone()]), "");
    let named = |n: usize| endpoint(&format!("e{n}"), EndpointKind::Slack);
    assert_eq!(refusal((0..8).map(named).collect()), "");
    for (endpoints, text) in [
        ((0..9).map(named).collect(), "at most 8"),
        (vec![slack(), slack()], "an id of its own"),
        (vec![Endpoint { url: webhook().url, url_secret: None, ..slack() }], "a Slack URL is a password"),
        (vec![Endpoint { secret: webhook().secret, ..slack() }], "Slack"),
        (vec![Endpoint { secret: None, ..webhook() }], "`secret`"),
        (vec![Endpoint { url: webhook().url, ..in_secret }], "either `url`"),
        (vec![Endpoint { url: Some("x".repeat(2_001)), ..webhook() }], "2000 bytes"),
        (vec![Endpoint { events: Some([].into()), ..slack() }], "choose from job.failed, "),
        (vec![Endpoint { events: Some([NoticeEvent::Test].into()), ..slack() }], "choose from"),
    ] {
        let refused = refusal(endpoints);
        assert!(refused.starts_with("/notifications: ") && refused.contains(text), "{refused}");
    }
}

#[test]
fn status_decides_what_follows() {
    let after = Some(Duration::from_secs(30));
    for (status, retry_after, to_webhook, to_slack) in [
        (200, None, Answer::Accepted, Answer::Accepted),
        (204, after, Answer::Accepted, Answer::Accepted),
        (302, None, Answer::Failed, Answer::Failed),
        (404, None, Answer::Failed, Answer::Gone),
        (410, None, Answer::Gone, Answer::Gone),
        (429, None, Answer::Failed, Answer::Failed),
        (429, after, Answer::Rest(Duration::from_secs(30)), Answer::Rest(Duration::from_secs(30))),
        (503, Some(100 * HOUR), Answer::Rest(24 * HOUR), Answer::Rest(24 * HOUR)),
        (500, after, Answer::Failed, Answer::Failed),
    ] {
        assert_eq!(Answer::from_status(EndpointKind::Webhook, status, retry_after), to_webhook, "{status}");
        assert_eq!(Answer::from_status(EndpointKind::Slack, status, retry_after), to_slack, "{status}");
    }
}

/// Sends the notice at each of its due times until it no longer waits.
fn send_all(notice: Notice, state: EndpointState, endpoint: &Endpoint, answer: Answer) -> (Sent, Timestamp, u32) {
    let mut sent = Sent { notice, state, disabled: None };
    for tries in 1.. {
        let now = sent.notice.next().unwrap();
        sent = record_try(&sent.notice, &sent.state, endpoint, (answer, "connection refused"), SETUP, now).unwrap();
        if sent.notice.next().is_none() {
            return (sent, now, tries);
        }
    }
    unreachable!()
}

#[test]
fn endpoint_is_disabled_after_three_days_of_failures() {
    let first = notice_to(1, &webhook(), time_at(0));
    let (sent, end, tries) = send_all(first.clone(), state(&webhook()), &webhook(), Answer::Failed);
    assert_eq!(tries, 10);
    let hours = end.since(time_at(0)).as_secs() / 3_600;
    assert!((72..=84).contains(&hours), "{hours} h");
    assert_eq!(sent.state.disabled.as_deref(), Some("10 failures in 3 days, the last: connection refused"));
    let (_, data) = sent.disabled.unwrap();
    assert!(data.sentence.starts_with("The endpoint ci receives no more notices: 10 failures"), "{}", data.sentence);
    let delivery = &sent.notice.to[&webhook().id];
    assert_eq!((delivery.state, delivery.failures, delivery.next), (DeliveryState::Dead, 10, None));
    // Ten failures of one hour are no reason.
    let mut busy = state(&webhook());
    for number in 0..20 {
        let notice = notice_to(number, &webhook(), time_at(u64::from(number)));
        let sent =
            record_try(&notice, &busy, &webhook(), (Answer::Failed, "x"), SETUP, time_at(u64::from(number))).unwrap();
        assert_eq!((&sent.state.disabled, &sent.disabled), (&None, &None));
        busy = sent.state;
    }
    // A success begins again.
    let ok = record_try(&first, &busy, &webhook(), (Answer::Accepted, "200"), SETUP, time_at(99)).unwrap();
    assert_eq!((ok.state.failures, ok.state.failing_since, ok.state.sent_at), (0, None, Some(time_at(99))));
    assert_eq!(ok.notice.to[&webhook().id].state, DeliveryState::Sent);
    assert_eq!(record_try(&ok.notice, &ok.state, &webhook(), (Answer::Accepted, "200"), SETUP, time_at(99)), None);
}

#[test]
fn gone_endpoint_is_disabled_at_once_and_enabled_by_a_user() {
    let notice = notice_to(1, &slack(), time_at(0));
    let (sent, _, tries) = send_all(notice, state(&slack()), &slack(), Answer::Gone);
    assert_eq!((tries, sent.state.disabled.as_deref()), (1, Some("connection refused")));
    let enabled = EndpointState { rev: 4, ..sent.state }.enable();
    assert_eq!(enabled, EndpointState { rev: 4, ..state(&slack()) });
    let again = sent.notice.redeliver(time_at(7)).unwrap();
    assert_eq!(again.to[&slack().id], NoticeDelivery::due_at(time_at(7)));
    assert_eq!(again.redeliver(time_at(7)), None);
}

#[test]
fn resting_endpoint_costs_no_try() {
    let notice = notice_to(1, &webhook(), time_at(0));
    let rest_for = Answer::Rest(Duration::from_secs(30));
    let sent = record_try(&notice, &state(&webhook()), &webhook(), (rest_for, "429"), SETUP, time_at(0)).unwrap();
    assert_eq!((sent.notice.next(), sent.state.rest_until), (Some(time_at(30)), Some(time_at(30))));
    assert_eq!((sent.state.failures, sent.notice.to[&webhook().id].failures), (0, 0));
    let other = rest(&notice_to(2, &webhook(), time_at(1)), &webhook().id, sent.state.rest_until, "").unwrap();
    assert_eq!(other.next(), Some(time_at(30)));
    let dead = rest(&other, &webhook().id, None, "its endpoint was deleted").unwrap();
    assert_eq!((dead.next(), dead.to[&webhook().id].state), (None, DeliveryState::Dead));
}

#[test]
fn delays_follow_the_ladder_within_a_tenth() {
    let endpoint = EndpointId::new("ci").unwrap();
    let mut delays = Vec::new();
    for job in 0..200 {
        let id = NoticeId::for_job(&job_id("j"), job, "job.failed");
        for (failures, secs) in (1..).zip([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]) {
            let delay = send::retry_delay(&id, &endpoint, failures).unwrap().as_secs_f64();
            assert!((0.9..=1.1).contains(&(delay / f64::from(secs))), "{delay} of {secs}");
            delays.push(delay / f64::from(secs));
        }
        assert_eq!(send::retry_delay(&id, &endpoint, 10), None);
    }
    assert!(delays.iter().any(|delay| *delay < 0.92) && delays.iter().any(|delay| *delay > 1.08));
}

/// Sends notices to Slack: the single ones, the held ones, and the digest.
fn burst(count: u32, from: EndpointState, now: Timestamp) -> (u32, Vec<Notice>, Option<Notice>, EndpointState) {
    let (mut single, mut held, mut digest, mut state) = (0, Vec::new(), None, from);
    for number in 0..count {
        let notice = notice_to(number, &slack(), now);
        match state.digest(slack().kind, now) {
            None => {
                let sent = record_try(&notice, &state, &slack(), (Answer::Accepted, "200"), SETUP, now).unwrap();
                (single, state) = (single + 1, sent.state);
            }
            Some(id) => {
                let (notice, next, new) = hold_for_digest(&notice, &state, id, SETUP, now).unwrap();
                assert_eq!(notice.next(), None);
                held.push(notice);
                state = next;
                assert!(digest.is_none() || new.is_none(), "a second digest");
                digest = digest.or(new);
            }
        }
    }
    (single, held, digest, state)
}

#[test]
fn burst_reaches_slack_as_five_messages_and_a_digest() {
    let (single, held, digest, state) = burst(1_000, state(&slack()), time_at(0));
    let digest = digest.unwrap();
    assert_eq!((single, held.len(), digest.next()), (5, 995, Some(time_at(900))));
    assert!(held.iter().all(|notice| notice.to[&slack().id].digest.as_ref() == Some(&digest.id)));
    let text = digest_text(&state, &held).unwrap();
    assert!(text.starts_with("Also: 995 × job.failed. The newest:\n• job.failed APP-17: "), "{text}");
    assert_eq!(text.lines().count(), 1 + DIGEST_SENTENCES);
    // The window lasts until its digest is sent.
    assert_eq!(state.digest(EndpointKind::Slack, time_at(5_000)), Some(digest.id.clone()));
    let sent = record_try(&digest, &state, &slack(), (Answer::Accepted, "200"), SETUP, time_at(900)).unwrap();
    assert_eq!(sent.state.window, None);
    assert_eq!(digest_text(&sent.state, &held), None);
    let (single, _, next, _) = burst(6, sent.state, time_at(901));
    assert!(single == 5 && next.is_some_and(|next| next.id != digest.id));
}

#[test]
fn few_notices_and_webhooks_have_no_digest() {
    let (single, held, _, five) = burst(5, state(&slack()), time_at(0));
    assert_eq!((single, held.len()), (5, 0));
    assert_eq!(five.digest(EndpointKind::Webhook, time_at(1)), None);
    assert!(five.digest(EndpointKind::Slack, time_at(899)).is_some());
    assert_eq!(five.digest(EndpointKind::Slack, time_at(900)), None, "the window is over");
}
