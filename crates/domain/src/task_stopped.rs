//! The death of a container: what ECS says of it, and what that means for its job.
//!
//! Hearing of it is not here.
//!
//! Source: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>.

use crate::failure::Failure;
use crate::id::JobId;
use crate::job::{DispatchFault, Job, NotNow, Status};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A task state change, as far as it matters. Everything else in it is AWS's, and the variables of the task, its
/// token among them: what is written of this type has none of that.
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

/// A task that stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStopped {
    /// The task.
    pub arn: String,
    /// The job it was started for.
    pub job: JobId,
    /// ECS's code: `EssentialContainerExited`, `TaskFailedToStart`, `UserInitiated`, `SpotInterruption`, ….
    pub code: Option<String>,
    /// ECS's words.
    pub reason: String,
    /// The container's exit code, if it ran.
    pub exit: Option<i64>,
}

impl TaskStateChange {
    /// The death that it tells of. Only a stop means anything, and only of a task that we started: events come
    /// doubled and out of order, and a stop is the last of them whenever it comes.
    pub fn stopped(self) -> Option<TaskStopped> {
        let detail = self.detail;
        let job = detail.started_by.and_then(|by| JobId::new(by).ok());
        let job = job.filter(|_| detail.last_status == "STOPPED")?;
        Some(TaskStopped {
            arn: detail.task_arn,
            job,
            code: detail.stop_code,
            reason: detail.stopped_reason.unwrap_or_else(|| "no reason given".into()),
            exit: detail.containers.iter().find_map(|container| container.exit_code),
        })
    }
}

impl TaskStopped {
    /// Before the exit code: whoever is interrupted ends with one, too.
    fn failure(&self) -> Failure {
        match (self.code.as_deref(), self.exit) {
            (Some("SpotInterruption"), _) => Failure::SpotInterrupted {},
            (Some("EssentialContainerExited") | None, Some(exit)) => Failure::RunnerCrashed { exit: exit_words(exit) },
            // It ended by itself while nobody watched.
            (Some("EssentialContainerExited"), None) => {
                Failure::RunnerCrashed { exit: "an exit code that nobody saw".into() }
            }
            _ => Failure::TaskStopped { reason: self.reason.clone() },
        }
    }
}

fn exit_words(exit: i64) -> String {
    if exit > 128 { format!("signal {}", exit - 128) } else { format!("exit code {exit}") }
}

impl Job {
    /// Whether this task was started for it and has not claimed it.
    pub fn awaits(&self, task: &str) -> bool {
        self.status == Status::Ready && self.dispatch.task.as_deref() == Some(task)
    }

    /// A task of it stopped: one that had not claimed is started again later, one that held it gives its finish a
    /// little time to arrive.
    ///
    /// Errors: `Already` when that is noted, `LeaseLost` when it is no task that the job is about now.
    pub fn task_stopped(&self, stopped: &TaskStopped, now: Timestamp) -> Result<Self, NotNow> {
        if !self.awaits(&stopped.arn) {
            return self.container_died(&stopped.arn, stopped.failure(), now);
        }
        let fault = match stopped.failure() {
            Failure::SpotInterrupted {} => DispatchFault::Interrupted { times: 1 },
            other => DispatchFault::Died { reason: other.sentence(), times: 1 },
        };
        self.start_failed(self.attempt + 1, self.dispatch.number, fault, now)
    }
}

/// A task state change that its function did not get, or failed on, as it stands in the queue of those: EventBridge
/// keeps the event itself there, Lambda a record with the event in it.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Kept")]
pub struct Undelivered {
    /// Why nobody dealt with it.
    pub why: Undone,
    /// The event.
    pub event: TaskStateChange,
}

/// Why nobody dealt with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The function failed on it each time.
    Failed,
    /// The function could not run while the event was young enough.
    TooLate,
    /// EventBridge could not hand it to the function.
    Unreached,
}

impl Undone {
    /// What is said of the function, as a part of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Failed => "failed three times",
            Self::TooLate => "had no room",
            Self::Unreached => "was not reached",
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
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

impl From<Kept> for Undelivered {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Event(event) => Self { why: Undone::Unreached, event },
            Kept::Record { request_context, request_payload } => {
                let late = request_context.condition == "EventAgeExceeded";
                Self { why: if late { Undone::TooLate } else { Undone::Failed }, event: request_payload }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{active, at, job_id, ready};
    use serde_json::{Value, json};

    const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/pullyard/1a";

    fn event(detail: Value) -> Value {
        json!({ "version": "0", "source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail })
    }

    fn stop() -> Value {
        event(json!({
            "taskArn": TASK, "lastStatus": "STOPPED", "startedBy": job_id("j").as_str(), "stopCode": "EssentialContainerExited",
            "stoppedReason": "Essential container in task exited", "version": 5,
            "containers": [{ "name": "sidecar" }, { "name": "runner", "exitCode": 137 }],
            "overrides": { "containerOverrides": [
                { "environment": [{ "name": "PULLYARD_BOOTSTRAP", "value": "a-token" }] },
            ] },
        }))
    }

    fn read(kept: Value) -> Undelivered {
        serde_json::from_value(kept).unwrap()
    }

    fn record(condition: &str) -> Value {
        json!({
            "version": "1.0", "timestamp": "2026-11-20T12:00:00.000Z",
            "requestContext": { "requestId": "r", "functionArn": "f", "condition": condition, "approximateInvokeCount": 3 },
            "requestPayload": stop(),
            "responseContext": { "statusCode": 200, "functionError": "Unhandled" },
            "responsePayload": { "errorType": "Error", "errorMessage": "no" },
        })
    }

    #[test]
    fn both_shapes_of_an_event_that_nobody_took_are_read_and_say_why() {
        for (kept, why) in [
            (stop(), Undone::Unreached),
            (record("RetriesExhausted"), Undone::Failed),
            (record("EventAgeExceeded"), Undone::TooLate),
        ] {
            let read = read(kept);
            assert_eq!(read.why, why);
            let stopped = read.event.stopped().unwrap();
            assert_eq!((stopped.arn.as_str(), &stopped.job, stopped.exit), (TASK, &job_id("j"), Some(137)));
            assert_eq!(stopped.failure(), Failure::RunnerCrashed { exit: "signal 9".into() });
        }
        for other in [json!({}), json!({ "job": job_id("j") }), json!("STOPPED"), json!({ "detail": {} })] {
            assert!(serde_json::from_value::<Undelivered>(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn only_the_stop_of_a_task_that_a_job_started_is_a_death() {
        let with = |field: &str, value: Value| {
            let mut event = stop();
            event["detail"][field] = value;
            serde_json::from_value::<TaskStateChange>(event).unwrap().stopped()
        };
        assert!(with("version", json!(6)).is_some());
        assert_eq!(with("lastStatus", json!("RUNNING")), None);
        assert_eq!(with("startedBy", Value::Null), None);
        assert_eq!(with("startedBy", json!("ecs-svc/9 something")), None);
    }

    #[test]
    fn a_task_that_had_not_claimed_is_started_again_and_one_that_held_its_job_is_given_time() {
        let stopped = serde_json::from_value::<TaskStateChange>(stop()).unwrap().stopped().unwrap();
        let started = ready().dispatched(at(1)).unwrap().start_named(1, 1, TASK).unwrap();
        assert!(started.awaits(TASK) && !started.awaits("another"));
        let again = started.task_stopped(&stopped, at(2)).unwrap();
        assert!(!again.dispatch.starting && again.dispatch.fault.is_some() && again.attempt == started.attempt);
        let mut working = active(Status::Executing);
        working.run.as_mut().unwrap().task = Some(TASK.into());
        let died = working.task_stopped(&stopped, at(400)).unwrap();
        assert_eq!(died.status, Status::Executing);
        assert_eq!(died.run.as_ref().and_then(|run| run.died.as_ref()).map(|died| died.at), Some(at(400)));
        assert_eq!(died.task_stopped(&stopped, at(401)).unwrap_err(), NotNow::Already);
        assert_eq!(ready().task_stopped(&stopped, at(2)).unwrap_err(), NotNow::LeaseLost);
    }

    #[test]
    fn what_is_shown_of_an_event_has_no_variable_of_its_task() {
        let shown = serde_json::to_string(&read(record("RetriesExhausted")).event).unwrap();
        assert!(shown.contains(TASK) && shown.contains("137"), "{shown}");
        assert!(!shown.contains("a-token") && !shown.contains("environment"), "{shown}");
    }

    #[test]
    fn a_death_is_called_what_is_known_of_it() {
        let exited = Some("EssentialContainerExited");
        for (code, exit, expected) in [
            (exited, Some(1), "exit code 1"),
            (exited, Some(128), "exit code 128"),
            (exited, Some(129), "signal 1"),
            (exited, Some(137), "signal 9"),
            (exited, None, "an exit code that nobody saw"),
            (None, Some(2), "exit code 2"),
            (None, None, "the task is retired"),
            // Its container was told to stop, and ended with a code of its own.
            (Some("UserInitiated"), Some(143), "the task is retired"),
            (Some("TaskFailedToStart"), None, "the task is retired"),
            (Some("SpotInterruption"), Some(143), "spot_interrupted"),
        ] {
            let stopped = TaskStopped {
                arn: "task-1".into(),
                job: job_id("j"),
                code: code.map(str::to_owned),
                reason: "the task is retired".into(),
                exit,
            };
            let called = match stopped.failure() {
                Failure::RunnerCrashed { exit } => exit,
                Failure::TaskStopped { reason } => reason,
                other => other.code().to_owned(),
            };
            assert_eq!(called, expected, "{code:?} {exit:?}");
        }
    }

    #[test]
    fn capacity_that_aws_took_back_never_gives_a_job_up_and_a_container_that_died_says_how() {
        let stopped = serde_json::from_value::<TaskStateChange>(stop()).unwrap().stopped().unwrap();
        let started = ready().dispatched(at(1)).unwrap().start_named(1, 1, TASK).unwrap();
        let fault = |code: &str| {
            let stopped = TaskStopped { code: Some(code.into()), ..stopped.clone() };
            started.task_stopped(&stopped, at(2)).unwrap().dispatch.fault.unwrap()
        };
        assert_eq!(fault("SpotInterruption"), DispatchFault::Interrupted { times: 1 });
        let reason = "The runner ended with signal 9.".into();
        assert_eq!(fault("EssentialContainerExited"), DispatchFault::Died { reason, times: 1 });
    }
}
