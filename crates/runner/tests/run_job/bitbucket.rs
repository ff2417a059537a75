//! Tests jobs on Bitbucket Cloud, with both kinds of token and with lost answers. The demo forge plays Bitbucket.

use crate::api::Api;
use crate::world::{BRANCH, TOKEN, World};
use pullyard_demo_forge::{AccountKind, Remark, Role, User};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{JobKind, Replies};
use pullyard_domain::marker::Marker;
use pullyard_domain::project::ForgeKind;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_forge::{Bitbucket, Endpoint, Forge, PullRequest, ReviewComment, Token};
use pullyard_protocol::attempt::{FinishOutcome, FinishResult, RevisedComment, RevisedReview, Revises};

const REPOSITORY: &str = "acme/app";
const ROUNDS: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"";

async fn on_bitbucket(agent: &str, secret: &str) -> World {
    let mut world = World::with_agent(agent).await;
    let mut assignment = world.api.assignment();
    assignment.repository.forge = ForgeKind::Bitbucket;
    assignment.repository.api_url = world.forge.bitbucket_api_url();
    world.api = Api::start(assignment, secret).await;
    world
}

fn rest(world: &World) -> Forge {
    let endpoint = Endpoint::new(world.forge.bitbucket_api_url());
    Forge::Bitbucket(Bitbucket::new(endpoint, Token::new(TOKEN)).unwrap())
}

/// Loses the answer to the next call of this kind; the call takes effect.
fn loses(world: &World, method: &str, path: &str) {
    let calls = Calls { method: Some(method.into()), path: path.into() };
    world.forge.order_fault(calls, 1, Fault::HangUpAfter);
}

async fn done(world: &World) -> FinishResult {
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    finish.result.unwrap()
}

async fn only_open(world: &World) -> PullRequest {
    let mut open = rest(world).pull_requests(REPOSITORY, 1).await.unwrap().found;
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

async fn text(world: &World, number: u64) -> String {
    rest(world).pull_request_text(REPOSITORY, number).await.unwrap()
}

async fn comments(world: &World, number: u64) -> Vec<ReviewComment> {
    rest(world).comments(REPOSITORY, number).await.unwrap().found
}

#[tokio::test]
async fn lost_answer_to_opening_creates_no_second_pull_request() {
    for secret in [TOKEN.to_owned(), format!("bot@acme.example:{TOKEN}")] {
        let world = on_bitbucket(ROUNDS, &secret).await;
        loses(&world, "POST", "/pullrequests");
        let result = done(&world).await;
        let pull = only_open(&world).await;
        assert_eq!((result.pull_request.number, &result.pull_request.url), (pull.number, &pull.url));
        assert_eq!((pull.head_branch.as_str(), pull.title.as_str()), (BRANCH, "APP-17: Greet"));
        assert_eq!(world.head(BRANCH).as_ref(), Some(&result.head));
        let said = text(&world, pull.number).await;
        let mark = format!("[//]: # (pullyard:newest {} ", result.head);
        assert!(said.contains(&mark) && !said.contains("<!--"), "{said}");
    }
}

#[tokio::test]
async fn adopted_commit_gets_one_pr_after_a_lost_answer() {
    let world = on_bitbucket("exit 1", TOKEN).await;
    let job = world.api.assignment().job;
    let pushed = world.commit_on(BRANCH, &format!("APP-17: Greet\n\nPullyard-Job: {job}/1\nPullyard-Agent: command"));
    world.api.assign(|job| (job.attempt, job.adopts) = (2, true));
    loses(&world, "POST", "/pullrequests");
    let first = done(&world).await;
    let number = only_open(&world).await.number;
    assert_eq!((&first.head, first.pull_request.number), (&pushed, number));
    // The finish is lost too, and another attempt looks for the pull request.
    world.api.next_attempt(|_| ());
    let second = done(&world).await;
    assert_eq!((&second.head, second.pull_request.number), (&pushed, number));
    assert_eq!(only_open(&world).await.number, number);
}

/// Creates a pull request with two review comments, and a job that answers them.
async fn under_review() -> (World, u64, Vec<u64>) {
    let world = on_bitbucket(ROUNDS, TOKEN).await;
    let number = done(&world).await.pull_request.number;
    let ann = User { login: "ann".into(), id: 8, token: "token-of-ann".into() };
    world.forge.add_user(ann, AccountKind::User).await.unwrap();
    world.forge.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
    let remarks = ["Red, please.", "Why?"].map(|words| Remark { path: "greeting.txt", line: 1, words });
    world.forge.request_changes(REPOSITORY, number, "ann", "Please.", &remarks).await.unwrap();
    let threads: Vec<u64> = comments(&world, number).await.iter().map(|comment| comment.id).collect();
    assert_eq!(threads.len(), 2);
    let head = world.head(BRANCH).unwrap();
    let revised =
        threads.iter().map(|id| RevisedComment { id: *id, thread: *id, path: "greeting.txt".into(), line: Some(1) });
    let revised: Vec<RevisedComment> = revised.collect();
    world.api.next_attempt(|job| {
        job.job = JobId::new(format!("job_{}", "b".repeat(26))).unwrap();
        (job.attempt, job.checkpoint, job.kind) = (1, false, JobKind::Revise);
        job.revises = Some(Revises {
            number,
            url: format!("https://bitbucket.org/acme/app/pull-requests/{number}"),
            branch: BRANCH.into(),
            head,
            reviews: vec![RevisedReview { id: 80, author: "ann".into() }],
            comments: revised,
            retries: Vec::new(),
        });
    });
    (world, number, threads)
}

/// Verifies that each thread has one answer of the job, with Bitbucket's hidden mark.
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
    let (world, number, threads) = under_review().await;
    loses(&world, "POST", "/comments");
    let revised = done(&world).await;
    assert_eq!(revised.pull_request.number, number);
    assert_eq!(revised.replies, Some(Replies { answered: 2, failed: 0 }));
    check_answered_once(&world, number, &threads).await;
    // The finish is lost, and the next attempt finds the answers.
    world.api.next_attempt(|_| ());
    let again = done(&world).await;
    assert_eq!((&again.head, again.replies), (&revised.head, revised.replies));
    check_answered_once(&world, number, &threads).await;
}

#[tokio::test]
async fn pr_text_names_the_newest_commit_once_after_a_lost_answer() {
    let (world, number, _) = under_review().await;
    let before = text(&world, number).await;
    loses(&world, "PUT", &format!("/pullrequests/{number}"));
    let revised = done(&world).await;
    let said = text(&world, number).await;
    assert!(said.contains(&format!("[//]: # (pullyard:newest {} ", revised.head)) && said != before, "{said}");
    assert_eq!((said.matches("Round 2.").count(), said.matches("(pullyard:newest ").count()), (1, 2), "{said}");
    world.api.next_attempt(|_| ());
    done(&world).await;
    assert_eq!(text(&world, number).await, said);
}
