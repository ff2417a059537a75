//! The size and capacity of a job's Fargate task.
//! The deployment's task definitions map a size to processors and memory.

use crate::text::code::coded_enum;
use serde::{Deserialize, Serialize};

coded_enum! {
    /// The size of a task. Each deployment has one task definition per size.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum TaskSize {
        /// For small repositories, or agents that compute little.
        Small = "small";
        /// For most repositories.
        #[default]
        Medium = "medium";
        /// For repositories with heavier builds and tests.
        Large = "large";
    }
}

/// Which capacity a task is started on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskCapacity {
    /// AWS does not take it back before the job ends.
    #[default]
    Fargate,
    /// Cheaper, but AWS may take it back with a notice of two minutes.
    FargateSpot,
}

impl TaskCapacity {
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Fargate => "Fargate",
            Self::FargateSpot => "Fargate Spot",
        }
    }
}

/// The task of a job, frozen when the job is created, so that every attempt gets the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Task {
    pub size: TaskSize,
    pub capacity: TaskCapacity,
}

impl Task {
    /// Default tasks are not stored, because a job item is written at every step.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// For display: `large, Fargate Spot`.
    pub fn display_name(self) -> String {
        format!("{}, {}", self.size.as_str(), self.capacity.display_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{TRIGGER, job_id, plan_job, settings, ticket_in, time_at};
    use crate::job::Job;
    use crate::project::Settings;
    use serde_json::{Value, json};

    #[test]
    fn task_size_follows_the_project_and_defaults_are_omitted() {
        use TaskCapacity::{Fargate, FargateSpot};
        for (size, capacity, stored, name) in [
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
            let (job, _) = plan_job(&settings, job_id("j"), &ticket_in(TRIGGER), time_at(0));
            assert_eq!((job.task, job.task.display_name().as_str()), (Task { size, capacity }, name));
            let value = serde_json::to_value(&job).unwrap();
            assert_eq!(value["task"], stored);
            assert_eq!(serde_json::from_value::<Job>(value).unwrap(), job);
        }
    }
}
