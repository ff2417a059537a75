//! Requests of an attempt: phases and finishes.

use crate::prelude::*;
use pullyard_domain::text::Quoted;
use pullyard_protocol::attempt::{FinishPullRequest, FinishResult};

pub(crate) async fn enter_phases(client: &AttemptClient, last: Phase) {
    for status in [Phase::Preparing, Phase::Executing, Phase::Syncing].into_iter().filter(|phase| *phase <= last) {
        client.status(&StatusRequest { status, inputs: None, waits_for: None }).await.unwrap();
    }
}

pub(crate) fn finish_request(id: &str, outcome: FinishOutcome) -> FinishRequest {
    FinishRequest {
        output: None,
        finish_id: FinishId::new(id).unwrap(),
        outcome,
        failure: None,
        result: None,
        spent_usd_micros: None,
        work: None,
    }
}

pub(crate) fn no_changes() -> Failure {
    Failure::NoChanges { left_out: Quoted(None) }
}

pub(crate) fn failed_finish(id: &str) -> FinishRequest {
    FinishRequest { failure: Some(no_changes()), ..finish_request(id, FinishOutcome::Failed) }
}

pub(crate) fn completed_finish(id: &str, number: u64) -> FinishRequest {
    let result = FinishResult {
        branch: "pullyard/acme/app-1-1".into(),
        head: "a".repeat(40),
        pull_request: Some(FinishPullRequest { number, url: format!("https://forge.test/acme/app/pull/{number}") }),
        files: 1,
        insertions: 2,
        deletions: 3,
        replies: None,
    };
    FinishRequest { result: Some(result), ..finish_request(id, FinishOutcome::Completed) }
}
