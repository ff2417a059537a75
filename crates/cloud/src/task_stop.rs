//! Parses ECS task state changes from EventBridge and from the queue of unhandled events.
//! Source: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>.

use pullyard_domain::job::task_stop::{StopCause, TaskStop, UnhandledCause};
use pullyard_domain::text::id::JobId;
use serde::{Deserialize, Serialize};

/// Contains only the fields that we use, so that no serialized event contains the task's variables and token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStateChange {
    detail: Detail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    task_arn: String,
    last_status: String,
    #[serde(default)]
    started_by: Option<String>,
    #[serde(default)]
    stop_code: Option<String>,
    #[serde(default)]
    stopped_reason: Option<String>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    exit_code: Option<i64>,
}

impl TaskStateChange {
    /// The stop of a job's task, else `None`. Events may repeat and arrive out of order, but none follows a stop.
    pub fn into_task_stop(self) -> Option<TaskStop> {
        let detail = self.detail;
        let job = detail.started_by.and_then(|by| JobId::new(by).ok());
        let job = job.filter(|_| detail.last_status == "STOPPED")?;
        let exit = detail.containers.iter().find_map(|container| container.exit_code);
        Some(TaskStop {
            arn: detail.task_arn,
            job,
            cause: stop_cause(detail.stop_code.as_deref(), exit),
            reason: detail.stopped_reason.unwrap_or_else(|| "no reason given".into()),
        })
    }
}

/// The stop code takes precedence, because an interrupted container also has an exit code.
fn stop_cause(stop_code: Option<&str>, exit: Option<i64>) -> StopCause {
    match (stop_code, exit) {
        (Some("SpotInterruption"), _) => StopCause::SpotInterruption,
        (Some("EssentialContainerExited"), code) => StopCause::Exited { code },
        (None, Some(code)) => StopCause::Exited { code: Some(code) },
        _ => StopCause::Other,
    }
}

/// An event that was not handled. EventBridge queues the event itself, Lambda queues a record that contains it.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Message")]
pub struct Undelivered {
    pub cause: UnhandledCause,
    pub event: TaskStateChange,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    #[serde(rename_all = "camelCase")]
    Record {
        request_context: RequestContext,
        request_payload: TaskStateChange,
    },
    Event(TaskStateChange),
}

#[derive(Deserialize)]
struct RequestContext {
    condition: String,
}

impl From<Message> for Undelivered {
    fn from(message: Message) -> Self {
        match message {
            Message::Event(event) => Self { cause: UnhandledCause::Undeliverable, event },
            Message::Record { request_context, request_payload } => {
                let is_expired = request_context.condition == "EventAgeExceeded";
                Self {
                    cause: if is_expired { UnhandledCause::Expired } else { UnhandledCause::Failed },
                    event: request_payload,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/pullyard/1a";
    const JOB: &str = "job_aaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn stop_event() -> Value {
        let detail = json!({
            "taskArn": TASK, "lastStatus": "STOPPED", "startedBy": JOB, "stopCode": "EssentialContainerExited",
            "stoppedReason": "Essential container in task exited", "version": 5,
            "containers": [{ "name": "sidecar" }, { "name": "runner", "exitCode": 137 }],
            "overrides": { "containerOverrides": [
                { "environment": [{ "name": "PULLYARD_BOOTSTRAP", "value": "a-token" }] },
            ] },
        });
        json!({ "version": "0", "source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail })
    }

    fn failure_record(condition: &str) -> Value {
        json!({
            "version": "1.0", "timestamp": "2026-11-20T12:00:00.000Z",
            "requestContext": { "requestId": "r", "functionArn": "f", "condition": condition, "approximateInvokeCount": 3 },
            "requestPayload": stop_event(),
            "responseContext": { "statusCode": 200, "functionError": "Unhandled" },
            "responsePayload": { "errorType": "Error", "errorMessage": "no" },
        })
    }

    #[test]
    fn undelivered_event_is_parsed_in_both_shapes() {
        for (message, cause) in [
            (stop_event(), UnhandledCause::Undeliverable),
            (failure_record("RetriesExhausted"), UnhandledCause::Failed),
            (failure_record("EventAgeExceeded"), UnhandledCause::Expired),
        ] {
            let undelivered: Undelivered = serde_json::from_value(message).unwrap();
            assert_eq!(undelivered.cause, cause);
            let stopped = undelivered.event.into_task_stop().unwrap();
            assert_eq!((stopped.arn.as_str(), stopped.job.as_str()), (TASK, JOB));
            assert_eq!(stopped.cause, StopCause::Exited { code: Some(137) });
            assert_eq!(stopped.reason, "Essential container in task exited");
        }
        for other in [json!({}), json!({ "job": JOB }), json!("STOPPED"), json!({ "detail": {} })] {
            assert!(serde_json::from_value::<Undelivered>(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn only_the_stop_of_a_jobs_own_task_counts() {
        let with = |field: &str, value: Value| {
            let mut event = stop_event();
            event["detail"][field] = value;
            serde_json::from_value::<TaskStateChange>(event).unwrap().into_task_stop()
        };
        assert!(with("version", json!(6)).is_some());
        assert_eq!(with("lastStatus", json!("RUNNING")), None);
        assert_eq!(with("startedBy", Value::Null), None);
        assert_eq!(with("startedBy", json!("ecs-svc/9 something")), None);
    }

    #[test]
    fn serialized_event_contains_no_variable_of_its_task() {
        let undelivered: Undelivered = serde_json::from_value(failure_record("RetriesExhausted")).unwrap();
        let text = serde_json::to_string(&undelivered.event).unwrap();
        assert!(text.contains(TASK) && text.contains("137"), "{text}");
        assert!(!text.contains("a-token") && !text.contains("environment"), "{text}");
    }

    #[test]
    fn stop_code_takes_precedence_over_the_exit_code() {
        let exited = Some("EssentialContainerExited");
        for (stop_code, exit, expected) in [
            (exited, Some(1), StopCause::Exited { code: Some(1) }),
            (exited, None, StopCause::Exited { code: None }),
            (None, Some(2), StopCause::Exited { code: Some(2) }),
            (None, None, StopCause::Other),
            (Some("UserInitiated"), Some(143), StopCause::Other),
            (Some("TaskFailedToStart"), None, StopCause::Other),
            (Some("SpotInterruption"), Some(143), StopCause::SpotInterruption),
        ] {
            assert_eq!(stop_cause(stop_code, exit), expected, "{stop_code:?} {exit:?}");
        }
    }
}
