//! Tests replies after the push: one per thread, and a new review request.

use crate::agents::{hostile_name, with_model};
use crate::prelude::*;
use crate::review_api::ReviewApi;
use crate::revise::add_review;
use crate::world::World;
use pullyard_domain::job::Replies;
use pullyard_domain::review::published::marker::Marker;
use pullyard_protocol::attempt::RevisedReview;

const GREETING_AGENT: &str = "echo hello > greeting.txt";

#[track_caller]
fn check_answered_once(world: &World, desk: &ReviewApi, threads: &[u64]) {
    let mark = Some(Marker::Job(world.api.assignment().job));
    for thread in threads {
        let replies = desk.replies(*thread);
        let ours = replies.iter().filter(|text| Marker::parse(text) == mark).count();
        assert_eq!(ours, 1, "{thread}: {replies:?}");
    }
}

#[tokio::test]
async fn each_thread_gets_one_reply_and_the_review_is_requested() {
    let (world, desk) = world_under_review(GREETING_AGENT).await;
    assert_eq!(world.completes().await.result.unwrap().replies, Some(Replies { answered: 2, failed: 0 }));
    check_answered_once(&world, &desk, &[11, 12]);
    let (short, job) = (world.branch_head("feature").unwrap()[..10].to_owned(), world.api.assignment().job);
    assert_eq!(desk.replies(12), [format!("Done in {short} (agent: command).\n\n<!-- pullyard:{job} -->")]);
    // The reviewer's second comment, then our reply to both.
    assert_eq!(desk.replies(11).len(), 2);
    assert_eq!(desk.state().requested_reviewers, ["ann"]);
}

#[tokio::test]
async fn reply_sanitizes_the_model_name() {
    let (model, published) = hostile_name();
    let machine = with_model(&model).await;
    let (world, desk) = (&machine.world, add_review(&machine.world).await);
    let finish = machine.completes().await;
    let (short, job) = (world.branch_head("feature").unwrap()[..10].to_owned(), world.api.assignment().job);
    let agent = format!("claude_code `2.1.197`, model: `{published}`");
    assert_eq!(desk.replies(12), [format!("Done in {short} (agent: {agent}).\n\n<!-- pullyard:{job} -->")]);
    let model = finish.work.unwrap().model.unwrap();
    assert!(model.contains("[redacted]") && !model.contains("key-of"), "{model}");
}

#[tokio::test]
async fn reply_for_a_rebased_commit_names_agent_version_and_model() {
    let works = "head -n 1 > @DIR@/prompt; head -n 12 @CLAUDE@/tools_and_edits.jsonl; echo hello > greeting.txt
                 echo '{\"type\":\"odd\",\"text\":\"waiting\"}'; while [ ! -e @DIR@/go ]; do sleep 0.02; done
                 tail -n +13 @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null";
    let machine = AgentMachine::with_agent(CLAUDE, works).await;
    let (world, desk) = (&machine.world, add_review(&machine.world).await);
    let runner = world.spawn(|command| machine.set_env(command));
    world.api.wait_for_text("waiting").await;
    let theirs = commit_file(world, "feature", "theirs.txt", "theirs\n");
    std::fs::write(world.outside_path("go"), "").unwrap();
    let ran = wait_for_exit(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let head = world.branch_head("feature").unwrap();
    assert_eq!(world.git_line(&["rev-parse", &format!("{head}^")]), theirs);
    let (short, job) = (&head[..10], world.api.assignment().job);
    let agent = "claude_code `2.1.197`, model: `claude-opus-4-8[1m]`";
    assert_eq!(desk.replies(12), [format!("Done in {short} (agent: {agent}).\n\n<!-- pullyard:{job} -->")]);
}

#[tokio::test]
async fn reply_for_an_adopted_commit_names_only_known_agents() {
    for (trailers, named) in [
        ("Pullyard-Agent: claude_code\nPullyard-Checks: passed", " (agent: claude_code)"),
        ("Pullyard-Agent: @all [x](https://z.test)", ""),
    ] {
        let (world, desk) = world_under_review("exit 1").await;
        let job = world.api.assignment().job;
        let pushed = world.commit_on("feature", &format!("Revise it\n\nPullyard-Job: {job}/1\n{trailers}"));
        world.api.change_assignment(|job| job.attempt = 2);
        assert_eq!(world.completes().await.result.unwrap().replies, Some(Replies { answered: 2, failed: 0 }));
        let expected = format!("Done in {}{named}.\n\n<!-- pullyard:{job} -->", &pushed[..10]);
        assert_eq!(desk.replies(12), [expected], "{trailers}");
    }
}

#[tokio::test]
async fn replies_written_by_the_agent_are_included() {
    let (world, desk) = world_under_review(
        r#"mkdir .pullyard; echo hello > greeting.txt
        echo '{"13":"As dark as it gets.","12":"Kept: <!-- pullyard:status --> it is public.","99":"x"}' > .pullyard/replies.json"#,
    )
    .await;
    assert_eq!(world.completes().await.result.unwrap().replies, Some(Replies { answered: 2, failed: 0 }));
    check_answered_once(&world, &desk, &[11, 12]);
    let (short, job) = (world.branch_head("feature").unwrap()[..10].to_owned(), world.api.assignment().job);
    let reply = |text: &str| format!("In {short} (agent: command):\n\n{text}\n\n<!-- pullyard:{job} -->");
    assert_eq!(desk.replies(11)[1], reply("As dark as it gets."));
    assert_eq!(desk.replies(12), [reply("Kept: (hidden text left out) it is public.")]);
}

#[tokio::test]
async fn invalid_replies_file_is_not_quoted_in_the_log() {
    // A key that no redactor knows.
    let script = "mkdir .pullyard; echo hello > greeting.txt; echo '\"a-key-of-a-stranger\"' > .pullyard/replies.json";
    let (world, desk) = world_under_review(script).await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(ran.log.contains("invalid reply file of the agent, at line 1, column"), "{}", ran.log);
    assert!(!ran.log.contains("a-key-of-a-stranger"), "{}", ran.log);
    check_answered_once(&world, &desk, &[11, 12]);
}

#[tokio::test]
async fn replies_file_of_the_repository_is_ignored() {
    let (world, desk) = world_under_review("echo hello > greeting.txt").await;
    commit_file(&world, "feature", ".pullyard/replies.json", r#"{"12":"I am the agent."}"#);
    assert_eq!(world.run().await.code, Some(0));
    check_answered_once(&world, &desk, &[11, 12]);
    assert!(desk.replies(12)[0].starts_with("Done in "), "{:?}", desk.replies(12));
}

#[tokio::test]
async fn retry_posts_only_missing_replies() {
    let (world, desk) = world_under_review("echo hello >> greeting.txt").await;
    desk.state().faults = vec![json!({ "type": "FORBIDDEN", "message": "Not now" })];
    assert_eq!(world.run().await.code, Some(0));
    let first = world.api.assignment().job;
    let again = JobId::new(format!("job_{}", "b".repeat(26))).unwrap();
    world.api.change_assignment(|job| {
        job.job = again.clone();
        job.revises.as_mut().unwrap().retries = vec![first.clone()];
    });
    assert_eq!(world.run().await.code, Some(0));
    let finish = world.api.finishes().pop().unwrap();
    assert_eq!(finish.result.unwrap().replies, Some(Replies { answered: 2, failed: 0 }));
    let marks: Vec<_> = [11, 12]
        .map(|thread| desk.replies(thread).iter().filter_map(|text| Marker::parse(text)).collect::<Vec<_>>())
        .concat();
    assert_eq!(marks.len(), 2, "{marks:?}");
    assert!(marks.contains(&Marker::Job(first)) && marks.contains(&Marker::Job(again)), "{marks:?}");
}

#[tokio::test]
async fn refused_replies_and_requests_do_not_fail_the_job() {
    let (world, desk) = world_under_review(GREETING_AGENT).await;
    desk.state().faults = vec![json!({ "type": "FORBIDDEN", "message": "Resource not accessible by integration" })];
    desk.state().hidden_threads = vec![12];
    desk.state().refused_reviewers = vec!["ann".into()];
    world.api.change_assignment(|job| {
        let revises = job.revises.as_mut().unwrap();
        revises.reviews.push(RevisedReview { id: 81, author: "bob".into() });
    });
    assert_eq!(world.completes().await.result.unwrap().replies, Some(Replies { answered: 0, failed: 2 }));
    let texts = world.api.event_texts();
    assert!(texts.contains("The thread of comment 11 was not answered"), "{texts}");
    assert!(texts.contains("The thread of comment 12 was not answered"), "{texts}");
    assert!(texts.contains("ann was not asked to review again"), "{texts}");
    assert_eq!(desk.state().requested_reviewers, ["bob"]);
}

#[tokio::test]
async fn replies_and_requests_wait_for_an_unavailable_forge() {
    let (world, desk) = world_under_review(GREETING_AGENT).await;
    desk.state().broken_replies = 9;
    assert_eq!(world.completes().await.result.unwrap().replies, Some(Replies { answered: 2, failed: 0 }));
    check_answered_once(&world, &desk, &[11, 12]);
    assert_eq!(desk.state().requested_reviewers, ["ann"]);

    let (world, desk) = world_under_review(GREETING_AGENT).await;
    desk.state().broken_replies = u32::MAX;
    let ran = world.run_under("PULLYARD_FORGE_AWAY_SECS", "1").await;
    let result = world.api.only_finish().result.unwrap_or_else(|| panic!("{}", ran.log));
    assert_eq!(result.replies, Some(Replies { answered: 0, failed: 2 }));
    let texts = world.api.event_texts();
    assert!(texts.contains("The thread of comment 11 was not answered: failed to "), "{texts}");
    assert_eq!(desk.state().requested_reviewers, ["ann"], "{texts}");
    assert!(!texts.contains("works again"), "{texts}");
}

#[tokio::test]
async fn cancel_while_replies_wait_keeps_the_published_result() {
    let (world, desk) = world_under_review(GREETING_AGENT).await;
    desk.state().broken_replies = u32::MAX;
    let runner = world.spawn(|_| ());
    world.api.wait_for(|calls| calls.iter().any(|call| call.body["waits_for"].is_string())).await;
    world.api.change_script(|script| script.cancel = true);
    let ran = wait_for_exit(runner).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
}

#[tokio::test]
async fn incomplete_comment_list_causes_no_duplicate_reply() {
    let (world, desk) = world_under_review(GREETING_AGENT).await;
    desk.state().has_next_page = true;
    desk.state().lost_answers = 1;
    assert!(world.completes().await.result.unwrap().replies.is_some());
    check_answered_once(&world, &desk, &[11, 12]);
}
