//! Schedules: occurrences after a downtime, by two sweepers and after a crash, and refused starts.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::{
    Error, cancel_job, command_schedule, delete_project, delete_schedule, delete_template, hold_project,
    list_deliveries, list_notices, load_schedule, put_endpoint, put_schedule, put_template, release_project,
    remove_repository, run_due_schedules, sweep,
};
use pullyard_domain::job::JobKind;
use pullyard_domain::project::Repository;
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::project::schedule::{Schedule, ScheduleCommand, ScheduleId, ScheduleSpec};
use pullyard_domain::project::template::TemplateId;
use pullyard_domain::review::listing::DeliveryFilter;
use pullyard_domain::run::notice::{Endpoint, EndpointKind};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{EndpointId, IntegrationId, RepositoryName, RunId, ScheduleName, TemplateName};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3_600);

struct Scheduled {
    world: World,
    id: ScheduleId,
}

impl Scheduled {
    /// A project with two repositories, and an active schedule.
    async fn every(interval: &str) -> Self {
        Self::with_wire(interval, Wire::default()).await
    }

    async fn with_wire(interval: &str, wire: Wire) -> Self {
        let world = World::with_client(wire).await;
        world.connect().await;
        let second = Repository { id: 98, name: RepositoryName::new("acme/web").unwrap(), ..world.repository() };
        assert_applied(world.ctx.store.put_repository(&second, None).await);
        let id = ScheduleId { project: world.project.clone(), name: ScheduleName::new("nightly").unwrap() };
        let spec = ScheduleSpec { analyse: true, every: Some(interval.into()), ..ScheduleSpec::default() };
        assert!(put_schedule(&world.ctx, &id, spec).await.unwrap().paused);
        let it = Self { world, id };
        it.command(ScheduleCommand::Resume).await;
        it
    }

    async fn command(&self, command: ScheduleCommand) -> Schedule {
        command_schedule(&self.world.ctx, &self.id, command).await.unwrap()
    }

    async fn load(&self) -> Schedule {
        load_schedule(&self.world.ctx, &self.id).await.unwrap()
    }

    async fn sweep(&self) {
        sweep(&self.world.ctx).await.into_result().unwrap();
    }

    async fn last(&self) -> String {
        self.load().await.result().unwrap()
    }

    async fn jobs(&self) -> Vec<Job> {
        let (ids, _) = self.world.ctx.store.list_job_ids(&self.id.project, None, None, 50).await.unwrap();
        let mut jobs = Vec::new();
        for id in ids {
            jobs.push(self.world.load_job(&id).await);
        }
        jobs
    }

    /// Ends the analysis of each repository.
    async fn end_jobs(&self) {
        for job in self.jobs().await.into_iter().filter(|job| !job.status.is_terminal()) {
            cancel_job(&self.world.ctx, &job.id, "ann", None).await.unwrap();
        }
    }

    /// Starts runs of a question in each repository instead of analyses.
    async fn use_template(&self) {
        let (ctx, project) = (&self.world.ctx, self.id.project.clone());
        let template = TemplateId { project, name: TemplateName::new("ask").unwrap() };
        let plan = json!({
            "name": "ask", "started_by": ["schedule"], "steps": [{ "name": "ask", "approve": "Now?" }],
        });
        put_template(ctx, &template, &plan, "ann").await.unwrap();
        let (template, every) = (Some(template.name), Some("6h".into()));
        let spec = ScheduleSpec { template, each_repository: true, every, ..ScheduleSpec::default() };
        put_schedule(ctx, &self.id, spec).await.unwrap();
    }

    /// The runs with their repositories, in the order of these.
    async fn runs(&self) -> Vec<(String, RunId)> {
        let (store, mut found) = (&self.world.ctx.store, Vec::new());
        for run in store.list_runs(&self.id.project, None, 50).await.unwrap().0 {
            let run = run.unwrap();
            let frozen = store.load_plan(&run.id).await.unwrap().unwrap();
            found.push((frozen.repository.name.to_string(), run.id));
        }
        found.sort();
        found
    }
}

#[tokio::test]
async fn due_schedule_starts_one_analysis_of_each_repository() {
    let it = Scheduled::every("6h").await;
    it.sweep().await;
    assert_eq!(it.jobs().await.len(), 0, "it is not due yet");
    it.world.ctx.clock.advance(6 * HOUR);
    it.sweep().await;
    it.sweep().await;
    let jobs = it.jobs().await;
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| job.kind == JobKind::Analysis));
    assert_eq!(it.last().await, "Analyses started: 2, still running: 0.");
    // The next time comes while they run.
    it.world.ctx.clock.advance(6 * HOUR);
    let ran = run_due_schedules(&it.world.ctx, std::slice::from_ref(&it.id.project)).await.unwrap();
    assert_eq!(ran.len(), 1);
    assert_eq!(it.last().await, "Analyses started: 0, still running: 2.");
    it.end_jobs().await;
    it.world.ctx.clock.advance(6 * HOUR);
    it.sweep().await;
    assert_eq!(it.jobs().await.len(), 4);
}

#[tokio::test]
async fn failed_list_of_a_project_stops_no_other_project() {
    let wire = Wire::default();
    let it = Scheduled::with_wire("1h", wire.clone()).await;
    let due = it.load().await.next;
    it.world.ctx.clock.advance(HOUR);
    wire.fail_next("Query", Fault::error(400, "ValidationException"));
    let projects = [ProjectId::new("other").unwrap(), it.id.project.clone()];
    assert!(run_due_schedules(&it.world.ctx, &projects).await.is_err());
    assert!(it.load().await.next > due);
}

#[tokio::test]
async fn missed_times_start_at_most_once() {
    for (down, started, sentence) in [
        (7 * HOUR - HOUR / 60, 2, "Analyses started: 2, still running: 0."),
        (20 * HOUR, 0, "Missed, because the server was down."),
        (24 * HOUR + HOUR / 2, 2, "Analyses started: 2, still running: 0."),
    ] {
        let it = Scheduled::every("6h").await;
        it.world.ctx.clock.advance(down);
        it.sweep().await;
        it.sweep().await;
        assert_eq!((it.jobs().await.len(), it.last().await.as_str()), (started, sentence), "down for {down:?}");
        assert!(it.load().await.next.unwrap() > it.world.ctx.clock.now());
        let missed = DeliveryFilter { codes: ["missed".to_owned()].into(), ..DeliveryFilter::default() };
        let noted = list_deliveries(&it.world.ctx, &it.id.project, &missed, None, 9).await.unwrap().deliveries;
        assert_eq!(noted.len(), usize::from(started == 0), "down for {down:?}");
        if let [missed] = &noted[..] {
            let latest = it.load().await.last.unwrap().at;
            let is_named = |reason: &Reason| matches!(reason, Reason::ScheduleMissed { time, .. } if *time == latest);
            assert!(is_named(&missed.reason), "{missed:?}");
        }
    }
}

#[tokio::test]
async fn concurrent_sweepers_start_one_analysis_of_each_repository() {
    let it = Scheduled::every("6h").await;
    it.world.ctx.clock.advance(6 * HOUR);
    let projects = std::slice::from_ref(&it.id.project);
    let due = || run_due_schedules(&it.world.ctx, projects);
    let (one, two, three) = tokio::join!(due(), due(), due());
    let ran = [one, two, three].map(|ran| ran.unwrap().len());
    assert_eq!(ran.iter().sum::<usize>(), 1, "{ran:?}");
    assert_eq!(it.jobs().await.len(), 2);
    assert_eq!(it.last().await, "Analyses started: 2, still running: 0.");
}

#[tokio::test]
async fn two_sweepers_and_three_callers_start_one_run_of_each() {
    let it = Scheduled::every("6h").await;
    it.use_template().await;
    it.world.ctx.clock.advance(6 * HOUR);
    let projects = std::slice::from_ref(&it.id.project);
    let due = || Box::pin(run_due_schedules(&it.world.ctx, projects));
    let (_, _, one, two, three) = tokio::join!(Box::pin(it.sweep()), Box::pin(it.sweep()), due(), due(), due());
    let ran = [one, two, three].map(|ran| ran.unwrap().len());
    assert!(ran.iter().sum::<usize>() <= 1, "{ran:?}");
    let runs = it.runs().await;
    let (repositories, ids): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    assert_eq!(repositories, ["acme/app", "acme/web"]);
    let mut noted = it.load().await.runs;
    noted.sort_by_key(|run| ids.iter().position(|id| id == run));
    assert_eq!((noted, it.last().await.as_str()), (ids, "Runs started: 2, still running: 0."));
    // They are open at the next time.
    it.world.ctx.clock.advance(6 * HOUR);
    let ran = run_due_schedules(&it.world.ctx, projects).await.unwrap();
    assert_eq!((ran.len(), it.runs().await.len()), (1, 2));
    assert_eq!(it.last().await, "Runs started: 0, still running: 2.");
}

#[tokio::test]
async fn run_of_an_unfinished_time_counts_after_a_pause() {
    for (is_paused, started, sentence) in
        [(false, 2, "Runs started: 2, still running: 0."), (true, 1, "Runs started: 0, still running: 1.")]
    {
        let wire = Wire::default();
        let it = Scheduled::with_wire("6h", wire.clone()).await;
        it.use_template().await;
        it.world.ctx.clock.advance(6 * HOUR);
        let due = || Box::pin(run_due_schedules(&it.world.ctx, std::slice::from_ref(&it.id.project)));
        wire.fail_next("TransactWriteItems", Fault::error(400, "ResourceNotFoundException"));
        due().await.unwrap_err();
        assert_eq!((it.runs().await.len(), it.load().await.runs.len()), (1, 2));
        if is_paused {
            it.command(ScheduleCommand::Pause).await;
            it.command(ScheduleCommand::Resume).await;
            it.world.ctx.clock.advance(6 * HOUR);
        }
        due().await.unwrap();
        assert_eq!((it.runs().await.len(), it.last().await.as_str()), (started, sentence));
    }
}

#[tokio::test]
async fn schedule_starts_runs_in_a_hundred_repositories() {
    let it = Scheduled::every("6h").await;
    it.use_template().await;
    for id in 100..200 {
        let name = RepositoryName::new(format!("acme/r{id}")).unwrap();
        let more = Repository { id, name, ..it.world.repository() };
        assert_applied(it.world.ctx.store.put_repository(&more, None).await);
    }
    let ran = it.command(ScheduleCommand::Run).await;
    let result = ran.result().unwrap();
    let (counts, refusal) = result.split_once(". ").unwrap();
    assert_eq!(counts, "Runs started: 100, still running: 0, refused: 2");
    assert_eq!(refusal, "A schedule serves at most 100 repositories.");
    assert_eq!((ran.failures, ran.runs.len()), (0, 100));
}

#[tokio::test]
async fn unfinished_time_ends_without_a_removed_repository() {
    let wire = Wire::default();
    let it = Scheduled::with_wire("6h", wire.clone()).await;
    it.use_template().await;
    it.world.ctx.clock.advance(6 * HOUR);
    let due = || Box::pin(run_due_schedules(&it.world.ctx, std::slice::from_ref(&it.id.project)));
    wire.fail_next("TransactWriteItems", Fault::error(400, "ResourceNotFoundException"));
    due().await.unwrap_err();
    let (started, _) = it.runs().await.remove(0);
    remove_repository(&it.world.ctx, &it.id.project, &RepositoryName::new(started).unwrap()).await.unwrap();
    due().await.unwrap();
    assert_eq!((it.runs().await.len(), it.last().await.as_str()), (2, "Runs started: 1, still running: 0."));
    // The run in the removed repository is open, too.
    it.world.ctx.clock.advance(6 * HOUR);
    due().await.unwrap();
    assert_eq!(it.last().await, "Runs started: 0, still running: 2.");
}

/// Runs a due schedule with a crash at each of its calls. `check` gets its due time and the name of the crash.
async fn crash_at_each_call(prepare: impl AsyncFn(&Scheduled), check: impl AsyncFn(&Scheduled, Timestamp, &str)) {
    for (call, fault) in (0..).flat_map(|call| [(call, Fault::StopBefore), (call, Fault::StopAfter)]) {
        let wire = Wire::default();
        let it = Scheduled::with_wire("6h", wire.clone()).await;
        prepare(&it).await;
        it.world.ctx.clock.advance(6 * HOUR);
        let due = it.load().await.next.unwrap();
        wire.restart(Some((call, fault.clone())));
        let run = run_due_schedules(&it.world.ctx, std::slice::from_ref(&it.id.project));
        let ran = wire.run_until_stopped(Box::pin(run)).await;
        wire.restart(None);
        check(&it, due, &format!("call {call} {fault}")).await;
        if let Some(ran) = ran {
            assert_eq!(ran.unwrap().len(), 1);
            assert!(call > 10, "only {call} calls were broken");
            return;
        }
    }
}

/// As the sweeper after a crash.
async fn sweep_twice(it: &Scheduled) {
    it.world.ctx.clock.advance(Duration::from_secs(120));
    it.sweep().await;
    it.sweep().await;
}

#[tokio::test]
async fn pause_after_a_crash_starts_no_second_run() {
    let check = async |it: &Scheduled, _: Timestamp, crash: &str| {
        it.command(ScheduleCommand::Pause).await;
        it.command(ScheduleCommand::Resume).await;
        it.world.ctx.clock.advance(6 * HOUR);
        it.sweep().await;
        let (repositories, _): (Vec<_>, Vec<_>) = it.runs().await.into_iter().unzip();
        let is_unique = repositories.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(!repositories.is_empty() && is_unique, "{crash}: {repositories:?}");
    };
    crash_at_each_call(Scheduled::use_template, check).await;
}

#[tokio::test]
async fn crash_between_two_calls_starts_no_second_run() {
    let check = async |it: &Scheduled, _: Timestamp, crash: &str| {
        sweep_twice(it).await;
        let runs = it.runs().await;
        assert_eq!((runs.len(), it.load().await.runs.len()), (2, 2), "{crash}: {runs:?}");
    };
    crash_at_each_call(Scheduled::use_template, check).await;
}

#[tokio::test]
async fn crash_between_two_calls_starts_no_second_analysis() {
    let check = async |it: &Scheduled, due: Timestamp, crash: &str| {
        sweep_twice(it).await;
        let (jobs, schedule) = (it.jobs().await, it.load().await);
        assert_eq!(jobs.len(), 2, "{crash}");
        assert_eq!((schedule.last.unwrap().at, schedule.next), (due, Some(due.plus(6 * HOUR))), "{crash}");
    };
    crash_at_each_call(async |_: &Scheduled| (), check).await;
}

#[tokio::test]
async fn crash_between_two_calls_leaves_one_notice_of_a_pause() {
    for has_template in [false, true] {
        let prepare = async |it: &Scheduled| {
            let (ctx, project) = (&it.world.ctx, &it.id.project);
            if has_template {
                it.use_template().await;
                let id = TemplateId { project: project.clone(), name: TemplateName::new("ask").unwrap() };
                delete_template(ctx, &id).await.unwrap();
            }
            let (id, url) = (EndpointId::new("ops").unwrap(), Some("https://hooks.example/p".to_owned()));
            let new = Endpoint { id, kind: EndpointKind::Webhook, url, url_secret: None, secret: None, events: None };
            put_endpoint(ctx, ProjectChange::by_operator(project), new).await.unwrap();
            hold_project(ctx, project, "ann", "a freeze").await.unwrap();
            assert_applied(ctx.store.put_schedule(&Schedule { failures: 4, ..it.load().await }, None).await);
        };
        let check = async |it: &Scheduled, _: Timestamp, crash: &str| {
            sweep_twice(it).await;
            assert!(it.load().await.is_failed(), "{crash}");
            // A paused schedule that fails again is no news.
            it.command(ScheduleCommand::Run).await;
            let (notices, _) = list_notices(&it.world.ctx, &it.id.project, false, None).await.unwrap();
            let events: Vec<_> = notices.iter().map(|notice| notice.event.as_str()).collect();
            assert_eq!((events, it.load().await.failures), (vec!["schedule.paused"], 6), "{crash}");
        };
        crash_at_each_call(prepare, check).await;
    }
}

#[tokio::test]
async fn begun_starts_continue_after_a_long_downtime() {
    let it = Scheduled::every("6h").await;
    it.world.ctx.clock.advance(6 * HOUR);
    assert_applied(it.world.ctx.store.put_schedule(&Schedule { begun: true, ..it.load().await }, None).await);
    it.world.ctx.clock.advance(3 * HOUR);
    it.sweep().await;
    assert_eq!((it.jobs().await.len(), it.load().await.begun), (2, false));
    assert_eq!(it.last().await, "Analyses started: 2, still running: 0.");
}

#[tokio::test]
async fn start_that_fails_until_the_next_time_is_refused() {
    let wire = Wire::default();
    let it = Scheduled::with_wire("6h", wire.clone()).await;
    it.world.ctx.clock.advance(6 * HOUR);
    let due = it.load().await.next.unwrap();
    wire.fail_always("TransactWriteItems", Fault::NeverSent);
    assert_eq!(sweep(&it.world.ctx).await.into_result().unwrap().failed, 1);
    let begun = it.load().await;
    assert_eq!((begun.begun, begun.next, begun.last), (true, Some(due), None));
    it.world.ctx.clock.advance(6 * HOUR);
    // A sweep would cut the repeated tries of a start on a slow machine.
    run_due_schedules(&it.world.ctx, std::slice::from_ref(&it.id.project)).await.unwrap();
    let replaced = it.load().await;
    assert_eq!((replaced.begun, replaced.next, replaced.failures), (false, Some(due.plus(6 * HOUR)), 1));
    assert_eq!(replaced.last.as_ref().map(|last| last.at), Some(due));
    let refusal = replaced.result().unwrap();
    assert!(refusal.contains("connection"), "{refusal}");
}

#[tokio::test]
async fn schedule_is_paused_after_five_refused_starts() {
    let it = Scheduled::every("6h").await;
    hold_project(&it.world.ctx, &it.id.project, "ann", "a freeze").await.unwrap();
    for _ in 0..5 {
        assert!(!it.load().await.paused);
        it.world.ctx.clock.advance(6 * HOUR);
        it.sweep().await;
    }
    assert!(it.load().await.paused);
    let last = it.last().await;
    assert!(last.starts_with("Paused after 5 failures in a row: ") && last.contains("on hold"), "{last}");
    it.world.ctx.clock.advance(6 * HOUR);
    it.sweep().await;
    assert_eq!((it.jobs().await.len(), it.last().await), (0, last));
    release_project(&it.world.ctx, &it.id.project).await.unwrap();
    let now = it.command(ScheduleCommand::Run).await;
    assert_eq!((now.paused, now.next), (true, None), "it starts on request");
    assert_eq!(now.result().unwrap(), "Analyses started: 2, still running: 0.");
}

#[tokio::test]
async fn start_refused_in_one_repository_is_no_failure() {
    let it = Scheduled::every("6h").await;
    // The forge of one repository is gone.
    let lost = Repository {
        id: 97,
        integration: IntegrationId::new("elsewhere").unwrap(),
        name: RepositoryName::new("acme/gone").unwrap(),
        ..it.world.repository()
    };
    assert_applied(it.world.ctx.store.put_repository(&lost, None).await);
    let ran = it.command(ScheduleCommand::Run).await;
    let result = ran.result().unwrap();
    assert_eq!(ran.failures, 0);
    assert!(result.starts_with("Analyses started: 2, still running: 0, refused: 1. "), "{result}");
}

#[tokio::test]
async fn project_is_deleted_with_its_schedules() {
    let it = Scheduled::every("6h").await;
    let ctx = &it.world.ctx;
    for name in ["acme/app", "acme/web"] {
        remove_repository(ctx, &it.id.project, &RepositoryName::new(name).unwrap()).await.unwrap();
    }
    let empty = it.command(ScheduleCommand::Run).await;
    assert_eq!(empty.result().unwrap(), "The project has no repository.");
    delete_project(ctx, &it.id.project).await.unwrap();
    assert!(matches!(load_schedule(ctx, &it.id).await, Err(Error::NotFound { .. })));
    assert!(matches!(delete_schedule(ctx, &it.id).await, Err(Error::NotFound { .. })));
    let spec = it.world.ctx.store.load_schedule(&it.id).await.unwrap();
    assert_eq!(spec, None);
    let absent = put_schedule(ctx, &it.id, ScheduleSpec::default()).await;
    assert!(matches!(absent, Err(Error::NotFound { resource: "project", .. })), "{absent:?}");
}

#[tokio::test]
async fn schedule_beyond_the_limit_is_refused() {
    let it = Scheduled::every("6h").await;
    let spec = it.load().await.spec;
    let put = async |n: usize, spec: &ScheduleSpec| {
        let id = ScheduleId { name: ScheduleName::new(format!("n{n}")).unwrap(), ..it.id.clone() };
        put_schedule(&it.world.ctx, &id, spec.clone()).await
    };
    for n in 1..50 {
        put(n, &spec).await.unwrap();
    }
    let refused = put(50, &spec).await;
    assert!(matches!(refused, Err(Error::Invalid { pointer: "/name", .. })), "{refused:?}");
    put(49, &ScheduleSpec { every: Some("7h".into()), ..spec }).await.unwrap();
}
