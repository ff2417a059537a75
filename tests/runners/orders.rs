//! Tests restarts and updates of runners from afar; the test acts as the runner.

use super::{RunnerProcess, register_request, updatable_request};
use crate::cli::User;
use crate::prelude::*;
use pullyard_protocol::runner::{HeartbeatAnswer, HeartbeatRequest, OrderReport, OrderState, RegisterRequest, Updates};

impl RunnerProcess {
    async fn report(&self, order: Option<OrderReport>) -> HeartbeatAnswer {
        let instance = self.instance.clone();
        let request = HeartbeatRequest { instance, active: BTreeSet::new(), draining: false, last: false, order };
        self.client.heartbeat(&self.id, &request).await.unwrap()
    }

    /// Accepts the order of the next answer, and ends it.
    async fn carry_out(&self, state: OrderState, reason: Option<&str>) -> Option<String> {
        let order = self.report(None).await.order?;
        let report = |state, reason| Some(OrderReport { id: order.id.clone(), state, reason });
        let accepted = self.report(report(OrderState::Accepted, None)).await.order.unwrap();
        assert_eq!((&accepted.id, accepted.state), (&order.id, Some(OrderState::Accepted)));
        assert_eq!(self.report(report(state, reason.map(str::to_owned))).await.order, None);
        Some(order.version.unwrap_or_default())
    }
}

async fn check(user: &User, line: &str, code: i32, expected: &[&str]) {
    let output = user.run(&line.split(' ').collect::<Vec<_>>()).await;
    let text = output.out + &output.err;
    assert_eq!(output.code, code, "{line}: {text}");
    for part in expected {
        assert!(text.contains(part), "{line}: {part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_is_restarted_and_updated_by_commands() {
    let story = Story::with_runners().await;
    let (user, token) = (User::of(&story), story.runner_token("t", None, None).await);
    let kite = story.try_register(&token, &updatable_request("kite", "0.2.0")).await.unwrap();
    check(
        &user,
        "runners restart kite",
        0,
        &["kite restarts with its next heartbeat, if its check passes; it runs no job."],
    )
    .await;
    check(&user, "runners show kite", 0, &["Restart, requested by", "not confirmed"]).await;
    // A repeated request replaces the order that waits.
    check(&user, "runners restart kite", 0, &[]).await;
    assert_eq!(kite.carry_out(OrderState::Done, None).await.as_deref(), Some(""));
    check(&user, "runners show kite", 0, &[": done"]).await;

    check(&user, "runners update kite --to 0.3.0", 0, &["kite will update to 0.3.0 when it has verified the release."])
        .await;
    let failure = Some("`check` did not end within 60 s. 0.2.0 continues.");
    assert_eq!(kite.carry_out(OrderState::Failed, failure).await.as_deref(), Some("0.3.0"));
    check(&user, "runners show kite", 0, &["Update to 0.3.0", "failed: `check` did not end"]).await;
    for (version, expected) in [("0.2.0", "kite runs 0.2.0 already"), ("latest", "write a release as 0.3.0")] {
        let output = user.run(&["runners", "update", "kite", "--to", version]).await;
        assert!(output.code != 0 && output.err.contains(expected), "{version}: {}", output.err);
    }
    check(&user, "runners update kite --to 0.1.0", 0, &[]).await;
    let order = kite.report(None).await.order.unwrap();
    kite.report(Some(OrderReport { id: order.id, state: OrderState::Accepted, reason: None })).await;
    let refused = user.run(&["runners", "restart", "kite"]).await;
    assert!(refused.err.contains("kite is being updated already"), "{}", refused.err);
    // A program that knows no orders has replaced it.
    let unaware = RegisterRequest { updates: None, ..register_request("kite", "i1") };
    story.try_register(&token, &unaware).await.unwrap();
    check(&user, "runners show kite", 0, &["started anew, or carries out no orders"]).await;
    let refused = user.run(&["runners", "restart", "kite"]).await;
    assert!(refused.err.contains("kite carries out no orders"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn update_of_all_runners_stops_at_the_first_failure() {
    let story = Story::with_runners().await;
    let (user, token) = (User::of(&story), story.runner_token("t", None, None).await);
    let mut runners = Vec::new();
    for name in ["b-gull", "c-kite", "d-swan"] {
        runners.push(story.try_register(&token, &updatable_request(name, "0.0.9")).await.unwrap());
    }
    // A name that is a path would address another route.
    let named = RegisterRequest { updates: Some(Updates::Denied), ..updatable_request("..", "0.0.9") };
    for request in [named, register_request("a-owl", "i1"), updatable_request("a-new", "0.10.0")] {
        story.try_register(&token, &request).await.unwrap();
    }
    let [gull, kite, swan] = &runners[..] else { panic!("three runners") };
    let wait_and_end = async |runner: &RunnerProcess, state, reason| {
        while runner.carry_out(state, reason).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    let runners = async {
        wait_and_end(gull, OrderState::Done, None).await;
        wait_and_end(kite, OrderState::Failed, Some("no such library")).await;
    };
    let expected = [
        "..: skipped. .. does not accept updates.",
        "a-new: skipped. It runs 0.10.0.",
        "a-owl: skipped. It runs 0.1.0.",
        "b-gull runs 0.1.0.",
        "the update of c-kite failed: no such library",
        "the runners after it are unchanged",
    ];
    tokio::join!(check(&user, "runners update --all", 1, &expected), runners);
    assert_eq!(swan.report(None).await.order, None);
}
