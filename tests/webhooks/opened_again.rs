//! What a look finds in the forge's list of open pull requests: how often it is read, and what becomes of those on it.

use super::World;
use super::recovery::{FAR_ID, Far, NOT_FOUND, told};
use pullyard_domain::hook::Ingress;
use pullyard_domain::hook::recovery::Look;
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_protocol::hook::SetIngress;
use pullyard_store::Write;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LIST: &str = "GET /repos/acme/far/pulls";

fn number(number: u64) -> PullRequestId {
    PullRequestId { integration: IntegrationId::new("far").unwrap(), repository: FAR_ID, number }
}

impl World {
    /// The repository of that forge is looked at, with these pull requests, which are so as far as we know.
    async fn polls(&self, far: &Far, numbers: RangeInclusive<u64>, state: PullRequestState) {
        self.integrate(far).await;
        self.open_far(&self.story.project, numbers.clone()).await;
        let store = self.story.store().await;
        for id in numbers.map(number) {
            let linked = store.pull_request(&id).await.unwrap().unwrap();
            let linked = PullRequest { state, ..linked };
            assert_eq!(store.update_pull_request(&linked).await.unwrap(), Write::Applied);
        }
        let set = SetIngress { repository: RepositoryName::new("acme/far").unwrap(), ingress: Ingress::Poll };
        self.story.api.set_ingress(&self.story.project, &set).await.unwrap();
    }

    /// One round of it, and what is kept of that.
    async fn polled(&self) -> Look {
        self.story.pass(Duration::from_secs(61)).await;
        self.story.quiet().await;
        let store = self.story.store().await;
        store.poll(&self.story.project, &number(0).integration, FAR_ID).await.unwrap().unwrap().look
    }

    async fn state(&self, of: u64) -> PullRequestState {
        self.story.store().await.pull_request(&number(of)).await.unwrap().unwrap().state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forges_list_is_read_every_five_minutes_from_where_it_was_read_last_though_a_problem_lasts() {
    let world = World::make().await;
    let far = Far::start(|call: &str| match call == LIST {
        true => Some((200, "[]".to_owned())),
        false => Some((404, NOT_FOUND.to_owned())),
    })
    .await;
    // One that is open and that its forge does not know.
    world.polls(&far, 101..=101, PullRequestState::Open).await;
    let first = world.polled().await;
    assert!(first.listed.is_some() && first.problem.is_some(), "{first:?}");
    for _ in 2..=5 {
        assert_eq!(world.polled().await.listed, first.listed);
    }
    assert_eq!((far.asked("/pulls/").len(), far.asked("/pulls").len()), (5, 6), "{:?}", far.asked(""));
    let sixth = world.polled().await;
    assert_eq!((far.asked("/pulls/").len(), far.asked("/pulls").len()), (6, 8), "{:?}", far.asked(""));
    assert!(sixth.since == first.since && sixth.listed > first.listed, "{first:?} {sixth:?}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_opened_again_and_could_not_be_compared_is_found_later_though_no_list_is_read_for_it() {
    let world = World::make().await;
    let at = world.story.clock.now();
    let is_back = Arc::new(AtomicBool::new(false));
    let back = is_back.clone();
    let far = Far::start(move |call: &str| {
        let one = |number| told(number, at).to_string();
        match call.strip_prefix(LIST) {
            Some("") => Some((200, Value::from(vec![told(102, at), told(101, at)]).to_string())),
            Some("/101") => Some((200, one(101))),
            Some("/102") if back.load(Ordering::SeqCst) => Some((200, one(102))),
            Some("/101/reviews" | "/102/reviews") => Some((200, "[]".to_owned())),
            None if call.contains("/issues/") => Some((200, "[]".to_owned())),
            _ => Some((404, NOT_FOUND.to_owned())),
        }
    })
    .await;
    world.polls(&far, 101..=102, PullRequestState::Closed).await;
    let first = world.polled().await;
    assert_eq!(first.again, [102], "{first:?}");
    assert!(first.problem.is_some() && first.listed.is_some(), "{first:?}");
    let states = [world.state(101).await, world.state(102).await];
    assert_eq!(states, [PullRequestState::Open, PullRequestState::Closed], "one that fails keeps no other waiting");
    is_back.store(true, Ordering::SeqCst);
    let second = world.polled().await;
    assert!(second.again.is_empty() && second.problem.is_none() && second.since > first.since, "{second:?}");
    assert_eq!(world.state(102).await, PullRequestState::Open);
    assert_eq!(far.asked("/pulls").iter().filter(|call| *call == LIST).count(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_longer_than_a_look_reads_is_cut_and_said_to_be_and_counts_as_read() {
    let world = World::make().await;
    let at = world.story.clock.now();
    // Of somebody else's, as most of them are.
    let far = Far::endless(move |_: &str| Some((200, Value::from(vec![told(7, at)]).to_string()))).await;
    world.polls(&far, 101..=101, PullRequestState::Closed).await;
    let first = world.polled().await;
    let pages = far.asked("");
    // Fewer where the machine is slow: a page has its time, too.
    assert!((1..=5).contains(&pages.len()) && pages.iter().all(|page| page == LIST), "{pages:?}");
    assert!(first.problem.as_deref().is_some_and(|problem| problem.contains("passed over")), "{first:?}");
    let second = world.polled().await;
    assert_eq!(far.asked("").len(), pages.len());
    assert!(first.listed.is_some() && second.listed == first.listed, "{first:?} {second:?}");
    assert!(second.problem.is_none() && second.since > first.since, "{second:?}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_takes_all_of_a_rounds_time_leaves_the_comparing_to_the_next_one() {
    let world = World::make().await;
    let clock = world.story.clock.clone();
    let far = Far::start(move |call: &str| {
        if call == LIST {
            clock.advance(Duration::from_secs(20));
            return Some((200, "[]".to_owned()));
        }
        Some((404, NOT_FOUND.to_owned()))
    })
    .await;
    world.polls(&far, 101..=102, PullRequestState::Open).await;
    let first = world.polled().await;
    assert_eq!(far.asked("/pulls"), [LIST]);
    let goes_on = first.goes_on.unwrap();
    assert_eq!((&goes_on.project, goes_on.after), (&world.story.project, None));
    let second = world.polled().await;
    let compared = ["GET /repos/acme/far/pulls/101", "GET /repos/acme/far/pulls/102"];
    assert_eq!(far.asked("/pulls"), [LIST, compared[0], compared[1]]);
    assert_eq!(second.goes_on, None);
    world.story.end().await;
}

/// As where it has none: nothing says that ours is gone, or that its pull requests are closed.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_repository_has_under_the_name_that_ours_had_is_not_taken_for_ours() {
    let world = World::make().await;
    let at = world.story.clock.now();
    let far = Far::start(move |call: &str| {
        let mut theirs = told(101, at);
        theirs["state"] = "closed".into();
        theirs["base"]["repo"]["id"] = (FAR_ID + 1).into();
        Some((200, if call == LIST { "[]".to_owned() } else { theirs.to_string() }))
    })
    .await;
    world.polls(&far, 101..=101, PullRequestState::Open).await;
    let look = world.polled().await;
    let problem = look.problem.clone().unwrap_or_default();
    assert!(problem.contains("another repository has it"), "{look:?}");
    assert_eq!(world.state(101).await, PullRequestState::Open);
    let store = world.story.store().await;
    let poll = store.poll(&world.story.project, &number(0).integration, FAR_ID).await.unwrap().unwrap();
    assert_eq!(poll.gone_at, None);
    world.story.end().await;
}
