//! Test support: a started AWS, JSON calls, and waits with a limit.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pullyard_emulator::ecs::{self, TaskDefinition};
use pullyard_emulator::lambda::Function;
use pullyard_emulator::{Access, Aws, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// Much longer than any wait takes on a busy machine.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) aws: Aws,
    pub(crate) folder: TempDir,
    tasks: ecs::Options,
}

pub(crate) struct StoppedWorld {
    pub(crate) folder: TempDir,
    pub(crate) tasks: ecs::Options,
}

impl StoppedWorld {
    pub(crate) async fn start(self) -> World {
        let Self { folder, tasks } = self;
        let aws = Aws::start(Options { data: None, tasks: tasks.clone(), access: Access::Open }).await.unwrap();
        World { aws, folder, tasks }
    }

    pub(crate) fn edit(&self, arn: &str, change: impl FnOnce(&mut Value)) {
        let file = task_dir(&self.folder, arn).join("task.json");
        let mut state = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut state);
        std::fs::write(file, state.to_string()).unwrap();
    }
}

fn task_dir(folder: &TempDir, arn: &str) -> PathBuf {
    let id = arn.rsplit('/').next().unwrap();
    folder.path().join("tasks").join(id)
}

pub(crate) async fn world(script: &str) -> World {
    world_with_options(&["/bin/sh", "-c", script], |_| {}).await
}

pub(crate) async fn world_with_options(command: &[&str], adjust: impl FnOnce(&mut ecs::Options)) -> World {
    let folder = TempDir::new().unwrap();
    let definition = TaskDefinition {
        family: "job".to_owned(),
        container: "main".to_owned(),
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        environment: vec![("FROM".to_owned(), "definition".to_owned())],
    };
    let mut tasks = ecs::Options::new(folder.path().to_owned(), vec![definition]);
    adjust(&mut tasks);
    StoppedWorld { folder, tasks }.start().await
}

pub(crate) async fn call(url: &str, target: &str, body: &Value) -> (u16, Value) {
    let response = post(url, target, body).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    match serde_json::from_str(&text) {
        Ok(answer) => (status, answer),
        Err(error) => panic!("{target}: {status} {error}: {text}"),
    }
}

pub(crate) async fn post(url: &str, target: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
    client()
        .post(url)
        .header("x-amz-target", target)
        .header("content-type", "application/x-amz-json-1.0")
        .body(body.to_string())
        .send()
        .await
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

impl World {
    pub(crate) async fn ecs(&self, operation: &str, body: Value) -> (u16, Value) {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        call(&self.aws.endpoints().ecs, &target, &body).await
    }

    pub(crate) async fn run(&self) -> String {
        let (status, answer) = self.ecs("RunTask", json!({ "taskDefinition": "job" })).await;
        assert_eq!(status, 200, "{answer}");
        answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn describe(&self, arn: &str) -> Value {
        let (status, answer) = self.ecs("DescribeTasks", json!({ "tasks": [arn] })).await;
        assert_eq!(status, 200, "{answer}");
        answer["tasks"][0].clone()
    }

    pub(crate) async fn wait_for_status(&self, arn: &str, status: &str) -> Value {
        wait_until(&format!("{arn} is {status}"), || async {
            let task = self.describe(arn).await;
            (task["lastStatus"] == status).then_some(task)
        })
        .await
    }

    pub(crate) fn stdout(&self, arn: &str) -> String {
        std::fs::read_to_string(self.task_folder(arn).join("stdout.log")).unwrap_or_default()
    }

    pub(crate) async fn wait_for_line(&self, arn: &str, start: &str) -> String {
        wait_until(&format!("{arn} prints {start}"), || async {
            let printed = self.stdout(arn);
            // The last line may still be incomplete.
            let (text, _) = printed.rsplit_once('\n')?;
            text.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned)
        })
        .await
    }

    pub(crate) fn task_folder(&self, arn: &str) -> PathBuf {
        task_dir(&self.folder, arn)
    }

    pub(crate) async fn crash(self) -> StoppedWorld {
        self.aws.detach().await;
        StoppedWorld { folder: self.folder, tasks: self.tasks }
    }

    pub(crate) async fn shutdown(self) -> StoppedWorld {
        self.aws.shutdown().await;
        StoppedWorld { folder: self.folder, tasks: self.tasks }
    }

    pub(crate) async fn queue(&self, name: &str, attributes: Value) -> String {
        let request = json!({ "QueueName": name, "Attributes": attributes });
        let answer = self.aws.sqs().call("CreateQueue", &request).await.unwrap();
        answer["QueueUrl"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn wait_until_empty(&self, queue: &str) {
        let request = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
        wait_until("the queue is empty", || async {
            let answer = self.aws.sqs().call("GetQueueAttributes", &request).await.unwrap();
            let visible = &answer["Attributes"]["ApproximateNumberOfMessages"];
            let hidden = &answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"];
            (visible == "0" && hidden == "0").then_some(())
        })
        .await;
    }
}

/// Polls until the closure returns a value; panics after `WAIT_LIMIT`.
pub(crate) async fn wait_until<T, F>(condition: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {condition}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn within_limit<T>(condition: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_LIMIT, coming).await {
        Ok(come) => come,
        Err(_) => panic!("never: {condition}"),
    }
}

pub(crate) fn function<F>(answer: impl Fn(Value) -> F + Send + Sync + 'static) -> Function
where
    F: Future<Output = Result<Value, String>> + Send + 'static,
{
    Arc::new(move |event| Box::pin(answer(event)))
}

pub(crate) fn is_dead(pid: &str) -> bool {
    match std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
        Ok(stat) => stat.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}
