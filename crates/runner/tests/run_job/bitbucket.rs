//! Tests jobs on Bitbucket Cloud, with both kinds of token and with lost answers. The local forge plays Bitbucket.

use crate::forge_points::add_review;
use crate::prelude::*;
use crate::world::World;
use pullyard_domain::job::Replies;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::published::marker::Marker;
use pullyard_fake_forge::{CallFilter, Fault, TestForge as _};
use pullyard_forge::{Bitbucket, Endpoint, Forge, PullRequest, ReviewComment, Token};
use pullyard_protocol::attempt::FinishResult;

const REPOSITORY: &str = "acme/app";
const COUNTING_AGENT: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"";

pub(crate) async fn bitbucket_world(agent: &str, secret: &str) -> World {
    let mut world = World::with_agent(agent).await;
    let mut assignment = world.api.assignment();
    assignment.repository.forge = ForgeKind::Bitbucket;
    assignment.repository.api_url = world.forge.bitbucket_api_url();
    world.api = Api::start(assignment, secret).await;
    world
}

pub(crate) fn bitbucket_client(world: &World) -> Forge {
    let endpoint = Endpoint::new(world.forge.bitbucket_api_url());
    Forge::Bitbucket(Bitbucket::new(endpoint, Token::new(TOKEN)).unwrap())
}

/// Loses the answer to the next call of this kind; the call takes effect.
fn lose_next_answer(world: &World, method: &str, path: &str) {
    let calls = CallFilter { method: Some(method.into()), path: path.into() };
    world.forge.inject_fault(calls, 1, Fault::HangUpAfter);
}

async fn run_to_success(world: &World) -> FinishResult {
    world.completes().await.result.unwrap()
}

async fn only_open_pull_request(world: &World) -> PullRequest {
    let mut open = bitbucket_client(world).pull_requests(REPOSITORY, 1).await.unwrap().items;
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

async fn pull_request_text(world: &World, number: u64) -> String {
    bitbucket_client(world).pull_request_text(REPOSITORY, number).await.unwrap()
}

async fn comments(world: &World, number: u64) -> Vec<ReviewComment> {
    bitbucket_client(world).comments(REPOSITORY, number).await.unwrap().items
}

#[tokio::test]
async fn lost_answer_to_opening_creates_no_second_pull_request() {
    for secret in [TOKEN.to_owned(), format!("bot@acme.example:{TOKEN}")] {
        let world = bitbucket_world(COUNTING_AGENT, &secret).await;
        lose_next_answer(&world, "POST", "/pullrequests");
        let result = run_to_success(&world).await;
        let pull = only_open_pull_request(&world).await;
        assert_eq!(
            (result.pull_request.as_ref().unwrap().number, &result.pull_request.as_ref().unwrap().url),
            (pull.number, &pull.url)
        );
        assert_eq!((pull.head_branch.as_str(), pull.title.as_str()), (BRANCH, "APP-17: Greet"));
        assert_eq!(world.branch_head(BRANCH).as_ref(), Some(&result.head));
        let text = pull_request_text(&world, pull.number).await;
        let mark = format!("[//]: # (pullyard:newest {} ", result.head);
        assert!(text.contains(&mark) && !text.contains("<!--"), "{text}");
    }
}

async fn world_under_review() -> (World, u64, Vec<u64>) {
    let world = bitbucket_world(COUNTING_AGENT, TOKEN).await;
    let number = run_to_success(&world).await.pull_request.as_ref().unwrap().number;
    let threads = add_review(&world, &bitbucket_client(&world), number).await;
    (world, number, threads)
}

async fn check_answered_once(world: &World, number: u64, threads: &[u64]) {
    let all = comments(world, number).await;
    let ours = Some(Marker::Job(world.api.assignment().job));
    for thread in threads {
        let answers = all.iter().filter(|comment| comment.in_reply_to == Some(*thread));
        let answers: Vec<&str> = answers.map(|comment| comment.body.as_str()).collect();
        assert_eq!(answers.iter().filter(|text| Marker::parse(text) == ours).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|text| text.contains("\n\n[//]: # (pullyard:job_")), "{answers:?}");
    }
}

#[tokio::test]
async fn each_thread_is_answered_once_despite_lost_answers() {
    let (world, number, threads) = world_under_review().await;
    lose_next_answer(&world, "POST", "/comments");
    let revised = run_to_success(&world).await;
    assert_eq!(revised.pull_request.as_ref().unwrap().number, number);
    assert_eq!(revised.replies, Some(Replies { answered: 2, failed: 0 }));
    check_answered_once(&world, number, &threads).await;
    // The finish is lost, and the next attempt finds the answers.
    world.api.next_attempt(|_| ());
    let again = run_to_success(&world).await;
    assert_eq!((&again.head, again.replies), (&revised.head, revised.replies));
    check_answered_once(&world, number, &threads).await;
}

#[tokio::test]
async fn pr_text_names_the_newest_commit_once_after_a_lost_answer() {
    let (world, number, _) = world_under_review().await;
    let before = pull_request_text(&world, number).await;
    lose_next_answer(&world, "PUT", &format!("/pullrequests/{number}"));
    let revised = run_to_success(&world).await;
    let text = pull_request_text(&world, number).await;
    assert!(text.contains(&format!("[//]: # (pullyard:newest {} ", revised.head)) && text != before, "{text}");
    assert_eq!((text.matches("Round 2.").count(), text.matches("(pullyard:newest ").count()), (1, 2), "{text}");
    world.api.next_attempt(|_| ());
    run_to_success(&world).await;
    assert_eq!(pull_request_text(&world, number).await, text);
}
