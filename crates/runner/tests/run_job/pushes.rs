//! What is published, and as whose: signed where there is a key, on the branch and against the base that the forge
//! names, once, and with nothing in it that only looks like ours.

use crate::api::Api;
use crate::checks::{pull_request, with_checks};
use crate::git_points::before_git;
use crate::planted::{SIGNING_KEY, signer};
use crate::publish::hook;
use crate::revise::under_review;
use crate::world::{BRANCH, Ran, TOKEN, WAIT, World, end_of};
use axum::http::StatusCode;
use axum::{Json, Router};
use pullyard_forge::NewPullRequest;
use pullyard_protocol::attempt::{Continues, FinishOutcome};
use serde_json::json;
use std::ffi::OsString;

const GREET: &str = "cat > /dev/null; echo hello > greeting.txt";

async fn signing(agent: &str) -> (World, OsString) {
    let world = World::with_agent(agent).await;
    world.api.script(|script| script.signing_key = Some(SIGNING_KEY.into()));
    let path = signer(&world);
    (world, path)
}

fn is_signed(world: &World, commit: &str) -> bool {
    let said = world.git_line(&["cat-file", "commit", commit]);
    said.contains("\ngpgsig -----BEGIN SSH SIGNATURE-----\n ZmFrZQ==\n")
}

/// An open pull request of this branch, which the job goes on with.
async fn goes_on_with(world: &World, branch: &str) -> u64 {
    let (title, head, base) = ("T".into(), branch.to_owned(), "main".into());
    let new = NewPullRequest { title, body: String::new(), head, base, draft: false };
    let number = world.rest().create_pull_request("acme/app", &new).await.unwrap().number;
    world.api.assign(|job| job.continues = Some(Continues { number, branch: branch.into() }));
    number
}

async fn ran(world: &World) -> Ran {
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    ran
}

#[tokio::test]
async fn what_is_published_is_signed_by_a_key_that_is_a_private_file_and_is_gone_afterwards() {
    let (world, path) = signing(GREET).await;
    let ran = world
        .run_with(|command| {
            command.env("PATH", path).env("PULLYARD_KEEP_WORKTREE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.finish(), ran.log);
    assert!(is_signed(&world, BRANCH));
    let signed = std::fs::read_to_string(world.outside("signed")).unwrap();
    assert_eq!(signed, format!("-rw-------\n{SIGNING_KEY}\n"), "once, with the key");
    let [kept] = world.worktrees().try_into().unwrap();
    assert!(kept.join("git").is_dir() && !kept.join("git/signing-key").exists());
}

#[tokio::test]
async fn of_work_that_goes_on_top_of_a_persons_only_what_is_published_is_signed() {
    let (world, path) = signing(WAIT).await;
    world.commit_on("feature", "Earlier work");
    goes_on_with(&world, "feature").await;
    let runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    world.api.wait_for_text("waiting").await;
    let theirs = world.commit_on("feature", "Meanwhile");
    std::fs::write(world.outside("go"), "").unwrap();
    let ran = end_of(runner).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.finish(), ran.log);
    assert_eq!(world.git_line(&["rev-parse", "feature^"]), theirs);
    assert!(is_signed(&world, "feature") && !is_signed(&world, "feature^"));
    // Of the commits that only the merge needs none is.
    let signed = std::fs::read_to_string(world.outside("signed")).unwrap();
    assert_eq!(signed.matches("-rw-------").count(), 2, "{signed}");
}

#[tokio::test]
async fn of_a_commit_that_a_twin_pushed_our_own_agents_words_are_not_told() {
    let world = World::with_agent(&format!("{WAIT}; echo 'I greet.'")).await;
    let job = world.api.assignment().job;
    world.api.assign(|job| job.attempt = 2);
    let ours = format!("APP-17: Greet\n\nPullyard-Job: {job}/1");
    let pushed = world.meanwhile(async || world.commit_on(BRANCH, &ours)).await;
    let finish = world.api.finish();
    assert_eq!(finish.result.unwrap().head, pushed);
    let made = finish.work.unwrap().commit.unwrap();
    assert_ne!(made, pushed, "what this attempt made was not pushed, and is on record as its own");
    assert!(world.api.texts().contains("I greet."));
    let body = pull_request(&world).await["body"].as_str().unwrap().to_owned();
    assert!(!body.contains("I greet.") && !body.contains("last words"), "{body}");
}

#[tokio::test]
async fn another_pull_request_of_the_branch_is_not_the_one_that_was_to_be_gone_on_with() {
    let world = World::with_agent(GREET).await;
    let theirs = world.commit_on("feature", "Somebody else's");
    let number = goes_on_with(&world, "feature").await;
    world.api.assign(|job| job.continues = Some(Continues { number: number + 40, branch: "feature".into() }));
    ran(&world).await;
    let result = world.api.finish().result.unwrap();
    assert_eq!(result.branch, BRANCH);
    assert_ne!(result.pull_request.number, number);
    assert_eq!(world.head("feature"), Some(theirs));
}

#[tokio::test]
async fn a_pull_request_that_goes_to_another_branch_now_is_compared_with_that_one() {
    let agent =
        "git for-each-ref --format='%(refname) %(objectname)' refs/remotes > @DIR@/refs; echo hello > greeting.txt";
    let (world, desk) = under_review(agent).await;
    let release = world.commit_on("release", "Release");
    desk.desk().base = "release".into();
    ran(&world).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    let refs = std::fs::read_to_string(world.outside("refs")).unwrap();
    assert_eq!(refs, format!("refs/remotes/origin/release {release}\n"));
}

/// A forge that decides nothing about the first pushes; how often it was asked is in the file `pushes`.
fn locked_for(world: &World, times: u32) {
    let pushes = world.outside("pushes").display().to_string();
    let script = format!(
        "echo x >> {pushes}; [ $(wc -l < {pushes}) -gt {times} ] && exit 0\n\
         echo \"error: cannot lock ref 'refs/heads/x': is at\" >&2; exit 1"
    );
    hook(world, "pre-receive", &script);
}

#[tokio::test]
async fn a_push_that_nobody_decided_about_is_tried_four_times_and_no_more() {
    for (locked, taken) in [(3, true), (4, false)] {
        let world = World::with_agent(GREET).await;
        locked_for(&world, locked);
        let ran = ran(&world).await;
        let finish = world.api.finish();
        assert_eq!(finish.outcome == FinishOutcome::Completed, taken, "{locked}: {finish:?} {}", ran.log);
        assert_eq!(world.head(BRANCH).is_some(), taken);
        assert_eq!(std::fs::read_to_string(world.outside("pushes")).unwrap(), "x\n".repeat(4));
        if let Some(failure) = finish.failure {
            assert_eq!(failure.code(), "push_rejected");
        }
    }
}

/// What a forge runs that has taken a push to this branch: somebody else pushes on top of it.
fn pushes_on_top(branch: &str) -> String {
    format!(
        "export GIT_AUTHOR_NAME=S GIT_AUTHOR_EMAIL=s@example.com GIT_COMMITTER_NAME=S GIT_COMMITTER_EMAIL=s@example.com\n\
         git update-ref refs/heads/{branch} $(git commit-tree {branch}^{{tree}} -p {branch} -m Quicker)"
    )
}

/// A forge that takes a push to this branch, lets somebody else push on top of it, and never answers.
fn taken_below_another(world: &World, branch: &str) {
    let over = world.outside("over").display().to_string();
    let script = format!("{}\nwhile [ ! -e {over} ]; do sleep 0.05; done", pushes_on_top(branch));
    hook(world, "post-receive", &script);
    // 50 s less the margin of 30.
    world.api.script(|script| script.push_for_secs = Some(50));
}

/// Runs a job where the first fetch of what stands on its branch fails; `first` is what git does before, in a shell.
async fn run_where_a_fetch_fails_once(world: &World, first: impl FnOnce(&str) -> String) -> Ran {
    let once = world.outside("once").display().to_string();
    let path = before_git(world, |git| {
        format!(
            "#!/bin/sh\n{}case \"$*\" in *:refs/pullyard/found) if [ ! -e '{once}' ]; then\n\
             touch '{once}'; echo 'fatal: Could not resolve host: x' >&2; exit 128; fi;; esac\nexec '{git}' \"$@\"\n",
            first(git)
        )
    });
    world
        .run_with(|command| {
            command.env("PATH", path);
        })
        .await
}

#[tokio::test]
async fn a_fetch_that_fails_does_not_end_the_look_for_a_push_that_was_never_answered() {
    let world = World::with_agent(GREET).await;
    taken_below_another(&world, BRANCH);
    let ran = run_where_a_fetch_fails_once(&world, |_| String::new()).await;
    std::fs::write(world.outside("over"), "").unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(ran.log.contains("the branch could not be read: git fetch: fatal: Could not resolve host"), "{}", ran.log);
    let finish = world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    let pushed = world.git_line(&["rev-parse", &format!("{BRANCH}^")]);
    assert_eq!(finish.work.and_then(|work| work.commit), Some(pushed));
    assert_eq!(finish.result.map(|result| result.head), world.head(BRANCH));
}

#[tokio::test]
async fn a_fetch_that_fails_loses_no_push_whose_answer_broke_off_while_there_is_time() {
    let world = World::with_agent(GREET).await;
    hook(&world, "post-receive", &pushes_on_top(BRANCH));
    let breaks_off = |git: &str| {
        format!("if [ \"$1\" = push ]; then '{git}' \"$@\"; echo 'fatal: the remote end hung up' >&2; exit 128; fi\n")
    };
    let ran = run_where_a_fetch_fails_once(&world, breaks_off).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(ran.log.contains("the branch could not be read: git fetch: fatal: Could not resolve host"), "{}", ran.log);
    let finish = world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    let pushed = world.git_line(&["rev-parse", &format!("{BRANCH}^")]);
    assert_eq!(finish.work.and_then(|work| work.commit), Some(pushed));
}

#[tokio::test]
async fn work_that_was_put_on_top_is_this_attempts_also_below_what_others_pushed_since() {
    let world = World::with_agent(WAIT).await;
    world.commit_on("feature", "Earlier work");
    goes_on_with(&world, "feature").await;
    taken_below_another(&world, "feature");
    let theirs = world.meanwhile(async || world.commit_on("feature", "Meanwhile")).await;
    std::fs::write(world.outside("over"), "").unwrap();
    let finish = world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    assert_eq!(world.git_line(&["rev-parse", "feature~2"]), theirs);
    // On record is the commit that stands there, and not the one that it was made of.
    let pushed = world.git_line(&["rev-parse", "feature^"]);
    assert_eq!(finish.work.and_then(|work| work.commit), Some(pushed));
    assert_eq!(finish.result.map(|result| result.head), world.head("feature"));
}

#[tokio::test]
async fn work_that_was_pushed_before_is_neither_set_up_nor_checked_again() {
    let world = with_checks("touch @DIR@/agent", &["touch @DIR@/checked"], |_| ()).await;
    let job = world.api.assignment().job;
    let set_up = format!("touch {}", world.outside("set-up").display());
    world.commit_on(BRANCH, &format!("APP-17: Greet\n\nPullyard-Job: {job}/1\nPullyard-Checks: passed"));
    world.api.assign(|job| {
        job.attempt = 2;
        job.commands.as_mut().unwrap().setup.commands = vec![set_up];
    });
    ran(&world).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    for file in ["agent", "checked", "set-up"] {
        assert!(!world.outside(file).exists(), "{file}");
    }
}

#[tokio::test]
async fn what_the_base_got_meanwhile_is_no_part_of_what_a_job_changed() {
    let world = World::with_agent(GREET).await;
    world.commit_on("feature", "Earlier work");
    goes_on_with(&world, "feature").await;
    let files = [("later.txt", "one\ntwo\n", false)];
    world.forge.commit("acme/app", "main", "pullyard-bot", &files).await.unwrap();
    ran(&world).await;
    let result = world.api.finish().result.unwrap();
    assert_eq!((result.files, result.insertions, result.deletions), (1, 1, 0));
}

#[tokio::test]
async fn a_title_of_many_lines_adds_no_trailer_of_ours() {
    let world = World::with_agent(GREET).await;
    let job = world.api.assignment().job;
    world.api.assign(|job| {
        job.pull_request.title = format!("Greet\n\nPullyard-Checks: failed\nPullyard-Job: job_{}/9", "x".repeat(26));
    });
    ran(&world).await;
    let message = world.git_line(&["log", "-1", "--format=%B", BRANCH]);
    let (subject, trailers) = message.split_once("\n\n").unwrap();
    assert!(subject.starts_with("Greet Pullyard-Checks: failed Pullyard-Job: "), "{message}");
    assert_eq!(trailers, format!("Pullyard-Job: {job}/1\nPullyard-Ticket: APP-17\nPullyard-Agent: command"));
}

#[tokio::test]
async fn a_commit_of_the_job_that_the_base_has_is_not_taken_for_its_work() {
    let world = World::with_agent(GREET).await;
    let job = world.api.assignment().job;
    world.commit_on("main", &format!("APP-17: Greet\n\nPullyard-Job: {job}/1"));
    let earlier = world.commit_on("feature", "Earlier work");
    goes_on_with(&world, "feature").await;
    world.api.assign(|job| job.attempt = 2);
    ran(&world).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
    assert_eq!(world.git_line(&["rev-parse", "feature^"]), earlier);
    assert_eq!(world.file("feature", "greeting.txt").as_deref(), Some("hello\n"));
}

#[tokio::test]
async fn locks_that_a_killed_fetch_left_in_the_mirror_hold_nothing_up() {
    let world = World::with_agent(GREET).await;
    ran(&world).await;
    world.git_line(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    let newer = world.commit_on("main", "Meanwhile");
    let mirrors = std::fs::read_dir(world.work_dir().join("mirrors")).unwrap().flatten().map(|entry| entry.path());
    let [mirror] = mirrors.filter(|path| path.is_dir()).collect::<Vec<_>>().try_into().unwrap();
    std::fs::create_dir_all(mirror.join("refs/heads")).unwrap();
    for lock in ["packed-refs.lock", "HEAD.lock", "refs/heads/main.lock"] {
        std::fs::write(mirror.join(lock), "").unwrap();
    }
    world.api.assign(|job| job.attempt = 2);
    let ran = ran(&world).await;
    assert_eq!(world.api.finishes().pop().unwrap().outcome, FinishOutcome::Completed, "{}", ran.log);
    assert_eq!(world.git_line(&["rev-parse", &format!("{BRANCH}^")]), newer);
}

#[tokio::test]
async fn an_api_that_shows_no_pull_request_costs_no_agent_and_is_named() {
    for (status, code) in [
        (StatusCode::NOT_FOUND, "source_not_found"),
        (StatusCode::UNAUTHORIZED, "source_denied"),
        (StatusCode::FORBIDDEN, "source_denied"),
    ] {
        let mut world = World::with_agent("touch @DIR@/began; echo hello > greeting.txt").await;
        let no = move || async move { (status, Json(json!({ "message": "No" }))) };
        let forge = Router::new().fallback(no);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut assignment = world.api.assignment();
        assignment.repository.api_url = format!("http://{}", listener.local_addr().unwrap());
        assignment.continues = Some(Continues { number: 1, branch: "feature".into() });
        tokio::spawn(async move { axum::serve(listener, forge).await });
        world.api = Api::start(assignment, TOKEN).await;
        ran(&world).await;
        assert_eq!((world.api.failure(), world.api.statuses()), (code, vec!["preparing".to_owned()]), "{status}");
        assert!(!world.outside("began").exists(), "{status}");
    }
}
