//! What a job's Fargate task is like: how big, and on which capacity.
//!
//! How many processors a size has is the deployment's business: its task definitions say so.

use serde::{Deserialize, Serialize};

/// How big a task is. Each deployment has one task definition of each.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskSize {
    /// For small repositories and agents that only think.
    Small,
    /// For most repositories.
    #[default]
    Medium,
    /// For repositories whose builds and tests want more.
    Large,
}

impl TaskSize {
    /// Every size, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// As the wire, the table and the deployment write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// Which capacity a task is started on.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskCapacity {
    /// It is there until the job is done.
    #[default]
    Fargate,
    /// Cheaper, and AWS may take it back two minutes after it said so.
    FargateSpot,
}

impl TaskCapacity {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fargate => "Fargate",
            Self::FargateSpot => "Fargate Spot",
        }
    }
}

/// What a job's task is like, frozen when the job is made: every start of it is the same.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// How big.
    pub size: TaskSize,
    /// On which capacity.
    pub capacity: TaskCapacity,
}

impl Task {
    /// What most jobs have: not worth the bytes of a job that is written at every step.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// As people read it: `large, Fargate Spot`.
    pub fn words(self) -> String {
        format!("{}, {}", self.size.as_str(), self.capacity.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;
    use crate::project::Settings;
    use crate::story::{TRIGGER, at, job_id, planned, settings, ticket_in};
    use serde_json::{Value, json};

    #[test]
    fn a_jobs_task_is_as_its_project_says_and_what_most_jobs_have_is_not_stored() {
        use TaskCapacity::{Fargate, FargateSpot};
        for (size, capacity, stored, words) in [
            (TaskSize::Medium, Fargate, Value::Null, "medium, Fargate"),
            (TaskSize::Small, Fargate, json!({ "size": "small", "capacity": "fargate" }), "small, Fargate"),
            (
                TaskSize::Large,
                FargateSpot,
                json!({ "size": "large", "capacity": "fargate_spot" }),
                "large, Fargate Spot",
            ),
        ] {
            let settings = Settings { task_size: size, task_capacity: capacity, ..settings() };
            let (job, _) = planned(&settings, job_id("j"), &ticket_in(TRIGGER), at(0));
            assert_eq!((job.task, job.task.words().as_str()), (Task { size, capacity }, words));
            let written = serde_json::to_value(&job).unwrap();
            assert_eq!(written["task"], stored);
            assert_eq!(serde_json::from_value::<Job>(written).unwrap(), job);
        }
    }
}
