//! Tests unusable sources: each fails the attempt with its own code before the agent starts.

use crate::prelude::*;
use crate::world::World;
use axum::http::header;

async fn check(change: impl FnOnce(&World, &mut Assignment), code: &str, message: &str) {
    let world = World::with_agent("touch @DIR@/began; echo hello > greeting.txt").await;
    world.api.change_assignment(|job| change(&world, job));
    check_in(&world, code, message).await;
}

pub(crate) async fn check_url(url: impl FnOnce(&World) -> String, code: &str, message: &str) {
    check(|world, job| job.repository.clone_url = url(world), code, message).await;
}

async fn check_in(world: &World, code: &str, message: &str) {
    let ran = world.run_under("PULLYARD_FORGE_AWAY_SECS", "1").await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!((finish.outcome, finish.result), (FinishOutcome::Failed, None));
    let failure = finish.failure.unwrap();
    let sentence = failure.sentence();
    assert_eq!(failure.code(), code, "{sentence}");
    assert!(sentence.contains(message), "{sentence}");
    assert!(!sentence.contains(TOKEN) && !failure.help().is_empty(), "{sentence}");
    // Repeated while the runner waits.
    assert!(world.api.statuses().iter().all(|status| status == "preparing"), "{:?}", world.api.statuses());
    assert!(!world.outside_path("began").exists(), "the agent started");
}

pub(crate) async fn start_server(status: StatusCode, kind: &'static str, body: &'static str) -> String {
    let routes =
        Router::new().fallback(move || async move { (status, [(header::CONTENT_TYPE, kind)], body).into_response() });
    format!("{}/acme/app.git", serve(routes).await)
}

fn file_url(dir: &Path, init: bool) -> String {
    std::fs::create_dir_all(dir).unwrap();
    if init {
        let status = std::process::Command::new("git").args(["init", "--quiet", "--bare"]).arg(dir).status().unwrap();
        assert!(status.success());
    }
    format!("file://{}", dir.display())
}

#[tokio::test]
async fn missing_repository_is_not_found() {
    let missing = |world: &World| world.repository.clone_url.replace("acme/app", "acme/none");
    check_url(missing, "source_not_found", "acme/app does not exist, or the token has no access to it.").await;
    let nowhere = |world: &World| format!("file://{}", world.outside_path("nowhere").display());
    check_url(nowhere, "source_not_found", "acme/app does not exist").await;
}

#[tokio::test]
async fn unreadable_repository_is_denied() {
    let mut world = World::with_agent("touch @DIR@/began").await;
    world.api = crate::api::Api::start(world.api.assignment(), "wrong").await;
    check_in(&world, "source_denied", "The local forge refused the credentials for acme/app").await;

    let forbidden = start_server(StatusCode::FORBIDDEN, "text/plain", "Resource not accessible").await;
    let sentence = "refused the credentials for acme/app: \"Resource not accessible\".";
    check_url(|_| forbidden, "source_denied", sentence).await;
}

#[tokio::test]
async fn web_page_is_no_answer_of_the_forge() {
    let page = start_server(StatusCode::OK, "text/html", "<!doctype html>\n<html>Welcome</html>\n").await;
    check_url(|_| page, "source_unreachable", "acme/app could not be fetched").await;
    let refusal = start_server(StatusCode::FORBIDDEN, "text/html", "<html>Blocked</html>\n").await;
    check_url(|_| refusal, "source_unreachable", "403").await;
}

#[tokio::test]
async fn non_repository_is_not_found() {
    let plain = |world: &World| file_url(&world.outside_path("plain"), false);
    check_url(plain, "source_not_found", "acme/app does not exist").await;
}

#[tokio::test]
async fn missing_branch_is_named() {
    for branch in ["none", "--upload-pack=x", "a b"] {
        let unknown = |_: &World, job: &mut Assignment| job.base = branch.into();
        check(unknown, "base_branch_missing", &format!("acme/app has no branch `{branch}`.")).await;
    }
    // The forge's API has the branch, so the fetched refs are not the forge's.
    let empty = |world: &World| file_url(&world.outside_path("empty.git"), true);
    check_url(empty, "source_unreachable", "its answer did not contain the branch main").await;
}

#[tokio::test]
async fn job_with_a_clone_depth_pushes_onto_a_cut_history() {
    let world = World::with_agent("git rev-list --count HEAD > greeting.txt").await;
    let main = commit_file(&world, "main", "b.txt", "b\n");
    let ran = world.run_under("PULLYARD_CLONE_DEPTH", "1").await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("1\n"));
    assert_eq!(world.git_line(&["rev-parse", &format!("{BRANCH}^")]), main);
}
