//! Names and ARNs of clusters and tasks.

use super::failure::ApiError;
use crate::{ACCOUNT, REGION};

pub(super) fn cluster_name(cluster: Option<&str>) -> Result<String, ApiError> {
    let name = last_segment(cluster.unwrap_or("default"));
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if name.is_empty() || name.len() > 255 || !name.chars().all(is_allowed) {
        return Err(ApiError::invalid_parameter("Invalid cluster name."));
    }
    Ok(name.to_owned())
}

pub(super) fn task_arn(cluster: &str, id: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{id}")
}

pub(super) fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
