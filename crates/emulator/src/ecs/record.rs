//! The state of one task: the fields of the API that callers read, and the emulator's own fields.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::timestamp::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Status {
    Provisioning,
    Pending,
    Running,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StopCode {
    EssentialContainerExited,
    TaskFailedToStart,
    UserInitiated,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskDescription {
    pub(super) task_arn: String,
    pub(super) task_definition_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_by: Option<String>,
    pub(super) overrides: Value,
    pub(super) containers: Vec<Container>,
    pub(super) last_status: Status,
    pub(super) desired_status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_code: Option<StopCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped_reason: Option<String>,
    pub(super) created_at: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped_at: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) capacity_provider_name: Option<String>,
    pub(super) version: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    /// Absent while the container runs and if it never started; 128 + n after signal n.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<i32>,
}

/// Identifies a process after a restart of the parent, even if its pid is reused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProcessIdentity {
    pub(super) pid: u32,
    /// Boot id and start time in ticks; absent where the system does not provide them.
    pub(super) start_mark: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskRecord {
    pub(super) task: TaskDescription,
    pub(super) cluster: String,
    pub(super) client_token: Option<String>,
    /// The request that used the token, to distinguish a repetition from another request.
    pub(super) request: Option<Value>,
    pub(super) command: Vec<String>,
    pub(super) process: Option<ProcessIdentity>,
    /// Whether a subscriber received the stop event; until then it is announced to each new subscriber.
    #[serde(default)]
    pub(super) announced: bool,
}

impl TaskDescription {
    /// Ends the task, but retains a cause that was recorded before, such as StopTask.
    pub(super) fn end(&mut self, code: StopCode, reason: &str) {
        self.last_status = Status::Stopped;
        self.desired_status = Status::Stopped;
        self.stopped_at = Some(Timestamp::now().epoch_secs());
        self.stop_code.get_or_insert(code);
        self.stopped_reason.get_or_insert_with(|| reason.to_owned());
    }

    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}
