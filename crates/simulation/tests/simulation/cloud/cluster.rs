//! Simulates ECS: requested tasks that start or fail, and stop.

use super::{Answer, error_answer};
use crate::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Provisioning,
    Running,
    Stopping,
    Stopped,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) arn: String,
    pub(crate) state: State,
    started_by: String,
    token: String,
    overrides: Value,
}

impl Task {
    pub(crate) fn variable(&self, name: &str) -> String {
        let all = self.overrides["containerOverrides"][0]["environment"].as_array().unwrap();
        let found = all.iter().find(|variable| variable["name"] == name).unwrap_or_else(|| panic!("{name} is not set"));
        found["value"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) tasks: BTreeMap<u32, Task>,
    /// State changes that were not delivered yet.
    pub(crate) events: Vec<Value>,
    pub(crate) fault: Option<Answer>,
}

impl Cluster {
    pub(super) fn answer(&mut self, operation: &str, request: &Value) -> Answer {
        match operation {
            "RunTask" => self.run(request),
            "StopTask" => self.stop(request),
            "ListTasks" => {
                let mine = |task: &&Task| task.state != State::Stopped && task.started_by == request["startedBy"];
                let arns: Vec<_> = self.tasks.values().filter(mine).map(|task| task.arn.clone()).collect();
                (200, json!({ "taskArns": arns }).to_string())
            }
            other => panic!("ECS's {other} is not simulated"),
        }
    }

    fn run(&mut self, request: &Value) -> Answer {
        if let Some(fault) = self.fault.take() {
            return fault;
        }
        let token = request["clientToken"].as_str().unwrap().to_owned();
        let (number, arn) = match self.tasks.iter().find(|(_, task)| task.token == token) {
            Some((_, task)) if task.overrides != request["overrides"] => {
                return error_answer(400, "ConflictException", "the token was used with other parameters");
            }
            Some((number, task)) => (*number, task.arn.clone()),
            None => {
                let number = self.tasks.len() as u32 + 1;
                (number, format!("arn:aws:ecs:simulated:1:task/pullyard/{number}"))
            }
        };
        let answer = json!({ "tasks": [{ "taskArn": arn, "lastStatus": "PROVISIONING" }], "failures": [] });
        self.tasks.entry(number).or_insert_with(|| Task {
            arn,
            state: State::Provisioning,
            started_by: request["startedBy"].as_str().unwrap().to_owned(),
            token,
            overrides: request["overrides"].clone(),
        });
        (200, answer.to_string())
    }

    fn stop(&mut self, request: &Value) -> Answer {
        let Some(task) = self.tasks.values_mut().find(|task| request["task"] == *task.arn) else {
            return error_answer(400, "InvalidParameterException", "The referenced task was not found.");
        };
        if task.state != State::Stopped {
            task.state = State::Stopping;
        }
        (200, json!({ "task": { "taskArn": task.arn } }).to_string())
    }

    pub(crate) fn stop_task(&mut self, number: u32, code: &str, reason: &str, exit: Option<i64>) {
        let task = self.tasks.get_mut(&number).unwrap();
        task.state = State::Stopped;
        self.events.push(json!({ "detail": {
            "taskArn": task.arn,
            "lastStatus": "STOPPED",
            "startedBy": task.started_by,
            "stopCode": code,
            "stoppedReason": reason,
            "containers": [exit.map_or(json!({}), |exit| json!({ "exitCode": exit }))],
        }}));
    }
}
