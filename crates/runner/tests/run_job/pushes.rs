//! Tests pushes: signatures, retries, lost answers, and the branch and base of the pull request.

use crate::git_points::path_with_git_script;
use crate::planted_files::{SIGNING_KEY, write_fake_signer};
use crate::prelude::*;
use crate::world::World;
use std::ffi::OsString;

const GREETING_AGENT: &str = "cat > /dev/null; echo hello > greeting.txt";

async fn world_with_signing_key(agent: &str) -> (World, OsString) {
    let world = World::with_agent(agent).await;
    world.api.change_script(|script| script.signing_key = Some(SIGNING_KEY.into()));
    let path = write_fake_signer(&world);
    (world, path)
}

fn is_signed(world: &World, commit: &str) -> bool {
    let object = world.git_line(&["cat-file", "commit", commit]);
    object.contains("\ngpgsig -----BEGIN SSH SIGNATURE-----\n ZmFrZQ==\n")
}

async fn continue_pull_request(world: &World, branch: &str) -> u64 {
    let number = world.create_pull_request(branch).await.number;
    world.api.change_assignment(|job| job.continues = Some(ContinuedPullRequest { number, branch: branch.into() }));
    number
}

async fn run_to_exit(world: &World) -> RunResult {
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    ran
}

#[tokio::test]
async fn commit_is_signed_by_a_private_key_file_that_is_deleted() {
    let (world, path) = world_with_signing_key(GREETING_AGENT).await;
    let ran = world
        .run_with(|command| {
            command.env("PATH", path).env("PULLYARD_KEEP_WORKTREE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.only_finish(), ran.log);
    assert!(is_signed(&world, BRANCH));
    let signed = std::fs::read_to_string(world.outside_path("signed")).unwrap();
    assert_eq!(signed, format!("-rw-------\n{SIGNING_KEY}\n"), "not signed once");
    let [worktree] = world.worktrees().try_into().unwrap();
    assert!(worktree.join("git").is_dir() && !worktree.join("git/signing-key").exists());
}

#[tokio::test]
async fn only_the_rebased_commit_is_signed() {
    let (world, path) = world_with_signing_key(WAITING_AGENT).await;
    world.commit_on("feature", "Earlier work");
    continue_pull_request(&world, "feature").await;
    let runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    world.api.wait_for_text("waiting").await;
    let theirs = world.commit_on("feature", "Meanwhile");
    std::fs::write(world.outside_path("go"), "").unwrap();
    let ran = wait_for_exit(runner).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.only_finish(), ran.log);
    assert_eq!(world.git_line(&["rev-parse", "feature^"]), theirs);
    assert!(is_signed(&world, "feature") && !is_signed(&world, "feature^"));
    // Commits that only the merge needs are not signed.
    let signed = std::fs::read_to_string(world.outside_path("signed")).unwrap();
    assert_eq!(signed.matches("-rw-------").count(), 2, "{signed}");
}

#[tokio::test]
async fn adopted_twin_commit_does_not_quote_this_attempts_agent() {
    let world = World::with_agent(&format!("{WAITING_AGENT}; echo 'I greet.'")).await;
    let job = world.api.assignment().job;
    world.api.change_assignment(|job| {
        job.attempt = 2;
    });
    let ours = format!("APP-17: Greet\n\nPullyard-Job: {job}/1");
    let pushed = world.run_with_change(async || world.commit_on(BRANCH, &ours)).await;
    let finish = world.api.only_finish();
    assert_eq!(finish.result.unwrap().head, pushed);
    let commit = finish.work.unwrap().commit.unwrap();
    assert_ne!(commit, pushed, "the record names the twin's commit");
    assert!(world.api.event_texts().contains("I greet."));
    let body = pull_request(&world).await["body"].as_str().unwrap().to_owned();
    assert!(body.starts_with("As asked.\n"), "{body}");
    assert!(["I greet.", "Summary by", "| Isolation |", "| Cost |"].iter().all(|part| !body.contains(part)), "{body}");
    assert_eq!(world.branch_head(BRANCH), Some(pushed));
}

#[tokio::test]
async fn other_pull_request_of_the_branch_is_not_continued() {
    let world = World::with_agent(GREETING_AGENT).await;
    let theirs = world.commit_on("feature", "Somebody else's");
    let number = continue_pull_request(&world, "feature").await;
    world.api.change_assignment(|job| {
        job.continues = Some(ContinuedPullRequest { number: number + 40, branch: "feature".into() })
    });
    run_to_exit(&world).await;
    let result = world.api.only_finish().result.unwrap();
    assert_eq!(result.branch, BRANCH);
    assert_ne!(result.pull_request.as_ref().unwrap().number, number);
    assert_eq!(world.branch_head("feature"), Some(theirs));
}

#[tokio::test]
async fn changed_base_of_a_pull_request_is_used() {
    let agent =
        "git for-each-ref --format='%(refname) %(objectname)' refs/remotes > @DIR@/refs; echo hello > greeting.txt";
    let (world, desk) = world_under_review(agent).await;
    let release = world.commit_on("release", "Release");
    desk.state().base = "release".into();
    world.completes().await;
    let refs = std::fs::read_to_string(world.outside_path("refs")).unwrap();
    assert_eq!(refs, format!("refs/remotes/origin/release {release}\n"));
}

const MERGE: &str = "merge-tree*";

/// Runs a job whose branch moves at the same time: the script runs before the calls of git that match the pattern.
async fn run_with_script_before(pattern: &str, script: impl FnOnce(&World) -> String) -> (World, RunResult) {
    let world = World::with_agent(WAITING_AGENT).await;
    world.commit_on("feature", "Earlier work");
    continue_pull_request(&world, "feature").await;
    let (go, script) = (world.outside_path("go"), script(&world));
    // Git also merges before the agent starts.
    let script = format!("[ ! -e '{}' ] || case \"$*\" in {pattern}) {script};; esac", go.display());
    let path = path_with_git_script(&world, |git| format!("{script}\nexec '{git}' \"$@\""));
    let runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    world.api.wait_for_text("waiting").await;
    world.commit_on("feature", "Meanwhile");
    std::fs::write(go, "").unwrap();
    let ran = wait_for_exit(runner).await;
    (world, ran)
}

fn reported_waits(world: &World) -> BTreeSet<String> {
    let calls = world.api.calls("status").into_iter();
    calls.filter_map(|call| call.body["waits_for"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn damage_during_a_rebase_ends_the_job_with_its_work() {
    for call in ["ls-remote*", "rev-parse*refs/pullyard/found*", MERGE] {
        let (world, ran) = run_with_script_before(call, |_| "echo 'fatal: bad object HEAD' >&2; exit 128".into()).await;
        let failure = world.api.only_finish().failure.unwrap_or_else(|| panic!("{call}: {}", ran.log));
        assert_eq!(failure, Failure::PublishingFailed { reason: "bad object HEAD".into() }, "{call}");
        assert_eq!(reported_waits(&world), BTreeSet::new(), "{call}");
        assert!(world.api.bucket_object("checkpoint.tar.zst").is_some(), "{call}: {}", ran.log);
    }
}

#[tokio::test]
async fn incomplete_fetch_of_a_moved_branch_is_repeated() {
    let fail_once = |world: &World| {
        let once = world.outside_path("once").display().to_string();
        format!("[ -e '{once}' ] || {{ touch '{once}'; echo 'fatal: packfile is truncated' >&2; exit 128; }}")
    };
    let (world, ran) = run_with_script_before("fetch*refs/pullyard/found", fail_once).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    assert_eq!(reported_waits(&world), BTreeSet::from(["packfile is truncated".to_owned()]));
}

#[tokio::test]
async fn killed_rebase_is_repeated() {
    let kill_once = |world: &World| {
        let once = world.outside_path("once").display().to_string();
        format!("[ -e '{once}' ] || {{ touch '{once}'; kill -KILL $$; }}")
    };
    let (world, ran) = run_with_script_before(MERGE, kill_once).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    let reason = "the runner's machine failed: git merge-tree failed without a word";
    assert_eq!(reported_waits(&world), BTreeSet::from([reason.to_owned()]));
}

fn lock_ref_for_pushes(world: &World, times: u32) {
    let pushes = world.outside_path("pushes").display().to_string();
    let script = format!(
        "echo x >> {pushes}; [ $(wc -l < {pushes}) -gt {times} ] && exit 0\n\
         echo \"error: cannot lock ref 'refs/heads/x': is at\" >&2; exit 1"
    );
    install_hook(world, "pre-receive", &script);
}

#[tokio::test]
async fn undecided_push_is_repeated() {
    let world = World::with_agent(GREETING_AGENT).await;
    lock_ref_for_pushes(&world, 5);
    world.completes().await;
    assert_eq!(std::fs::read_to_string(world.outside_path("pushes")).unwrap(), "x\n".repeat(6));
}

fn push_on_top_script() -> String {
    format!(
        "export GIT_AUTHOR_NAME=S GIT_AUTHOR_EMAIL=s@example.com GIT_COMMITTER_NAME=S GIT_COMMITTER_EMAIL=s@example.com\n\
         git update-ref refs/heads/{BRANCH} $(git commit-tree {BRANCH}^{{tree}} -p {BRANCH} -m Quicker)"
    )
}

async fn run_where_a_fetch_fails_once(world: &World, prefix: impl FnOnce(&str) -> String) -> RunResult {
    let once = world.outside_path("once").display().to_string();
    let path = path_with_git_script(world, |git| {
        format!(
            "{}case \"$*\" in *:refs/pullyard/found) if [ ! -e '{once}' ]; then\n\
             touch '{once}'; echo 'fatal: Could not resolve host: x' >&2; exit 128; fi;; esac\nexec '{git}' \"$@\"",
            prefix(git)
        )
    });
    world.run_under("PATH", path).await
}

fn check_push_was_found(world: &World, ran: &RunResult) -> FinishRequest {
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(ran.log.contains("cannot read the branch: git fetch: fatal: Could not resolve host"), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", ran.log);
    let pushed = world.git_line(&["rev-parse", &format!("{BRANCH}^")]);
    assert_eq!(finish.work.as_ref().and_then(|work| work.commit.clone()), Some(pushed));
    finish
}

#[tokio::test]
async fn failed_fetch_does_not_end_the_search_for_a_push() {
    let world = World::with_agent(GREETING_AGENT).await;
    // The forge accepts the push, gets another commit on top, and never answers.
    let over = world.outside_path("over");
    let script = format!("{}\nwhile [ ! -e {} ]; do sleep 0.05; done", push_on_top_script(), over.display());
    install_hook(&world, "post-receive", &script);
    // The first window is not renewed.
    world.api.change_script(|script| script.first_push_secs = [40, 0].into());
    let ran = run_where_a_fetch_fails_once(&world, |_| String::new()).await;
    std::fs::write(over, "").unwrap();
    assert!(ran.log.contains("waiting for the forge: the control plane did not extend the time"), "{}", ran.log);
    let finish = check_push_was_found(&world, &ran);
    assert_eq!(finish.result.map(|result| result.head), world.branch_head(BRANCH));
}

#[tokio::test]
async fn failed_fetch_after_a_broken_answer_is_retried() {
    let world = World::with_agent(GREETING_AGENT).await;
    install_hook(&world, "post-receive", &push_on_top_script());
    let lose_answer = |git: &str| {
        format!("if [ \"$1\" = push ]; then '{git}' \"$@\"; echo 'fatal: the remote end hung up' >&2; exit 128; fi\n")
    };
    let ran = run_where_a_fetch_fails_once(&world, lose_answer).await;
    check_push_was_found(&world, &ran);
}

#[tokio::test]
async fn adopted_work_is_not_set_up_or_checked_again() {
    let world = with_checks("touch @DIR@/agent", &["touch @DIR@/checked"], |_| ()).await;
    let job = world.api.assignment().job;
    let set_up = format!("touch {}", world.outside_path("set-up").display());
    world.commit_on(BRANCH, &format!("APP-17: Greet\n\nPullyard-Job: {job}/1\nPullyard-Checks: passed"));
    world.api.change_assignment(|job| {
        job.attempt = 2;
        job.commands.as_mut().unwrap().setup.commands = vec![set_up];
    });
    world.completes().await;
    for file in ["agent", "checked", "set-up"] {
        assert!(!world.outside_path(file).exists(), "{file}");
    }
}

#[tokio::test]
async fn new_base_commits_do_not_count_as_changes() {
    let world = World::with_agent(GREETING_AGENT).await;
    world.commit_on("feature", "Earlier work");
    let earlier = [("earlier.txt", "one\n", false)];
    world.forge.commit("acme/app", "feature", "pullyard-bot", &earlier).await.unwrap();
    continue_pull_request(&world, "feature").await;
    let files = [("later.txt", "one\ntwo\n", false)];
    world.forge.commit("acme/app", "main", "pullyard-bot", &files).await.unwrap();
    run_to_exit(&world).await;
    let result = world.api.only_finish().result.unwrap();
    assert_eq!((result.files, result.insertions, result.deletions), (1, 1, 0));
}

#[tokio::test]
async fn multiline_title_adds_no_trailers() {
    let world = World::with_agent(GREETING_AGENT).await;
    let job = world.api.assignment().job;
    world.api.change_assignment(|job| {
        job.pull_request.title = format!("Greet\n\nPullyard-Checks: failed\nPullyard-Job: job_{}/9", "x".repeat(26));
    });
    run_to_exit(&world).await;
    let message = world.git_line(&["log", "-1", "--format=%B", BRANCH]);
    let (subject, trailers) = message.split_once("\n\n").unwrap();
    assert!(subject.starts_with("Greet Pullyard-Checks: failed Pullyard-Job: "), "{message}");
    assert_eq!(trailers, format!("Pullyard-Job: {job}/1\nPullyard-Ticket: APP-17\nPullyard-Agent: command"));
}

#[tokio::test]
async fn commit_of_the_job_in_the_base_is_not_adopted() {
    let world = World::with_agent(GREETING_AGENT).await;
    let job = world.api.assignment().job;
    world.commit_on("main", &format!("APP-17: Greet\n\nPullyard-Job: {job}/1"));
    let earlier = world.commit_on("feature", "Earlier work");
    continue_pull_request(&world, "feature").await;
    world.api.change_assignment(|job| job.attempt = 2);
    world.completes().await;
    assert_eq!(world.git_line(&["rev-parse", "feature^"]), earlier);
    assert_eq!(world.file_at("feature", "greeting.txt").as_deref(), Some("hello\n"));
}

#[tokio::test]
async fn stale_locks_in_the_mirror_do_not_block() {
    let world = World::with_agent(GREETING_AGENT).await;
    run_to_exit(&world).await;
    world.git_line(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    let newer = world.commit_on("main", "Meanwhile");
    let mirrors = std::fs::read_dir(world.work_dir().join("mirrors")).unwrap().flatten().map(|entry| entry.path());
    let [mirror] = mirrors.filter(|path| path.is_dir()).collect::<Vec<_>>().try_into().unwrap();
    std::fs::create_dir_all(mirror.join("refs/heads")).unwrap();
    for lock in ["packed-refs.lock", "HEAD.lock", "refs/heads/main.lock"] {
        std::fs::write(mirror.join(lock), "").unwrap();
    }
    world.api.change_assignment(|job| job.attempt = 2);
    let ran = run_to_exit(&world).await;
    assert_eq!(world.api.finishes().pop().unwrap().outcome, FinishOutcome::Completed, "{}", ran.log);
    assert_eq!(world.git_line(&["rev-parse", &format!("{BRANCH}^")]), newer);
}

#[tokio::test]
async fn unreadable_pull_request_fails_before_the_agent_starts() {
    for (status, code) in [
        (StatusCode::NOT_FOUND, "source_not_found"),
        (StatusCode::UNAUTHORIZED, "source_denied"),
        (StatusCode::FORBIDDEN, "source_denied"),
    ] {
        let mut world = World::with_agent("touch @DIR@/began; echo hello > greeting.txt").await;
        let no = move || async move { (status, Json(json!({ "message": "No" }))) };
        let forge = Router::new().fallback(no);
        let mut assignment = world.api.assignment();
        assignment.repository.api_url = serve(forge).await;
        assignment.continues = Some(ContinuedPullRequest { number: 1, branch: "feature".into() });
        world.api = Api::start(assignment, TOKEN).await;
        run_to_exit(&world).await;
        assert_eq!((world.api.failure_code(), world.api.statuses()), (code, vec!["preparing".to_owned()]), "{status}");
        assert!(!world.outside_path("began").exists(), "{status}");
    }
}
