//! What a hook should have told, where the forge has much of it, is slow, fails in between, or says nothing.

use super::{ANN, ANNS_TOKEN, SECRET, World, name};
use crate::cli::User;
use axum::http::header::{HeaderMap, HeaderValue, LINK};
use pullyard_domain::hook::Hook;
use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_domain::project::{Integration, Repository, Settings};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::secret::SecretKind;
use pullyard_domain::time::Timestamp;
use pullyard_fake_forge::{Calls, DeliveryFault, Fault, TestForge as _};
use pullyard_protocol::hook::{InstallHook, RecoverHook, Recovered};
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::secret::SetSecret;
use pullyard_store::{Scope, Write};
use reqwest::Method;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// The repository of the other forge.
pub(super) const FAR_ID: u64 = 77;
pub(super) const NOT_FOUND: &str = r#"{"message":"Not Found"}"#;

/// An open pull request of it, as the forge tells it.
pub(super) fn told(number: u64, updated_at: Timestamp) -> Value {
    let end = |branch: &str| json!({ "ref": branch, "sha": "1".repeat(40), "repo": { "id": FAR_ID } });
    json!({
        "number": number, "html_url": format!("https://far.example/acme/far/pull/{number}"), "title": "t",
        "state": "open", "user": null, "updated_at": updated_at.to_string(), "merged_at": null,
        "head": end("change"), "base": end("main"),
    })
}

impl World {
    /// With a hook at the forge, whose first ping has come.
    async fn hooked() -> Self {
        let world = Self::make().await;
        world.story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
        world.story.local.forge().deliveries_settled().await;
        world
    }

    /// One round of looking for what a hook should have told, now.
    async fn recovered(&self, hook: &str) -> Recovered {
        let found = self.story.api.recover_hook(&name(hook), &RecoverHook::default()).await.unwrap();
        self.story.local.forge().deliveries_settled().await;
        found
    }

    /// How often each delivery that has not arrived was asked for again, fewest first.
    async fn tries(&self, hook: &str) -> Vec<u8> {
        let hook = self.story.store().await.hook(&name(hook)).await.unwrap().unwrap();
        let mut tries: Vec<u8> = hook.recovery.missing.values().map(|missing| missing.asked).collect();
        tries.sort_unstable();
        tries
    }

    /// We write below the pull request, at the forge itself.
    async fn we_write(&self, words: &str) {
        self.story.forge(Method::POST, &format!("/issues/{}/comments", self.number), json!({ "body": words })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_a_pull_request_that_one_round_could_not_read_is_found_by_the_next() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    let whole = world.recovered("acme").await;
    assert_eq!((whole.pull_requests, whole.reviews, whole.problems), (1, 0, vec![]));
    forge.order_delivery_fault(1, DeliveryFault::Forgotten);
    world.asks().await;
    // Longer than the clocks of a forge and of ours may be apart.
    world.story.clock.advance(HOUR);
    let reading = Calls { method: Some("GET".into()), path: format!("/pulls/{}", world.number) };
    // One that is not asked about again at once.
    forge.order_fault(reading, 1, Fault::status(501));
    let failed = world.recovered("acme").await;
    assert_eq!((failed.pull_requests, failed.reviews, failed.problems.len()), (1, 0, 1), "{:?}", failed.problems);
    let found = world.recovered("acme").await;
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_another_projects_hook_told_is_found_where_its_own_hook_lost_it() {
    let world = World::hooked().await;
    world.with_neighbour("other").await;
    // A lasting enough answer for a look: what a person switched off is theirs to switch on and send again.
    let store = world.story.store().await;
    let mut other = store.project(&ProjectId::new("other").unwrap()).await.unwrap().unwrap();
    other.settings.revise_on_review = false;
    assert_eq!(store.put_project(&other).await.unwrap(), Write::Applied);
    world.story.local.forge().order_delivery_fault(1, DeliveryFault::Forgotten);
    let review = world.asks().await;
    let told =
        world.send("other", "pull_request_review", &world.review(review, "submitted", "changes_requested")).await;
    assert_eq!(told.1["code"], "retrigger_disabled", "{}", told.1);
    let found = world.recovered("acme").await;
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_whose_author_the_forge_does_not_vouch_for_for_hours_is_decided_when_it_does() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    let asking = Calls { method: Some("GET".into()), path: "/collaborators/".into() };
    forge.order_fault(asking, 10_000, Fault::status(500));
    world.asks().await;
    forge.deliveries_settled().await;
    for _ in 0..3 {
        // Longer than the clocks of a forge and of ours may be apart.
        world.story.clock.advance(HOUR);
        let found = world.recovered("acme").await;
        assert_eq!((found.reviews, found.problems.len()), (0, 1), "{:?}", found.problems);
    }
    assert!(world.revisions().await.is_empty());
    forge.forget_faults();
    let found = world.recovered("acme").await;
    assert_eq!((found.reviews, found.problems), (1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_whom_a_forge_never_vouches_for_holds_no_look_up_for_longer_than_a_day() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    let asking = Calls { method: Some("GET".into()), path: "/collaborators/".into() };
    forge.order_fault(asking, 10_000, Fault::status(404));
    world.asks().await;
    forge.deliveries_settled().await;
    for (hours, problems) in [(23, 1), (2, 0)] {
        world.story.clock.advance(HOUR * hours);
        let found = world.recovered("acme").await;
        assert_eq!((found.reviews, found.problems.len()), (0, problems), "{:?}", found.problems);
    }
    assert!(world.revisions().await.is_empty());
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_never_came_is_asked_for_again_from_behind_a_whole_page_of_newer_ones() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    let hook = world.story.api.hook(&name("acme")).await.unwrap().forge_id.unwrap();
    let deliveries = format!("/hooks/{hook}/deliveries");
    let ping = world.story.forge(Method::GET, &deliveries, Value::Null).await[0]["id"].clone();
    forge.order_delivery_fault(1, DeliveryFault::NotSent);
    world.commented(ANNS_TOKEN, "/pullyard revise use tabs").await;
    // What has come is sent again, as often as there are rows on a page.
    for _ in 0..100 {
        world.story.forge(Method::POST, &format!("{deliveries}/{ping}/attempts"), Value::Null).await;
    }
    forge.deliveries_settled().await;
    assert!(world.revisions().await.is_empty(), "nobody told us");
    let found = world.recovered("acme").await;
    assert_eq!(found.looked_at, 102, "a page, and on the next one Ann's comment and the ping: {found:?}");
    assert_eq!((found.asked, found.missing, found.problems), (1, 1, vec![]));
    world.revised().await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_not_asked_for_since_another_one_met_an_error_uses_up_no_try() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    forge.order_delivery_fault(2, DeliveryFault::NotSent);
    world.we_write("Looks good.").await;
    world.we_write("Looks better.").await;
    forge.deliveries_settled().await;
    let asking = Calls { method: Some("POST".into()), path: "/attempts".into() };
    forge.order_fault(asking, 1, Fault::status(503));
    let stopped = world.recovered("acme").await;
    assert_eq!((stopped.asked, stopped.missing), (0, 2));
    assert_eq!(world.tries("acme").await, [0, 1], "the one that met the error may have been taken all the same");
    // The one that met it rests for an hour, the other one does not.
    let next = world.recovered("acme").await;
    assert_eq!((next.asked, next.missing), (1, 2));
    assert_eq!(world.tries("acme").await, [1, 1]);
    let resting = world.recovered("acme").await;
    assert_eq!((resting.asked, resting.missing), (0, 1));
    world.story.clock.advance(HOUR);
    let rested = world.recovered("acme").await;
    assert_eq!((rested.asked, rested.missing), (1, 1));
    let done = world.recovered("acme").await;
    assert_eq!((done.asked, done.missing, done.given_up), (0, 0, 0));
    world.story.end().await;
}

/// A forge that says what the test has it say. It is connected as `far`.
pub(super) struct Far {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Far {
    /// What it answers to a call such as `GET /path`, as status and body; where that is nothing, it never does.
    pub(super) async fn start(says: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + Sync + 'static) -> Self {
        Self::serve(says, HeaderMap::new()).await
    }

    /// The same, whose lists never end.
    pub(super) async fn endless(says: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + Sync + 'static) -> Self {
        let more = HeaderValue::from_static(r#"<https://far.example/?page=2>; rel="next""#);
        Self::serve(says, HeaderMap::from_iter([(LINK, more)])).await
    }

    async fn serve(
        says: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + Sync + 'static,
        headers: HeaderMap,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = asked.clone();
        let answer = move |request: axum::extract::Request| {
            let call = format!("{} {}", request.method(), request.uri().path());
            let said = says(&call);
            heard.lock().unwrap().push(call);
            let headers = headers.clone();
            async move {
                match said {
                    Some((status, body)) => (axum::http::StatusCode::from_u16(status).unwrap(), headers, body),
                    None => std::future::pending().await,
                }
            }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
        Self { url, asked }
    }

    /// What it was asked so far whose address has this in it, each as `GET /path`.
    pub(super) fn asked(&self, about: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|call| call.contains(about)).cloned().collect()
    }
}

impl World {
    /// Connects that forge.
    pub(super) async fn integrate(&self, far: &Far) -> IntegrationId {
        let store = self.story.store().await;
        let known = store.integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
        let integration = IntegrationId::new("far").unwrap();
        let connected = Integration { id: integration.clone(), api_url: far.url.clone(), ..known };
        assert_eq!(store.put_integration(&connected).await.unwrap(), Write::Applied);
        integration
    }

    /// The same, with a hook for all of acme that was made there by hand and has pinged us, also for these projects.
    async fn connect(&self, far: &Far, others: &[ProjectId]) {
        let hook = InstallHook {
            integration: self.integrate(far).await,
            others: others.to_vec(),
            repository: None,
            organisation: Some("acme".into()),
            ..self.wanted("far", true)
        };
        let made = self.story.api.install_hook(&hook).await.unwrap();
        let secret = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        self.story.api.set_secret(&made.secret, &secret).await.unwrap();
        let ping = json!({ "zen": "Keep it logically awesome.", "hook_id": 7, "hook": {} });
        assert_eq!(self.send("far", "ping", &ping).await.0, 200);
    }

    /// A repository of that forge is connected to a project, with these open pull requests.
    pub(super) async fn open_far(&self, project: &ProjectId, numbers: RangeInclusive<u64>) {
        let store = self.story.store().await;
        let known = IntegrationId::new("gh1").unwrap();
        let here = store.repository(&self.story.project, &known, self.repository).await.unwrap().unwrap();
        let integration = IntegrationId::new("far").unwrap();
        let name = RepositoryName::new("acme/far").unwrap();
        let there = Repository { project: project.clone(), integration: integration.clone(), id: FAR_ID, name, ..here };
        assert_eq!(store.put_repository(&there).await.unwrap(), Write::Applied);
        for number in numbers {
            let id = PullRequestId { integration: integration.clone(), repository: FAR_ID, number };
            let linked = PullRequest::linked(id, project.clone(), None, None);
            assert_eq!(store.update_pull_request(&linked).await.unwrap(), Write::Applied);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_pull_requests_of_several_projects_than_a_round_compares_are_compared_once_each_in_several() {
    let world = World::make().await;
    let says = |call: &str| match call.ends_with("/deliveries") {
        true => Some((200, "[]".to_owned())),
        false => Some((404, NOT_FOUND.to_owned())),
    };
    let far = Far::start(says).await;
    let [second, third] = ["second", "third"].map(|id| ProjectId::new(id).unwrap());
    for id in [&second, &third] {
        let create = CreateProject { id: id.clone(), name: id.to_string(), settings: Settings::default() };
        world.story.api.create_project(&create).await.unwrap();
    }
    world.connect(&far, &[second.clone(), third.clone()]).await;
    // A round ends within the first project, and the next one with the last of the second.
    let open = [(&world.story.project, 101..=125), (&second, 201..=215), (&third, 301..=303)];
    let mut all = Vec::new();
    for (project, numbers) in open {
        world.open_far(project, numbers.clone()).await;
        all.extend(numbers.map(|number| format!("GET /repos/acme/far/pulls/{number}")));
    }
    // Three rounds do it; where their time is over sooner, it takes more of them.
    for _ in 0..all.len() {
        if far.asked("/pulls/").len() < all.len() {
            world.recovered("far").await;
        }
    }
    assert_eq!(far.asked("/pulls/"), all);
    world.recovered("far").await;
    assert_eq!(far.asked("/pulls/")[all.len()], all[0], "and then the first again");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_listed_once_it_is_over_behind_a_quicker_later_one_is_asked_for_again() {
    let world = World::make().await;
    let now = world.story.clock.now();
    let row = |id: u64, secs: u64, status: u16| {
        let at = now.minus(Duration::from_secs(secs)).to_string();
        json!({
            "id": id, "guid": format!("guid-{id}"), "delivered_at": at, "status": "", "status_code": status,
            "event": "issue_comment",
        })
    };
    let (slow, quick) = (row(1, 18, 0), row(2, 12, 200));
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let far = Far::start(move |call: &str| match call.ends_with("/deliveries") {
        true if over.load(Ordering::SeqCst) => Some((200, json!([quick, slow]).to_string())),
        true => Some((200, json!([quick]).to_string())),
        false => Some((202, "{}".to_owned())),
    })
    .await;
    world.connect(&far, &[]).await;
    let found = world.recovered("far").await;
    assert_eq!((found.looked_at, found.asked, found.missing), (1, 0, 0), "{found:?}");
    is_over.store(true, Ordering::SeqCst);
    for asked in [1, 0] {
        let found = world.recovered("far").await;
        assert_eq!((found.looked_at, found.asked, found.missing), (2, asked, 1), "{found:?}");
    }
    assert_eq!(far.asked("/attempts"), ["POST /orgs/acme/hooks/7/deliveries/1/attempts"]);
    world.story.end().await;
}

/// A forge's list of three deliveries that nobody took, newest first.
fn three_that_timed_out(now: Timestamp) -> String {
    let row = |id: u64| {
        let at = now.minus(Duration::from_secs(60 - 10 * id)).to_string();
        json!({
            "id": id, "guid": format!("guid-{id}"), "delivered_at": at, "status": "timed out", "status_code": 0,
            "event": "issue_comment",
        })
    };
    json!([row(3), row(2), row(1)]).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_are_not_asked_for_use_up_no_try_though_somebody_changes_the_hook_meanwhile() {
    let world = World::make().await;
    let second = ProjectId::new("second").unwrap();
    let create = CreateProject { id: second.clone(), name: "Second".into(), settings: Settings::default() };
    world.story.api.create_project(&create).await.unwrap();
    let store = world.story.store().await;
    let listed = three_that_timed_out(world.story.clock.now());
    let (table, other) = (store.clone(), second.clone());
    let far = Far::start(move |call: &str| {
        if call.ends_with("/deliveries") {
            return Some((200, listed.clone()));
        }
        // While the first is asked for, the hook is made to serve a further project.
        let change = async {
            let hook = table.hook(&name("far")).await.unwrap().unwrap();
            let hook = Hook { others: vec![other.clone()], ..hook };
            assert_eq!(table.put_hook(&hook).await.unwrap(), Write::Applied);
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(change));
        Some((503, "{}".to_owned()))
    })
    .await;
    world.connect(&far, &[]).await;
    let found = world.recovered("far").await;
    assert_eq!((found.asked, found.missing), (0, 3));
    assert_eq!(far.asked("/attempts").len(), 1);
    assert_eq!(world.tries("far").await, [0, 0, 1], "the one that met the error may have been taken all the same");
    let hook = store.hook(&name("far")).await.unwrap().unwrap();
    assert_eq!(hook.others, [second]);
    assert!(hook.recovery.look.since.is_some(), "and pull requests were compared: {hook:?}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_can_not_be_read_is_named_as_such_and_keeps_no_other_from_being_listed_and_looked_after() {
    let world = World::hooked().await;
    world.by_hand("broken").await;
    let broken = json!({
        "TableName": "pullyard",
        "Key": { "pk": { "S": "HOOK#broken" }, "sk": { "S": "HOOK" } },
        "UpdateExpression": "SET #kind = :broken",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeNames": { "#kind": "kind" },
        "ExpressionAttributeValues": { ":broken": { "S": "broken" } },
    });
    world.story.dynamodb("UpdateItem", broken).await;
    let page = world.story.api.hooks(None).await.unwrap();
    let names: Vec<_> = page.hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(names, ["acme"]);
    let [unread] = &page.unreadable[..] else { panic!("one can't be read: {page:?}") };
    assert!(unread.name.as_str() == "broken" && unread.problem.contains("HOOK#broken"), "{unread:?}");
    let user = User::of(&world.story);
    let ran = user.run(&["deliveries", "recover"]).await.ended(1, "the hook broken can't be read");
    assert!(ran.out.contains("acme: ") && !ran.out.contains("broken"), "{ran:?}");
    let ran = user.run(&["hooks", "list", "--json"]).await.ended(1, "the hook broken can't be read");
    let listed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    // Whoever may not see every project does not learn of it.
    let own = world.story.token(&[Scope::Admin], Some(&["acme"])).await;
    let (status, _, listed) = world.story.raw(Method::GET, "/v1/hooks", Some(&own), Vec::new()).await;
    assert_eq!((status, listed["hooks"].as_array().map(Vec::len)), (200, Some(1)), "{listed}");
    assert!(listed.get("unreadable").is_none(), "{listed}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_whose_hook_somebody_changes_meanwhile_says_so_and_nothing_that_it_did_not_keep() {
    let world = World::make().await;
    let store = world.story.store().await;
    let listed = three_that_timed_out(world.story.clock.now());
    let (table, is_changed) = (store.clone(), Arc::new(AtomicBool::new(false)));
    let far = Far::start(move |call: &str| {
        if !call.ends_with("/deliveries") {
            return Some((202, "{}".to_owned()));
        }
        if !is_changed.swap(true, Ordering::SeqCst) {
            let change = async {
                let hook = table.hook(&name("far")).await.unwrap().unwrap();
                let hook = Hook { base_url: Some("https://pullyard.example".into()), ..hook };
                assert_eq!(table.put_hook(&hook).await.unwrap(), Write::Applied);
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(change));
        }
        Some((200, listed.clone()))
    })
    .await;
    world.connect(&far, &[]).await;
    let found = world.recovered("far").await;
    assert_eq!((found.looked_at, found.asked, found.missing), (0, 0, 0), "{found:?}");
    assert!(found.problems.len() == 1 && found.problems[0].contains("was changed"), "{found:?}");
    assert!(world.tries("far").await.is_empty() && far.asked("/attempts").is_empty());
    let found = world.recovered("far").await;
    assert_eq!((found.looked_at, found.asked, found.missing, found.problems), (3, 3, 3, vec![]));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_a_slow_forge_leaves_no_time_to_ask_for_are_asked_for_in_the_next_rounds() {
    let world = World::make().await;
    let clock = world.story.clock.clone();
    let listed = three_that_timed_out(clock.now());
    let far = Far::start(move |call: &str| {
        if call.ends_with("/deliveries") {
            return Some((200, listed.clone()));
        }
        clock.advance(Duration::from_secs(20));
        Some((202, "{}".to_owned()))
    })
    .await;
    world.connect(&far, &[]).await;
    for id in 1..=3 {
        let found = world.recovered("far").await;
        assert_eq!((found.asked, found.missing, found.problems), (1, 3, vec![]), "each round has time for one");
        let last = format!("POST /orgs/acme/hooks/7/deliveries/{id}/attempts");
        assert_eq!(far.asked("/attempts").last(), Some(&last));
    }
    assert_eq!(world.tries("far").await, [1, 1, 1]);
    assert_eq!(world.recovered("far").await.asked, 0, "each rests for an hour");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_deliveries_that_never_comes_keeps_no_round_from_comparing_pull_requests() {
    let world = World::make().await;
    let far = Far::start(|call: &str| match call.ends_with("/deliveries") {
        true => None,
        false => Some((404, NOT_FOUND.to_owned())),
    })
    .await;
    world.connect(&far, &[]).await;
    world.open_far(&world.story.project, 101..=101).await;
    let found = world.recovered("far").await;
    assert_eq!((found.looked_at, found.pull_requests), (0, 1), "{found:?}");
    assert!(found.problems[0].contains("did not answer within"), "{found:?}");
    // The call for the list is one that would be tried three times.
    assert_eq!(far.asked(""), ["GET /orgs/acme/hooks/7/deliveries", "GET /repos/acme/far/pulls/101"]);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_whose_item_can_not_be_read_keeps_no_other_from_being_compared() {
    let world = World::make().await;
    let at = world.story.clock.now();
    let far = Far::start(move |call: &str| {
        let is_one = call.ends_with("/pulls/102");
        Some((200, if is_one { told(102, at).to_string() } else { "[]".to_owned() }))
    })
    .await;
    world.connect(&far, &[]).await;
    world.open_far(&world.story.project, 101..=102).await;
    let broken = json!({
        "TableName": "pullyard",
        "Key": { "pk": { "S": format!("PR#far#{FAR_ID}#101") }, "sk": { "S": "PR" } },
        "UpdateExpression": "SET #state = :broken",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeNames": { "#state": "state" },
        "ExpressionAttributeValues": { ":broken": { "S": "broken" } },
    });
    world.story.dynamodb("UpdateItem", broken).await;
    let found = world.recovered("far").await;
    assert_eq!((found.pull_requests, found.problems.len()), (2, 1), "{found:?}");
    assert!(found.problems[0].contains(&format!("PR#far#{FAR_ID}#101")), "{found:?}");
    assert_eq!(far.asked("/pulls/"), ["GET /repos/acme/far/pulls/102", "GET /repos/acme/far/pulls/102/reviews"]);
    let hook = world.story.store().await.hook(&name("far")).await.unwrap().unwrap();
    assert_eq!(hook.recovery.look.since, None, "what was submitted there is not taken for seen");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_whose_pull_request_is_never_told_is_answered_before_its_call_is_repeated() {
    let world = World::make().await;
    let far = Far::start(|_: &str| None).await;
    world.connect(&far, &[]).await;
    world.open_far(&world.story.project, 101..=101).await;
    let who = json!({ "id": ANN, "login": "ann", "type": "User" });
    let mut asked = world.comment(1, "/pullyard revise use tabs", &who);
    asked["issue"]["number"] = json!(101);
    asked["repository"] = json!({ "id": FAR_ID, "full_name": "acme/far" });
    let (status, said) = world.send("far", "issue_comment", &asked).await;
    assert_eq!((status, said["code"].as_str()), (503, Some("unavailable")), "it comes again: {said}");
    // Three times, each as long as the forge that told us waits, would be too late for it.
    assert_eq!(far.asked(""), ["GET /repos/acme/far/pulls/101"]);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_of_before_the_last_look_is_found_when_somebody_looks_again_since_then() {
    let world = World::make().await;
    let (api, clock) = (&world.story.api, &world.story.clock);
    api.install_hook(&world.wanted("acme", false)).await.unwrap();
    world.story.local.forge().deliveries_settled().await;
    world.story.local.forge().order_delivery_fault(1, DeliveryFault::Forgotten);
    world.asks().await;
    // An hour later everything of before is thought to have been seen.
    clock.advance(HOUR);
    let store = world.story.store().await;
    let mut hook = store.hook(&name("acme")).await.unwrap().unwrap();
    hook.recovery.look.since = Some(clock.now());
    assert_eq!(store.put_hook(&hook).await.unwrap(), Write::Applied);
    let found = api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 0, vec![]));
    let since = RecoverHook { since: Some(clock.now().minus(HOUR * 2)) };
    let found = api.recover_hook(&name("acme"), &since).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}
