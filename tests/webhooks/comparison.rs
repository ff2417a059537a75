//! Tests of the comparison with the forge: the list of changed pull requests, and all open ones.

use super::World;
use super::recovery::{FAR_ID, NOT_FOUND, ScriptedForge, pull_request_json};
use crate::prelude::*;
use pullyard_domain::project::hook::poll_progress::PollProgress;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};

const LIST: &str = "GET /repos/acme/far/pulls";

fn pull_request_id(number: u64) -> PullRequestId {
    PullRequestId { integration: IntegrationId::new("far").unwrap(), repository: FAR_ID, number }
}

impl World {
    async fn start_polling(&self, far: &ScriptedForge, numbers: RangeInclusive<u64>, state: PullRequestState) {
        self.integrate(far).await;
        self.link_pull_requests(&self.story.project, numbers.clone()).await;
        let store = self.story.store().await;
        for id in numbers.map(pull_request_id) {
            let linked = store.load_pull_request(&id).await.unwrap().unwrap();
            let linked = PullRequest { state, ..linked };
            assert_eq!(store.update_pull_request(&linked).await.unwrap(), Write::Applied);
        }
        let set = SetIngress { repository: RepositoryName::new("acme/far").unwrap(), ingress: Ingress::Poll };
        self.story.api.set_ingress(&self.story.project, &set).await.unwrap();
    }

    async fn poll_once(&self) -> PollProgress {
        self.story.advance_and_sweep(Duration::from_secs(61)).await;
        self.story.wait_for_empty_queues().await;
        let store = self.story.store().await;
        store.load_poll(&self.story.project, &pull_request_id(0).integration, FAR_ID).await.unwrap().unwrap().look
    }

    async fn state(&self, of: u64) -> PullRequestState {
        self.story.store().await.load_pull_request(&pull_request_id(of)).await.unwrap().unwrap().state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_comparison_is_repeated_by_the_next_poll() {
    let world = World::new().await;
    let at = world.story.clock.now();
    let is_back = Arc::new(AtomicBool::new(false));
    let back = is_back.clone();
    let far = ScriptedForge::start(move |call: &str| {
        let one = |number| pull_request_json(number, at).to_string();
        match call.strip_prefix(LIST) {
            Some("") => {
                Some((200, Value::from(vec![pull_request_json(102, at), pull_request_json(101, at)]).to_string()))
            }
            Some("/101") => Some((200, one(101))),
            Some("/102") if back.load(Ordering::SeqCst) => Some((200, one(102))),
            Some("/101/reviews" | "/102/reviews") => Some((200, "[]".to_owned())),
            None if call.contains("/issues/") => Some((200, "[]".to_owned())),
            _ => Some((404, NOT_FOUND.to_owned())),
        }
    })
    .await;
    world.start_polling(&far, 101..=102, PullRequestState::Closed).await;
    let first = world.poll_once().await;
    assert_eq!(first.changed, [102], "{first:?}");
    assert!(first.problem.is_some() && first.listed.is_some(), "{first:?}");
    let states = [world.state(101).await, world.state(102).await];
    assert_eq!(states, [PullRequestState::Open, PullRequestState::Closed], "a failed comparison does not block others");
    is_back.store(true, Ordering::SeqCst);
    let second = world.poll_once().await;
    assert!(second.changed.is_empty() && second.problem.is_none() && second.listed > first.listed, "{second:?}");
    assert_eq!(world.state(102).await, PullRequestState::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_longer_than_a_poll_reads_is_cut_and_reported() {
    let world = World::new().await;
    let at = world.story.clock.now();
    // Most pull requests are not in our table.
    let far = ScriptedForge::start_with_endless_lists(move |_: &str| {
        Some((200, Value::from(vec![pull_request_json(7, at)]).to_string()))
    })
    .await;
    world.start_polling(&far, 101..=101, PullRequestState::Closed).await;
    let first = world.poll_once().await;
    let pages = far.calls_about("/pulls");
    // Fewer on a slow machine, because each page has a time limit.
    assert!((1..=5).contains(&pages.len()) && pages.iter().all(|page| page == LIST), "{pages:?}");
    assert!(first.problem.as_deref().is_some_and(|problem| problem.contains("one poll reads")), "{first:?}");
    assert!(first.listed.is_some(), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_under_a_reused_repository_name_are_ignored() {
    let world = World::new().await;
    let at = world.story.clock.now();
    let far = ScriptedForge::start(move |call: &str| {
        let mut theirs = pull_request_json(101, at);
        theirs["state"] = "closed".into();
        theirs["base"]["repo"]["id"] = (FAR_ID + 1).into();
        Some((200, if call == LIST { Value::from(vec![theirs]).to_string() } else { theirs.to_string() }))
    })
    .await;
    world.start_polling(&far, 101..=101, PullRequestState::Open).await;
    let look = world.poll_once().await;
    let problem = look.problem.clone().unwrap_or_default();
    assert!(problem.contains("another repository has it"), "{look:?}");
    assert_eq!(world.state(101).await, PullRequestState::Open);
    let listed = User::of(&world.story).ok(&["repos", "list"]).await;
    assert!(listed.contains("Failed to fetch changes from the forge: failed to use the name acme/far"), "{listed}");
    let store = world.story.store().await;
    let poll = store.load_poll(&world.story.project, &pull_request_id(0).integration, FAR_ID).await.unwrap().unwrap();
    assert_eq!(poll.gone_at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_comparison_resumes_where_the_last_poll_stopped() {
    let world = World::new().await;
    let far = ScriptedForge::start(|call: &str| {
        let body = match call.strip_prefix("GET /repos/acme/far/pulls/") {
            Some(number) if !number.contains('/') => {
                pull_request_json(number.parse().unwrap(), Timestamp::from_millis(0))
            }
            _ => Value::Array(Vec::new()),
        };
        Some((200, body.to_string()))
    })
    .await;
    world.start_polling(&far, 101..=145, PullRequestState::Open).await;
    let store = world.story.store().await;
    let mut poll =
        store.load_poll(&world.story.project, &pull_request_id(0).integration, FAR_ID).await.unwrap().unwrap();
    poll.look = PollProgress::default();
    assert_eq!(store.put_poll(&poll).await.unwrap(), Write::Applied);
    let (begins, mut look) = (world.story.clock.now(), world.poll_once().await);
    let most = look.since;
    // Usually three rounds; a slow machine needs more.
    for _ in 0..45 {
        if look.began.is_none() {
            break;
        }
        look = world.poll_once().await;
    }
    let compared: Vec<_> = (101..=145).map(|number| format!("GET /repos/acme/far/pulls/{number}")).collect();
    let calls: Vec<_> = far.calls_about("/pulls/").into_iter().filter(|call| !call.ends_with("/reviews")).collect();
    assert_eq!(calls, compared);
    assert!((&look.after, &look.problem) == (&None, &None) && look.since >= Some(begins), "{look:?}");
    assert!(
        most.is_some_and(|most| look.since.unwrap().since(most) < Duration::from_secs(60)),
        "`since` is the time of the start: {look:?}"
    );
}
