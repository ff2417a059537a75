//! Tests `pullyard runs pr` as its user lives it.

use crate::pages::Browser;
use crate::prelude::*;
use crate::story::wait_until;
use pullyard_protocol::run::OpenPullRequest;

const QUESTION: &str = "name: release
steps:
  - {name: ask, approve: Is it complete?}
";

const OWN: &str = "name: halves
steps:
  - {name: left, branch: own, prompt: Write a line.}
  - {name: idle, branch: own, changes: optional, prompt: Stay idle.}
  - {name: ask, needs: [left, idle], approve: Is it complete?}
  - {name: join, needs: [ask], prompt: Write a line.}
  - {name: late, needs: [ask], branch: own, prompt: Write a line.}
";

const AGENT: &str = r#"#!/bin/sh
case "$(cat)" in
*'Stay idle.'*) ;;
*) echo right >> work.txt;;
esac
"#;

struct World {
    story: Story,
    user: User,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let story = Story::start_with(Setup { agent: AGENT, ..Setup::default() }).await;
        let (user, folder) = (User::of(&story), TempDir::new().unwrap());
        Self { story, user, folder }
    }

    /// Completes a run, and returns its branch.
    async fn complete(&self) -> String {
        self.user.run(&["run", "-p", "Write a line.", "--watch"]).await.assert_success();
        self.user.json(&["runs", "show", "@last"]).await["branch"].as_str().unwrap().to_owned()
    }

    /// Starts a run of `OWN`, waits for its question, and returns the branch of `left`.
    async fn start_own(&self) -> String {
        let plan = self.folder.path().join("own.yaml");
        std::fs::write(&plan, OWN).unwrap();
        self.user.ok(&["run", "-f", plan.to_str().unwrap()]).await;
        wait_until("the run asks", async || {
            let run = self.user.json(&["runs", "show", "@last"]).await;
            if run["steps"][2]["state"] == "asked" { Ok(()) } else { Err(run.to_string()) }
        })
        .await;
        self.story.branches().await.into_iter().find(|branch| branch.ends_with("-left")).unwrap()
    }

    async fn create(&self, step: &str) -> crate::cli::CommandOutput {
        self.user.run(&["runs", "pr", "create", "@last", "--step", step]).await
    }

    async fn merge(&self, arguments: &[&str]) -> crate::cli::CommandOutput {
        self.user.run(&[&["runs", "pr", "merge", "@last", "--yes"], arguments].concat()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_of_a_run_is_merged_once() {
    let world = World::new().await;
    world.complete().await;
    let refused = world.merge(&["--method", "squash"]).await;
    refused.assert_exit(3, "the forge does not merge acme/app#1: this forge only makes merge commits");
    let jobs = world.story.create_token(&[Scope::Read, Scope::Jobs], Some(&["acme"])).await;
    User::with(&world.story, &jobs).run(&["runs", "pr", "merge", "@last", "--yes"]).await.assert_exit(4, "not_allowed");
    let merged = world.merge(&["--method", "merge"]).await;
    assert!(merged.err.contains(" of run ") && merged.err.contains(" is merged."), "{merged:?}");
    merged.assert_success();
    world.merge(&[]).await.assert_success();
    let pulls = world.story.pull_requests().await;
    assert!(pulls[0]["merged_at"].is_string(), "{}", pulls[0]);
    assert_eq!(world.story.git(&["show", "main:work.txt"]).await, "right");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_opens_a_draft_which_the_forge_does_not_merge() {
    let world = World::new().await;
    let plan = world.folder.path().join("plan.yaml");
    let own = |name: &str| format!("  - {{name: {name}, branch: own, prompt: Write a line.}}\n");
    let steps = format!("steps:\n  - {{name: write, prompt: Write a line.}}\n{}{}", own("side"), own("other"));
    std::fs::write(&plan, format!("name: notes\npull_request: draft\n{steps}")).unwrap();
    world.user.run(&["run", "-f", plan.to_str().unwrap(), "--watch"]).await.assert_success();
    world.create("side").await.assert_success();
    // A repository without drafts, such as a private one of a free plan.
    let message = "Draft pull requests are not supported in this repository.".to_owned();
    let calls = CallFilter { method: Some("POST".into()), path: "/pulls".into() };
    world.story.local.forge().inject_fault(calls, 1, Fault::Status { status: 422, headers: Vec::new(), message });
    world.create("other").await.assert_success();
    let pulls = world.story.pull_requests().await;
    let drafts = pulls.iter().filter(|pull| pull["draft"] == true).count();
    assert_eq!((pulls.len(), drafts), (3, 2), "{pulls:?}");
    world.merge(&[]).await.assert_exit(3, "Pull request #1 is a draft and cannot be merged");
    std::fs::write(&plan, "name: notes\npull_request: none\nsteps:\n  - {name: write, prompt: Write a line.}\n")
        .unwrap();
    let refused = world.user.run(&["run", "-f", plan.to_str().unwrap()]).await;
    refused.assert_exit(2, ":2:1  /pull_request  use open or draft");
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_is_refused_without_an_open_pull_request() {
    let world = World::new().await;
    world.user.run(&["runs", "pr", "merge", "zzzz"]).await.assert_exit(5, "there is no run zzzz");
    world.merge(&["--method", "odd"]).await.assert_exit(2, "invalid value 'odd'");
    let file = world.folder.path().join("plan.yaml");
    std::fs::write(&file, QUESTION).unwrap();
    world.user.ok(&["run", "-f", file.to_str().unwrap()]).await;
    world.merge(&[]).await.assert_exit(3, "run_not_over");
    wait_until("the run asks", async || {
        let run = world.user.json(&["runs", "show", "@last"]).await;
        if run["steps"][0]["state"] == "asked" { Ok(()) } else { Err(run.to_string()) }
    })
    .await;
    world.user.run(&["runs", "approve", "@last/ask"]).await.assert_success();
    world.user.run(&["runs", "watch", "@last"]).await.assert_success();
    world.merge(&[]).await.assert_exit(3, "no_pull_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_is_refused_for_a_commit_of_another_user() {
    let world = World::new().await;
    let branch = world.complete().await;
    let author = ["-c", "user.name=Ann", "-c", "user.email=ann@acme.example"];
    let tree = format!("{branch}^{{tree}}");
    let commit = world.story.git(&[&author[..], &["commit-tree", "-p", &branch, "-m", "More.", &tree]].concat()).await;
    let before = world.story.git(&["rev-parse", &branch]).await;
    world.story.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]).await;
    world.merge(&[]).await.assert_exit(3, "head_moved");
    world.story.git(&["update-ref", &format!("refs/heads/{branch}"), &before]).await;
    world.story.call_forge(reqwest::Method::PATCH, "/pulls/1", json!({ "state": "closed" })).await;
    world.merge(&[]).await.assert_exit(3, "pull_request_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_branch_gets_one_pull_request_which_is_merged() {
    let world = World::new().await;
    let branch = world.start_own().await;
    world.user.run(&["runs", "approve", "@last/ask"]).await.assert_success();
    world.user.run(&["runs", "watch", "@last"]).await.assert_success();
    world.merge(&["--step", "left"]).await.assert_exit(3, "not_opened");
    let jobs = world.story.create_token(&[Scope::Read, Scope::Jobs], Some(&["acme"])).await;
    let opened = User::with(&world.story, &jobs).run(&["runs", "pr", "create", "@last", "--step", "left"]).await;
    assert!(opened.err.contains("Pull request of left: "), "{opened:?}");
    opened.assert_success();
    world.create("left").await.assert_success();
    let pulls = world.story.pull_requests().await;
    let own: Vec<_> = pulls.iter().filter(|pull| pull["head"]["ref"] == branch.as_str()).collect();
    assert!(pulls.len() == 2 && own.len() == 1 && own[0]["base"]["ref"] == "main", "{pulls:?}");
    let run = world.user.json(&["runs", "show", "@last"]).await;
    let (url, job) = (run["steps"][0]["pull_request"].as_str().unwrap(), run["steps"][0]["job"].as_str().unwrap());
    assert!(world.user.ok(&["runs", "show", "@last"]).await.contains(url), "{run}");
    assert!(world.user.ok(&["jobs", "show", job]).await.contains(url), "{url}");
    assert_ne!(run["pull_request"], url, "the run keeps its own");
    let page = format!("/runs/{}", run["id"].as_str().unwrap());
    Browser::admin(&world.story).await.get(&page).await.assert_contains(&[&format!("href=\"{url}\"")]);
    world.merge(&["--step", "left"]).await.assert_success();
    let merged: Vec<_> = world.story.pull_requests().await;
    let merged = merged.iter().filter(|pull| pull["merged_at"].is_string()).map(|pull| &pull["head"]["ref"]);
    assert_eq!(merged.collect::<Vec<_>>(), [branch.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_of_a_step_is_refused_with_a_next_step() {
    let world = World::new().await;
    let branch = world.start_own().await;
    world.create("join").await.assert_exit(3, "no_own_branch");
    world.create("ask").await.assert_exit(3, "no_own_branch");
    world.create("late").await.assert_exit(3, "step_not_done");
    world.create("idle").await.assert_exit(3, "nothing_pushed");
    world.create("nope").await.assert_exit(5, "nope");
    // The command line finds an unknown step itself.
    let run = world.user.json(&["runs", "show", "@last"]).await["id"].as_str().unwrap().parse().unwrap();
    let request = OpenPullRequest { step: "nope".into() };
    let opened = world.story.api.open_pull_request(&run, &request).await;
    for refused in [opened, world.story.api.answer_step(&run, "nope", "approve").await] {
        assert_eq!(refused.unwrap_err().code(), Some("not_found"));
    }
    let before = world.story.git(&["rev-parse", "main"]).await;
    world.story.git(&["update-ref", "refs/heads/main", &format!("refs/heads/{branch}")]).await;
    world.create("left").await.assert_exit(3, "the forge opens no pull request for left: ");
    world.story.git(&["update-ref", "refs/heads/main", &before]).await;
    world.story.git(&["update-ref", "-d", &format!("refs/heads/{branch}")]).await;
    world.create("left").await.assert_exit(3, "branch_gone");
    assert!(world.story.pull_requests().await.is_empty());
}
