//! Notices: to webhooks and Slack, after crashes, in bursts, and to endpoints that are down.

use crate::delayed_call::DelayedCall;
use crate::prelude::*;
use crate::world::World;
use pullyard_control::{
    Error, cancel_job, delete_endpoint, enable_endpoint, handle_call, list_endpoints, list_notices, put_endpoint,
    redeliver_notice, rotate_secret, send_notice, set_secret, sweep, test_endpoint,
};
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::run::due::SHARDS;
use pullyard_domain::run::notice::{DeliveryState, Endpoint, EndpointKind, Notice, NoticeEvent};
use pullyard_domain::run::wakeup::{EffectMessage, NoticeWakeup, call_group};
use pullyard_domain::text::host::{HostRest, host_of};
use pullyard_domain::text::id::{EndpointId, SecretName};
use pullyard_domain::text::percent_encode;
use pullyard_outbound::StatusCode;
use pullyard_outbound::standard_webhooks::{SigningSecret, verify};
use pullyard_store::WorkKey;
use pullyard_testkit::{Received, Receiver};
use serde_json::Value;

const HOUR: Duration = Duration::from_secs(3_600);

/// A project with an endpoint at a receiver.
struct Notified {
    world: World,
    receiver: Receiver,
    id: EndpointId,
    secret: Option<SigningSecret>,
}

pub(crate) fn endpoint_id(id: &str) -> EndpointId {
    EndpointId::new(id).unwrap()
}

fn json(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

impl Notified {
    async fn by(kind: EndpointKind, wire: Wire) -> Self {
        let world = World::with_client(wire).await;
        let receiver = Receiver::start().await.unwrap();
        let id = endpoint_id("ops");
        let secret = add(&world, &id, kind, receiver.url()).await.unwrap();
        Self { world, receiver, id, secret }
    }

    async fn by_webhook() -> Self {
        Self::by(EndpointKind::Webhook, Wire::default()).await
    }

    /// Cancels this many new jobs.
    async fn cancel_jobs(&self, name: &str, count: usize) {
        for job in self.world.jobs(name, count, 1).await {
            cancel_job(&self.world.ctx, &job.id, "ana", None).await.unwrap();
        }
    }

    async fn send_due(&self) {
        send_due(&self.world).await;
    }

    async fn notices(&self) -> Vec<Notice> {
        list_notices(&self.world.ctx, &self.world.project, false, None).await.unwrap().0
    }

    async fn states(&self) -> Vec<DeliveryState> {
        self.notices().await.iter().map(|notice| notice.to[&self.id].state).collect()
    }
}

pub(crate) async fn add(
    world: &World,
    id: &EndpointId,
    kind: EndpointKind,
    url: &str,
) -> Result<Option<SigningSecret>, Error> {
    let (url, url_secret) = match kind {
        EndpointKind::Webhook => (Some(url.to_owned()), None),
        EndpointKind::Slack => {
            let name = SecretName::new(format!("slack-{id}")).unwrap();
            (None, Some(set_secret(&world.ctx, SecretKind::Forge, &name, url).await.unwrap().secret))
        }
    };
    let new = Endpoint { id: id.clone(), kind, url, url_secret, secret: None, events: None };
    put_endpoint(&world.ctx, ProjectChange::by_operator(&world.project), new).await.map(|(_, secret)| secret)
}

pub(crate) async fn due(world: &World) -> Vec<Notice> {
    let mut notices = Vec::new();
    for shard in 0..SHARDS {
        for (key, at) in world.ctx.store.list_due(shard, 1_000).await.unwrap() {
            if let WorkKey::Notice(id) = key
                && at <= world.ctx.clock.now()
            {
                notices.extend(world.ctx.store.load_notice(&id).await.unwrap());
            }
        }
    }
    notices.sort_by_key(|notice| notice.at);
    notices
}

/// As the effects function after the sweeper's hints.
async fn send_due(world: &World) {
    for notice in due(world).await {
        for (endpoint, _) in notice.waiting.iter().filter(|(_, due)| **due <= world.ctx.clock.now()) {
            send_notice(&world.ctx, &notice.id, endpoint).await.unwrap();
        }
    }
}

#[tokio::test]
async fn end_of_a_job_reaches_the_webhook_once_and_signed() {
    let it = Notified::by_webhook().await;
    it.cancel_jobs("one", 1).await;
    it.send_due().await;
    it.send_due().await;
    let [message] = &it.receiver.take()[..] else { panic!("one message") };
    let now = it.world.ctx.clock.now().millis() / 1_000;
    let secret = std::slice::from_ref(it.secret.as_ref().unwrap());
    let [notice] = &it.notices().await[..] else { panic!("one notice") };
    assert_eq!(verify(secret, &message.headers, &message.body, now), Ok(notice.id.as_str()));
    let body = json(message);
    assert_eq!((&body["type"], &body["data"]["sentence"]), (&"job.cancelled".into(), &"ana cancelled the job.".into()));
    let url = format!("https://pullyard.example/jobs/{}", body["data"]["job"].as_str().unwrap());
    assert_eq!(body["data"]["url"], url);
    assert_eq!(it.states().await, [DeliveryState::Sent]);
    let [endpoint] = &list_endpoints(&it.world.ctx, &it.world.project).await.unwrap()[..] else { panic!() };
    assert_eq!(endpoint.1.answer.as_deref(), Some("it answered 200 OK"));
    assert!(endpoint.1.sent_at.is_some());
}

#[tokio::test]
async fn project_without_endpoints_writes_no_notice() {
    let it = Notified::by_webhook().await;
    let meter = &it.world.meter;
    it.cancel_jobs("two", 1).await;
    let jobs = it.world.jobs("three", 2, 1).await;
    meter.restart();
    cancel_job(&it.world.ctx, &jobs[0].id, "ana", None).await.unwrap();
    let with_notice = meter.units();
    delete_endpoint(&it.world.ctx, &it.world.project, &it.id).await.unwrap();
    meter.restart();
    cancel_job(&it.world.ctx, &jobs[1].id, "ana", None).await.unwrap();
    let without = meter.units();
    println!("the end of a job with a notice: {with_notice:?}, without: {without:?}");
    assert!(with_notice.write > without.write);
    assert_eq!(it.notices().await.len(), 2);
    it.send_due().await;
    assert_eq!((it.receiver.take().len(), it.states().await), (0, vec![DeliveryState::Dead; 2]));
}

#[tokio::test]
async fn burst_of_ended_jobs_is_six_messages_in_slack() {
    let it = Notified::by(EndpointKind::Slack, Wire::default()).await;
    it.cancel_jobs("many", 200).await;
    it.world.meter.restart();
    it.send_due().await;
    println!("200 notices: {:?}", it.world.meter.units());
    assert_eq!(it.receiver.take().len(), 5);
    it.world.ctx.clock.advance(Duration::from_secs(14 * 60));
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 0);
    it.world.ctx.clock.advance(Duration::from_secs(60));
    it.send_due().await;
    let [digest] = &it.receiver.take()[..] else { panic!("one digest") };
    let text = json(digest)["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Also: 195 × job.cancelled. The newest:\n• job.cancelled "), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with('•')).count(), 10, "{text}");
    // A later message is single again.
    it.cancel_jobs("later", 1).await;
    it.send_due().await;
    let [single] = &it.receiver.take()[..] else { panic!("one message") };
    assert!(json(single)["text"].as_str().unwrap().starts_with("*A job was cancelled* "), "{single:?}");
    assert_eq!(due(&it.world).await, []);
}

#[tokio::test]
async fn endpoint_that_is_down_for_three_days_is_disabled() {
    let it = Notified::by_webhook().await;
    let (other, chat) = (endpoint_id("chat"), Receiver::start().await.unwrap());
    it.receiver.answer(StatusCode::INTERNAL_SERVER_ERROR, &[]);
    it.cancel_jobs("one", 1).await;
    let start = it.world.ctx.clock.now();
    add(&it.world, &other, EndpointKind::Slack, chat.url()).await.unwrap();
    let mut tries = 0;
    while let Some(next) = it.notices().await.last().and_then(|notice| notice.waiting.get(&it.id).copied()) {
        it.world.ctx.clock.advance(next.since(it.world.ctx.clock.now()));
        it.send_due().await;
        tries += it.receiver.take().len();
        if tries == 3 {
            // Others of the same outage make no difference.
            it.cancel_jobs("two", 1).await;
        }
    }
    let down = it.world.ctx.clock.now().since(start);
    assert!(tries >= 10 && (72 * HOUR..84 * HOUR).contains(&down), "{tries} tries in {down:?}");
    it.send_due().await;
    let messages: Vec<_> = chat.take().iter().map(|message| json(message)["text"].to_string()).collect();
    let [_, disabled] = &messages[..] else { panic!("the second job and the endpoint: {messages:?}") };
    assert!(disabled.contains("The endpoint ops receives no more notices"), "{disabled}");
    assert!(disabled.contains("it answered 500 Internal Server Error"), "{disabled}");
    // The endpoint receives no message until a user enables it.
    it.receiver.answer(StatusCode::OK, &[]);
    it.world.ctx.clock.advance(48 * HOUR);
    it.cancel_jobs("three", 1).await;
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 0);
    let dead = list_notices(&it.world.ctx, &it.world.project, true, None).await.unwrap().0;
    assert_eq!(dead.len(), 3);
    assert_eq!(dead[0].to[&it.id].answer.as_deref(), Some("the endpoint is disabled"));
    enable_endpoint(&it.world.ctx, &it.world.project, &it.id).await.unwrap();
    redeliver_notice(&it.world.ctx, &dead[0].id).await.unwrap();
    redeliver_notice(&it.world.ctx, &dead[0].id).await.unwrap();
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 1);
    let again = redeliver_notice(&it.world.ctx, &dead[0].id).await;
    assert!(matches!(again, Err(Error::Invalid { pointer: "/notice", .. })), "{again:?}");
}

#[tokio::test]
async fn notice_is_sent_again_once_and_only_to_open_endpoints() {
    let it = Notified::by_webhook().await;
    let (other, receiver) = (endpoint_id("other"), Receiver::start().await.unwrap());
    add(&it.world, &other, EndpointKind::Webhook, receiver.url()).await.unwrap();
    receiver.answer(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "86400")]);
    it.receiver.answer(StatusCode::GONE, &[]);
    it.cancel_jobs("one", 1).await;
    it.send_due().await;
    let id = it.notices().await.pop().unwrap().id;
    let again = async || redeliver_notice(&it.world.ctx, &id).await;
    let refused = again().await.unwrap_err().to_string();
    let until = it.world.ctx.clock.now().plus(24 * HOUR).to_string();
    assert!(refused.contains("other rests until 20") && refused.contains(&until[..13]), "{refused}");

    // One endpoint stays disabled, the other is corrected: its notice is not put off to the end of its rest.
    receiver.answer(StatusCode::OK, &[]);
    add(&it.world, &other, EndpointKind::Webhook, receiver.url()).await.unwrap();
    it.world.meter.restart();
    let first = again().await.unwrap();
    let sent = it.world.meter.units();
    assert_eq!(again().await.unwrap().waiting, first.waiting, "a send may be in flight");
    assert_eq!(it.world.meter.units().write, sent.write, "a repeat writes nothing");
    receiver.take();
    it.receiver.take();
    send_notice(&it.world.ctx, &id, &other).await.unwrap();
    assert_eq!((receiver.take().len(), it.receiver.take().len()), (1, 0));
    let disabled = again().await.unwrap_err().to_string();
    assert!(disabled.contains("ops is disabled"), "{disabled}");
}

#[tokio::test]
async fn redirect_is_a_failure_and_not_followed() {
    let it = Notified::by_webhook().await;
    it.receiver.answer(StatusCode::TEMPORARY_REDIRECT, &[("location", "/elsewhere")]);
    it.cancel_jobs("one", 1).await;
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 1);
    let [notice] = &it.notices().await[..] else { panic!() };
    let delivery = &notice.to[&it.id];
    assert_eq!((delivery.state, delivery.failures), (DeliveryState::Waiting, 1));
    assert_eq!(delivery.answer.as_deref(), Some("it answered 307 Temporary Redirect"));
}

#[tokio::test]
async fn private_address_is_refused_when_added_and_when_sent() {
    let it = Notified::by_webhook().await;
    for url in ["https://10.0.0.1/x", "https://169.254.169.254/latest", "https://[fd00::1]/", "http://hooks.example/x"]
    {
        let refused = add(&it.world, &endpoint_id("x"), EndpointKind::Webhook, url).await;
        assert!(matches!(refused, Err(Error::Invalid { pointer: "/url", .. })), "{url}: {refused:?}");
    }
    let slack = endpoint_id("chat");
    add(&it.world, &slack, EndpointKind::Slack, "https://10.0.0.1/x").await.unwrap();
    it.cancel_jobs("one", 1).await;
    it.send_due().await;
    let [notice] = &it.notices().await[..] else { panic!() };
    let answer = notice.to[&slack].answer.clone().unwrap();
    assert!(answer.starts_with("the address is in a private, local or reserved network"), "{answer}");
    assert!(!answer.contains("10.0.0.1"), "{answer}");
}

#[tokio::test]
async fn busy_endpoint_rests_and_a_gone_one_is_disabled() {
    let it = Notified::by_webhook().await;
    it.receiver.answer(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "120")]);
    it.cancel_jobs("one", 3).await;
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 1, "the others wait without a call");
    it.receiver.answer(StatusCode::NO_CONTENT, &[]);
    it.world.ctx.clock.advance(Duration::from_secs(119));
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 0);
    it.world.ctx.clock.advance(Duration::from_secs(1));
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 3);
    assert!(it.notices().await.iter().all(|notice| notice.to[&it.id].failures == 0));
    it.receiver.answer(StatusCode::GONE, &[]);
    it.cancel_jobs("two", 2).await;
    it.send_due().await;
    assert_eq!(it.receiver.take().len(), 1);
    let [endpoint] = &list_endpoints(&it.world.ctx, &it.world.project).await.unwrap()[..] else { panic!() };
    assert_eq!(endpoint.1.disabled.as_deref(), Some("it answered 410 Gone"));
    add(&it.world, &it.id, EndpointKind::Webhook, "http://127.0.0.1:9/other").await.unwrap();
    let [endpoint] = &list_endpoints(&it.world.ctx, &it.world.project).await.unwrap()[..] else { panic!() };
    assert_eq!((&endpoint.1.disabled, endpoint.1.failures), (&None, 0), "a changed endpoint is enabled");
}

#[tokio::test]
async fn missing_secrets_are_failures_that_name_them() {
    let it = Notified::by_webhook().await;
    let slack = endpoint_id("chat");
    add(&it.world, &slack, EndpointKind::Slack, "no URL").await.unwrap();
    let name = SecretName::new("notify.acme.ops").unwrap();
    set_secret(&it.world.ctx, SecretKind::Forge, &name, "not a signing secret").await.unwrap();
    it.world.ctx.clock.advance(HOUR);
    for (endpoint, text) in [
        (&slack, "the address cannot be used: it is not a URL"),
        (&it.id, "the secret fleet/user/notify.acme.ops is wrong: a signing secret is whsec_"),
    ] {
        let (works, answer) = test_endpoint(&it.world.ctx, &it.world.project, endpoint).await.unwrap();
        assert!(!works && answer.starts_with(text), "{answer}");
    }
    it.world.ctx.secrets.delete("fleet/user/slack-chat").await.unwrap();
    it.world.ctx.clock.advance(HOUR);
    let (_, answer) = test_endpoint(&it.world.ctx, &it.world.project, &slack).await.unwrap();
    assert_eq!(answer, "there is no secret fleet/user/slack-chat");
}

#[tokio::test]
async fn rotated_secret_signs_beside_the_old_one() {
    let it = Notified::by_webhook().await;
    let new = SigningSecret::generate();
    let name = SecretName::new("notify.acme.ops").unwrap();
    rotate_secret(&it.world.ctx, &name, &new.expose(), HOUR).await.unwrap();
    let verified_by = async |secret: &SigningSecret| {
        it.receiver.take();
        assert!(test_endpoint(&it.world.ctx, &it.world.project, &it.id).await.unwrap().0);
        let [message] = &it.receiver.take()[..] else { panic!("one message") };
        let now = it.world.ctx.clock.now().millis() / 1_000;
        verify(std::slice::from_ref(secret), &message.headers, &message.body, now).is_ok()
    };
    let old = it.secret.clone().unwrap();
    assert!(verified_by(&old).await && verified_by(&new).await);
    it.world.ctx.clock.advance(2 * HOUR);
    assert!(!verified_by(&old).await && verified_by(&new).await);
}

#[tokio::test]
async fn crash_between_two_calls_loses_and_invents_no_notice() {
    for (call, fault) in (0..).flat_map(|call| [(call, Fault::StopBefore), (call, Fault::StopAfter)]) {
        let wire = Wire::default();
        let it = Notified::by(EndpointKind::Webhook, wire.clone()).await;
        let job = it.world.jobs("one", 1, 1).await.remove(0);
        let ctx = &it.world.ctx;
        let run = async {
            cancel_job(ctx, &job.id, "ana", None).await.unwrap();
            send_due(&it.world).await;
        };
        wire.restart(Some((call, fault.clone())));
        let finished = wire.run_until_stopped(run).await;
        wire.restart(None);
        cancel_job(ctx, &job.id, "ana", None).await.unwrap();
        ctx.clock.advance(Duration::from_secs(120));
        sweep(ctx).await.into_result().unwrap();
        send_due(&it.world).await;
        let ids: BTreeSet<_> = it
            .receiver
            .take()
            .iter()
            .map(|message| message.headers["webhook-id"].to_str().unwrap().to_owned())
            .collect();
        let stored: BTreeSet<_> = it.notices().await.iter().map(|notice| notice.id.to_string()).collect();
        assert_eq!((ids.len(), ids), (1, stored), "call {call} {fault}");
        assert_eq!(it.states().await, [DeliveryState::Sent], "call {call} {fault}");
        if finished.is_some() {
            assert!(call > 10, "only {call} calls were broken");
            return;
        }
    }
}

#[tokio::test]
async fn endpoints_of_one_notice_are_recorded_at_the_same_time() {
    let it = Notified::by_webhook().await;
    let mut receivers = Vec::new();
    for number in 0..7 {
        let receiver = Receiver::start().await.unwrap();
        add(&it.world, &endpoint_id(&format!("e{number}")), EndpointKind::Webhook, receiver.url()).await.unwrap();
        receivers.push(receiver);
    }
    let ninth = add(&it.world, &endpoint_id("e9"), EndpointKind::Webhook, it.receiver.url()).await;
    assert!(matches!(ninth, Err(Error::Invalid { pointer: "/notifications", .. })), "{ninth:?}");
    it.cancel_jobs("one", 1).await;
    let notice = due(&it.world).await.remove(0);
    let sends = notice.to.keys().map(|endpoint| send_notice(&it.world.ctx, &notice.id, endpoint));
    for sent in futures::future::join_all(sends).await {
        sent.unwrap();
    }
    let [notice] = &it.notices().await[..] else { panic!() };
    assert_eq!(notice.to.len(), 8);
    assert!(notice.to.values().all(|delivery| delivery.state == DeliveryState::Sent), "{notice:?}");
    let count = receivers.iter().chain([&it.receiver]).map(|receiver| receiver.take().len()).sum::<usize>();
    assert_eq!(count, 8, "each was called once");
    assert_eq!(notice.event, NoticeEvent::JobCancelled);
}

#[tokio::test]
async fn notice_to_a_resting_host_waits_and_is_no_try() {
    let it = Notified::by_webhook().await;
    it.cancel_jobs("one", 1).await;
    let ctx = &it.world.ctx;
    let [notice] = &it.notices().await[..] else { panic!("one notice") };
    let host = host_of(it.receiver.url()).unwrap();
    let rest = HostRest::after_timeout(None, &host, ctx.clock.now()).unwrap();
    assert_eq!(ctx.store.put_host_rest(&rest).await.unwrap(), pullyard_store::Write::Applied);
    let call = async |group: &str| {
        let wakeup = NoticeWakeup { notice: notice.id.clone(), endpoint: it.id.clone() };
        handle_call(ctx, EffectMessage::Notify(wakeup), group).await.unwrap();
    };
    let group = call_group(&host, it.id.as_str());
    call(&group).await;
    assert!(it.receiver.take().is_empty());
    let [waiting] = &it.notices().await[..] else { panic!("one notice") };
    assert_eq!((waiting.waiting[&it.id], waiting.to[&it.id].failures), (rest.until, 0));

    ctx.clock.advance(Duration::from_secs(6));
    call("a group of another host").await;
    assert!(it.receiver.take().is_empty(), "it is sent on to its group");
    call(&group).await;
    assert_eq!(it.receiver.take().len(), 1);
    let rest = ctx.store.load_host_rest(&host).await.unwrap().unwrap();
    assert_eq!(rest.timeouts, 0, "the answer ends the memory of timeouts");
}

#[tokio::test]
async fn notice_is_put_off_although_another_endpoint_was_recorded() {
    let held = DelayedCall::before("PutItem");
    let (world, receiver) = (World::with_client(held.clone()).await, Receiver::start().await.unwrap());
    let (ctx, ids) = (&world.ctx, [endpoint_id("ops"), endpoint_id("chat")]);
    for id in &ids {
        add(&world, id, EndpointKind::Webhook, receiver.url()).await.unwrap();
    }
    let job = world.jobs("one", 1, 1).await.remove(0);
    cancel_job(ctx, &job.id, "ana", None).await.unwrap();
    let notice = due(&world).await.remove(0);
    let host = host_of(receiver.url()).unwrap();
    let rest = HostRest::after_timeout(None, &host, ctx.clock.now()).unwrap();
    assert_applied(ctx.store.put_host_rest(&rest).await);
    let call = async |endpoint: &EndpointId| {
        let wakeup = NoticeWakeup { notice: notice.id.clone(), endpoint: endpoint.clone() };
        handle_call(ctx, EffectMessage::Notify(wakeup), &call_group(&host, endpoint.as_str())).await.unwrap();
    };
    held.run_before_call(call(&ids[0]), call(&ids[1])).await;
    let stored = ctx.store.load_notice(&notice.id).await.unwrap().unwrap();
    assert_eq!(stored.waiting.values().collect::<Vec<_>>(), [&rest.until; 2]);
}

#[tokio::test]
async fn unreadable_rest_of_a_host_stops_no_call() {
    let it = Notified::by_webhook().await;
    it.cancel_jobs("one", 1).await;
    let (ctx, host) = (&it.world.ctx, host_of(it.receiver.url()).unwrap());
    let rest = HostRest::after_timeout(None, &host, ctx.clock.now()).unwrap();
    assert_applied(ctx.store.put_host_rest(&rest).await);
    it.world.break_item(&format!("HOST#{}", percent_encode(&host)), "HOST", "until").await;
    assert!(matches!(ctx.store.load_host_rest(&host).await, Err(pullyard_store::Error::Corrupt { .. })));
    let [notice] = &it.notices().await[..] else { panic!("one notice") };
    let wakeup = NoticeWakeup { notice: notice.id.clone(), endpoint: it.id.clone() };
    handle_call(ctx, EffectMessage::Notify(wakeup), &call_group(&host, it.id.as_str())).await.unwrap();
    assert_eq!((it.receiver.take().len(), it.states().await), (1, vec![DeliveryState::Sent]));
}
