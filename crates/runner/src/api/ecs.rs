//! Queries the container metadata endpoint of ECS for the runner's own task.
//! Source: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>.

use serde::Deserialize;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct Task {
    #[serde(rename = "TaskARN")]
    arn: String,
}

pub(crate) async fn get_task_arn(metadata_uri: &str) -> Option<String> {
    match get_task(metadata_uri).await {
        Ok(task) => Some(task.arn),
        Err(error) => {
            tracing::warn!(error = %error, "cannot read the task from the ECS metadata endpoint: {error}");
            None
        }
    }
}

async fn get_task(metadata_uri: &str) -> Result<Task, reqwest::Error> {
    let uri = format!("{}/task", metadata_uri.trim_end_matches('/'));
    // Plain HTTP to a link-local address: without a proxy, and without certificates, which take long to read.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(TIMEOUT).build()?;
    client.get(uri).send().await?.error_for_status()?.json().await
}
