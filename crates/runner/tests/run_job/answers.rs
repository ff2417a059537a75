//! Tests jobs of kind `read`: the output file, its repair, and what the agent may not do.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::output::{Answer, JobOutput};

/// A world whose job asks a question.
async fn world(script: &str) -> World {
    let world = World::with_agent(script).await;
    world.api.change_assignment(|assignment| {
        assignment.kind = JobKind::Read;
        assignment.branch = "main".into();
        assignment.ticket = None;
    });
    world
}

async fn answer(world: &World) -> String {
    let finish = world.completes().await;
    assert_eq!(finish.result, None);
    let phases: Vec<_> = world.api.calls("status").iter().map(|call| call.body["status"].clone()).collect();
    assert_eq!(phases, ["preparing", "executing"]);
    match finish.output {
        Some(JobOutput::Read(Answer { text })) => text,
        None => panic!("no output"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_file_is_the_answer_and_changes_are_dropped() {
    let world = world(
        r#"echo changed > README.md; git add -A; git -c user.name=a -c user.email=a@b commit -qm mine
           echo '{"v":1,"text":"See `README.md`."}' > .pullyard/output.json"#,
    )
    .await;
    let main = world.branch_head("main");
    assert_eq!(answer(&world).await, "See `README.md`.");
    assert_eq!(world.branch_head("main"), main);
    assert_eq!(world.git_line(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_message_is_the_answer_without_a_file() {
    assert_eq!(answer(&world("echo Twice.").await).await, "Twice.");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_redacted_in_the_answer() {
    let world =
        world(r#"printf '{"v":1,"text":"The token is %s."}' "$(cat @DIR@/token)" > .pullyard/output.json"#).await;
    std::fs::write(world.outside_path("token"), crate::world::TOKEN).unwrap();
    let text = answer(&world).await;
    assert!(text.starts_with("The token is ") && !text.contains(crate::world::TOKEN), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_output_returns_to_the_agent_with_its_fault() {
    let world = world(
        r#"if [ -e .pullyard/output.json ]; then
             cat > @DIR@/prompt; echo '{"v":1,"text":"Right."}' > .pullyard/output.json
           else
             echo '{"v":1,"answer":"Wrong."}' > .pullyard/output.json
           fi"#,
    )
    .await;
    assert_eq!(answer(&world).await, "Right.");
    let prompt = std::fs::read_to_string(world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("is wrong at `/answer`: unknown field"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_stays_wrong_fails_the_job() {
    let world = world(r#"echo run >> @DIR@/runs; echo '{"v":2,"text":"Wrong."}' > .pullyard/output.json"#).await;
    let failure = world.failure().await;
    let expected = Failure::OutputInvalid { pointer: "/v".into(), fault: "the version is 1, not 2".into() };
    assert_eq!(failure, expected);
    assert_eq!(std::fs::read_to_string(world.outside_path("runs")).unwrap().lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tracked_or_linked_output_file_is_not_read() {
    let world = world(
        "rm -rf .pullyard; ln -s @DIR@ .pullyard; echo '{\"v\":1,\"text\":\"Other.\"}' > @DIR@/output.json; echo Mine.",
    )
    .await;
    let text = match world.run().await.code {
        Some(0) => world.api.only_finish(),
        code => panic!("{code:?}"),
    };
    assert!(!format!("{:?}", text.output).contains("Other"), "{text:?}");
}
