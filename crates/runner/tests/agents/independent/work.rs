//! Work that is done, and a question that is asked.

use super::{Independent, shell, turn, words};
use crate::attempts::stage::{BOTH, Stage};
use crate::world::{BRANCH, end_of};
use pullyard_protocol::attempt::{FinishOutcome, YieldOutcome};

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn work_becomes_a_pull_request() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let fixtures = [turn(0, shell(agent, "echo hello > greeting.txt")), turn(1, words("All done."))];
        let other = Independent::with(&stage, &fixtures).await;
        let ran = end_of(other.start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
        assert!(stage.world.api.texts().contains("All done."));
        other.end(stage).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn a_question_gives_the_job_back() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let asks = "mkdir -p .pullyard; echo 'Which language?' > .pullyard/question.md";
        let fixtures = [turn(0, shell(agent, asks)), turn(1, words("I wait for the answer."))];
        let other = Independent::with(&stage, &fixtures).await;
        let ran = end_of(other.start(&stage)).await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        let [told] = stage.world.api.yields().try_into().unwrap();
        let question = told.question.as_deref();
        assert_eq!((told.outcome, question), (YieldOutcome::Asks, Some("Which language?")), "{agent:?}");
        assert_eq!(stage.world.head(BRANCH), None, "{agent:?}");
        other.end(stage).await;
    }
}
