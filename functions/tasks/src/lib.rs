//! ECS task state changes: the death of a container ends its attempt or its start.
//!
//! Source: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>.

use pullyard_control::{self as control, Context, Error, TaskStopped};
use pullyard_domain::id::JobId;
use pullyard_entry::invocation;
use serde::Deserialize;

/// The event, as far as it matters. Everything else in it is AWS's.
#[derive(Debug, Deserialize)]
pub struct TaskStateChange {
    detail: Detail,
}

#[derive(Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    exit_code: Option<i64>,
}

/// Does one event. Only a stop means anything here, and only of a task that we started: events come
/// doubled and out of order, and a stop is the last of them whenever it comes.
pub async fn handle(ctx: &Context, event: TaskStateChange) -> Result<(), Error> {
    let detail = event.detail;
    let job = detail.started_by.and_then(|by| JobId::new(by).ok());
    let Some(job) = job.filter(|_| detail.last_status == "STOPPED") else {
        return Ok(());
    };
    invocation::note("job", &job);
    let stopped = TaskStopped {
        arn: detail.task_arn,
        job,
        code: detail.stop_code,
        reason: detail.stopped_reason.unwrap_or_else(|| "no reason given".into()),
        exit: detail.containers.iter().find_map(|container| container.exit_code),
    };
    control::task_stopped(ctx, &stopped).await
}
