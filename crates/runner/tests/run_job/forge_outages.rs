//! Tests outages of the forge: they are waited out before and after the agent, and finished work is never repeated.

use crate::api::broken;
use crate::git_points::path_with_git_script;
use crate::prelude::*;
use crate::world::World;
use axum::body::{Body, Bytes};
use axum::http::{Method, Uri, header};
use pullyard_domain::review::output::JobOutput;
use pullyard_protocol::attempt::AssignedStep;
use std::sync::atomic::{AtomicUsize, Ordering};

const AGENT: &str = "cat > /dev/null; echo x >> @DIR@/runs; echo hello > greeting.txt; echo 'I greet.'";
const PUSH: &str = "POST /acme/app.git/git-receive-pack";
const PUSH_REFS: &str = "service=git-receive-pack";
const FETCH_REFS: &str = "service=git-upload-pack";
const NEW_PULL_REQUEST: &str = "POST /api/v3/repos/acme/app/pulls";
const FOREVER: usize = usize::MAX;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Answer(u16, &'static str, &'static str),
    Reset,
    RateLimit,
    /// The call takes effect, and another program answers for the forge.
    PageAfterCall,
}

const PAGE: Fault = Fault::Answer(200, "text/html", "<!doctype html><title>Welcome</title>");
const EMPTY: Fault = Fault::Answer(200, "application/x-git-upload-pack-advertisement", "");
const SERVER_ERROR: Fault = Fault::Answer(500, "text/plain", "upstream");
/// The forge does not see the pushed branch yet.
const UNSEEN: Fault = Fault::Answer(
    422,
    "application/json",
    r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"head","code":"invalid"}]}"#,
);
const PROXY_REFUSAL: Fault = Fault::Answer(403, "text/html", "<title>Blocked</title>");
const PROXY_TIMEOUT: Fault = Fault::Answer(408, "text/html", "<title>Timeout</title>");
const NO_UPSTREAM: Fault = Fault::Answer(404, "text/plain", "upstream not found");

/// A proxy before the forge that breaks the first calls whose method and address contain a text.
struct BrokenForge {
    address: String,
    http: reqwest::Client,
    broken_call: &'static str,
    fault: Fault,
    left: AtomicUsize,
}

impl BrokenForge {
    async fn start(world: &World, (broken_call, fault): (&'static str, Fault), times: usize) -> Arc<Self> {
        let assignment = world.api.assignment();
        let address = assignment.repository.api_url.split('/').nth(2).unwrap().to_owned();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let forge =
            Arc::new(Self { address: address.clone(), http, broken_call, fault, left: AtomicUsize::new(times) });
        let url = serve(Router::new().fallback(handle).with_state(forge.clone())).await;
        let proxy = url.strip_prefix("http://").unwrap();
        world.api.change_assignment(|job| {
            for url in [&mut job.repository.api_url, &mut job.repository.clone_url] {
                *url = url.replacen(&address, proxy, 1);
            }
        });
        forge
    }

    fn repair(&self) {
        self.left.store(0, Ordering::SeqCst);
    }

    fn is_broken(&self, call: &str) -> bool {
        let take_one = |left: usize| left.checked_sub(1);
        call.contains(self.broken_call) && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok()
    }

    async fn forward(&self, method: Method, uri: &Uri, mut headers: HeaderMap, body: Bytes) -> Response {
        // These headers belong to one connection.
        for name in ["host", "content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        let call = self.http.request(method, format!("http://{}{uri}", self.address)).headers(headers).body(body);
        let answer = call.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in ["connection", "content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        (status, headers, Body::from(answer.bytes().await.unwrap())).into_response()
    }
}

async fn handle(
    State(forge): State<Arc<BrokenForge>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = |(status, kind, body): (u16, &'static str, &'static str)| {
        (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], body).into_response()
    };
    if !forge.is_broken(&format!("{method} {uri}")) {
        return forge.forward(method, &uri, headers, body).await;
    }
    match forge.fault {
        Fault::Answer(status, kind, body) => answer((status, kind, body)),
        Fault::Reset => broken(),
        Fault::RateLimit => {
            let message = r#"{"message":"You have exceeded a secondary rate limit."}"#;
            (StatusCode::FORBIDDEN, [(header::RETRY_AFTER, "1")], message).into_response()
        }
        Fault::PageAfterCall => {
            forge.forward(method, &uri, headers, body).await;
            answer((200, "text/html", "<title>Welcome</title>"))
        }
    }
}

fn agent_runs(world: &World) -> usize {
    std::fs::read_to_string(world.outside_path("runs")).unwrap_or_default().lines().count()
}

fn reported_waits(world: &World) -> Vec<(String, String)> {
    let calls = world.api.calls("status").into_iter();
    let wait = |body: Value| Some((body["status"].as_str()?.to_owned(), body["waits_for"].as_str()?.to_owned()));
    calls.filter_map(|call| wait(call.body)).collect()
}

async fn run_and_check(times: usize, calls: &[(&'static str, Fault)], phase: &str) {
    for (call, fault) in calls {
        let world = World::with_agent(AGENT).await;
        let forge = BrokenForge::start(&world, (*call, *fault), times).await;
        let finish = world.completes().await;
        assert_eq!(forge.left.load(Ordering::SeqCst), 0, "{call} {fault:?}: not all calls were broken");
        let pull = world.open_pull_request(BRANCH).await.unwrap();
        assert_eq!(finish.result.unwrap().pull_request.as_ref().unwrap().number, pull.number, "{call} {fault:?}");
        assert_eq!((agent_runs(&world), pull.number), (1, 1), "{call} {fault:?}");
        assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1", "{call} {fault:?}");
        let waits = reported_waits(&world);
        assert!(!waits.is_empty() && waits.iter().all(|(during, _)| during == phase), "{call} {fault:?}: {waits:?}");
        let texts = world.api.event_texts();
        assert!(texts.contains("Waiting for The local forge, for up to 60 min: "), "{call} {fault:?}: {texts}");
        assert!(texts.contains("The local forge works again after "), "{call} {fault:?}: {texts}");
    }
}

#[tokio::test]
async fn broken_fetch_is_waited_out() {
    let faults = [PAGE, EMPTY, SERVER_ERROR, PROXY_REFUSAL, Fault::Reset];
    run_and_check(2, &faults.map(|fault| (FETCH_REFS, fault)), "preparing").await;
}

#[tokio::test]
async fn broken_push_is_waited_out() {
    let faults = [PAGE, SERVER_ERROR, PROXY_REFUSAL, Fault::Reset];
    run_and_check(2, &faults.map(|fault| (PUSH, fault)), "syncing").await;
    run_and_check(2, &[(PUSH_REFS, PAGE), (PUSH_REFS, EMPTY)], "syncing").await;
}

#[tokio::test]
async fn push_with_a_page_as_answer_is_found() {
    let world = World::with_agent(AGENT).await;
    BrokenForge::start(&world, (PUSH, Fault::PageAfterCall), 1).await;
    let head = world.completes().await.result.unwrap().head;
    assert_eq!((world.branch_head(BRANCH), agent_runs(&world)), (Some(head), 1));
}

#[tokio::test]
async fn broken_pull_request_is_waited_out() {
    let faults = [PAGE, SERVER_ERROR, UNSEEN, PROXY_TIMEOUT, NO_UPSTREAM, Fault::RateLimit, Fault::Reset];
    // More often than the forge's client repeats a call.
    run_and_check(4, &faults.map(|fault| (NEW_PULL_REQUEST, fault)), "syncing").await;
}

#[tokio::test]
async fn pull_request_with_a_page_as_answer_is_opened_once() {
    let world = World::with_agent(AGENT).await;
    BrokenForge::start(&world, (NEW_PULL_REQUEST, Fault::PageAfterCall), 1).await;
    assert_eq!(world.completes().await.result.unwrap().pull_request.as_ref().unwrap().number, 1);
    assert_eq!(world.open_pull_request(BRANCH).await.unwrap().number, 1);
}

#[tokio::test]
async fn cancel_ends_the_wait_for_the_forge() {
    for (call, agents) in [(FETCH_REFS, 0), (PUSH, 1), (NEW_PULL_REQUEST, 1)] {
        let world = World::with_agent(AGENT).await;
        BrokenForge::start(&world, (call, SERVER_ERROR), FOREVER).await;
        let runner = world.spawn(|_| ());
        world.api.wait_for(|calls| calls.iter().any(|call| call.body["waits_for"].is_string())).await;
        world.api.change_script(|script| script.cancel = true);
        let ran = wait_for_exit(runner).await;
        assert_eq!(world.api.only_finish().outcome, FinishOutcome::Cancelled, "{call}: {}", ran.log);
        assert_eq!(agent_runs(&world), agents, "{call}");
    }
}

async fn fail_after_outage(world: &World) -> Failure {
    let ran = world.run_under("PULLYARD_FORGE_AWAY_SECS", "1").await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    finish.failure.unwrap_or_else(|| panic!("{:?} {}", finish.outcome, ran.log))
}

/// Makes the next run a retry of the job, with a branch of its own.
fn begin_retry(world: &World, letter: &str) {
    world.api.next_attempt(|job| {
        job.job = JobId::new(format!("job_{}", letter.repeat(26))).unwrap();
        (job.attempt, job.branch) = (1, format!("{BRANCH}-{letter}"));
    });
}

#[tokio::test]
async fn long_outage_fails_and_a_retry_publishes_without_an_agent() {
    for (call, is_pushed) in [(PUSH, false), (NEW_PULL_REQUEST, true)] {
        let world = World::with_agent(AGENT).await;
        let forge = BrokenForge::start(&world, (call, SERVER_ERROR), FOREVER).await;
        let failure = fail_after_outage(&world).await;
        let sentence = failure.sentence();
        assert_eq!(failure.code(), "forge_unavailable", "{call}: {sentence}");
        assert!(sentence.contains("500"), "{call}: {sentence}");
        let pushed = world.branch_head(BRANCH);
        assert_eq!(pushed.is_some(), is_pushed, "{call}");

        // The first retry meets the same outage.
        begin_retry(&world, "b");
        assert_eq!(fail_after_outage(&world).await.code(), "forge_unavailable", "{call}");
        begin_retry(&world, "c");
        forge.repair();
        let result = world.completes().await.result.unwrap();
        assert_eq!((result.branch.as_str(), result.pull_request.as_ref().unwrap().number), (BRANCH, 1), "{call}");
        assert_eq!((agent_runs(&world), result.files), (1, 1), "{call}");
        assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"), "{call}");
        if is_pushed {
            assert_eq!(Some(result.head), pushed, "{call}");
        }
        assert!(["b", "c"].iter().all(|letter| world.branch_head(&format!("{BRANCH}-{letter}")).is_none()), "{call}");
        let texts = world.api.event_texts();
        assert!(texts.contains("Publishing the finished work of attempt 1 without an agent."), "{call}: {texts}");
    }
}

#[tokio::test]
async fn finished_work_of_a_step_is_published_with_its_output() {
    let agent = r#"cat > /dev/null; echo x >> @DIR@/runs; echo hello > greeting.txt; mkdir -p .pullyard
        echo '{"v":1,"outcome":"fixed","text":"It greets."}' > .pullyard/output.json"#;
    for (call, is_retry) in [(PUSH, true), (NEW_PULL_REQUEST, true), (NEW_PULL_REQUEST, false)] {
        let world = with_checks(agent, &["echo '{}' > .pullyard/output.json"], |_| ()).await;
        report(&world);
        world.api.change_assignment(|job| job.outcomes = ["fixed", "unclear"].map(str::to_owned).to_vec());
        let forge = BrokenForge::start(&world, (call, SERVER_ERROR), FOREVER).await;
        assert_eq!(fail_after_outage(&world).await.code(), "forge_unavailable", "{call}");
        match is_retry {
            true => begin_retry(&world, "b"),
            false => world.api.next_attempt(|_| ()),
        }
        forge.repair();
        let finish = world.completes().await;
        assert_eq!((agent_runs(&world), finish.result.is_some()), (1, true), "{call}");
        let answer = finish.output.and_then(JobOutput::into_answer).unwrap();
        assert_eq!(answer.outcome.as_deref(), Some("fixed"), "{call}");
    }
}

#[tokio::test]
async fn finished_work_without_an_output_is_published() {
    for call in [PUSH, NEW_PULL_REQUEST] {
        let world = World::with_agent(AGENT).await;
        report(&world);
        let forge = BrokenForge::start(&world, (call, SERVER_ERROR), FOREVER).await;
        assert_eq!(fail_after_outage(&world).await.code(), "forge_unavailable", "{call}");
        begin_retry(&world, "b");
        forge.repair();
        let finish = world.completes().await;
        assert_eq!((agent_runs(&world), finish.result.is_some(), finish.output), (1, true, None), "{call}");
    }
}

#[tokio::test]
async fn finished_work_of_an_own_branch_is_pushed_to_it() {
    let world = World::with_agent(AGENT).await;
    let step = AssignedStep { has_own_branch: true, ..AssignedStep::default() };
    world.api.change_assignment(|job| (job.ticket, job.step) = (None, Some(step)));
    let forge = BrokenForge::start(&world, (PUSH, SERVER_ERROR), FOREVER).await;
    assert_eq!(fail_after_outage(&world).await.code(), "forge_unavailable");
    begin_retry(&world, "b");
    forge.repair();
    let result = world.completes().await.result.unwrap();
    assert_eq!((agent_runs(&world), result.branch.as_str(), result.pull_request), (1, BRANCH, None));
    assert_eq!(world.branch_head(&format!("{BRANCH}-b")), None);
}

fn report(world: &World) {
    let step = AssignedStep { reports: true, ..AssignedStep::default() };
    world.api.change_assignment(|job| (job.ticket, job.step) = (None, Some(step)));
}

#[tokio::test]
async fn work_in_a_damaged_repository_is_published_by_a_retry() {
    let world = World::with_agent(AGENT).await;
    let path = path_with_git_script(&world, |git| {
        format!("[ \"$1\" != push ] || {{ echo 'fatal: bad object HEAD' >&2; exit 128; }}\nexec '{git}' \"$@\"")
    });
    let ran = world.run_under("PATH", path).await;
    let failure = world.api.only_finish().failure.unwrap_or_else(|| panic!("{}", ran.log));
    assert_eq!(failure, Failure::PublishingFailed { reason: "bad object HEAD".into() });
    begin_retry(&world, "b");
    world.completes().await;
    assert_eq!(agent_runs(&world), 1);
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
}

#[tokio::test]
async fn full_disk_during_a_push_names_the_machine() {
    let world = World::with_agent(AGENT).await;
    let path = path_with_git_script(&world, |git| {
        format!(
            "[ \"$1\" != push ] || {{ echo 'fatal: write error: No space left on device' >&2; exit 128; }}\nexec '{git}' \"$@\""
        )
    });
    let ran = world
        .run_with(|command| {
            command.env("PATH", path).env("PULLYARD_FORGE_AWAY_SECS", "1");
        })
        .await;
    let failure = world.api.only_finish().failure.unwrap_or_else(|| panic!("{}", ran.log));
    let sentence = failure.sentence();
    assert!(sentence.ends_with("the runner's machine failed: write error: No space left on device."), "{sentence}");
    assert!(world.api.bucket_object("checkpoint.tar.zst").is_some());
}

#[tokio::test]
async fn retried_commit_has_checks_and_words_of_the_agent() {
    let agent = format!("{AGENT}; mkdir .GIT; echo a > .GIT/a");
    let world = with_checks(&agent, &["echo x >> @DIR@/checks"], |_| ()).await;
    let forge = BrokenForge::start(&world, (PUSH, SERVER_ERROR), FOREVER).await;
    fail_after_outage(&world).await;
    begin_retry(&world, "b");
    forge.repair();
    world.completes().await;
    let job = world.api.assignment().job;
    let message = world.git_line(&["log", "-1", "--format=%B", BRANCH]);
    let trailers =
        format!("Pullyard-Job: {job}/1\nPullyard-Ticket: APP-17\nPullyard-Agent: command\nPullyard-Checks: passed");
    assert!(message.ends_with(&trailers), "{message}");
    assert_eq!(std::fs::read_to_string(world.outside_path("checks")).unwrap(), "x\n");
    let body = pull_request(&world).await["body"].as_str().unwrap().to_owned();
    for part in ["I greet.", "passed", "names that git refuses: `.GIT`"] {
        assert!(body.contains(part), "{part}: {body}");
    }
}

#[tokio::test]
async fn agent_works_again_for_a_changed_task_or_a_new_message() {
    for changed_task in [true, false] {
        let world = World::with_agent(AGENT).await;
        let forge = BrokenForge::start(&world, (PUSH, SERVER_ERROR), FOREVER).await;
        fail_after_outage(&world).await;
        begin_retry(&world, "b");
        forge.repair();
        world.api.change_assignment(|job| match changed_task {
            true => job.prompt = "Write another greeting.".into(),
            false => {
                let inputs = vec![input(1, None, "In French.")];
                job.resume = Some(ResumeState { agent: None, session: None, read: 0, policy: Policy::Prefer, inputs });
            }
        });
        world.completes().await;
        assert_eq!(agent_runs(&world), 2, "{changed_task}");
    }
}

#[tokio::test]
async fn branch_in_the_place_of_ours_fails_before_the_agent() {
    for branch in ["pullyard", "pullyard/acme", "pullyard/acme/app-17-1/x"] {
        let world = World::with_agent(AGENT).await;
        world.commit_on(branch, "Not yours");
        let failure = world.failure().await;
        assert_eq!(failure, Failure::BranchTaken { branch: branch.into() });
        assert_eq!((agent_runs(&world), world.api.statuses()), (0, vec!["preparing".to_owned()]), "{branch}");
    }
}

#[tokio::test]
async fn archived_repository_fails_before_the_agent() {
    let archived =
        r#"{"id":1,"full_name":"acme/app","default_branch":"main","clone_url":"http://x/a.git","archived":true}"#;
    let world = World::with_agent(AGENT).await;
    let answer = Fault::Answer(200, "application/json", archived);
    BrokenForge::start(&world, ("GET /api/v3/repos/acme/app", answer), 1).await;
    let sentence = world.failure().await.sentence();
    assert_eq!(sentence, "The local forge rejected the push: acme/app is archived, so it is read-only.");
    assert_eq!(agent_runs(&world), 0);
}
