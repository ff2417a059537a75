//! Generates conditions.txt: the condition of each write on each of its items. Each write runs in every form on its own
//! table; its result does not matter.

use super::generated;
use crate::artifacts::artifacts;
use crate::fleet::with_heartbeat;
use crate::prelude::*;
use crate::reviews::{ledger_entry, refused_state};
use crate::sample::{self, job_id, project, repository};
use crate::world::{World, prepare_requeue, requeue_write, ticket_without_job};
use pullyard_domain::agent::breaker::{AccountFault, AttemptRef, Breaker, BreakerCause};
use pullyard_domain::job::artifact::Artifacts;
use pullyard_domain::job::limit::Places;
use pullyard_domain::project::forge::{Auth, Integration};
use pullyard_domain::project::naming::Named;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::run::notice::NoticeRecord;
use pullyard_store::{Error, ReadyCursors, RepositoryRemoval, Rotation, SweeperState, TextEdit};
use pullyard_testkit::WriteConditions;
use std::fmt::Write as _;

type Forms = for<'s> fn(&'s Store) -> Pin<Box<dyn Future<Output = Result<(), Error>> + 's>>;

macro_rules! writes {
    ($store:ident: $($write:ident $forms:block)*) => {
        &[$((stringify!($write), |$store| Box::pin(async move { $forms Ok::<(), Error>(()) }))),*]
    };
}

const WRITES: &[(&str, Forms)] = writes! { store:
    absorb_reviews { store.absorb_reviews(&pull_request_id(), &review_id("r2"), &[review_id("r1")]).await?; }
    begin_removal { store.begin_removal(&runner()).await?; }
    request_cancel {
        let job = Job { rev: 1, ..sample::job("one") };
        store.request_cancel(&job, &pull_request(1), None).await?;
        store.request_cancel(&job, &pull_request(1), Some(&ticket(1))).await?;
    }
    claim_job { store.claim_job(&claimed_job(None)).await?; store.claim_job(&claimed_job(Some(&runner()))).await?; }
    conclude_review {
        let reason = Reason::AutoCreateOff { project: project() };
        store.conclude_review(&held_entry("r1").id, &Conclusion::Job(job_id("one"))).await?;
        store.conclude_review(&held_entry("r1").id, &Conclusion::Refused(reason)).await?;
    }
    create_comment {
        let (ticket, comment, request) = (ticket(1), sample::comment(1), sample::request("one", at(0)));
        let bare = CommentCreation { ticket: &ticket, comment: &comment, request: None };
        store.create_comment(&bare).await?;
        store.create_comment(&CommentCreation { request: Some(&request), ..bare }).await?;
    }
    create_run { store.create_run(&sample::run(0), &sample::frozen_plan(), Some(&sample::group(1))).await?; }
    create_ticket { create_ticket_forms(store).await?; }
    create_token {
        let token = sample::token("abc", "laptop");
        store.create_token(&token, None).await?;
        store.create_token(&token, Some(&sample::request("key", at(0)))).await?;
    }
    delete_comments { store.delete_comments(&[Comment { rev: 1, ..sample::comment(1) }]).await?; }
    update_run { store.update_run(&sample::run(1)).await?; }
    update_comment { store.update_comment(&Comment { rev: 1, ..sample::comment(1) }).await?; }
    delete_endpoint_state { store.delete_endpoint_state(&sample::endpoint_state(1)).await?; }
    delete_project { store.delete_project(&Project { rev: 1, ..sample::project_with_id("acme") }).await?; }
    delete_template { store.delete_template(&sample::template(1)).await?; }
    delete_schedule { store.delete_schedule(&sample::schedule(1)).await?; }
    delete_secret_record { store.delete_secret_record(&sample::secret_record(1)).await?; }
    delete_tracker { store.delete_tracker(&sample::tracker(1)).await?; }
    delete_ticket { store.delete_ticket(&ticket(1)).await?; }
    delete_hook { store.delete_hook(&Webhook { rev: 1, ..hook("acme") }).await?; }
    create_context { store.create_context(&job_id("one"), &sample::context("Fix it.")).await?; }
    record_heartbeat {
        store.record_heartbeat(&runner(), &with_heartbeat(&runner(), 30)).await?;
        let forgotten = Runner { claims: Vec::new(), ..draining_runner() };
        store.record_heartbeat(&draining_runner(), &forgotten).await?;
        let failed = Order { reason: Some("why".into()), ..sample::order("o1", OrderState::Failed) };
        let reported = Runner { order: Some(failed), ..ordered_runner() };
        store.record_heartbeat(&ordered_runner(), &reported).await?;
    }
    link_if_absent { store.link_if_absent(&linked_pull_request()).await?; }
    link_pull_request {
        store.link_pull_request(&pull_request(0), &ticket(1)).await?;
        store.link_pull_request(&pull_request(1), &ticket(1)).await?;
    }
    create_class {
        let (class, labels) = (ClassId::for_key("acme", "command", &BTreeSet::new(), KeyOwner::Runner), BTreeSet::new());
        let needs = ClassRequirements { capability: "command".into(), labels, key: KeyOwner::Runner };
        store.create_class(&project(), &class, &needs).await?;
    }
    update_hook_refusal {
        store.update_hook_refusal(&hook("acme"), 1, at(9)).await?;
    }
    update_hook_repaired_at { store.update_hook_repaired_at(&hook("acme"), at(9)).await?; }
    update_hook_verified_at {
        store.update_hook_verified_at(&hook("acme"), at(9)).await?;
    }
    update_late_result { store.update_late_result(&job_id("one"), 1, &sample::result(7)).await?; }
    note_token_use { store.note_token_use("abc", at(5)).await?; }
    update_watched_until { store.update_watched_until(&job_id("one"), at(5)).await?; }
    put_artifacts {
        store.put_artifacts(&artifacts(&["a.txt"])).await?;
        store.put_artifacts(&Artifacts { rev: 1, ..artifacts(&["a.txt"]) }).await?;
    }
    put_breaker {
        store.put_breaker(&breaker(0), None).await?;
        store.put_breaker(&breaker(1), Some(&breaker(1))).await?;
    }
    put_endpoint_state {
        store.put_endpoint_state(&sample::endpoint_state(0)).await?;
        store.put_endpoint_state(&sample::endpoint_state(1)).await?;
    }
    put_host_rest {
        store.put_host_rest(&sample::host_rest(0)).await?;
        store.put_host_rest(&sample::host_rest(1)).await?;
    }
    put_ticket_look {
        store.put_ticket_look(&sample::ticket_look(0)).await?;
        store.put_ticket_look(&sample::ticket_look(1)).await?;
    }
    put_first_token {
        store.put_first_token(&sample::token("one", "one"), None).await?;
        store.put_first_token(&sample::token("two", "two"), Some("one")).await?;
    }
    put_hook { store.put_hook(&hook("acme")).await?; store.put_hook(&Webhook { rev: 1, ..hook("acme") }).await?; }
    put_integration { store.put_integration(&sample::forge("gh1")).await?; }
    put_places {
        let places = Places::new(sample::project());
        store.put_places(&places, &[]).await?;
        store.put_places(&Places { rev: 1, ..places }, &[Job { rev: 1, ..sample::job("one") }]).await?;
    }
    put_poll { store.put_poll(&sample::poll(0)).await?; store.put_poll(&sample::poll(1)).await?; }
    put_project {
        store.put_project(&sample::project_with_id("acme")).await?;
        store.put_project(&Project { rev: 1, ..sample::project_with_id("acme") }).await?;
    }
    put_project_with_names {
        let listing = [Named::Secret("pullyard/job/key".into())];
        store.put_project_with_names(&Project { rev: 1, ..sample::project_with_id("acme") }, &listing).await?;
    }
    put_spending {
        let (_, spending) = sample::charge_spending(&sample::plan_ticket_job(&sample::ticket("APP-1"), "one").0);
        store.put_spending(&spending).await?;
        store.put_spending(&Spending { rev: 1, ..spending }).await?;
    }
    put_repository { store.put_repository(&repository(99, "acme/app"), None).await?; }
    put_repository_with_names {
        let listing = [Named::Integration(sample::integration())];
        store.put_repository_with_names(&repository(99, "acme/app"), None, &listing).await?;
    }
    put_secret_projects {
        store.put_secret_projects(&sample::secret_projects(0, &["acme"])).await?;
        store.put_secret_projects(&sample::secret_projects(1, &["acme"])).await?;
    }
    put_secret_record {
        store.put_secret_record(&sample::secret_record(0)).await?;
        store.put_secret_record(&sample::secret_record(1)).await?;
    }
    update_integration_projects {
        let (bare, projects) = (sample::forge("gh1"), Some([project()].into()));
        store.update_integration_projects(&bare, projects.as_ref()).await?;
        store.update_integration_projects(&Integration { projects, ..bare }, None).await?;
    }
    put_rotation {
        let rotation = |rev| Rotation { secret: "s".into(), previous: "v1".into(), until: at(9), rev };
        store.put_rotation(&rotation(0)).await?;
        store.put_rotation(&rotation(1)).await?;
    }
    move_run {
        let (noted, created) = ([Job { rev: 1, ..sample::step_job() }], [sample::job("one")]);
        let budget = Budget { jobs_per_day: Some(1), ..Budget::default() };
        let charge = budget.charge(&Job { reserved: budget.reserve(at(0)), ..sample::job("one") });
        let (run, group, notice) = (sample::run(1), sample::group(1), sample::notice(0));
        let (charge, group, notice) = (charge.as_ref(), Some(&group), Some(&notice));
        store.move_run(&RunWrite { run: &run, noted: &noted, created: &created, charge, group, notice }).await?;
    }
    postpone_row {
        let (ticket, poll) = (ticket(1), sample::poll(1));
        let poll = WorkKey::Poll(poll.project, poll.integration, poll.repository);
        let ticket = WorkKey::Ticket(ticket.project, ticket.key);
        for key in [WorkKey::Job(job_id("one")), ticket, WorkKey::PullRequest(pull_request_id()), poll, WorkKey::Schedule(sample::schedule(1).id), WorkKey::Notice(sample::notice(1).id), WorkKey::Run(sample::run(1).id)] {
            store.postpone_row(&key, at(9)).await?;
        }
    }
    put_template { store.put_template(&sample::template(0)).await?; store.put_template(&sample::template(1)).await?; }
    put_schedule {
        store.put_schedule(&sample::schedule(0), None).await?;
        store.put_schedule(&sample::schedule(1), None).await?;
        store.put_schedule(&sample::schedule(1), Some(&sample::notice(0))).await?;
    }
    put_tracker { store.put_tracker(&sample::tracker(0)).await?; store.put_tracker(&sample::tracker(1)).await?; }
    put_sweeper_state {
        let sweeps = SweeperState { at: at(9), ready_at: at(9), since: None, ready_cursors: ReadyCursors::new(), gauges: None };
        store.put_sweeper_state(&sweeps).await?;
    }
    put_fleet { store.put_fleet(&sample::fleet(9)).await?; }
    put_token { store.put_token(&sample::token("abc", "laptop")).await?; }
    record_delivery { store.record_delivery(&sample::refused_decision("evt-1", at(0))).await?; }
    record_delivery_and_ticket {
        let refused = sample::refused_decision("evt-1", at(0));
        store.record_delivery_and_ticket(&refused, &ticket(0)).await?;
        store.record_delivery_and_ticket(&refused, &ticket(1)).await?;
    }
    record_notice {
        store.record_notice(&sample::notice(1).into()).await?;
        store.record_notice(&NoticeRecord { other: Some(sample::other_notice()), ..sample::notice_record(1, 0) }).await?;
        store.record_notice(&sample::notice_record(1, 1)).await?;
    }
    store_rank { store.store_rank(&sample::ticket("APP-1"), 1).await?; }
    refuse_review { store.refuse_review(&waiting_review("r1"), &refused_state()).await?; }
    refuse_absorbed_reviews {
        store.refuse_absorbed_reviews(&waiting_review("r2"), &[&waiting_review("r1")], &refused_state()).await?;
    }
    register_runner { register_forms(store).await?; }
    create_deferred_review {
        let marked = ticket(1).schedule_review(&pull_request_id(), at(500));
        store.create_deferred_review(&waiting_review("r1"), &held_entry("r1"), &marked).await?;
        store.create_deferred_review(&Review { version: 1, ..waiting_review("r1") }, &held_entry("r1"), &marked).await?;
    }
    remove_integration { remove_integration_forms(store).await?; }
    remove_repository { remove_repository_forms(store).await?; }
    delete_runner { store.delete_runner(&runner()).await?; }
    rename_repository {
        let ours = repository(99, "acme/app");
        store.rename_repository(&ours, &repository(99, "acme/web")).await?;
        let cased = Repository { name: RepositoryName::new("Acme/App").unwrap(), ..ours.clone() };
        store.rename_repository(&ours, &cased).await?;
        let labels = std::collections::BTreeSet::from(["gpu".to_owned()]);
        let limited = Repository { running_jobs: Some(2), labels, ..ours };
        store.rename_repository(&limited, &repository(99, "acme/web")).await?;
    }
    replace_text {
        let (project, ticket, text) = (project(), sample::ticket_key("APP-1"), TicketText::default());
        let (delivery, request) = (sample::refused_decision("evt-1", at(0)), sample::request("key", at(0)));
        let (project, ticket, text, delivery) = (&project, &ticket, &text, &delivery);
        let first = TextEdit { project, ticket, text, previous: None, delivery, request: None };
        store.replace_text(&first).await?;
        let seen = store.load_ticket_text(project, ticket).await?;
        store.replace_text(&TextEdit { previous: seen.as_ref(), request: Some(&request), ..first }).await?;
    }
    write_job { job_forms(store).await?; }
    revoke_token { store.revoke_token("abc").await?; }
    set_drain {
        store.set_drain(&runner(), draining_runner().drain.as_ref()).await?;
        store.set_drain(&runner(), None).await?;
    }
    set_order {
        let order = sample::order("o2", OrderState::Wanted);
        store.set_order(&runner(), &order).await?;
        store.set_order(&ordered_runner(), &order).await?;
    }
    update_snapshot { store.update_snapshot(&sample::event("APP-1", "evt-1", at(1), "Todo"), None).await?; }
    confirm_status { store.confirm_status(&sample::event("APP-1", "evt-1", at(1), "Todo")).await?; }
    create_event_batch {
        let job = job_id("one");
        let batch = EventBatch { job: &job, attempt: 1, first: 1, at: at(60), events: &["event"] };
        store.create_event_batch(&batch).await?;
    }
    store_text { store.store_text(&sample::event("APP-1", "evt-1", at(1), "Todo")).await?; }
    mark_offline { store.mark_offline(&runner(), &marked_offline(&runner())).await?; }
    assign_review {
        store.assign_review(&review("r1", refused_state()), None).await?;
        store.assign_review(&Review { version: 1, ..waiting_review("r1") }, None).await?;
        store.assign_review(&waiting_review("r1"), Some(&job_id("one"))).await?;
    }
    create_job { trigger_forms(store).await?; }
    create_review_job { trigger_review_forms(store).await?; }
    update_job { store.update_job(&Job { rev: 1, ..sample::job("one") }).await?; }
    update_pull_request {
        store.update_pull_request(&pull_request(0)).await?;
        store.update_pull_request(&pull_request(1)).await?;
    }
    update_ticket { store.update_ticket(&ticket(0)).await?; store.update_ticket(&ticket(1)).await?; }
    use_sign_in { store.use_sign_in("one", at(600)).await?; }
    wait_for_job {
        let (first, second) = (waiting_review("r1"), Review { version: 1, ..waiting_review("r1") });
        let (entry, job) = (held_entry("r1"), job_id("one"));
        store.wait_for_job(&wait_request(&first, &entry, &job)).await?;
        let waits = wait_request(&second, &entry, &job);
        store.wait_for_job(&waits).await?;
        store.wait_for_job(&ReviewWait { from: Some(&job), delivery: None, ..waits }).await?;
    }
};

fn ticket(rev: u64) -> Ticket {
    Ticket { rev, ..sample::ticket("APP-1") }
}

fn pull_request(rev: u64) -> PullRequest {
    PullRequest { rev, ..linked_pull_request() }
}

fn breaker(rev: u64) -> Breaker {
    let (trouble, by) = (
        AccountFault { cause: BreakerCause::LimitReached, ends_at: None },
        AttemptRef { job: job_id("one"), attempt: 1 },
    );
    let opened = Breaker::record_fault(None, &crate::breakers::id("codex"), &trouble, &by, at(0)).unwrap();
    Breaker { rev, ..opened }
}

fn runner() -> Runner {
    sample::runner("kite", 2)
}

fn draining_runner() -> Runner {
    let drain = Drain { by: "ann".into(), at: at(5), acknowledged: None };
    Runner { claims: vec![ClaimId::new("c1").unwrap()], drain: Some(drain), ..runner() }
}

fn ordered_runner() -> Runner {
    Runner { order: Some(sample::order("o1", OrderState::Wanted)), ..runner() }
}

fn budget(jobs: bool, usd: bool) -> Budget {
    Budget {
        jobs_per_day: jobs.then_some(9),
        usd_micros_per_day: usd.then_some(90_000_000),
        usd_micros_per_job: 5_000_000,
    }
}

fn claimed_job(runner: Option<&Runner>) -> Job {
    let job = Job { rev: 1, reserved: budget(true, true).reserve(at(0)), ..sample::job("one") };
    let claim = match runner {
        Some(runner) => sample::claim_by(runner, &job, "c1"),
        None => sample::claim_by_task(&job, "c1"),
    };
    job.claim(&claim, at(60)).unwrap()
}

fn lost_jobs() -> [(Job, RunnerCondition); 4] {
    let by_kite = || claimed_job(Some(&runner()));
    [
        (claimed_job(None), RunnerCondition::Exists),
        (by_kite(), RunnerCondition::Exists),
        (by_kite(), RunnerCondition::Offline { epoch: 1 }),
        (by_kite(), RunnerCondition::LastHeartbeat { epoch: 1, at: at(0) }),
    ]
}

async fn job_forms(store: &Store) -> Result<(), Error> {
    for (before, proof) in lost_jobs() {
        let job = before.fail(sample::failure(), at(1_000)).unwrap();
        let attempt = sample::ended_attempt(&before, job.attempt_end(), at(1_000));
        let (ticket, returned, output, analysis) = (ticket(1), job.refund(), sample::answer(), sample::analysis(1));
        let (_, mut spending) = sample::charge_spending(&sample::plan_ticket_job(&sample::ticket("APP-1"), "one").0);
        spending.rev = 1;
        // A first pull request of the job, and an existing one.
        for pull_request in [pull_request(0), pull_request(1)] {
            let ended = JobWrite {
                analysis: Some(&analysis),
                before: &before,
                job: &job,
                attempt: attempt.as_ref(),
                output: Some(&output),
                ticket: Some(&ticket),
                pull_request: Some(&pull_request),
                refund: returned.as_ref(),
                spending: Some(&spending),
                input: None,
                notice: Some(&sample::notice(0)),
                runner: proof,
            };
            store.write_job(&ended).await?;
        }
        let (job, attempt) = prepare_requeue(&before);
        let input = job.new_input("ann", "Go on.", Some("key".into()), at(1_000));
        let requeued = requeue_write(&before, &job, &attempt, proof);
        store.write_job(&requeued).await?;
        store.write_job(&JobWrite { ticket: Some(&ticket), input: Some(&input), ..requeued }).await?;
    }
    Ok(())
}

async fn remove_integration_forms(store: &Store) -> Result<(), Error> {
    let by_token = sample::forge("gh1");
    let auth = Auth::App {
        app_id: 1,
        client_id: None,
        slug: "pullyard".into(),
        key_secret: "pullyard/key".into(),
        webhook_secret: "pullyard/webhook".into(),
    };
    store.remove_integration(&by_token).await?;
    store.remove_integration(&Integration { auth, ..by_token }).await.map(drop)
}

async fn remove_repository_forms(store: &Store) -> Result<(), Error> {
    let (repository, poll) = (repository(99, "acme/app"), sample::poll(1));
    let names = [repository.name.clone()];
    let removal =
        RepositoryRemoval { repository: &repository, names: &names, poll: None, analysis: None, project: None };
    store.remove_repository(&removal).await?;
    let project = Project { rev: 1, ..sample::project_with_id("acme") };
    let analysis = sample::analysis(1);
    let full_removal =
        RepositoryRemoval { poll: Some(&poll), analysis: Some(&analysis), project: Some(&project), ..removal };
    store.remove_repository(&full_removal).await.map(drop)
}

async fn register_forms(store: &Store) -> Result<(), Error> {
    let profile = sample::profile(&runner(), "kite");
    store.register_runner(&first_registration(&runner(), &profile)).await?;
    for seen in [runner(), draining_runner(), ordered_runner()] {
        let next = Runner { epoch: 2, ..seen.clone() };
        store
            .register_runner(&RegistrationWrite { previous: Some(&seen), ..first_registration(&next, &profile) })
            .await?;
    }
    Ok(())
}

async fn create_ticket_forms(store: &Store) -> Result<(), Error> {
    let (text, plain) = (TicketText::default(), ticket(0));
    let refused = sample::refused_decision("evt-1", at(0));
    store.create_ticket(&ticket_without_job(&plain, &text, &refused)).await?;
    let budget = budget(true, true);
    let (job, ticket) = sample::plan_ticket_job(&plain, "one");
    let job = Job { reserved: budget.reserve(at(0)), ..job };
    let (delivery, charge, request) =
        (sample::accepted_decision(&job), budget.charge(&job), sample::request("one", at(0)));
    let (_, spending) = sample::charge_spending(&job);
    let full_creation = TicketCreation {
        ticket: &ticket,
        text: &text,
        delivery: &delivery,
        job: Some(&job),
        charge: charge.as_ref(),
        spending: Some(&spending),
        request: Some(&request),
    };
    store.create_ticket(&full_creation).await.map(drop)
}

async fn trigger_forms(store: &Store) -> Result<(), Error> {
    store.create_job(&job_trigger(&sample::job("alone"))).await?;
    for (rev, jobs, usd) in [(0, true, false), (1, false, true), (1, true, true)] {
        let budget = budget(jobs, usd);
        let (job, ticket) = sample::plan_ticket_job(&ticket(rev), "one");
        let job = Job { reserved: budget.reserve(at(0)), ..job };
        let (pull_request, delivery, charge) = (pull_request(1), sample::accepted_decision(&job), budget.charge(&job));
        let request = sample::request("one", at(0));
        let analysis = sample::analysis(rev);
        let (_, mut spending) = sample::charge_spending(&job);
        spending.rev = rev;
        let trigger = JobCreation {
            analysis: Some(&analysis),
            job: &job,
            ticket: Some(&ticket),
            pull_request: Some(&pull_request),
            delivery: Some(&delivery),
            charge: charge.as_ref(),
            spending: Some(&spending),
            request: Some(&request),
        };
        store.create_job(&trigger).await?;
    }
    Ok(())
}

async fn trigger_review_forms(store: &Store) -> Result<(), Error> {
    let budget = budget(true, true);
    let (job, ticket) = sample::plan_ticket_job(&ticket(1), "one");
    let job = Job { reserved: budget.reserve(at(0)), ..job };
    let started = review("r1", ReviewState::Started { job: job.id.clone() });
    let (delivery, charge) = (ledger_entry("r1", Reason::Accepted { job: job.id.clone() }), budget.charge(&job));
    let linked = pull_request(1);
    let (_, spending) = sample::charge_spending(&job);
    let waited = ReviewTrigger {
        job: &job,
        ticket: &ticket,
        pull_request: &linked,
        review: &started,
        delivery: None,
        charge: charge.as_ref(),
        spending: Some(&spending),
    };
    store.create_review_job(&waited).await?;
    store.create_review_job(&ReviewTrigger { delivery: Some(&delivery), ..waited.clone() }).await?;
    Ok(())
}

#[tokio::test]
async fn conditions_file_matches_the_requests_of_each_write() {
    // These two functions are in the same files and only read.
    let writes: BTreeSet<_> = WRITES.iter().map(|(write, _)| *write).chain(["load_context", "load_request"]).collect();
    let known = super::files_of_writes();
    assert_eq!(writes, known.keys().map(String::as_str).collect(), "WRITES lists every write of the store");
    let mut page = String::from(
        "# The condition of each write of the store\n\nGenerated by `reference/conditions.rs` from the requests that each write sends to the table.\nA row names one item of a transaction and its condition; `{…}` lists the other items of the transaction.\n`:name` is a value of the write and `rev = :seen` the revision that was read; the last half of an update's condition stops a repeat after a lost answer from counting twice.\nA change that removes or weakens a condition shows here as a changed line.\n",
    );
    let demands = WriteConditions::default();
    let mut sections = BTreeMap::new();
    for (write, forms) in WRITES {
        let world = World::recording_conditions(&demands).await;
        forms(&world.store).await.unwrap_or_else(|error| panic!("{write}: {error:?}"));
        let demanded = demands.take();
        assert!(!demanded.is_empty(), "{write} has no condition");
        sections.insert(*write, demanded);
    }
    for (write, demanded) in sections {
        writeln!(page, "\n## `{write}`\n\n| it writes | if |\n|---|---|").unwrap();
        for (item, condition) in demanded {
            writeln!(page, "| {item} | `{condition}` |").unwrap();
        }
    }
    generated::compare_or_write("crates/store/tests/store/reference/conditions.txt", &page);
}
