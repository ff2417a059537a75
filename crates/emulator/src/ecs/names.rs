//! Names and ARNs of clusters and tasks.

use super::failure::Failure;
use crate::{ACCOUNT, REGION};

/// The cluster's short name; the cluster `default` when none is named.
pub(super) fn cluster_name(cluster: Option<&str>) -> Result<String, Failure> {
    let name = last_segment(cluster.unwrap_or("default"));
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if name.is_empty() || name.len() > 255 || !name.chars().all(allowed) {
        return Err(Failure::invalid_parameter("Invalid cluster name."));
    }
    Ok(name.to_owned())
}

pub(super) fn task_arn(cluster: &str, id: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{id}")
}

/// The last part of an ARN, or the whole of a plain id.
pub(super) fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
