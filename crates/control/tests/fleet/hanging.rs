//! Hosts of users that accept calls and do not answer.

use crate::notices::{add, due, endpoint_id};
use crate::prelude::*;
use crate::world::World;
use pullyard_control::{cancel_job, handle_call};
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::tracker::{Tracker, TrackerKind};
use pullyard_domain::run::notice::{EndpointKind, Notice};
use pullyard_domain::run::wakeup::{CALLS_AT_ONCE, EffectMessage, LookWakeup, NoticeWakeup, PollWakeup, call_group};
use pullyard_domain::text::host::{HostRest, host_of};
use pullyard_domain::text::id::IntegrationId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_millis(200);
/// The maximum of a project.
const ENDPOINTS: usize = 8;
const NOTICES: usize = 25;
/// The number of a tool's poll in place of a repository.
const TOOL: u64 = 0;

struct Hanging {
    url: String,
    calls: Arc<AtomicUsize>,
}

impl Hanging {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, calls) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&calls);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                open.push(stream);
            }
        });
        Self { url, calls }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn load_rest(&self, world: &World) -> HostRest {
        world.ctx.store.load_host_rest(&host_of(&self.url).unwrap()).await.unwrap().unwrap()
    }
}

async fn load_notices(world: &World, notices: &[Notice]) -> Vec<Notice> {
    let mut loaded = Vec::new();
    for notice in notices {
        loaded.extend(world.ctx.store.load_notice(&notice.id).await.unwrap());
    }
    loaded
}

#[tokio::test]
async fn one_rest_puts_off_all_calls_to_a_hanging_host() {
    let world = World::with_call_limit(Wire::default(), LIMIT).await;
    let (ctx, hanging) = (&world.ctx, Hanging::start().await);
    for n in 0..ENDPOINTS {
        add(&world, &endpoint_id(&format!("e{n}")), EndpointKind::Webhook, &hanging.url).await.unwrap();
    }
    for job in world.jobs("one", NOTICES, 1).await {
        cancel_job(ctx, &job.id, "ana", None).await.unwrap();
    }
    let notices = due(&world).await;
    let host = host_of(&hanging.url).unwrap();
    let mut groups: BTreeMap<String, Vec<NoticeWakeup>> = BTreeMap::new();
    for notice in &notices {
        for endpoint in notice.waiting.keys() {
            let wakeup = NoticeWakeup { notice: notice.id.clone(), endpoint: endpoint.clone() };
            groups.entry(call_group(&host, endpoint.as_str())).or_default().push(wakeup);
        }
    }
    assert_eq!(groups.len(), usize::from(CALLS_AT_ONCE));
    assert_eq!(groups.values().map(Vec::len).sum::<usize>(), ENDPOINTS * NOTICES);

    // A FIFO queue delivers the messages of a group one after the other.
    let handle = groups.iter().map(async |(group, wakeups)| {
        for wakeup in wakeups {
            handle_call(ctx, EffectMessage::Notify(wakeup.clone()), group).await.unwrap();
        }
    });
    futures::future::join_all(handle).await;

    let calls = hanging.calls();
    assert!((1..=groups.len()).contains(&calls), "{calls} calls");
    let rest = hanging.load_rest(&world).await;
    assert_eq!((rest.timeouts, rest.until), (1, ctx.clock.now().plus(Duration::from_secs(5))));
    let after = load_notices(&world, &notices).await;
    let failures: u32 = after.iter().flat_map(|notice| notice.to.values()).map(|delivery| delivery.failures).sum();
    assert_eq!(failures, u32::try_from(calls).unwrap(), "a call that is put off is no try");
    for notice in &after {
        assert_eq!(notice.waiting.len(), ENDPOINTS, "{notice:?}");
        // A write that loses a race to the other group leaves its endpoint due, and the sweeper repeats the message.
        assert!(notice.waiting.values().any(|at| *at == rest.until), "{notice:?}");
    }
}

async fn connect_jira(world: &World, hanging: &Hanging) -> IntegrationId {
    let (ctx, id) = (&world.ctx, IntegrationId::new("jira1").unwrap());
    let secret = "fleet/user/tracker-jira1".to_owned();
    ctx.secrets.put(&secret, "ana@acme.example:a-token").await.unwrap();
    let connection = Tracker::new(id.clone(), TrackerKind::Jira, hanging.url.clone(), secret, ctx.clock.now());
    assert_applied(ctx.store.put_tracker(&connection).await);
    let tracker = serde_json::from_value(serde_json::json!({ "connection": "jira1", "scope": "APP" })).unwrap();
    world.set_settings(Settings { tracker: Some(tracker), ..Settings::default() }).await;
    assert_applied(ctx.store.put_poll(&Poll::of_tool(world.project.clone(), id.clone(), ctx.clock.now())).await);
    id
}

#[tokio::test]
async fn look_that_is_stopped_waits_for_the_next_poll() {
    let world = World::with_work_limit(Duration::from_secs(2)).await;
    let (ctx, hanging) = (&world.ctx, Hanging::start().await);
    let (id, key) = (connect_jira(&world, &hanging).await, TicketKey::new("APP-1").unwrap());
    let wakeup = LookWakeup { look: world.project.clone(), ticket: key.clone() };
    handle_call(ctx, EffectMessage::Look(wakeup), "the connection's group").await.unwrap();
    let poll = ctx.store.load_poll(&world.project, &id, TOOL).await.unwrap().unwrap();
    assert_eq!(poll.look.unread.into_keys().collect::<Vec<_>>(), [key]);
}

#[tokio::test]
async fn looks_at_a_hanging_tool_wait_for_one_poll() {
    let wire = Wire::default();
    let world = World::with_call_limit(wire.clone(), LIMIT).await;
    let (ctx, hanging) = (&world.ctx, Hanging::start().await);
    let (id, key) = (connect_jira(&world, &hanging).await, TicketKey::new("APP-1").unwrap());
    let load_poll = async || ctx.store.load_poll(&world.project, &id, TOOL).await.unwrap().unwrap();
    let look = async || {
        let wakeup = LookWakeup { look: world.project.clone(), ticket: key.clone() };
        handle_call(ctx, EffectMessage::Look(wakeup), "the connection's group").await.unwrap();
    };
    let poll = async || {
        let wakeup = PollWakeup { poll: world.project.clone(), integration: id.clone(), repository: TOOL };
        handle_call(ctx, EffectMessage::Poll(wakeup), "the connection's group").await.unwrap();
    };
    wire.take_call_count("SendMessage");
    for _ in 0..3 {
        look().await;
    }
    poll().await;
    assert_eq!((hanging.calls(), wire.take_call_count("SendMessage")), (1, 0));
    let rest = hanging.load_rest(&world).await;
    assert_eq!((rest.timeouts, rest.until), (1, ctx.clock.now().plus(Duration::from_secs(5))));
    let waiting = load_poll().await;
    assert_eq!(waiting.not_before, Some(rest.until));
    assert_eq!(waiting.look.unread.into_keys().collect::<Vec<_>>(), std::slice::from_ref(&key));

    ctx.clock.advance(Duration::from_secs(5));
    look().await;
    let rest = hanging.load_rest(&world).await;
    assert_eq!((hanging.calls(), rest.timeouts), (2, 2));
    assert_eq!(rest.until, ctx.clock.now().plus(Duration::from_secs(10)));

    let not_due = Poll { next: rest.until.plus(Duration::from_secs(60)), not_before: None, ..load_poll().await };
    assert_applied(ctx.store.put_poll(&not_due).await);
    poll().await;
    assert_eq!(load_poll().await.not_before, None, "a late message does not put off the next poll");
}
