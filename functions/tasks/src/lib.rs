//! Processes ECS task state changes: a stopped task ends its attempt or its start.
//! Source: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>.

pub use pullyard_cloud::TaskStateChange;
use pullyard_control::{self as control, Context, Error};
use pullyard_entry::invocation;

pub async fn handle(ctx: &Context, event: TaskStateChange) -> Result<(), Error> {
    let Some(stopped) = event.into_task_stop() else {
        return Ok(());
    };
    invocation::record_id("job", &stopped.job);
    control::record_task_stop(ctx, &stopped).await
}
