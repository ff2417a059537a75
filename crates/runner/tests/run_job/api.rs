//! A scripted control plane that uses the wire types, records every call, and fails on request.

use crate::world::serve;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_protocol::artifact::NewArtifact;
use pullyard_protocol::attempt::{
    Assignment, EventsRequest, FinishRequest, Input, StartRequest, StatusRequest, YieldReason, YieldRequest,
};
use pullyard_protocol::event::Event;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

pub(crate) const BOOTSTRAP: &str = "bootstrap-secret-8d1f";
pub(crate) const TASK: &str = "arn:aws:ecs:eu-central-1:1:task/x/y";
pub(crate) const LEASE: &str = "lease-secret-77ab";

const WAIT_LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) route: String,
    pub(crate) attempt: u32,
    pub(crate) body: Value,
}

#[derive(Default)]
pub(crate) struct Script {
    /// How many answers of a route are lost.
    pub(crate) lost_answers: HashMap<&'static str, u32>,
    /// Routes whose every call is refused with this status and code.
    pub(crate) refusals: HashMap<&'static str, (u16, &'static str)>,
    pub(crate) cancel: bool,
    pub(crate) pause: bool,
    /// Inputs for the agent. A question is accepted only after the runner read all of them.
    pub(crate) inputs: Vec<Input>,
    /// Added just before the runner requests permission to push.
    pub(crate) inputs_before_push: Vec<Input>,
    pub(crate) push_for_secs: Option<u64>,
    /// The push windows of the first answers, before `push_for_secs`.
    pub(crate) first_push_secs: VecDeque<u64>,
    /// Tokens that expire, one per call; after them comes the permanent one.
    pub(crate) expiring_tokens: VecDeque<String>,
    pub(crate) signing_key: Option<String>,
    /// Keys for the agent's model, in wire format.
    pub(crate) model: Vec<Value>,
    /// The order at the push request, and whether the push is granted.
    pub(crate) push_order: Option<(&'static str, bool)>,
    /// Refuse calls of an attempt that does not hold the job.
    pub(crate) fence_calls: bool,
    /// A newer checkpoint that cannot be read.
    pub(crate) missing_checkpoint: Option<Value>,
    /// Another address for the bucket.
    pub(crate) bucket: Option<String>,
    claims: HashMap<u32, Value>,
    /// The newest attempt that yielded, with `fence_calls`, and its request.
    last_yield: Option<(u32, Value)>,
    /// The finish that ended the job, with `fence_calls`.
    final_finish: Option<Value>,
}

impl Script {
    /// Returns whether an attempt holds the job for this call, and records its claim, yield or finish. A later attempt,
    /// another claim, a yield or a finish ends the hold, unless the call repeats it.
    fn holds_job(&mut self, newest: u32, attempt: u32, route: &str, body: &Value) -> bool {
        if !self.fence_calls {
            return true;
        }
        if let Some(ended) = &self.final_finish {
            return route == "finish" && ended["finish_id"] == body["finish_id"];
        }
        if attempt != newest {
            return false;
        }
        if let Some((_, rested)) = self.last_yield.as_ref().filter(|(of, _)| *of == attempt) {
            return route == "yield" && rested["yield_id"] == body["yield_id"];
        }
        match route {
            "start" => {
                let claim = &body["claim_id"];
                return *self.claims.entry(attempt).or_insert_with(|| claim.clone()) == *claim;
            }
            "yield" => self.last_yield = Some((attempt, body.clone())),
            "finish" => self.final_finish = Some(body.clone()),
            _ => {}
        }
        true
    }

    pub(crate) fn refuse(&mut self, route: &'static str, status: u16, code: &'static str) {
        self.refusals.insert(route, (status, code));
    }
}

struct ServerState {
    assignment: Mutex<Assignment>,
    forge_token: String,
    script: Mutex<Script>,
    calls: watch::Sender<Vec<Call>>,
    events: Mutex<BTreeMap<u64, Event>>,
    bucket_objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The name of the newest checkpoint, and its reported size and hash.
    checkpoint: Mutex<Option<(String, Value)>>,
    url: OnceLock<String>,
}

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    inner: Arc<ServerState>,
}

impl Api {
    pub(crate) async fn start(assignment: Assignment, forge_token: &str) -> Self {
        Self::start_with(assignment, forge_token, Router::new()).await
    }

    pub(crate) async fn start_with(assignment: Assignment, forge_token: &str, more: Router) -> Self {
        let inner = Arc::new(ServerState {
            assignment: Mutex::new(assignment),
            forge_token: forge_token.to_owned(),
            script: Mutex::default(),
            calls: watch::Sender::new(Vec::new()),
            events: Mutex::default(),
            bucket_objects: Mutex::default(),
            checkpoint: Mutex::default(),
            url: OnceLock::new(),
        });
        let routes = Router::new()
            .route("/v1/jobs/{job}/attempts/{attempt}/{route}", post(handle_post).get(handle_get))
            .route("/v1/jobs/{job}/attempts/{attempt}/artifacts/{artifact}/stored", post(confirm_artifact))
            .route("/bucket/{name}", put(put_object).get(get_object).layer(DefaultBodyLimit::max(64 << 20)))
            .route("/ecs/task", get(async || axum::Json(json!({ "TaskARN": TASK }))))
            .with_state(inner.clone())
            .merge(more);
        let url = serve(routes).await;
        inner.url.set(url.clone()).unwrap();
        Self { url, inner }
    }

    pub(crate) fn assignment(&self) -> Assignment {
        self.inner.assignment.lock().unwrap().clone()
    }

    pub(crate) fn change_assignment(&self, change: impl FnOnce(&mut Assignment)) {
        change(&mut self.inner.assignment.lock().unwrap());
    }

    pub(crate) fn change_script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.inner.script.lock().unwrap());
    }

    pub(crate) fn calls(&self, route: &str) -> Vec<Call> {
        self.inner.calls.borrow().iter().filter(|call| call.route == route).cloned().collect()
    }

    pub(crate) fn statuses(&self) -> Vec<String> {
        self.calls("status").iter().map(|call| call.body["status"].as_str().unwrap().to_owned()).collect()
    }

    /// The stored events; fails on a gap.
    pub(crate) fn events(&self) -> Vec<Event> {
        let events = self.inner.events.lock().unwrap();
        assert!(events.keys().enumerate().all(|(n, seq)| *seq == n as u64 + 1), "a gap in the event numbers");
        events.values().cloned().collect()
    }

    pub(crate) fn event_texts(&self) -> String {
        self.events().iter().filter_map(|event| event.text.clone()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn finishes(&self) -> Vec<FinishRequest> {
        let calls = self.calls("finish").into_iter();
        calls.map(|call| serde_json::from_value(call.body).unwrap()).collect()
    }

    /// The finish that ended the job, with `fence_calls`.
    pub(crate) fn final_finish(&self) -> Option<FinishRequest> {
        let ended = self.inner.script.lock().unwrap().final_finish.clone();
        ended.map(|body| serde_json::from_value(body).unwrap())
    }

    pub(crate) fn has_yielded(&self) -> bool {
        let newest = self.assignment().attempt;
        self.inner.script.lock().unwrap().last_yield.as_ref().is_some_and(|(attempt, _)| *attempt == newest)
    }

    pub(crate) fn bucket_object(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.bucket_objects.lock().unwrap().get(name).cloned()
    }

    /// Replaces or deletes an object of the bucket; its reported size and hash stay.
    pub(crate) fn replace_object(&self, name: &str, bytes: Option<Vec<u8>>) {
        let mut objects = self.inner.bucket_objects.lock().unwrap();
        match bytes {
            Some(bytes) => objects.insert(name.to_owned(), bytes),
            None => objects.remove(name),
        };
    }

    pub(crate) fn store_checkpoint(&self, bytes: Vec<u8>) {
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let about = json!({ "size_bytes": bytes.len(), "sha256": sha256 });
        *self.inner.checkpoint.lock().unwrap() = Some(("left.tar.zst".into(), about));
        self.replace_object("left.tar.zst", Some(bytes));
    }

    pub(crate) fn yields(&self) -> Vec<YieldRequest> {
        let calls = self.calls("yield").into_iter();
        calls.map(|call| serde_json::from_value(call.body).unwrap()).collect()
    }

    pub(crate) fn routes(&self) -> Vec<String> {
        self.inner.calls.borrow().iter().map(|call| call.route.clone()).collect()
    }

    /// Clears events and calls, and starts the next attempt.
    pub(crate) fn next_attempt(&self, change: impl FnOnce(&mut Assignment)) {
        self.inner.events.lock().unwrap().clear();
        self.inner.calls.send_modify(Vec::clear);
        self.change_script(|script| {
            script.pause = false;
            script.lost_answers.clear();
        });
        self.change_assignment(|job| {
            job.attempt += 1;
            job.checkpoint = true;
            change(job);
        });
    }

    pub(crate) fn only_finish(&self) -> FinishRequest {
        let mut finishes = self.finishes();
        assert_eq!(finishes.len(), 1, "{finishes:?}");
        finishes.remove(0)
    }

    pub(crate) fn failure_code(&self) -> &'static str {
        self.only_finish().failure.unwrap().code()
    }

    pub(crate) async fn wait_for(&self, seen: impl Fn(&[Call]) -> bool) {
        let mut calls = self.inner.calls.subscribe();
        let wait = calls.wait_for(|calls| seen(calls));
        tokio::time::timeout(WAIT_LIMIT, wait).await.unwrap().unwrap();
    }

    pub(crate) async fn wait_for_text(&self, text: &str) {
        self.wait_for(|calls| calls.iter().any(|call| call.route == "events" && call.body.to_string().contains(text)))
            .await;
    }
}

async fn handle_post(
    State(inner): State<Arc<ServerState>>,
    Path((job, attempt, route)): Path<(String, u32, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let assignment = inner.assignment.lock().unwrap().clone();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let call = Call { route: route.clone(), attempt, body: body.clone() };
    inner.calls.send_modify(|calls| calls.push(call));
    let bearer = if route == "start" { BOOTSTRAP } else { LEASE };
    let authorised = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {bearer}"));
    if !authorised || assignment.job.as_str() != job {
        return problem(401, "unauthorized");
    }
    let mut script = inner.script.lock().unwrap();
    if let Some((status, code)) = script.refusals.get(route.as_str()) {
        return problem(*status, code);
    }
    if !script.holds_job(assignment.attempt, attempt, &route, &body) {
        return problem(409, "lease_lost");
    }
    let want = if script.cancel {
        "cancel"
    } else if script.pause {
        "pause"
    } else {
        "run"
    };
    let answer = match route.as_str() {
        "start" => {
            let _: StartRequest = serde_json::from_value(body).unwrap();
            serde_json::to_value(Assignment { attempt, ..assignment }).unwrap()
        }
        "credentials" => match script.expiring_tokens.pop_front() {
            Some(minted) => json!({ "forge_token": minted, "expires_in_secs": 3_600 }),
            None => {
                json!({ "forge_token": inner.forge_token, "signing_key": script.signing_key, "model": script.model })
            }
        },
        "status" => {
            let _: StatusRequest = serde_json::from_value(body.clone()).unwrap();
            let syncing = body["status"] == "syncing";
            let before_push = if syncing { std::mem::take(&mut script.inputs_before_push) } else { Vec::new() };
            script.inputs.extend(before_push);
            let last_input = script.inputs.iter().map(|input| input.seq).max().unwrap_or(0);
            let goes_on = syncing
                && want == "run"
                && body["inputs"].as_u64().is_some_and(|last_read| u64::from(last_input) > last_read);
            let (want, granted) = script.push_order.filter(|_| syncing).unwrap_or((want, syncing && !goes_on));
            let mut next_window = || script.first_push_secs.pop_front().or(script.push_for_secs).unwrap_or(120);
            let push_for_secs = granted.then(&mut next_window);
            json!({ "want": want, "push_for_secs": push_for_secs, "goes_on": goes_on })
        }
        "events" => {
            let batch: EventsRequest = serde_json::from_value(body).unwrap();
            let mut events = inner.events.lock().unwrap();
            for event in batch.events {
                events.entry(event.seq).or_insert(event);
            }
            let next = events.keys().last().map_or(1, |seq| seq + 1);
            let inputs = script.inputs.iter().map(|input| input.seq).max().unwrap_or(0);
            json!({ "next_seq": next, "want": want, "inputs": inputs, "watched": true, "send_every_ms": 20 })
        }
        "artifacts" => {
            let reservation: NewArtifact = serde_json::from_value(body).unwrap();
            let url = script.bucket.as_ref().or(inner.url.get()).unwrap();
            if reservation.kind == ArtifactKind::Checkpoint {
                let about = json!({ "size_bytes": reservation.size_bytes, "sha256": reservation.sha256 });
                *inner.checkpoint.lock().unwrap() = Some((reservation.name.to_string(), about));
            }
            json!({
                "id": format!("art_{}", "a".repeat(26)), "put_url": format!("{url}/bucket/{}", reservation.name),
                "headers": { "x-amz-checksum-sha256": reservation.sha256 },
            })
        }
        "yield" => {
            let request: YieldRequest = serde_json::from_value(body).unwrap();
            let asks = request.outcome == YieldReason::Asks;
            let last_input = script.inputs.iter().map(|input| input.seq).max().unwrap_or(0);
            let goes_on = asks && last_input > request.inputs;
            json!({ "status": if asks { "awaiting_input" } else { "paused" }, "goes_on": goes_on })
        }
        "finish" => {
            let _: FinishRequest = serde_json::from_value(body).unwrap();
            json!({ "status": "completed" })
        }
        _ => return problem(404, "not_found"),
    };
    if let Some(remaining) = script.lost_answers.get_mut(route.as_str()).filter(|remaining| **remaining > 0) {
        *remaining -= 1;
        return broken();
    }
    axum::Json(answer).into_response()
}

async fn handle_get(
    State(inner): State<Arc<ServerState>>,
    Path((_, attempt, route)): Path<(String, u32, String)>,
    headers: HeaderMap,
) -> Response {
    let call = Call { route: route.clone(), attempt, body: Value::Null };
    inner.calls.send_modify(|calls| calls.push(call));
    assert!(headers.get("authorization").is_some_and(|value| value == &format!("Bearer {LEASE}")));
    let script = inner.script.lock().unwrap();
    if let Some((status, code)) = script.refusals.get(route.as_str()) {
        return problem(*status, code);
    }
    let answer = match route.as_str() {
        "inputs" => json!({ "inputs": script.inputs }),
        "checkpoint" => {
            let mut answer = match inner.checkpoint.lock().unwrap().clone() {
                None => json!({}),
                Some((name, about)) => {
                    let job = inner.assignment.lock().unwrap().job.clone();
                    let url = script.bucket.as_ref().or(inner.url.get()).unwrap();
                    json!({ "checkpoint": {
                        "job": job, "attempt": 1, "size_bytes": about["size_bytes"], "sha256": about["sha256"],
                        "get_url": format!("{url}/bucket/{name}"),
                    } })
                }
            };
            if let Some(missing) = &script.missing_checkpoint {
                answer["missing"] = missing.clone();
            }
            answer
        }
        _ => return problem(404, "not_found"),
    };
    axum::Json(answer).into_response()
}

async fn get_object(State(inner): State<Arc<ServerState>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    assert!(!headers.contains_key("authorization"), "{headers:?}");
    if let Some(remaining) =
        inner.script.lock().unwrap().lost_answers.get_mut("get").filter(|remaining| **remaining > 0)
    {
        *remaining -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match inner.bucket_objects.lock().unwrap().get(&name) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn confirm_artifact(State(inner): State<Arc<ServerState>>) -> Response {
    let call = Call { route: "stored".into(), attempt: 1, body: Value::Null };
    inner.calls.send_modify(|calls| calls.push(call));
    axum::Json(json!({})).into_response()
}

/// Stores an object. Answers 503 as often as `lost_answers` requires for the route `put`.
async fn put_object(
    State(inner): State<Arc<ServerState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(headers.contains_key("x-amz-checksum-sha256") && !headers.contains_key("authorization"), "{headers:?}");
    let call = Call { route: "put".into(), attempt: 1, body: json!(name) };
    inner.calls.send_modify(|calls| calls.push(call));
    let mut script = inner.script.lock().unwrap();
    if let Some(remaining) = script.lost_answers.get_mut("put").filter(|remaining| **remaining > 0) {
        *remaining -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, "<Error><Code>SlowDown</Code></Error>").into_response();
    }
    inner.bucket_objects.lock().unwrap().insert(name, body.to_vec());
    StatusCode::OK.into_response()
}

/// Sends the head of an answer, then breaks the connection.
pub(crate) fn broken() -> Response {
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))]);
    (StatusCode::OK, Body::from_stream(broken)).into_response()
}

pub(crate) fn problem(status: u16, code: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": "No", "status": status, "code": code, "detail": "No." });
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}
