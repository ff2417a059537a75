//! Tests the request units and invocations of whole flows; docs/capacity.md is computed from these bounds.

use super::meter::Meter;
use crate::prelude::*;

#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowCost {
    pub(crate) written: f64,
    pub(crate) read: f64,
    pub(crate) requests: f64,
    /// Invocations by queues and events. Each message is sent, received and deleted.
    pub(crate) messages: f64,
}

pub(crate) const EVENT_BATCH_READS: f64 = 3.0;

/// An implement job on Fargate with a silent agent and a stored patch, from the ticket's move to the settled ticket.
pub(crate) const IMPLEMENT: FlowCost = FlowCost { written: 44.0, read: 40.0, requests: 14.0, messages: 8.0 };
/// A revise job with a stored patch, from its delivery to the settled ticket.
pub(crate) const REVISE: FlowCost = FlowCost { written: 55.0, read: 64.0, requests: 14.0, messages: 9.0 };
/// A review without findings, from its request to its status on the commit.
pub(crate) const REVIEW: FlowCost = FlowCost { written: 49.0, read: 54.0, requests: 12.0, messages: 7.0 };
/// A review with one finding, its fix, the push and the report.
pub(crate) const RESOLVE: FlowCost = FlowCost { written: 53.0, read: 54.0, requests: 20.0, messages: 8.0 };
/// A question about a repository, from its request to the answer.
pub(crate) const READ: FlowCost = FlowCost { written: 33.0, read: 28.0, requests: 12.0, messages: 6.0 };
/// An analysis of one open pull request, from its request to the report.
pub(crate) const ANALYSIS: FlowCost = FlowCost { written: 39.0, read: 38.0, requests: 14.0, messages: 6.0 };
/// A step of a run that reads, as a fourth of a chain of four, from its submission to the end of the run.
pub(crate) const READ_STEP: FlowCost = FlowCost { written: 42.0, read: 40.0, requests: 12.0, messages: 7.0 };
/// The same of a step that writes: each step is a commit of one pull request.
pub(crate) const WRITE_STEP: FlowCost = FlowCost { written: 46.0, read: 48.0, requests: 15.0, messages: 7.0 };
/// Every second heartbeat is stored, with its row in the index.
pub(crate) const ATTEMPT_HEARTBEAT: FlowCost = FlowCost { written: 1.5, read: 1.0, requests: 1.0, messages: 0.0 };
pub(crate) const ARTIFACT: FlowCost = FlowCost { written: 2.0, read: 4.0, requests: 2.0, messages: 0.0 };
pub(crate) const HEARTBEAT: FlowCost = FlowCost { written: 1.0, read: 2.0, requests: 1.0, messages: 0.0 };
pub(crate) const EMPTY_CLAIM: FlowCost = FlowCost { written: 0.0, read: 4.5, requests: 1.0, messages: 0.0 };
/// The hint about a Ready job to an idle runner, in a deployment with few runners.
pub(crate) const WAKE: FlowCost = FlowCost { written: 0.0, read: 20.0, requests: 0.0, messages: 1.0 };
/// A sweep that finds no work, less than a minute after the last one.
pub(crate) const SWEEP: FlowCost = FlowCost { written: 1.0, read: 25.0, requests: 0.0, messages: 0.0 };

#[track_caller]
fn assert_within(name: &str, meter: &Meter, bound: FlowCost, requests: u64, messages: u64) {
    let units = meter.units();
    println!("{name}: {units}, {requests} requests, {messages} messages\n{}", meter.calls());
    let within = units.written <= bound.written && units.read <= bound.read + EVENT_BATCH_READS;
    let calls = requests as f64 <= bound.requests && messages as f64 <= bound.messages;
    assert!(
        within && calls,
        "{name}: {units}, {requests} requests, {messages} messages; at most {bound:?}\n{}",
        meter.calls()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn job_and_idle_calls_stay_within_their_bounds() {
    let meter = Meter::start().await;
    let story = Story::start_with(Setup { before_dynamodb: Some(meter.between()), ..Setup::default() }).await;
    // Warm up: the first call of a minute also records the use of the token.
    story.send_ticket_event("e0", "APP-0", "Blocked", 1).await;
    story.wait_for_empty_queues().await;
    meter.reset();
    let before = story.local.invocations();
    let job = story.create_job("e1", "APP-1", 1).await;
    // Poll past the meter, because polling costs units as well.
    crate::story::wait_until("the job is done", async || {
        let stored = story.load_job_item(&job).await;
        if stored["status"] == "completed" { Ok(()) } else { Err(stored.to_string()) }
    })
    .await;
    story.wait_for_empty_queues().await;
    crate::story::wait_until("its ticket shows it", async || {
        let ticket = story.load_item("TICKET#acme#APP-1", "TICKET").await;
        if ticket.get("wk").is_none() && ticket["active_job"].is_null() { Ok(()) } else { Err(ticket.to_string()) }
    })
    .await;
    // The task ends last, and the tasks function then reads the job. No count shows its end, so wait until no calls
    // arrive for a while.
    let still = std::cell::Cell::new(0);
    crate::story::wait_until("its task's end is heard", async || match story.local.count_running_tasks().await {
        0 if meter.is_still() && still.replace(still.get() + 1) >= 20 => Ok(()),
        running => Err(format!("{running} run")),
    })
    .await;
    story.wait_for_empty_queues().await;
    let after = story.local.invocations();
    let messages = |seen: &pullyard_local::Invocations| seen.dispatcher + seen.effects + seen.tasks;
    assert_within(
        "an implement job",
        &meter,
        IMPLEMENT,
        after.http - before.http,
        messages(&after) - messages(&before),
    );
    story.wait_for_job(&job, has_status(JobStatus::Completed)).await;

    let token = story.runner_token("idle", None, None).await;
    let runner = story.register_runner(&token, "kite", "i1").await.id;
    let ask = async |path: &str, body: serde_json::Value| {
        let path = format!("/v1/runners/{runner}/{path}");
        let (status, _, response) =
            story.request(Method::POST, &path, Some(&token), body.to_string().into_bytes()).await;
        assert_eq!(status, 200, "{response}");
    };
    let beat = json!({ "instance": "i1", "active": [] });
    ask("heartbeat", beat.clone()).await;
    meter.reset();
    ask("heartbeat", beat).await;
    assert_within("a heartbeat", &meter, HEARTBEAT, 1, 0);
    meter.reset();
    ask("claim", json!({ "instance": "i1", "claim_id": "c1" })).await;
    assert_within("an empty claim", &meter, EMPTY_CLAIM, 1, 0);

    story.local.sweep().await.unwrap();
    story.clock.advance(std::time::Duration::from_secs(20));
    meter.reset();
    story.local.sweep().await.unwrap();
    assert_within("an idle sweep", &meter, SWEEP, 0, 0);

    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let job = story.create_job("e2", "APP-2", 2).await;
    story.wait_for_empty_queues().await;
    meter.reset();
    story.send_wake_up(&job).await;
    story.wait_for_empty_queues().await;
    assert_within("a hint to a runner", &meter, WAKE, 0, 1);
}

/// Reviews without a finding, but for a job that resolves: it finds one and fixes it. A step that writes adds a line.
const REPORTING_AGENT: &str = r#"prompt=$(cat)
case "$prompt" in
  *"Add a line."*) echo b >> b.txt; exit ;;
  *"Another agent has reviewed"*) echo b > a.txt; out='{"v":1,"findings":[{"index":0,"verdict":"fixed"}]}' ;;
  *"Look closely."*) out='{"v":1,"summary":"Bad.","findings":[{"path":"a.txt","line":1,"severity":"high","category":"bug","title":"T","body":"B"}]}' ;;
  *"You review"*) out='{"v":1,"summary":"Good.","findings":[]}' ;;
  *"You summarise"*) out='{"v":1,"items":[{"number":'$(basename .pullyard/input/*.md .md)',"summary":"S","next_step":"N","risk":"low"}]}' ;;
  *) out='{"v":1,"text":"Yes."}' ;;
esac
printf '%s' "$out" > .pullyard/output.json"#;

/// From the request to the end of the job, and for a review to its status on the commit.
#[tokio::test(flavor = "multi_thread")]
async fn reporting_jobs_stay_within_their_bounds() {
    for (kind, bound) in
        [(JobKind::Read, READ), (JobKind::Review, REVIEW), (JobKind::Resolve, RESOLVE), (JobKind::Analysis, ANALYSIS)]
    {
        let meter = Meter::start().await;
        let story = Story::start_with(Setup { before_dynamodb: Some(meter.between()), ..Setup::default() }).await;
        story.set_agent_command(&["sh", "-c", REPORTING_AGENT]).await;
        story.local.forge().commit(REPOSITORY, "feature", "pullyard-bot", &[("a.txt", "a\n", false)]).await.unwrap();
        let pull = json!({ "title": "feature", "head": "feature", "base": "main", "body": "" });
        let pull = story.call_forge(Method::POST, "/pulls", pull).await;
        let (number, repository) = (pull["number"].as_u64().unwrap(), pull["base"]["repo"]["id"].clone());
        // Warm up: the first call of a minute also records the use of the token.
        story.api.pulls(&story.project, None).await.unwrap();
        story.wait_for_empty_queues().await;
        meter.reset();
        let before = story.local.invocations();
        let job = request(&story, kind, number).await;
        // Poll past the meter, because polling costs units as well.
        crate::story::wait_until("the job is done", async || {
            let stored = story.load_job_item(&job).await;
            if stored["status"] == "completed" { Ok(()) } else { Err(stored.to_string()) }
        })
        .await;
        if kind.reviews() {
            let item = format!("PR#gh1#{repository}#{number}");
            crate::story::wait_until("the commit shows the review", async || {
                let item = story.load_item(&item, "PR").await;
                let is_noted = item["note_version"] == 2 && item["noted_version"] == 2;
                if is_noted { Ok(()) } else { Err(item.to_string()) }
            })
            .await;
        }
        story.wait_for_empty_queues().await;
        let still = std::cell::Cell::new(0);
        crate::story::wait_until("its task's end is heard", async || match story.local.count_running_tasks().await {
            0 if meter.is_still() && still.replace(still.get() + 1) >= 20 => Ok(()),
            running => Err(format!("{running} run")),
        })
        .await;
        let after = story.local.invocations();
        let messages = |seen: &pullyard_local::Invocations| seen.dispatcher + seen.effects + seen.tasks;
        let (requests, messages) = (after.http - before.http, messages(&after) - messages(&before));
        assert_within(&format!("{kind:?}"), &meter, bound, requests, messages);
        let result = story.wait_for_job(&job, has_status(JobStatus::Completed)).await.result;
        assert_eq!(result.is_some(), kind == JobKind::Resolve, "{kind:?}: {result:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_run_stay_within_their_bounds() {
    const STEPS: usize = 4;
    for (role, prompt, step_bound) in
        [("planner", "Does it work?", READ_STEP), ("implementer", "Add a line.", WRITE_STEP)]
    {
        let meter = Meter::start().await;
        let story = Story::start_with(Setup { before_dynamodb: Some(meter.between()), ..Setup::default() }).await;
        story.set_agent_command(&["sh", "-c", REPORTING_AGENT]).await;
        // Warm up: the first call of a minute also records the use of the token.
        story.api.pulls(&story.project, None).await.unwrap();
        story.wait_for_empty_queues().await;
        meter.reset();
        let before = story.local.invocations();
        let step = |number: usize| {
            let needs: Vec<String> = number.checked_sub(1).map(|need| format!("s{need}")).into_iter().collect();
            json!({ "name": format!("s{number}"), "role": role, "needs": needs, "prompt": prompt })
        };
        let plan = json!({ "name": "chain", "steps": (0..STEPS).map(step).collect::<Vec<_>>() });
        let request = serde_json::from_value(json!({ "project": "acme", "plan": plan })).unwrap();
        let run = story.api.start_run(&request, None).await.unwrap().id;
        // Poll past the meter, because polling costs units as well.
        crate::story::wait_until("the run is done", async || {
            let stored = story.load_item(&format!("RUN#{run}"), "RUN").await;
            if stored["state"] == "completed" { Ok(()) } else { Err(stored.to_string()) }
        })
        .await;
        story.wait_for_empty_queues().await;
        let still = std::cell::Cell::new(0);
        crate::story::wait_until("its task's end is heard", async || match story.local.count_running_tasks().await {
            0 if meter.is_still() && still.replace(still.get() + 1) >= 20 => Ok(()),
            running => Err(format!("{running} run")),
        })
        .await;
        let after = story.local.invocations();
        let messages = |seen: &pullyard_local::Invocations| seen.dispatcher + seen.effects + seen.tasks;
        let (requests, messages) = (after.http - before.http, messages(&after) - messages(&before));
        let FlowCost { written, read, requests: calls, messages: hints } = step_bound;
        let all = STEPS as f64;
        // The jobs' batches of events; `assert_within` adds those of one job.
        let read = all * read + (all - 1.0) * EVENT_BATCH_READS;
        let bound = FlowCost { written: all * written, read, requests: all * calls, messages: all * hints };
        assert_within(&format!("a run of four steps by {role}"), &meter, bound, requests, messages);
    }
}

async fn request(story: &Story, kind: JobKind, number: u64) -> JobId {
    let of = json!({ "project": "acme", "repository": REPOSITORY });
    let with = |fields: Value| {
        let mut all = of.clone();
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let api = &story.api;
    let decision = match kind {
        JobKind::Review => {
            let wish = serde_json::from_value(with(json!({ "number": number }))).unwrap();
            api.review_pull_request(&wish, None).await
        }
        JobKind::Resolve => {
            let wish = serde_json::from_value(with(json!({ "number": number, "message": "Look closely." }))).unwrap();
            api.resolve_pull_request(&wish, None).await
        }
        JobKind::Analysis => api.request_analysis(&serde_json::from_value(of.clone()).unwrap(), None).await,
        _ => {
            let wish = with(json!({ "kind": "read", "prompt": "Does it work?" }));
            api.create_job(&serde_json::from_value(wish).unwrap(), None).await
        }
    };
    decision.unwrap().job.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn view_of_a_waiting_job_reads_no_runner_after_a_sweep() {
    const RUNNERS: u8 = 51;
    let meter = Meter::start().await;
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let setup = Setup { task: Task::Waiting, settings, before_dynamodb: Some(meter.between()), ..Setup::default() };
    let story = Story::start_with(setup).await;
    let token = story.runner_token("t", None, None).await;
    for number in 0..RUNNERS {
        story.register_runner(&token, &format!("kite-{number}"), "i1").await;
    }
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_job(&job, has_status(JobStatus::Ready)).await;
    story.wait_for_empty_queues().await;
    let view = async || {
        meter.reset();
        assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Ready);
        println!("a view: {}\n{}", meter.units(), meter.calls());
        (meter.runner_calls() > 0, meter.units().read)
    };
    let (reads_runners, units) = view().await;
    // docs/capacity.md: 16 units and 1.2 per runner; the job itself and its queue are the rest.
    let is_within = units <= 16.0 + 1.2 * f64::from(RUNNERS) + 20.0;
    assert!(reads_runners && is_within, "{units} read units\n{}", meter.calls());
    story.local.sweep().await.unwrap();
    story.wait_for_empty_queues().await;
    let (reads_runners, units) = view().await;
    assert!(!reads_runners && units <= 24.0, "{units} read units\n{}", meter.calls());
    story.clock.advance(std::time::Duration::from_secs(181));
    assert!(view().await.0, "{}", meter.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_agent_and_artifact_stay_within_their_bounds() {
    let meter = Meter::start().await;
    let setup = Setup { task: Task::Waiting, before_dynamodb: Some(meter.between()), ..Setup::default() };
    let story = Story::start_with(setup).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_task(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    story.wait_for_empty_queues().await;
    let within = |bound: FlowCost| {
        let units = meter.units();
        let is_within = units.written <= bound.written && units.read <= bound.read;
        assert!(is_within, "{units}; at most {bound:?}\n{}", meter.calls());
        meter.reset();
    };
    meter.reset();
    for _ in 0..2 {
        story.clock.advance(std::time::Duration::from_secs(10));
        client
            .events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None })
            .await
            .unwrap();
    }
    let FlowCost { written, read, .. } = ATTEMPT_HEARTBEAT;
    within(FlowCost { written: 2.0 * written, read: 2.0 * read, ..ATTEMPT_HEARTBEAT });
    store_artifact(&client, ArtifactKind::Patch, "changes.patch", b"a patch").await;
    within(ARTIFACT);
}
