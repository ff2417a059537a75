//! Faults of a call to AWS or to the forge, and their probabilities.

use crate::cloud::{Answer, Call, Cloud, error_answer};
use crate::forge::FORGE;
use crate::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CallOutcome {
    Success,
    Rejected(Answer),
    LostAnswer,
    ErrorAfterEffect,
    StopBefore,
    StopAfter,
    NoTask(Answer),
}

impl CallOutcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Success => "calls",
            Self::Rejected(_) => "refused",
            Self::LostAnswer => "answers lost",
            Self::ErrorAfterEffect => "errors after effect",
            Self::StopBefore => "stopped before",
            Self::StopAfter => "stopped after",
            Self::NoTask(_) => "no task",
        }
    }
}

pub(crate) fn draw_call_outcome(call: &Call, hints_lost: u64, dice: &mut SeededRng) -> CallOutcome {
    if dice.permille(3) {
        return CallOutcome::StopBefore;
    }
    if call.service == FORGE {
        return draw_forge_call_outcome(dice);
    }
    if call.writes() && dice.permille(8) {
        return CallOutcome::StopAfter;
    }
    match call.operation.as_str() {
        "RunTask" if dice.percent(20) => no_task(dice),
        // The SDK does not retry this error, so the hint is lost.
        "SendMessage" if dice.percent(hints_lost) => {
            CallOutcome::Rejected(error_answer(400, "QueueDoesNotExist", "it is lost"))
        }
        "TransactWriteItems" if dice.percent(4) => CallOutcome::Rejected(conflict(&call.body())),
        "PutItem" | "UpdateItem" if dice.percent(2) => CallOutcome::Rejected(error_answer(
            400,
            "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
            "a conflict",
        )),
        _ if call.writes() && dice.percent(2) => CallOutcome::LostAnswer,
        _ if call.writes() && dice.permille(7) => CallOutcome::ErrorAfterEffect,
        _ if dice.permille(4) => CallOutcome::Rejected(error_answer(400, "ThrottlingException", "Rate exceeded")),
        _ if dice.permille(3) => CallOutcome::Rejected(error_answer(500, "InternalServerError", "it broke")),
        _ => CallOutcome::Success,
    }
}

fn draw_forge_call_outcome(dice: &mut SeededRng) -> CallOutcome {
    let refused = |status| CallOutcome::Rejected((status, json!({ "message": "not now" }).to_string()));
    match dice.choose_weighted(&[3, 1, 3, 93]) {
        Some(0) => refused(503),
        Some(1) => refused(429),
        Some(2) => CallOutcome::LostAnswer,
        _ => CallOutcome::Success,
    }
}

/// Applies a fate. Returns the answer, `None` if it is lost, and whether the caller is dead.
pub(crate) fn apply_call_outcome(fate: &CallOutcome, call: &Call, cloud: &mut Cloud) -> (Option<Answer>, bool) {
    match fate {
        CallOutcome::Success => (Some(cloud.answer(call)), false),
        CallOutcome::Rejected(answer) => (Some(answer.clone()), false),
        CallOutcome::NoTask(answer) => {
            cloud.cluster.fault = Some(answer.clone());
            (Some(cloud.answer(call)), false)
        }
        CallOutcome::LostAnswer => {
            cloud.answer(call);
            (None, false)
        }
        CallOutcome::ErrorAfterEffect => {
            let answer = cloud.answer(call);
            // A rejected call has no effect and returns its own error.
            let error = error_answer(500, "InternalServerError", "it broke afterwards");
            (Some(if answer.0 == 200 { error } else { answer }), false)
        }
        CallOutcome::StopBefore => (None, true),
        CallOutcome::StopAfter => {
            cloud.answer(call);
            (None, true)
        }
    }
}

/// All ways in which ECS starts no task.
fn no_task(dice: &mut SeededRng) -> CallOutcome {
    let failure = |reason: &str| (200, json!({ "tasks": [], "failures": [{ "reason": reason }] }).to_string());
    let ways = [
        failure("RESOURCE:MEMORY"),
        failure("Capacity is unavailable at this time. Please try again later."),
        error_answer(400, "ClientException", "Capacity is unavailable at this time"),
        error_answer(400, "InvalidParameterException", "Rate exceeded"),
        error_answer(400, "ThrottlingException", "Rate exceeded"),
        error_answer(500, "ServerException", "it broke"),
        failure("AGENT"),
    ];
    CallOutcome::NoTask(ways[dice.below(ways.len())].clone())
}

fn conflict(request: &Value) -> Answer {
    let items = request["TransactItems"].as_array().map_or(1, Vec::len);
    let mut reasons = vec![json!({ "Code": "None" }); items];
    reasons[0] = json!({ "Code": "TransactionConflict" });
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "message": "a conflict", "CancellationReasons": reasons,
    });
    (400, body.to_string())
}
