//! Tests limits and usage reports while an agent runs, with a fake meter instead of session files.

use super::*;
use crate::agent::Tally;
use crate::agent::adapter::InputEnds;
use crate::agent::sign::{Sign, Tokens};
use crate::api::attempt::Attempt;
use crate::artifacts::uploads::Uploads;
use crate::checkpoint::working::Working;
use crate::inputs::orders::Order;
use crate::inputs::people::given::Given;
use crate::secrets::minted::Minted;
use crate::secrets::redact::Redactor;
use pullyard_domain::id::JobId;
use pullyard_protocol::attempt::Assignment;
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::process::Command;
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than any test; immediate effects do not depend on it.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// A meter that returns these signs, one list per look, and counts the looks.
struct Finds {
    signs: VecDeque<Vec<Sign>>,
    looks: watch::Sender<u32>,
}

impl Meter for Finds {
    fn look(&mut self) -> Vec<Sign> {
        let signs = self.signs.pop_front().unwrap_or_default();
        self.looks.send_modify(|looks| *looks += 1);
        signs
    }

    fn finish(&mut self) -> Vec<Sign> {
        Vec::new()
    }
}

/// The other tasks of an attempt, while its agent prints nothing.
struct Outside<'a> {
    shared: &'a Shared,
    events: &'a Events,
    orders: &'a Orders,
    looks: watch::Receiver<u32>,
}

impl Outside<'_> {
    async fn looked(&mut self, times: u32) {
        self.looks.wait_for(|looks| *looks >= times).await.unwrap();
    }

    async fn used(&self) -> Value {
        let mut said = self.events.said().await;
        assert_eq!((said.len(), said[0].kind), (1, EventKind::Usage), "{said:?}");
        said.remove(0).data.unwrap()
    }
}

/// Runs `sleep` as the agent under a turn limit, with these signs from its meter, and returns the reason of its stop.
/// `tell_every` is the interval of usage events, `near_every` the interval of looks near a limit.
async fn watched(
    turns: Option<u32>,
    signs: impl IntoIterator<Item = Vec<Sign>>,
    (tell_every, near_every): (Duration, Duration),
    meanwhile: impl AsyncFnOnce(Outside<'_>),
) -> Stop {
    let dir = tempfile::tempdir().unwrap();
    let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    let assignment: Assignment = serde_json::from_value(json!({
        "job": job, "attempt": 1, "lease": "pyl_x", "kind": "implement", "ticket": null,
        "repository": { "forge": "github", "api_url": "http://127.0.0.1:1", "name": "acme/app", "clone_url": "x" },
        "base": "main", "branch": "b", "continues": null, "prompt": "Do it.",
        "agent": { "capability": "codex", "command": [] },
        "pull_request": { "title": "t", "body": "b" },
        "limits": { "wall_secs": 600, "stall_secs": 300 }, "heartbeat_secs": 1,
    }))
    .unwrap();
    let client = AttemptClient::new("http://127.0.0.1:1", "pyl_x", &job, 1).unwrap();
    let (events, orders, given) = (Events::unsent(), Orders::new(), Given::new());
    let uploads = Uploads::start(client.clone(), events.clone(), Duration::ZERO);
    let this = Attempt {
        assignment: &assignment,
        client: &client,
        events: &events,
        orders: &orders,
        given: &given,
        until: Instant::now() + NEVER,
        artifacts: uploads.artifacts(),
        minted: Minted::default(),
        redactor: Redactor::new([]),
        tally: Tally::default(),
        working: Working::default(),
    };
    let people = People::of(&this, 0);
    let bounds = Bounds {
        until: this.until,
        wall_secs: 600,
        grace: Duration::ZERO,
        namespace: ProcessNamespace::Off,
        orders: &orders,
        people: &people,
        told: 0,
        limits: Limits { stall: NEVER, turns, cost: None },
        spent: Spent::default(),
        disk_mib: None,
    };
    let workspace = Workspace::make(dir.path(), &job, 1).await.unwrap();
    let enclosure = Enclosure::of_this_machine(bounds.namespace).await;
    let shared = Shared::new();
    let around =
        Around { enclosure: &enclosure, shared: &shared, events: &events, workspace: &workspace, bounds: &bounds };
    let mut child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let mut input = Input::begin(None, Vec::new(), InputEnds::AfterPrompt);
    let (looks, looked) = watch::channel(0);
    let finds = Finds { signs: signs.into_iter().collect(), looks };
    let so_far = SoFar::new(&bounds.spent, tell_every);
    // The first look is at the start; later looks need a reason.
    let mut counted = Counted { meter: Some(Box::new(finds)), look_every: NEVER, near_every, so_far };
    let outside = Outside { shared: &shared, events: &events, orders: &orders, looks: looked };
    let both = async { tokio::join!(supervise(&mut child, &mut input, &mut counted, &around), meanwhile(outside)) };
    let (ending, ()) = timeout(PATIENCE, both).await.expect("timed out");
    ending.stopped.unwrap()
}

fn answer(cost: u64) -> Vec<Sign> {
    vec![Sign::Used(Tokens { input: 100, cached: 0, output: 50 }), Sign::Cost(cost), Sign::Turn, Sign::MoreFollows]
}

#[tokio::test]
async fn limit_applies_at_the_line_that_exceeds_it() {
    // The meter finds nothing at the start, and one request after the first line.
    let stopped = watched(Some(1), [Vec::new(), answer(7)], (NEVER, NEVER), async |mut outside: Outside<'_>| {
        outside.looked(1).await;
        outside.shared.note(&Sign::Alive);
    });
    let Stop::Failed(failure) = stopped.await else { panic!("not stopped by a limit") };
    assert_eq!(failure.code(), "turn_limit");
}

#[tokio::test]
async fn limit_applies_without_a_line_when_it_is_near() {
    // A call that fails immediately produces no line.
    let near_every = Duration::from_millis(1);
    let stopped = watched(Some(1), [Vec::new(), answer(7)], (NEVER, near_every), async |_: Outside<'_>| {});
    let Stop::Failed(failure) = stopped.await else { panic!("not stopped by a limit") };
    assert_eq!(failure.code(), "turn_limit");
}

#[tokio::test]
async fn usage_is_reported_while_the_agent_is_silent() {
    let tell_every = Duration::from_millis(500);
    let stopped = watched(None, [answer(120_000)], (tell_every, NEVER), async |outside: Outside<'_>| {
        let first = outside.used().await;
        assert_eq!(
            (&first["so_far"], &first["turns"], &first["cost_usd_micros"]),
            (&json!(true), &json!(1), &json!(120_000))
        );
        // The interval delays this report, although the agent prints nothing more.
        answer(150_000).iter().for_each(|sign| outside.shared.note(sign));
        let second = outside.used().await;
        assert_eq!((&second["turns"], &second["cost_usd_micros"]), (&json!(2), &json!(150_000)));
        outside.orders.give(Order::Cancel);
    });
    assert!(matches!(stopped.await, Stop::Ordered(Order::Cancel)));
}
