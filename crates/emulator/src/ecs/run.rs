//! Answers RunTask, which starts one task: validates parameters, applies the client token and creates the task.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{ApiError, parse_request};
use super::names::{cluster_name, last_segment, task_arn};
use super::record::{Container, Status, TaskDescription, TaskRecord};
use super::tasks::{RunTaskOutcome, Task, TaskRegistry, TokenUse};
use super::{DiskCheck, TaskDefinition, disk, lifecycle};
use crate::timestamp::{Timestamp, random_hex};
use crate::{ACCOUNT, REGION};

/// Time limit for the check of the disk.
const DISK_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    cluster: Option<String>,
    task_definition: Option<String>,
    started_by: Option<String>,
    client_token: Option<String>,
    #[serde(default)]
    capacity_provider_strategy: Vec<CapacityProvider>,
    overrides: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapacityProvider {
    capacity_provider: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overrides {
    #[serde(default)]
    container_overrides: Vec<ContainerOverride>,
}

#[derive(Debug, Deserialize)]
struct ContainerOverride {
    name: Option<String>,
    #[serde(default)]
    environment: Vec<EnvironmentVariable>,
}

#[derive(Debug, Deserialize)]
struct EnvironmentVariable {
    name: String,
    #[serde(default)]
    value: String,
}

/// Idempotent: by `clientToken`; the same token with other parameters fails with ConflictException.
pub(super) async fn run_task(tasks: &Arc<TaskRegistry>, body: &[u8]) -> Result<Value, ApiError> {
    let document: Value = parse_request(body)?;
    let request: Request = parse_request(body)?;
    let scripted = tasks.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let outcome = scripted.unwrap_or(RunTaskOutcome::Start);
    if let Some(refusal) = scripted_response(outcome) {
        return refusal;
    }
    let plan = ValidatedRequest {
        can_start: outcome != RunTaskOutcome::StaysPending,
        ..ValidatedRequest::validate(tasks, &request)?
    };
    let started = match request.client_token {
        Some(token) => start_idempotent(tasks, plan, token, document).await?,
        None => {
            let _tokens = tasks.tokens.lock().await;
            start_task(tasks, plan, None).await?
        }
    };
    if outcome == RunTaskOutcome::ResponseLost {
        return Err(ApiError::DropResponse);
    }
    Ok(json!({ "tasks": [started.describe().await.to_json()], "failures": [] }))
}

fn scripted_response(outcome: RunTaskOutcome) -> Option<Result<Value, ApiError>> {
    match outcome {
        RunTaskOutcome::Start | RunTaskOutcome::ResponseLost | RunTaskOutcome::StaysPending => None,
        RunTaskOutcome::Failure(reason) => Some(Ok(failure_response(reason))),
        RunTaskOutcome::Exception(kind, message) => Some(Err(ApiError::exception(kind, message))),
    }
}

pub(super) fn failure_response(reason: &str) -> Value {
    json!({ "tasks": [], "failures": [{ "reason": reason }] })
}

async fn start_idempotent(
    tasks: &Arc<TaskRegistry>,
    plan: ValidatedRequest,
    token: String,
    mut request: Value,
) -> Result<Arc<Task>, ApiError> {
    // A request without a cluster equals a request that names the default.
    if let Some(fields) = request.as_object_mut() {
        fields.insert("cluster".to_owned(), Value::String(plan.cluster.clone()));
    }
    let mut tokens = tasks.tokens.lock().await;
    if let Some(token_use) = tokens.get(&token) {
        if token_use.request == request {
            return Ok(Arc::clone(&token_use.task));
        }
        let message = "The clientToken was already used with other parameters.";
        return Err(ApiError::exception("ConflictException", message));
    }
    let task = start_task(tasks, plan, Some((&token, &request))).await?;
    tokens.insert(token, TokenUse { request, task: Arc::clone(&task) });
    Ok(task)
}

pub(super) async fn restore_token(tasks: &TaskRegistry, task: &Arc<Task>) {
    let record = task.record.lock().await;
    if let (Some(token), Some(request)) = (&record.client_token, &record.request) {
        let token_use = TokenUse { request: request.clone(), task: Arc::clone(task) };
        tasks.tokens.lock().await.insert(token.clone(), token_use);
    }
}

struct ValidatedRequest {
    cluster: String,
    definition: TaskDefinition,
    started_by: Option<String>,
    capacity_provider: Option<String>,
    overrides: Value,
    environment: Vec<(String, String)>,
    can_start: bool,
}

impl ValidatedRequest {
    fn validate(tasks: &TaskRegistry, request: &Request) -> Result<Self, ApiError> {
        let cluster = cluster_name(request.cluster.as_deref())?;
        check_length("startedBy", request.started_by.as_deref(), 128)?;
        check_length("clientToken", request.client_token.as_deref(), 64)?;
        let raw = request.overrides.clone().unwrap_or_else(|| json!({}));
        if raw.to_string().chars().count() > 8192 {
            return Err(ApiError::invalid_parameter(
                "The overrides may have at most 8192 characters, JSON formatting included.",
            ));
        }
        let capacity_provider = validate_capacity_provider(request)?;
        let definition = find_definition(tasks, request.task_definition.as_deref())?;
        let overrides: Overrides = serde_json::from_value(raw.clone())
            .map_err(|error| ApiError::exception("SerializationException", error.to_string()))?;
        let mut environment = definition.environment.clone();
        for container in overrides.container_overrides {
            if container.name.as_deref() != Some(definition.container.as_str()) {
                return Err(ApiError::invalid_parameter(format!(
                    "Override for container named {} is not a container in the TaskDefinition.",
                    container.name.unwrap_or_default()
                )));
            }
            // The child's environment has the last pair of each name.
            environment.extend(container.environment.into_iter().map(|pair| (pair.name, pair.value)));
        }
        Ok(Self {
            cluster,
            started_by: request.started_by.clone(),
            capacity_provider,
            overrides: raw,
            environment,
            definition: definition.clone(),
            can_start: true,
        })
    }
}

/// Returns the strategy's provider. Several providers would need weights, which are not emulated.
fn validate_capacity_provider(request: &Request) -> Result<Option<String>, ApiError> {
    let [of] = request.capacity_provider_strategy.as_slice() else {
        return match request.capacity_provider_strategy.len() {
            0 => Ok(None),
            _ => Err(ApiError::invalid_parameter("More than one capacity provider is not emulated.")),
        };
    };
    match of.capacity_provider.as_str() {
        "FARGATE" | "FARGATE_SPOT" => Ok(Some(of.capacity_provider.clone())),
        _ => Err(ApiError::invalid_parameter("The specified capacity provider was not found.")),
    }
}

fn check_length(name: &str, text: Option<&str>, limit: usize) -> Result<(), ApiError> {
    match text {
        Some(text) if text.chars().count() > limit => {
            Err(ApiError::invalid_parameter(format!("{name} must be at most {limit} characters long.")))
        }
        _ => Ok(()),
    }
}

fn find_definition<'a>(tasks: &'a TaskRegistry, reference: Option<&str>) -> Result<&'a TaskDefinition, ApiError> {
    let reference = reference.unwrap_or_default();
    if reference.is_empty() {
        return Err(ApiError::client("TaskDefinition can not be blank."));
    }
    let name = last_segment(reference);
    let (family, revision) = name.split_once(':').unwrap_or((name, "1"));
    tasks
        .options
        .definitions
        .iter()
        .find(|definition| definition.family == family && revision == "1")
        .ok_or_else(|| ApiError::client("TaskDefinition not found."))
}

type TokenRequest<'a> = (&'a str, &'a Value);

async fn start_task(
    tasks: &Arc<TaskRegistry>,
    plan: ValidatedRequest,
    call: Option<TokenRequest<'_>>,
) -> Result<Arc<Task>, ApiError> {
    if let Some(max) = tasks.options.max_tasks
        && tasks.count_running().await >= max
    {
        return Err(ApiError::NoPlace);
    }
    check_disk(tasks).await?;
    let task = Arc::new(new_task(tasks, &plan, call));
    let record = task.record.lock().await;
    let has_folder = disk::create_folder(&task.folder).is_ok();
    // Save the task before it runs and before the response.
    if !has_folder || !task.save(&record).await {
        return Err(ApiError::exception("ServerException", "The task could not be recorded."));
    }
    tasks.events.publish(&record.task);
    drop(record);
    tasks.insert(Arc::clone(&task));
    tasks.background.spawn(lifecycle::run_task(Arc::clone(tasks), Arc::clone(&task)));
    Ok(task)
}

/// A started task would end at once for want of space, and the next one after it.
async fn check_disk(tasks: &TaskRegistry) -> Result<(), ApiError> {
    let Some(DiskCheck { folder, find_low_space }) = tasks.options.disk_check.clone() else { return Ok(()) };
    // A disk on the network may never answer.
    let check = tokio::task::spawn_blocking(move || find_low_space(&folder));
    let lack = match tokio::time::timeout(DISK_TIMEOUT, check).await {
        Ok(lack) => lack.ok().flatten(),
        Err(_) => Some("it does not answer".to_owned()),
    };
    let was_low = tasks.is_disk_low.swap(lack.is_some(), Ordering::Relaxed);
    let Some(lack) = lack else {
        if was_low {
            tracing::info!("the work folder's disk has space again; jobs start");
        }
        return Ok(());
    };
    if !was_low {
        tracing::error!("no job starts until the work folder's disk has space: {lack}");
    }
    Err(ApiError::NoPlace)
}

fn new_task(tasks: &TaskRegistry, plan: &ValidatedRequest, call: Option<TokenRequest<'_>>) -> Task {
    let id = random_hex();
    let family = &plan.definition.family;
    let description = TaskDescription {
        task_arn: task_arn(&plan.cluster, &id),
        task_definition_arn: format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:1"),
        started_by: plan.started_by.clone(),
        overrides: plan.overrides.clone(),
        containers: vec![Container { exit_code: None }],
        last_status: Status::Provisioning,
        desired_status: Status::Running,
        stop_code: None,
        stopped_reason: None,
        created_at: Timestamp::now().epoch_secs(),
        started_at: None,
        stopped_at: None,
        capacity_provider_name: plan.capacity_provider.clone(),
        version: 1,
    };
    Task {
        folder: tasks.options.data_dir.join("tasks").join(&id),
        cluster: plan.cluster.clone(),
        environment: plan.environment.clone(),
        can_start: plan.can_start,
        stop: tasks.shutdown.child_token(),
        record: tokio::sync::Mutex::new(TaskRecord {
            task: description,
            cluster: plan.cluster.clone(),
            client_token: call.map(|(token, _)| token.to_owned()),
            request: call.map(|(_, request)| request.clone()),
            command: plan.definition.command.clone(),
            process: None,
            announced: false,
        }),
        id,
    }
}
