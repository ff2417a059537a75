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

/// What must happen happens within this.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is to happen at once is not helped by time.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// Finds this at its looks, one after the other, and says how often it looked.
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

/// Somebody outside of a start of an agent that says nothing by itself.
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

    /// Data of what is told of usage next.
    async fn used(&self) -> Value {
        let mut said = self.events.said().await;
        assert_eq!((said.len(), said[0].kind), (1, EventKind::Usage), "{said:?}");
        said.remove(0).data.unwrap()
    }
}

/// Starts an agent that may ask its model `turns` times, whose files say this at each look, of which is told every so
/// often, and whose files are looked at that often while a limit is near. What stopped it.
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
    // It looks once as it begins, and from there on at what makes it look.
    let mut counted = Counted { meter: Some(Box::new(finds)), look_every: NEVER, near_every, so_far };
    let outside = Outside { shared: &shared, events: &events, orders: &orders, looks: looked };
    let both = async { tokio::join!(supervise(&mut child, &mut input, &mut counted, &around), meanwhile(outside)) };
    let (ending, ()) = timeout(PATIENCE, both).await.expect("nobody looked, told or stopped");
    ending.stopped.unwrap()
}

fn answer(cost: u64) -> Vec<Sign> {
    vec![Sign::Used(Tokens { input: 100, cached: 0, output: 50 }), Sign::Cost(cost), Sign::Turn, Sign::MoreFollows]
}

#[tokio::test]
async fn a_limit_holds_with_the_line_by_which_it_was_passed() {
    // Nothing is written beside its lines before its first one; then a request stands there.
    let stopped = watched(Some(1), [Vec::new(), answer(7)], (NEVER, NEVER), async |mut outside: Outside<'_>| {
        outside.looked(1).await;
        outside.shared.note(&Sign::Alive);
    });
    let Stop::Failed(failure) = stopped.await else { panic!("it was not a limit that stopped it") };
    assert_eq!(failure.code(), "turn_limit");
}

#[tokio::test]
async fn a_limit_that_the_next_answer_may_pass_holds_without_a_line() {
    // A call that fails at once is told by none.
    let near_every = Duration::from_millis(1);
    let stopped = watched(Some(1), [Vec::new(), answer(7)], (NEVER, near_every), async |_: Outside<'_>| {});
    let Stop::Failed(failure) = stopped.await else { panic!("it was not a limit that stopped it") };
    assert_eq!(failure.code(), "turn_limit");
}

#[tokio::test]
async fn what_it_has_used_is_told_while_it_works_although_it_says_nothing_more() {
    let tell_every = Duration::from_millis(500);
    let stopped = watched(None, [answer(120_000)], (tell_every, NEVER), async |outside: Outside<'_>| {
        let first = outside.used().await;
        assert_eq!(
            (&first["so_far"], &first["turns"], &first["cost_usd_micros"]),
            (&json!(true), &json!(1), &json!(120_000))
        );
        // Too soon to be told, and the last that is heard of it.
        answer(150_000).iter().for_each(|sign| outside.shared.note(sign));
        let second = outside.used().await;
        assert_eq!((&second["turns"], &second["cost_usd_micros"]), (&json!(2), &json!(150_000)));
        outside.orders.give(Order::Cancel);
    });
    assert!(matches!(stopped.await, Stop::Ordered(Order::Cancel)));
}
