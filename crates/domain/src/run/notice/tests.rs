use super::*;
use crate::fixtures::{
    active, awaiting_input_job, crash_failure, finish, job_id, paused_job, project_id, ready_job, result, time_at,
};
use crate::job::{Cancel, End};
use crate::project::{Settings, validate_change};
use crate::text::Span;
use crate::text::setting_fault::SettingFault;
use std::collections::BTreeSet;
use std::time::Duration;

/// The texts of failures that notices quote.
const SHOWN_FACTS: &[&str] = &[
    "agent",
    "base",
    "branch",
    "command",
    "exit",
    "forge",
    "limit",
    "model",
    "pr",
    "reason of disk_limit",
    "reason of forge_unavailable",
    "reason of model_secret_missing",
    "reason of publishing_failed",
    "reason of review_not_posted",
    "reason of runner_removed",
    "reason of sandbox_failed",
    "reason of session_unreachable",
    "reason of source_unreachable",
    "reason of task_never_started",
    "reason of task_stopped",
    "reason of workspace_failed",
    "runner",
    "spent",
    "state",
    "what",
    "why",
];

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
    let (used, of) = ("$2".into(), "$1".into());
    let raise = "tickets raise APP-17".into();
    let ticket_limit = Failure::TicketLimit { ticket: "APP-17".into(), spent: used, limit: of, raise };
    let stalled = Failure::Stalled { limit: Span(900), event: "Bash".into() };
    let cancel = Cancel::new("ana", None, time_at(1));
    for (after, event) in [
        (fail(crash_failure()), Some(NoticeEvent::JobFailed)),
        (fail(Failure::TimeLimit { limit: Span(60) }), Some(NoticeEvent::JobTimedOut)),
        (fail(stalled), Some(NoticeEvent::JobTimedOut)),
        (fail(spent), Some(NoticeEvent::JobCostExceeded)),
        (fail(ticket_limit), Some(NoticeEvent::JobCostExceeded)),
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
fn job_of_a_step_is_reported_only_if_it_asks() {
    let run = crate::text::id::RunId::for_request(&project_id(), "ann", "k");
    let step = Some(crate::job::StepOfRun {
        run,
        name: "one".into(),
        may_change_nothing: false,
        reports: false,
        has_own_branch: false,
    });
    let of_step = |job: Job| Job { step: step.clone(), ..job };
    let before = of_step(active(JobStatus::Executing));
    assert_eq!(NoticeEvent::of_job(&before, &of_step(failed())), None);
    assert_eq!(NoticeEvent::of_job(&before, &of_step(awaiting_input_job())), Some(NoticeEvent::JobAsks));
}

#[test]
fn completed_job_is_only_reported_to_subscribers() {
    let completed = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
    let notice = |endpoints: &[Endpoint]| {
        Notice::of_job(&active(JobStatus::Executing), &completed, endpoints, "u".into(), time_at(9))
    };
    assert_eq!(notice(&[]), None);
    assert_eq!(notice(&[slack(), webhook()]), None);
    let chosen = Endpoint { events: Some(["job.completed".into()].into()), ..webhook() };
    let notice = notice(&[slack(), chosen.clone()]).unwrap();
    assert_eq!(notice.to.keys().collect::<Vec<_>>(), [&chosen.id]);
    assert_eq!(notice.waiting, [(chosen.id.clone(), time_at(9))].into());
    assert!(!chosen.receives(NoticeEvent::JobFailed), "a choice replaces the default");
}

#[test]
fn body_has_the_facts_and_no_words_of_the_agent() {
    let failure =
        Failure::AgentFailed { agent: "Codex".into(), exit: "code 1".into(), last_words: "planted words".into() };
    let job = finish(&active(JobStatus::Executing), End::Failed(failure, None));
    let url = format!("https://p.example/jobs/{}", job.id);
    let notice = Notice::of_job(&active(JobStatus::Executing), &job, &[webhook()], url.clone(), time_at(9)).unwrap();
    let body = serde_json::to_value(&notice.data).unwrap();
    let expected = serde_json::json!({
        "project": "acme", "job": job.id, "ticket": "APP-17", "kind": "implement", "attempt": 1, "code": "agent_failed",
        "class": "agent", "sentence": "Codex stopped with code 1: \"…\".",
        "help": "Read `pullyard jobs logs`; then `pullyard jobs retry`.", "spent_usd_micros": 0, "url": url,
        "pull_request": null,
    });
    assert_eq!(body, expected);
    assert!(body.to_string().len() < 2_048);
    let mut shown = BTreeSet::new();
    for sample in Failure::samples() {
        let facts = serde_json::to_value(&sample).unwrap();
        for name in facts.as_object().unwrap().keys().filter(|name| facts[*name].is_string()) {
            let mut facts = facts.clone();
            facts[name] = "planted words".into();
            let Ok(failure) = serde_json::from_value::<Failure>(facts) else { continue };
            let job = finish(&active(JobStatus::Executing), End::Failed(failure.clone(), None));
            let data = NoticeData::of_job(NoticeEvent::JobFailed, &job, "u".into());
            assert_eq!(data.code.as_deref(), Some(failure.code()));
            if (data.sentence + &data.help).contains("planted") {
                shown.insert(if name == "reason" { format!("{} of {}", name, failure.code()) } else { name.clone() });
            }
        }
    }
    let shown: Vec<_> = shown.iter().map(String::as_str).collect();
    assert_eq!(shown, SHOWN_FACTS);
}

#[test]
fn events_of_a_later_release_stay_in_settings() {
    let mut stored = serde_json::to_value(slack()).unwrap();
    stored["events"] = serde_json::json!(["run.paused"]);
    let later: Endpoint = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&later).unwrap(), stored);
    assert!(NoticeEvent::ALL.iter().all(|event| !later.receives(*event)));
    let settings = |endpoint: &Endpoint| Settings { notifications: vec![endpoint.clone()], ..Settings::default() };
    assert!(settings(&later).validate().is_ok());
    assert_eq!(validate_change(&settings(&later), &settings(&later)), Ok(()));
    let refused = validate_change(&settings(&slack()), &settings(&later)).unwrap_err();
    assert!(refused.fault.contains("choose from job.failed, "), "{}", refused.fault);
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
        (vec![Endpoint { events: Some([].into()), ..slack() }], "choose one at least"),
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

fn facts(notice: Notice, state: EndpointState, endpoint: &Endpoint, now: Timestamp) -> SendFacts {
    SendFacts { notice, state, endpoints: vec![endpoint.clone(), chat()], setup_url: SETUP.into(), now }
}

fn chat() -> Endpoint {
    endpoint("chat", EndpointKind::Slack)
}

#[track_caller]
fn recorded(facts: &SendFacts) -> NoticeRecord {
    match facts.step() {
        SendStep::Record(record) => *record,
        step => panic!("{step:?}"),
    }
}

/// Sends the notice at each of its due times until it no longer waits.
fn send_all(notice: Notice, state: EndpointState, to: &Endpoint, answer: Answer) -> (NoticeRecord, Timestamp, u32) {
    let mut sent = NoticeRecord { notice, state: Some(state), other: None };
    for tries in 1.. {
        let now = sent.notice.waiting[&to.id];
        let facts = facts(sent.notice, sent.state.unwrap(), to, now);
        assert_eq!(facts.step(), SendStep::Send(to.clone()));
        sent = facts.record(answer, "connection refused");
        if sent.notice.waiting.is_empty() {
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
    let disabled = sent.state.unwrap();
    assert_eq!(disabled.disabled.as_deref(), Some("10 failures in 3 days, the last: connection refused"));
    let other = sent.other.unwrap();
    assert_eq!(other.waiting, [(chat().id, end)].into());
    assert!(other.data.sentence.starts_with("The endpoint ci receives no more notices: 10 failures"), "{other:?}");
    let delivery = &sent.notice.to[&webhook().id];
    assert_eq!((delivery.state, delivery.failures), (DeliveryState::Dead, 10));
    assert_eq!(delivery.summary(), "dead: connection refused; failures: 10");
    // The next notice is not sent.
    let next = recorded(&facts(notice_to(2, &webhook(), end), disabled, &webhook(), end)).notice;
    assert_eq!((next.to[&webhook().id].summary(), next.waiting.len()), ("dead: the endpoint is disabled".into(), 0));
    // Twenty failures of one minute are no reason.
    let mut busy = state(&webhook());
    for secs in 0..20 {
        let now = time_at(secs);
        let sent = facts(notice_to(1, &webhook(), now), busy, &webhook(), now).record(Answer::Failed, "x");
        busy = sent.state.unwrap();
        assert_eq!((&busy.disabled, &sent.other), (&None, &None));
    }
    // A success begins again.
    let sent = facts(first, busy, &webhook(), time_at(99)).record(Answer::Accepted, "200");
    let ok = sent.state.unwrap();
    assert_eq!((ok.failures, ok.failing_since, ok.sent_at), (0, None, Some(time_at(99))));
    assert_eq!((sent.notice.to[&webhook().id].state, sent.notice.waiting.len()), (DeliveryState::Sent, 0));
    assert_eq!(facts(sent.notice, ok, &webhook(), time_at(99)).step(), SendStep::Skip);
}

#[test]
fn gone_endpoint_is_disabled_at_once_and_enabled_by_a_user() {
    let notice = notice_to(1, &slack(), time_at(0));
    let (sent, _, tries) = send_all(notice, state(&slack()), &slack(), Answer::Gone);
    let gone = sent.state.unwrap();
    assert_eq!((tries, gone.disabled.as_deref()), (1, Some("connection refused")));
    let window = gone.window.clone();
    assert_eq!(EndpointState { rev: 4, ..gone }.enable(), EndpointState { rev: 4, window, ..state(&slack()) });
    let again = sent.notice.redeliver(&[slack().id], time_at(7));
    assert_eq!((again.is_dead(), again.waiting[&slack().id]), (false, time_at(7)));
}

#[test]
fn repeated_notice_is_due_once_and_keeps_its_failures() {
    let notice = notice_to(1, &webhook(), time_at(0));
    let failed = facts(notice, state(&webhook()), &webhook(), time_at(0)).record(Answer::Failed, "timeout").notice;
    let ids = [webhook().id, chat().id];
    let again = failed.redeliver(&ids, time_at(2));
    assert_eq!(again.waiting, [(webhook().id, time_at(2))].into(), "at once, and only to its own endpoints");
    assert_eq!(again.to[&webhook().id].summary(), "waiting: timeout; failures: 1");
    assert_eq!(again.clone().redeliver(&ids, time_at(3)), again, "a send may be in flight");
}

#[test]
fn resting_endpoint_costs_no_try() {
    let notice = notice_to(1, &webhook(), time_at(0));
    let rest_for = Answer::Rest(Duration::from_secs(90));
    let sent = facts(notice, state(&webhook()), &webhook(), time_at(0)).record(rest_for, "429");
    let state = sent.state.unwrap();
    assert_eq!((sent.notice.waiting[&webhook().id], state.rest_until), (time_at(90), Some(time_at(90))));
    assert_eq!((state.failures, sent.notice.to[&webhook().id].failures), (0, 0));
    let mut other = facts(notice_to(2, &webhook(), time_at(1)), state, &webhook(), time_at(1));
    other.notice = recorded(&other).notice;
    assert_eq!(other.notice.waiting[&webhook().id], time_at(90));
    assert_eq!(other.step(), SendStep::Skip);
    (other.now, other.endpoints) = (time_at(90), Vec::new());
    let dead = recorded(&other).notice;
    assert_eq!((dead.to[&webhook().id].summary(), dead.waiting.len()), ("dead: the endpoint was deleted".into(), 0));
}

#[test]
fn endpoint_that_rests_for_ever_is_disabled() {
    let notice = notice_to(1, &webhook(), time_at(0));
    let (sent, end, tries) = send_all(notice, state(&webhook()), &webhook(), Answer::Rest(Duration::ZERO));
    assert!(tries < 5_000 && end.since(time_at(0)) < 168 * HOUR, "{tries} tries until {end}");
    assert_eq!(sent.notice.to[&webhook().id].state, DeliveryState::Dead);
    assert!(sent.state.unwrap().disabled.is_some());
}

#[test]
fn failure_rests_the_endpoint_for_the_other_notices() {
    let (down, now) = (webhook(), time_at(0));
    let mut state = state(&down);
    for (secs, rest_secs) in [(0, 4..6), (10, 270..331), (400, 1_620..1_981), (3_000, 3_600..3_601)] {
        let now = now.plus(Duration::from_secs(secs));
        let first = facts(notice_to(1, &down, now), state, &down, now);
        state = first.record(Answer::Failed, "timeout").state.unwrap();
        let rest = state.rest_until.unwrap();
        assert!(rest_secs.contains(&rest.since(now).as_secs()), "{secs}: {rest}");
        let other = recorded(&facts(notice_to(2, &down, now), state.clone(), &down, now)).notice;
        assert_eq!((other.waiting[&down.id], other.to[&down.id].failures), (rest, 0));
    }
    assert_eq!(state.enable().rest_until, None);
}

#[test]
fn endpoint_deleted_during_a_send_gets_no_state() {
    let mut sent = facts(notice_to(1, &webhook(), time_at(0)), state(&webhook()), &webhook(), time_at(0));
    sent.endpoints.clear();
    for answer in [Answer::Accepted, Answer::Gone, Answer::Failed] {
        let record = sent.record(answer, "x");
        assert_eq!((record.state, record.other), (None, None));
    }
}

#[test]
fn digest_that_fails_closes_its_window_and_keeps_its_text() {
    let (_, held, digest, state) = burst(10, state(&slack()), time_at(0));
    let digest = digest.unwrap();
    // A user enables the endpoint before the digest is due, and the endpoint asks for a rest.
    let mut first = facts(digest.clone(), state.enable(), &slack(), time_at(900));
    first.set_digest_text(&held);
    let rested = first.record(Answer::Rest(Duration::from_secs(100)), "429");
    assert!(rested.state.as_ref().unwrap().window.is_some());
    let mut second = facts(rested.notice, rested.state.unwrap(), &slack(), time_at(1_000));
    second.set_digest_text(&held);
    let text = second.notice.data.sentence.clone();
    assert!(text.starts_with("Also: 5 × job.failed."), "{text}");
    let failed = second.record(Answer::Failed, "500");
    let after = EndpointState { rest_until: None, ..failed.state.unwrap() };
    assert_eq!(after.window, None);
    // Its next try neither takes over nor closes a later window.
    let (single, later, next, state) = burst(7, after, time_at(1_001));
    assert_eq!((single, later.len()), (5, 2));
    let mut again = facts(failed.notice, state.clone(), &slack(), time_at(2_000));
    again.set_digest_text(&later);
    assert_eq!(again.notice.data.sentence, text);
    assert_eq!(again.record(Answer::Accepted, "200").state.unwrap().window, state.window);
    // A digest that is due while the endpoint is disabled takes its window with it.
    let disabled = EndpointState { disabled: Some("x".into()), ..state };
    let dead = recorded(&facts(next.unwrap(), disabled, &slack(), time_at(9_000)));
    assert!(dead.notice.is_dead() && dead.state.unwrap().window.is_none());
    // An endpoint that was deleted and added again knows nothing of the digest.
    assert!(recorded(&facts(digest, self::state(&slack()), &slack(), time_at(9_000))).notice.is_dead());
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

/// Sends notices to Slack: the number of single ones, the held ones, and the digest.
fn burst(count: u32, from: EndpointState, now: Timestamp) -> (u32, Vec<Notice>, Option<Notice>, EndpointState) {
    let (mut single, mut held, mut digest, mut state) = (0, Vec::new(), None, from);
    for number in 0..count {
        let facts = facts(notice_to(number, &slack(), now), state, &slack(), now);
        let record = match facts.step() {
            SendStep::Send(_) => {
                single += 1;
                facts.record(Answer::Accepted, "200")
            }
            SendStep::Record(record) => {
                held.push(record.notice.clone());
                assert!(digest.is_none() || record.other.is_none(), "a second digest");
                *record
            }
            SendStep::Skip => panic!("it is due"),
        };
        assert_eq!(record.notice.waiting.len(), 0);
        (digest, state) = (digest.or(record.other), record.state.unwrap());
    }
    (single, held, digest, state)
}

#[test]
fn burst_reaches_slack_as_five_messages_and_a_digest() {
    let (single, held, digest, state) = burst(1_000, state(&slack()), time_at(0));
    let digest = digest.unwrap();
    assert_eq!((single, held.len(), digest.waiting[&slack().id]), (5, 995, time_at(900)));
    assert!(held.iter().all(|notice| notice.to[&slack().id].digest.as_ref() == Some(&digest.id)));
    // The window lasts until its digest is sent.
    assert_eq!(state.digest(EndpointKind::Slack, time_at(5_000)), Some(digest.id.clone()));
    let mut facts = facts(digest.clone(), state, &slack(), time_at(900));
    facts.set_digest_text(&held);
    let text = facts.notice.data.sentence.clone();
    assert!(text.starts_with("Also: 995 × job.failed. The newest:\n• job.failed APP-17: "), "{text}");
    assert_eq!(text.lines().count(), 1 + DIGEST_SENTENCES);
    let sent = facts.record(Answer::Accepted, "200");
    facts.state = sent.state.unwrap();
    assert_eq!(facts.state.window, None);
    facts.set_digest_text(&[]);
    assert_eq!(facts.notice.data.sentence, text, "a digest that is sent again keeps its text");
    let (single, _, next, _) = burst(6, facts.state, time_at(901));
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
