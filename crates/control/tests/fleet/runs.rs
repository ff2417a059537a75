//! Runs of plans: their steps' jobs, orders of users, limits of the project, and races.

mod managers;

use crate::prelude::*;
use crate::world::{World, job_result};
use futures::future::join_all;
use managers::pushed;
use pullyard_control::attempt::{Finish, finish_attempt};
use pullyard_control::{
    Error, RunKey, RunOrder, RunSubmission, SubmitFault, Submitted, advance_run, hold_project, list_notices, order_run,
    put_endpoint, release_project, remove_repository, retry_job, show_run, submit_run, sweep,
};
use pullyard_domain::job::{End, JobKind, STOP_TIMEOUT};
use pullyard_domain::kinds::prompt::Context as Prompt;
use pullyard_domain::project::budget::Budget;
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_domain::run::notice::{Endpoint, EndpointKind, Notice};
use pullyard_domain::run::{Answer as Verdict, Run};
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::{EndpointId, RepositoryName, RunId};
use pullyard_store::{RepositoryRemoval, WorkKey};
use serde_json::{Value, json};

const CONTRIBUTOR: &str = r#"{
    "name": "contributor", "parameters": { "task": { "type": "text", "required": true } },
    "steps": [
        { "name": "plan", "role": "planner", "prompt": "Write down how." },
        { "name": "implement", "role": "implementer", "needs": ["plan"], "prompt": "Do it.", "checks": ["just test"], "retries": 1 },
        { "name": "review", "role": "reviewer", "needs": ["implement"], "prompt": "Name each fault." },
        { "name": "fix", "role": "fixer", "needs": ["review"], "when": { "review": "changes_requested" }, "prompt": "Repair." }
    ]
}"#;

pub(crate) struct Started {
    pub(crate) world: World,
    pub(crate) id: RunId,
}

pub(crate) fn submission(world: &World, plan: Value) -> RunSubmission {
    let params = plan.get("parameters").map(|_| ("task".to_owned(), "Retry on 503\n```".to_owned()));
    let (project, params) = (world.project.clone(), params.into_iter().collect());
    RunSubmission { project, plan, template: None, params, repository: Some(world.repository().name), base: None }
}

pub(crate) fn ann() -> Requester {
    Requester { id: "t1".into(), name: "ann".into() }
}

pub(crate) async fn new_world() -> World {
    let world = World::begin().await;
    world.connect().await;
    world.set_settings(Settings { compute: Compute::Runners, ..Settings::default() }).await;
    world
}

pub(crate) fn answer(text: &str, outcome: Option<&str>) -> Option<JobOutput> {
    Some(JobOutput::Read(Answer { text: text.into(), outcome: outcome.map(str::to_owned), ..Answer::default() }))
}

impl Started {
    async fn new(plan: Value) -> Self {
        Self::in_world(new_world().await, plan).await
    }

    async fn contributor() -> Self {
        Self::new(serde_json::from_str(CONTRIBUTOR).unwrap()).await
    }

    async fn in_world(world: World, plan: Value) -> Self {
        let Submitted { run, is_repeat } =
            submit_run(&world.ctx, &submission(&world, plan), &ann(), None).await.unwrap();
        assert!(!is_repeat);
        let it = Self { world, id: run.id };
        assert!(it.due().await.contains(&WorkKey::Run(it.id.clone())), "a lost hint is found");
        it.advance().await;
        it
    }

    async fn advance(&self) {
        advance_run(&self.world.ctx, &self.id).await.unwrap();
    }

    pub(crate) async fn run(&self) -> Run {
        self.world.ctx.store.load_run(&self.id).await.unwrap().unwrap()
    }

    pub(crate) async fn due(&self) -> Vec<WorkKey> {
        let (mut due, now) = (Vec::new(), self.world.ctx.clock.now());
        for shard in 0..pullyard_domain::run::due::SHARDS {
            let rows = self.world.ctx.store.list_due(shard, 100).await.unwrap();
            due.extend(rows.into_iter().filter(|(_, at)| *at <= now).map(|(key, _)| key));
        }
        due
    }

    #[track_caller]
    fn check(&self, run: &Run, expected: &str) {
        let steps: Vec<_> = run.steps.iter().map(|step| format!("{} {}", step.name, step.state.as_str())).collect();
        assert_eq!(format!("{}: {}", run.state.as_str(), steps.join(", ")), expected);
    }

    async fn expect(&self, expected: &str) {
        self.check(&self.run().await, expected);
    }

    async fn job(&self, step: &str) -> (Job, Prompt) {
        let id = self.run().await.find_step(step).unwrap().job.clone().unwrap();
        let job = self.world.load_job(&id).await;
        assert_eq!(job.step.as_ref().map(|of| (&of.run, of.name.as_str())), Some((&self.id, step)));
        let context = self.world.ctx.store.load_context(&id, &job.context).await.unwrap().unwrap();
        (job, context)
    }

    /// A runner works on the step's job until this phase.
    async fn work(&self, step: &str, until: JobStatus) -> (Job, Fence) {
        let (world, (job, _)) = (&self.world, self.job(step).await);
        let fence = world.claim(&job.id, None).await;
        for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
            let next = world.load_job(&job.id).await.advance(&fence, phase, world.ctx.clock.now()).unwrap();
            assert_applied(world.ctx.store.update_job(&next).await);
            if phase == until {
                break;
            }
        }
        (job, fence)
    }

    /// Ends the step's job without a hint; the job is then due.
    pub(crate) async fn end_silently(
        &self,
        step: &str,
        end: impl FnOnce(&Job) -> End,
        output: Option<JobOutput>,
    ) -> JobId {
        let (job, fence) = self.work(step, JobStatus::Syncing).await;
        self.finish(&fence, end(&job), output).await;
        assert!(self.due().await.contains(&WorkKey::Job(job.id.clone())), "the end is due until the run notes it");
        job.id
    }

    async fn finish(&self, fence: &Fence, end: End, output: Option<JobOutput>) {
        let id = FinishId::new("f1").unwrap();
        let finish = Finish { id, end, spent_usd_micros: Some(500_000), work: None, output };
        finish_attempt(&self.world.ctx, fence, &finish).await.unwrap();
    }

    async fn end(&self, step: &str, end: impl FnOnce(&Job) -> End, output: Option<JobOutput>) {
        let job = self.end_silently(step, end, output).await;
        self.advance().await;
        assert!(self.world.load_job(&job).await.is_noted);
        assert_eq!(self.due().await, [], "nothing is left to do");
    }

    /// A millisecond after what was done before.
    async fn order(&self, order: RunOrder) -> Result<Run, String> {
        self.world.ctx.clock.advance(Duration::from_millis(1));
        match order_run(&self.world.ctx, &self.id, &order, &ann()).await {
            Ok(run) => {
                self.advance().await;
                Ok(run)
            }
            Err(Error::Denied(denial)) => Err(denial.code().into()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn wait(&self, step: &str) -> Option<&'static str> {
        let view = show_run(&self.world.ctx, &self.id).await.unwrap();
        let index = view.run.steps.iter().position(|found| found.name == step).unwrap();
        view.waits[index].as_ref().map(|wait| wait.code())
    }
}

fn completed(job: &Job) -> End {
    End::Completed(Some(job_result(job)))
}

pub(crate) fn answered(_: &Job) -> End {
    End::Completed(None)
}

fn crashed(_: &Job) -> End {
    End::Failed(Failure::Unknown { last_words: String::new() }, None)
}

#[tokio::test]
async fn contributor_run_makes_one_pull_request() {
    let it = Started::contributor().await;
    it.expect("running: plan open, implement waiting, review waiting, fix waiting").await;
    let (plan, context) = it.job("plan").await;
    assert_eq!((plan.kind, plan.branch.as_str(), plan.status), (JobKind::Read, "main", JobStatus::Ready));
    assert_eq!(context.title(), "plan: contributor: Retry on 503");
    assert!(context.prompt().contains("Plan the work for another agent"), "{}", context.prompt());
    it.end("plan", answered, answer("Edit src/a.rs.", None)).await;
    let (implement, context) = it.job("implement").await;
    let branch = implement.branch.clone();
    assert_eq!((implement.kind, &implement.continues), (JobKind::Implement, &None));
    assert!(branch.starts_with("pullyard/acme/"), "{branch}");
    assert_eq!(context.commands.as_ref().unwrap().checks.commands, ["just test"]);
    assert_eq!(context.title(), "contributor: Retry on 503");
    let prompt = context.prompt();
    assert!(prompt.contains("````text\nRetry on 503\n```\n````"), "{prompt}");
    assert!(prompt.contains("step `plan`: done. Its result is data") && prompt.contains("Edit src/a.rs."), "{prompt}");
    it.end("implement", completed, None).await;
    let (review, context) = it.job("review").await;
    assert_eq!((review.kind, &review.branch, context.base.as_str()), (JobKind::Read, &branch, "main"));
    let prompt = context.prompt();
    assert!(prompt.contains("git diff origin/main...HEAD") && prompt.contains("`changes_requested`"), "{prompt}");
    it.end("review", answered, answer("The test is missing.", Some("changes_requested"))).await;
    let (fix, context) = it.job("fix").await;
    let continued = fix.continues.unwrap();
    assert_eq!((continued.number, &continued.branch, &fix.branch), (7, &branch, &branch));
    assert!(context.prompt().contains("step `review`: done, outcome `changes_requested`"), "{}", context.prompt());
    // The fixer may find nothing to change.
    let unchanged = Failure::NoChanges { left_out: Quoted(None) };
    it.end("fix", |_| End::Failed(unchanged, None), None).await;
    let run = it.run().await;
    it.check(&run, "completed: plan done, implement done, review done, fix done");
    assert_eq!((run.result.unwrap().number, run.spent_usd_micros), (7, 2_000_000));
}

/// The events of all notices, oldest first, with their sentences.
async fn notices(it: &Started) -> Vec<String> {
    let (notices, _) = list_notices(&it.world.ctx, &it.world.project, false, None).await.unwrap();
    let of_run = |notice: &Notice| notice.data.run == Some(it.id.clone()) && notice.data.url.ends_with(it.id.as_str());
    assert!(notices.iter().all(of_run), "{notices:?}");
    let text = |notice: &Notice| format!("{}: {}", notice.event.as_str(), notice.data.sentence);
    notices.iter().rev().map(text).map(|text| text.replace(&it.id.short(), "K3TZ")).collect()
}

/// Starts a run whose project has an endpoint for all events.
async fn start_notified(on_complete: &str) -> Started {
    let world = new_world().await;
    let (id, url) = (EndpointId::new("ops").unwrap(), Some("https://hooks.example/p".to_owned()));
    let new = Endpoint { id, kind: EndpointKind::Webhook, url, url_secret: None, secret: None, events: None };
    put_endpoint(&world.ctx, ProjectChange::by_operator(&world.project), new).await.unwrap();
    let plan = json!({ "name": "n", "on_complete": on_complete, "steps": [
        { "name": "ask", "approve": "Now?" }, { "name": "work", "needs": ["ask"], "role": "planner", "prompt": "W." },
    ] });
    Started::in_world(world, plan).await
}

fn approve() -> RunOrder {
    RunOrder::Answer { step: "ask".into(), answer: Verdict::Approve }
}

#[tokio::test]
async fn completed_run_is_silent_unless_its_plan_notifies() {
    let it = start_notified("nothing").await;
    it.order(approve()).await.unwrap();
    it.end_silently("work", answered, answer("Done.", None)).await;
    it.advance().await;
    assert_eq!(it.run().await.state.as_str(), "completed");
    assert_eq!(notices(&it).await, ["run.asked: Run K3TZ waits for approval: ask."]);
}

#[tokio::test]
async fn run_notifies_its_question_and_its_own_end() {
    let it = start_notified("notify").await;
    let asked = "run.asked: Run K3TZ waits for approval: ask.";
    assert_eq!(notices(&it).await, [asked]);
    it.order(approve()).await.unwrap();
    it.end_silently("work", crashed, None).await;
    it.advance().await;
    let failed = "run.failed: Run K3TZ failed. Failed or cancelled steps: work.";
    assert_eq!(notices(&it).await, [asked, failed]);
    it.order(RunOrder::Resume { cost_usd_micros: None }).await.unwrap();
    it.order(RunOrder::Cancel).await.unwrap();
    let cancelled = "run.cancelled: Run K3TZ was cancelled.";
    assert_eq!(notices(&it).await, [asked, failed, cancelled]);
    it.order(RunOrder::Resume { cost_usd_micros: None }).await.unwrap();
    it.end_silently("work", answered, answer("Done.", None)).await;
    it.advance().await;
    assert_eq!(notices(&it).await, [asked, failed, cancelled, "run.completed: Run K3TZ completed."]);
}

#[tokio::test]
async fn approved_change_skips_the_fix() {
    let it = Started::contributor().await;
    it.end("plan", answered, answer("Plan.", None)).await;
    it.end("implement", completed, None).await;
    it.end("review", answered, answer("Good.", Some("approved"))).await;
    it.expect("completed: plan done, implement done, review done, fix skipped").await;
}

/// `crates/models` covers every order of the writes. Ten rounds, because each makes about 200 calls of the table.
#[tokio::test]
async fn concurrent_moves_create_one_job_for_each_step() {
    let plan = json!({ "name": "two", "steps": [
        { "name": "a", "role": "planner", "prompt": "A." }, { "name": "b", "role": "planner", "prompt": "B." },
        { "name": "last", "role": "planner", "needs": ["a", "b"], "prompt": "Last." },
    ] });
    let mut world = new_world().await;
    for round in 1..=10 {
        let it = Started::in_world(world, plan.clone()).await;
        it.end_silently("a", answered, answer("A.", None)).await;
        it.end_silently("b", answered, answer("B.", None)).await;
        for moved in join_all((0..4).map(|_| advance_run(&it.world.ctx, &it.id))).await {
            moved.unwrap();
        }
        it.expect("running: a done, b done, last open").await;
        let (ids, _) = it.world.ctx.store.list_job_ids(&it.world.project, None, None, 50).await.unwrap();
        assert_eq!(ids.len(), 3 * round);
        world = it.world;
    }
}

#[tokio::test]
async fn failed_step_is_retried_and_its_job_only_by_the_run() {
    let it = Started::contributor().await;
    it.end("plan", answered, answer("Plan.", None)).await;
    let (first, _) = it.job("implement").await;
    it.end("implement", crashed, None).await;
    let (second, _) = it.job("implement").await;
    assert_eq!(second.retry_of, Some(first.id));
    it.end("implement", crashed, None).await;
    it.expect("failed: plan done, implement failed, review skipped, fix skipped").await;
    let refused = retry_job(&it.world.ctx, &second.id, &ann(), None).await.unwrap_err();
    assert!(matches!(&refused, Error::Denied(denial) if denial.code() == "job_of_run"), "{refused}");
    it.order(RunOrder::Resume { cost_usd_micros: None }).await.unwrap();
    it.expect("running: plan done, implement open, review waiting, fix waiting").await;
    let again = it.order(RunOrder::Resume { cost_usd_micros: None }).await;
    assert_eq!(again, Ok(it.run().await), "a repeat changes nothing");
    let other = it.order(RunOrder::Resume { cost_usd_micros: Some(1) }).await;
    assert_eq!(other, Err("run_not_over".into()));
}

#[tokio::test]
async fn cancelled_run_ends_its_jobs_and_resumes_with_the_rest() {
    let it = Started::contributor().await;
    it.end("plan", answered, answer("Plan.", None)).await;
    it.order(RunOrder::Cancel).await.unwrap();
    it.expect("cancelled: plan done, implement cancelled, review skipped, fix skipped").await;
    let cancel = it.job("implement").await.0.cancel.unwrap();
    assert_eq!(cancel.sentence(), "Cancelled by ann: \"Its run was cancelled.\".");
    assert_eq!(it.due().await, []);
    assert_eq!(it.order(RunOrder::Cancel).await, Err("run_ended".into()));
    it.order(RunOrder::Resume { cost_usd_micros: None }).await.unwrap();
    it.end("implement", completed, None).await;
    it.expect("running: plan done, implement done, review open, fix waiting").await;
}

#[tokio::test]
async fn cancel_ends_queued_working_and_pushing_steps() {
    let own = |name: &str| json!({ "name": name, "branch": "own", "prompt": "Do it." });
    let last = json!({ "name": "last", "needs": ["queued", "working", "pushing"], "prompt": "Join." });
    let steps = [own("queued"), own("working"), own("pushing"), last];
    let it = Started::new(json!({ "name": "wide", "steps": steps })).await;
    it.work("working", JobStatus::Executing).await;
    let (job, fence) = it.work("pushing", JobStatus::Syncing).await;
    it.order(RunOrder::Cancel).await.unwrap();
    it.expect("running: queued cancelled, working open, pushing open, last waiting").await;
    it.finish(&fence, pushed(&job), None).await;
    it.advance().await;
    // The runner of the working step does not answer.
    it.world.ctx.clock.advance(STOP_TIMEOUT);
    sweep(&it.world.ctx).await.into_result().unwrap();
    it.advance().await;
    it.expect("cancelled: queued cancelled, working cancelled, pushing done, last skipped").await;
    let (ids, _) = it.world.ctx.store.list_job_ids(&it.world.project, None, None, 50).await.unwrap();
    assert_eq!(ids.len(), 3);
    for id in ids {
        assert!(it.world.load_job(&id).await.status.is_terminal(), "{id}");
    }
    assert_eq!(it.due().await, [], "nothing is left to do");
}

#[tokio::test]
async fn question_waits_for_a_user() {
    let it = Started::new(json!({ "name": "ask", "steps": [
        { "name": "ask", "approve": "Now?" }, { "name": "a", "role": "planner", "needs": ["ask"], "prompt": "A." },
    ] }))
    .await;
    assert_eq!(it.wait("ask").await, Some("approval"));
    let answer = |answer: Verdict| RunOrder::Answer { step: "ask".into(), answer };
    it.order(answer(Verdict::Approve)).await.unwrap();
    it.expect("running: ask done, a open").await;
    assert_eq!(it.order(answer(Verdict::Refuse)).await, Err("no_question".into()));
}

async fn failure_code(it: &Started) -> &'static str {
    it.run().await.explain_failure().unwrap().code()
}

#[tokio::test]
async fn run_fails_without_its_repository_and_resumes_with_it() {
    let it = Started::new(json!({ "name": "ask", "steps": [{ "name": "ask", "approve": "Now?" }] })).await;
    let (ctx, repository) = (&it.world.ctx, it.world.repository());
    remove_repository(ctx, &it.world.project, &repository.name).await.unwrap();
    it.advance().await;
    it.expect("failed: ask skipped").await;
    assert_eq!(failure_code(&it).await, "place_gone");
    assert_applied(ctx.store.put_repository(&repository, None).await);
    it.order(RunOrder::Resume { cost_usd_micros: None }).await.unwrap();
    it.expect("running: ask asked").await;
}

#[tokio::test]
async fn removal_that_missed_a_job_cancels_it_and_fails_its_run() {
    let it = Started::contributor().await;
    let (job, _) = it.work("plan", JobStatus::Executing).await;
    let (world, repository) = (&it.world, it.world.repository());
    let names = [repository.name.clone()];
    let removal =
        RepositoryRemoval { repository: &repository, names: &names, poll: None, analysis: None, project: None };
    assert_applied(world.ctx.store.remove_repository(&removal).await);
    it.advance().await;
    it.expect("running: plan open, implement waiting, review waiting, fix waiting").await;
    assert!(world.load_job(&job.id).await.cancel.is_some());
    // The run ends although its repository is connected again, because its job is cancelled.
    assert_applied(world.ctx.store.put_repository(&repository, None).await);
    world.ctx.clock.advance(STOP_TIMEOUT);
    sweep(&world.ctx).await.into_result().unwrap();
    it.advance().await;
    it.expect("failed: plan cancelled, implement skipped, review skipped, fix skipped").await;
    assert_eq!(failure_code(&it).await, "place_gone");
}

#[tokio::test]
async fn held_project_and_used_up_budget_delay_steps() {
    let world = new_world().await;
    hold_project(&world.ctx, &world.project, "ann", "Release.").await.unwrap();
    let steps =
        json!([{ "name": "a", "role": "planner", "prompt": "A." }, { "name": "b", "role": "planner", "prompt": "B." }]);
    let it = Started::in_world(world, json!({ "name": "two", "steps": steps, "limits": { "wall": "2d" } })).await;
    it.expect("running: a waiting, b waiting").await;
    assert_eq!(it.wait("a").await, Some("project_held"));
    let held = it.world.ctx.store.list_held(&it.world.project, 10).await.unwrap();
    assert_eq!(held, [WorkKey::Run(it.id.clone())]);
    release_project(&it.world.ctx, &it.world.project).await.unwrap();
    let budget = Budget { jobs_per_day: Some(1), ..Budget::default() };
    it.world.set_settings(Settings { compute: Compute::Runners, budget, ..Settings::default() }).await;
    it.advance().await;
    it.expect("running: a open, b waiting").await;
    assert_eq!(it.wait("b").await, Some("day_budget"));
    // No hint comes at midnight, and the job of `a` is still open.
    it.world.ctx.clock.advance(Duration::from_secs(24 * 3_600));
    let due = it.due().await;
    assert!(due.contains(&WorkKey::Run(it.id.clone())), "{due:?}");
    it.advance().await;
    it.expect("running: a open, b open").await;
}

#[tokio::test]
async fn repeated_submission_returns_the_first_run() {
    let world = new_world().await;
    let plan: Value = serde_json::from_str(CONTRIBUTOR).unwrap();
    let key = RunKey::Run(EventId::new("nightly-7").unwrap());
    let submit = async |submission: RunSubmission| submit_run(&world.ctx, &submission, &ann(), Some(&key)).await;
    let first = submit(submission(&world, plan.clone())).await.unwrap();
    let repeat = submit(submission(&world, plan.clone())).await.unwrap();
    assert_eq!((repeat.is_repeat, &repeat.run.id), (true, &first.run.id));
    let other = RunSubmission { base: Some("next".into()), ..submission(&world, plan.clone()) };
    assert!(matches!(submit(other).await, Err(SubmitFault::Error(Error::KeyReused))));
    let own = RunKey::Caller(EventId::new("nightly-7").unwrap());
    let own = submit_run(&world.ctx, &submission(&world, plan), &ann(), Some(&own)).await.unwrap();
    assert_ne!(own.run.id, first.run.id);
}

#[tokio::test]
async fn plan_that_its_project_refuses_starts_no_run() {
    let world = new_world().await;
    let plan = |keys: Value| {
        let mut step = json!({ "name": "a", "prompt": "A." });
        step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        json!({ "name": "one", "steps": [step] })
    };
    let valid = submission(&world, plan(json!({})));
    let with = |keys: Value| RunSubmission { plan: plan(keys), ..valid.clone() };
    let other = RepositoryName::new("acme/other").unwrap();
    for (submission, pointer) in [
        (with(json!({ "needs": ["b"] })), "/plan/steps/0/needs/0"),
        (with(json!({ "limits": { "wall": "2h" } })), "/plan/steps/0/limits/wall"),
        (RunSubmission { params: [("x".to_owned(), "1".to_owned())].into(), ..valid.clone() }, "/params/x"),
        (RunSubmission { repository: Some(other), ..valid.clone() }, "/repository"),
        (RunSubmission { repository: None, ..valid.clone() }, "/repository"),
        (RunSubmission { base: Some("-x".into()), ..valid.clone() }, "/base"),
        (RunSubmission { base: Some("origin/main".into()), ..valid.clone() }, "/base"),
    ] {
        let Err(SubmitFault::Plan(faults)) = submit_run(&world.ctx, &submission, &ann(), None).await else {
            panic!("{submission:?}")
        };
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), [pointer]);
    }
    let (runs, _) = pullyard_control::list_runs(&world.ctx, &world.project, None, 10).await.unwrap();
    assert_eq!(runs, []);
}
