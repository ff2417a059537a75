//! Tests of missed webhooks while the forge fails or does not answer.

use super::{ANN, ANNS_TOKEN, SECRET, World};
use crate::prelude::*;
use axum::http::header::{HeaderMap, HeaderValue, LINK};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use std::ops::RangeInclusive;

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const FAR_ID: u64 = 77;
pub(super) const NOT_FOUND: &str = r#"{"message":"Not Found"}"#;

pub(super) fn pull_request_json(number: u64, updated_at: Timestamp) -> Value {
    let end = |branch: &str| json!({ "ref": branch, "sha": "1".repeat(40), "repo": { "id": FAR_ID } });
    json!({
        "number": number, "html_url": format!("https://far.example/acme/far/pull/{number}"), "title": "t",
        "state": "open", "user": null, "updated_at": updated_at.to_string(), "merged_at": null,
        "head": end("change"), "base": end("main"),
    })
}

impl World {
    /// Returns the problem of the poll.
    async fn poll_after(&self, time: Duration) -> Option<String> {
        self.story.advance_and_sweep(time).await;
        self.story.wait_for_empty_queues().await;
        self.story.api.ingresses(&self.story.project).await.unwrap().repositories.remove(0).problem
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn review_is_decided_once_its_authors_permission_is_known() {
    let world = World::new().await;
    world.story.api.install_hook(&world.install_request("acme", false)).await.unwrap();
    let forge = world.story.local.forge();
    forge.wait_for_deliveries().await;
    let asking = CallFilter { method: Some("GET".into()), path: "/collaborators/".into() };
    forge.inject_fault(asking, 10_000, Fault::status(500));
    world.request_changes().await;
    forge.wait_for_deliveries().await;
    for _ in 0..3 {
        assert!(world.poll_after(HOUR).await.is_some());
    }
    assert!(world.story.revisions().await.is_empty());
    forge.clear_faults();
    assert_eq!(world.poll_after(HOUR).await, None);
    assert_eq!(world.story.revisions().await.len(), 1);
}

pub(super) struct ScriptedForge {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl ScriptedForge {
    /// `says` maps a call such as `GET /path` to status and body; `None` never answers.
    pub(super) async fn start(says: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + Sync + 'static) -> Self {
        Self::serve(says, HeaderMap::new()).await
    }

    pub(super) async fn start_with_endless_lists(
        says: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + Sync + 'static,
    ) -> Self {
        let more = HeaderValue::from_static(r#"<https://far.example/?page=2>; rel="next""#);
        Self::serve(says, HeaderMap::from_iter([(LINK, more)])).await
    }

    async fn serve(
        says: impl Fn(&str) -> Option<(u16, String)> + Clone + Send + Sync + 'static,
        headers: HeaderMap,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let call_log = calls.clone();
        let answer = move |request: axum::extract::Request| {
            let call = format!("{} {}", request.method(), request.uri().path());
            let response = says(&call);
            call_log.lock().unwrap().push(call);
            let headers = headers.clone();
            async move {
                match response {
                    Some((status, body)) => (axum::http::StatusCode::from_u16(status).unwrap(), headers, body),
                    None => std::future::pending().await,
                }
            }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
        Self { url, calls }
    }

    /// The received calls whose path contains `about`, each as `GET /path`.
    pub(super) fn calls_about(&self, about: &str) -> Vec<String> {
        self.calls.lock().unwrap().iter().filter(|call| call.contains(about)).cloned().collect()
    }
}

impl World {
    pub(super) async fn integrate(&self, far: &ScriptedForge) -> IntegrationId {
        let store = self.story.store().await;
        let known = store.load_integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
        let integration = IntegrationId::new("far").unwrap();
        let connected = Integration { id: integration.clone(), api_url: far.url.clone(), ..known };
        assert_eq!(store.put_integration(&connected).await.unwrap(), Write::Applied);
        integration
    }

    async fn connect(&self, far: &ScriptedForge) {
        let hook = InstallHook {
            integration: self.integrate(far).await,
            repository: None,
            organisation: Some("acme".into()),
            ..self.install_request("far", true)
        };
        let new_hook = self.story.api.install_hook(&hook).await.unwrap();
        let secret = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        self.story.api.set_secret(&new_hook.secret, &secret).await.unwrap();
        let ping = json!({ "zen": "Keep it logically awesome.", "hook_id": 7, "hook": {} });
        assert_eq!(self.send("far", "ping", &ping).await.0, 200);
    }

    pub(super) async fn link_pull_requests(&self, project: &ProjectId, numbers: RangeInclusive<u64>) {
        let store = self.story.store().await;
        let known = IntegrationId::new("gh1").unwrap();
        let here = store.load_repository(&self.story.project, &known, self.repository).await.unwrap().unwrap();
        let integration = IntegrationId::new("far").unwrap();
        let name = RepositoryName::new("acme/far").unwrap();
        let there = Repository { project: project.clone(), integration: integration.clone(), id: FAR_ID, name, ..here };
        assert_eq!(store.put_repository(&there, None).await.unwrap(), Write::Applied);
        for number in numbers {
            let id = PullRequestId { integration: integration.clone(), repository: FAR_ID, number };
            let linked = PullRequest::new(id, project.clone(), None, None);
            assert_eq!(store.update_pull_request(&linked).await.unwrap(), Write::Applied);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_on_an_unreachable_pr_is_answered_after_one_try() {
    let world = World::new().await;
    let far = ScriptedForge::start(|_: &str| None).await;
    world.connect(&far).await;
    world.link_pull_requests(&world.story.project, 101..=101).await;
    let user = json!({ "id": ANN, "login": "ann", "type": "User" });
    let mut comment = world.comment(1, "/pullyard revise use tabs", &user);
    comment["issue"]["number"] = json!(101);
    comment["repository"] = json!({ "id": FAR_ID, "full_name": "acme/far" });
    let (status, response) = world.send("far", "issue_comment", &comment).await;
    assert_eq!((status, response["code"].as_str()), (503, Some("unavailable")), "the forge repeats it: {response}");
    // One try takes as long as the forge waits, so three would be too late.
    assert_eq!(far.calls_about(""), ["GET /repos/acme/far/pulls/101"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_is_decided_once_its_authors_permission_is_known() {
    let world = World::new().await;
    let forge = world.story.local.forge();
    let asking = CallFilter { method: Some("GET".into()), path: "/collaborators/".into() };
    forge.inject_fault(asking, 10_000, Fault::status(500));
    world.comment_at_forge(ANNS_TOKEN, "/pullyard raise 20").await;
    for _ in 0..3 {
        assert!(world.poll_after(HOUR).await.is_some());
    }
    assert_eq!(world.list_raises("APP-1").await, [0_u64; 0]);
    assert_eq!(world.list_comments(world.number).await.len(), 1, "no reply");
    forge.clear_faults();
    for _ in 0..2 {
        assert_eq!(world.poll_after(HOUR).await, None);
    }
    assert_eq!(world.list_raises("APP-1").await, [20]);
    assert_eq!(world.list_comments(world.number).await.len(), 2, "the comment and one reply");
}
