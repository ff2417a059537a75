//! Tests the items' form: keys from hostile text, attribute types, expiry and index rows.

mod lists;
mod sizes;

use crate::breakers::open_breaker;
use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::limit::{Places, RunningLimits};
use pullyard_domain::review::analysis::Analysis;
use pullyard_store::{Gauges, ReadyCursors, Rotation, SweeperState};
use std::collections::HashSet;
use tokio::sync::OnceCell;

/// Ticket keys that would merge, or break a key or a cursor, without encoding.
fn hostile_keys() -> Vec<String> {
    let mut keys = [
        "APP-1",
        "app-1",
        "A#1",
        "A%231",
        "A%1",
        "50 %",
        "a|b|c",
        "a/b",
        "a+b",
        "ü",
        "日本#1",
        "e\u{301}",
        "é",
        "'\"",
        "TICKET",
        "#",
        "%",
        "\u{1f980}",
        "\u{202e}abc",
        "{\"a\":1}",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("\u{1f980}".repeat(64));
    keys
}

#[tokio::test]
async fn hostile_ticket_keys_stay_distinct_and_readable() {
    let world = World::new().await;
    let mut expected = HashSet::new();
    for key in hostile_keys() {
        let mut ticket = sample::ticket(&key);
        ticket.request_state(None, Some(Badge::AiFailed), None);
        world.expect_applied(world.store.update_ticket(&ticket)).await;
        let event = sample::event(&key, "evt-0", at(1), "Todo");
        world.store.store_text(&event).await.unwrap();
        expected.insert(WorkKey::Ticket(sample::project(), sample::ticket_key(&key)));
    }
    for key in hostile_keys() {
        assert_eq!(world.ticket(&key).await.key.as_str(), key);
        assert_eq!(world.text(&key).await.unwrap().title, format!("{key} evt-0"));
    }
    assert_eq!(world.items().await.len(), 2 * hostile_keys().len());
    assert_eq!(world.all_due(at(0)).await.into_iter().collect::<HashSet<_>>(), expected);
}

#[tokio::test]
async fn ticket_key_belongs_to_one_project() {
    let world = World::new().await;
    world.expect_applied(world.store.update_ticket(&sample::ticket("APP-1"))).await;
    let other = ProjectId::new("acme-2").unwrap();
    assert_eq!(world.store.load_ticket(&other, &sample::ticket_key("APP-1")).await.unwrap(), None);
    let mut ticket = sample::ticket("APP-1");
    ticket.project = other;
    world.expect_applied(world.store.update_ticket(&ticket)).await;
    assert_eq!(world.items().await.len(), 2);
}

#[tokio::test]
async fn request_callers_and_keys_never_collide() {
    let world = World::new().await;
    let longest = "\u{1f980}".repeat(128);
    let requests = [("a", "b#c"), ("a#b", "c"), ("a%23b", "c"), ("a", &longest)];
    for (number, (caller, key)) in requests.iter().enumerate() {
        let job = sample::job(&format!("job-{number}"));
        let request = Request { caller: (*caller).into(), ..sample::request(key, at(0)) };
        let trigger = JobCreation { request: Some(&request), ..job_trigger(&job) };
        world.expect_applied(world.store.create_job(&trigger)).await;
    }
    for (number, (caller, key)) in requests.iter().enumerate() {
        let request = Request { caller: (*caller).into(), ..sample::request(key, at(1)) };
        let stored: Option<(_, JobId)> = world.store.load_request(&request).await.unwrap();
        assert_eq!(stored.unwrap().1, sample::job_id(&format!("job-{number}")));
    }
}

#[tokio::test]
async fn runner_names_never_collide() {
    let world = World::new().await;
    for (number, name) in ["kite", "Kite", "kite#", "kite%23", "kite NAME", "凧"].iter().enumerate() {
        let runner = sample::runner(&format!("r{number}"), 1);
        let profile = sample::profile(&runner, name);
        world.expect_applied(world.store.register_runner(&crate::world::first_registration(&runner, &profile))).await;
    }
}

#[tokio::test]
async fn pull_requests_of_two_forges_never_collide() {
    let world = World::new().await;
    let job = sample::job("one");
    for (integration, repository, number) in [("gh1", 1, 11), ("gh1", 11, 1), ("gh2", 1, 11), ("gh1", u64::MAX, 1)] {
        let mut link = sample::pull_request(&job, number);
        link.id.integration = IntegrationId::new(integration).unwrap();
        link.id.repository = repository;
        world.expect_applied(world.store.link_if_absent(&link)).await;
        let stored = world.store.load_pull_request(&link.id).await.unwrap().unwrap();
        assert_eq!(stored.id, link.id);
    }
}

/// Every kind of item, and each attribute in at least one item. Several tests share them.
pub(crate) async fn every_item() -> &'static Items {
    static ITEMS: OnceCell<Items> = OnceCell::const_new();
    // Boxed, because a debug build needs much of a test's stack for it.
    ITEMS.get_or_init(|| Box::pin(async { create_every_item().await.items().await })).await
}

async fn create_every_item() -> World {
    let world = World::new().await;
    Box::pin(create_settings(&world)).await;
    let (runner, job) = Box::pin(create_triggered_job(&world)).await;
    Box::pin(create_attempts(&world, &runner, job)).await;
    Box::pin(create_other_items(&world, &runner)).await;
    Box::pin(create_items_without_job(&world)).await;
    world
}

/// Items without a job: webhook, poll, breaker, rotation, sweeper, first token and a removed integration.
async fn create_items_without_job(world: &World) {
    let (store, hook) = (&world.store, hook("acme"));
    world.expect_applied(store.put_hook(&hook)).await;
    world.expect_applied(store.update_hook_verified_at(&hook, at(1))).await;
    store.update_hook_refusal(&hook, 3, at(2)).await.unwrap();
    world.expect_applied(store.update_hook_repaired_at(&hook, at(3))).await;
    world.expect_applied(store.put_poll(&sample::poll(0))).await;
    world.expect_applied(store.put_schedule(&sample::schedule(0), None)).await;
    world.expect_applied(store.create_run(&sample::run(0), &sample::frozen_plan(), Some(&sample::group(0)))).await;
    world.expect_applied(store.put_template(&sample::template(0))).await;
    let job = Job { is_noted: true, ..sample::step_job() };
    let write = RunWrite { run: &sample::run(1), noted: &[], created: &[job], charge: None, group: None, notice: None };
    world.expect_applied(store.move_run(&write)).await;
    world.expect_applied(store.record_notice(&sample::notice_record(0, 0))).await;
    world.expect_applied(store.put_tracker(&sample::tracker(0))).await;
    open_breaker(world, "codex").await;
    world.expect_applied(store.put_rotation(&rotation())).await;
    world.expect_applied(store.put_secret_projects(&sample::secret_projects(0, &["acme"]))).await;
    world.expect_applied(store.put_secret_record(&sample::secret_record(0))).await;
    world.expect_applied(store.put_host_rest(&sample::host_rest(0))).await;
    world.expect_applied(store.put_ticket_look(&sample::ticket_look(0))).await;
    let gauges = Some(Gauges { at: Some(at(9)), oldest: Some(at(1)), ..Gauges::default() });
    let sweeps =
        SweeperState { at: at(9), ready_at: at(9), since: Some(at(1)), ready_cursors: ReadyCursors::new(), gauges };
    world.expect_applied(store.put_sweeper_state(&sweeps)).await;
    world.expect_applied(store.put_fleet(&sample::fleet(9))).await;
    world.expect_applied(store.put_first_token(&sample::token("def", "admin"), None)).await;
    world.expect_applied(store.note_token_use("def", at(5))).await;
    let disconnected = sample::forge("gh2");
    world.expect_applied(store.put_integration(&disconnected)).await;
    world.expect_applied(store.remove_integration(&disconnected)).await;
    world.expect_applied(store.update_ticket(&sample::ticket("APP-9"))).await;
    let (ticket, number) = world.ticket("APP-9").await.add_comment().unwrap();
    let comment = Comment { ticket: ticket.key.clone(), edited: Some(at(3)), ..sample::comment(number) };
    let creation = CommentCreation { ticket: &ticket, comment: &comment, request: None };
    world.expect_applied(store.create_comment(&creation)).await;
}

fn rotation() -> Rotation {
    Rotation { secret: "hook-acme".into(), previous: "v1".into(), until: at(9), rev: 0 }
}

async fn create_settings(world: &World) {
    world.expect_applied(world.store.put_project(&sample::project_with_id("acme"))).await;
    world.expect_applied(world.store.put_integration(&sample::forge("gh1"))).await;
    world.expect_applied(world.store.put_repository(&sample::repository(99, "acme/app"), None)).await;
    world.expect_applied(world.store.put_token(&sample::token("abc", "laptop"))).await;
    world.expect_applied(world.store.note_token_use("abc", at(5))).await;
    world.expect_applied(world.store.use_sign_in("one", at(600))).await;
    let (class, labels) = (ClassId::for_key("acme", "command", &BTreeSet::new(), KeyOwner::Runner), BTreeSet::new());
    let capability = "command".into();
    world
        .store
        .create_class(&sample::project(), &class, &ClassRequirements { capability, labels, key: KeyOwner::Runner })
        .await
        .unwrap();
}

async fn create_triggered_job(world: &World) -> (Runner, Job) {
    let runner = world.register_runner(&sample::runner("kite", 3)).await;

    let event = sample::event("APP-1", "evt-1", at(1), "AI Processing");
    world.store.update_snapshot(&event, None).await.unwrap();
    world.store.store_text(&event).await.unwrap();
    let (job, ticket) = sample::plan_ticket_job(&world.ticket("APP-1").await, "one");
    world.store.create_context(&job.id, &sample::context("Fix it.")).await.unwrap();
    let budget = Budget { jobs_per_day: Some(3), ..Budget::default() };
    let job = Job { reserved: budget.reserve(at(0)), ..job };
    let charge = budget.charge(&job);
    let (job, spending) = sample::charge_spending(&job);
    let trigger = JobCreation {
        pull_request: None,
        charge: charge.as_ref(),
        spending: Some(&spending),
        delivery: Some(&sample::accepted_decision(&job)),
        request: Some(&sample::request("key", at(0))),
        analysis: Some(&sample::analysis(0)),
        ..ticket_job_trigger(&job, &ticket)
    };
    world.expect_applied(world.store.create_job(&trigger)).await;
    let (other, empty) = (sample::job("other"), Analysis::new(&sample::repository(98, "acme/other")));
    let trigger = JobCreation { analysis: Some(&empty), ..job_trigger(&other) };
    world.expect_applied(world.store.create_job(&trigger)).await;
    let mut refused = sample::refused_decision("evt-2", at(2));
    refused.facts = Some(pullyard_domain::ticket::facts::RecordedFacts {
        decided_at: at(2),
        occurred_at: at(1),
        actor: None,
        status: "Todo".into(),
        previous_status: None,
        status_before: None,
        seen: Some((at(1), Some(sample::event_id("evt-1")))),
        active_job: None,
        trigger: None,
        auto_create: Some(false),
        held_by: None,
        repository: None,
        today: None,
        spending: None,
    });
    world.expect_applied(world.store.record_delivery(&refused)).await;

    (runner, job)
}

async fn create_attempts(world: &World, runner: &Runner, job: Job) {
    crate::artifacts::store_two_artifacts(world).await;
    let batch = EventBatch { job: &job.id, attempt: 1, first: 1, at: at(60), events: &["event"] };
    world.expect_applied(world.store.create_event_batch(&batch)).await;
    let job = world.claim_job(&world.job(&job).await, &sample::claim_by(runner, &job, "c1")).await;
    let job = world.advance_job(&job, JobStatus::Executing).await;
    world.requeue_job(&job).await;
    world.expect_applied(world.store.update_late_result(&job.id, 1, &sample::result(7))).await;
    let job = world.claim_job(&world.job(&job).await, &sample::claim_by(runner, &world.job(&job).await, "c2")).await;
    let job = world.advance_job(&job, JobStatus::Syncing).await;
    let ending = EndingJob { output: Some(sample::answer()), ..world.prepare_completion(&job).await };
    world.expect_applied(world.store.write_job(&ending.request())).await;
}

async fn create_other_items(world: &World, runner: &Runner) {
    let job = world.running_job("APP-2", JobStatus::Executing).await;
    let ending = world.prepare_end(&job, crate::world::failed_end(), at(300)).await;
    world.expect_applied(world.store.write_job(&ending.request())).await;
    world.running_job_on(runner, "APP-3", JobStatus::Syncing).await;
    let answered = crate::suspensions::answered_job(world, "APP-4").await;
    let claimed = world.claim_job(&answered, &sample::claim_by_task(&answered, "c2")).await;
    let working = world.advance_job(&claimed, JobStatus::Executing).await;
    let after = working.acknowledge_inputs(&crate::world::fence(&working), 1).unwrap();
    world.expect_applied(world.store.update_job(&after)).await;
    let (waits, held) = (crate::reviews::waiting_review("r1"), crate::reviews::held_entry("r1"));
    world.expect_applied(crate::reviews::remember(&world.store, &waits, &held)).await;
    let second = Review { had: Some(job.id.clone()), ..crate::reviews::waiting_review("r2") };
    world.expect_applied(world.store.assign_review(&second, None)).await;
    let limits = RunningLimits { project: Some(1), ..RunningLimits::default() };
    let mut places = Places::new(job.project.clone());
    let waiting = [1, 2].map(|number| sample::job(&format!("limited-{number}")).await_place(&limits));
    places.end_count(limits.clone(), at(1));
    let placed = places.fill(&limits, waiting.to_vec(), at(1));
    world.expect_applied(world.store.put_places(&places, &placed)).await;
    let waiting = waiting.iter().find(|job| job.id != placed[0].id).unwrap();
    world.expect_applied(world.store.update_job(waiting)).await;
}

pub(crate) fn kind(pk: &str, sk: &str) -> String {
    let first = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    match first(pk).as_str() {
        "EVENTS" => "EVENTS".into(),
        "RUNNERS" => "RUNNERS".into(),
        "BUDGET" => "BUDGET".into(),
        "ANALYSIS" => "ANALYSIS".into(),
        "TRACKERS" => "TRACKERS".into(),
        "SECRETS" => "SECRETS".into(),
        _ => first(sk),
    }
}

fn attributes(item: &Item, see: &mut impl FnMut(&str, &AttributeValue)) {
    fn walk(path: &str, value: &AttributeValue, see: &mut impl FnMut(&str, &AttributeValue)) {
        see(path, value);
        match value {
            AttributeValue::M(map) => map.iter().for_each(|(name, value)| walk(&format!("{path}.{name}"), value, see)),
            AttributeValue::L(list) => list.iter().for_each(|value| walk(path, value, see)),
            _ => {}
        }
    }
    item.iter().for_each(|(name, value)| walk(name, value, see));
}

fn kinds(items: &Items, has: impl Fn(&Item) -> bool) -> BTreeSet<String> {
    let having = items.iter().filter(|(_, item)| has(item));
    having.map(|((pk, sk), _)| kind(pk, sk)).collect()
}

#[tokio::test]
async fn no_attribute_is_null() {
    for ((pk, sk), item) in every_item().await {
        // The absence of these limits means their default.
        let is_null = |path: &str| path.starts_with("settings.limits.ticket_");
        attributes(item, &mut |path, value| assert!(!value.is_null() || is_null(path), "{pk} / {sk}: {path}"));
    }
}

#[tokio::test]
async fn every_time_is_a_number() {
    let times = "at set_at created ready_since started due push_until ended_at seen_at last_heartbeat last_used \
        verified_at refused_at repaired_at opened expires expires_at ws decided_at occurred_at";
    let times: BTreeSet<String> = times.split(' ').map(str::to_owned).collect();
    let mut met = BTreeSet::new();
    for ((pk, sk), item) in every_item().await {
        attributes(item, &mut |path, value| {
            let name = path.rsplit('.').next().unwrap_or(path);
            if times.contains(name) {
                assert!(value.is_n(), "{pk} / {sk}: {path} is {value:?}");
                met.insert(name.to_owned());
            } else if let (AttributeValue::S(text), false) = (value, path == "sk") {
                assert!(!text.starts_with("2026-11-"), "{pk} / {sk}: {path} is {text}");
            }
        });
    }
    assert_eq!(met, times, "every listed time occurs in some item");
}

#[tokio::test]
async fn only_temporary_items_expire() {
    let items = every_item().await;
    let ends = kinds(items, |item| item.contains_key("expires"));
    let temporary = "ARTIFACTS ATTEMPT BREAKER BUDGET DELIVERY EVENTS FLEET GROUP HOST IDEMPOTENCY LOOK NOTICE OUTPUT ROTATION SIGNIN";
    assert_eq!(ends, temporary.split(' ').map(str::to_owned).collect());
    for ((pk, sk), item) in items {
        let Some(end) = number_attribute(item, "expires") else { continue };
        let begin = at(0).millis() / 1_000;
        let days = match kind(pk, sk).as_str() {
            // Other tests verify these.
            "SIGNIN" | "BUDGET" | "BREAKER" | "ROTATION" | "HOST" | "LOOK" => continue,
            "FLEET" | "IDEMPOTENCY" => 1,
            "DELIVERY" | "GROUP" | "NOTICE" => 30,
            _ => 90,
        };
        let slack = 3_600;
        assert!((days * 86_400..days * 86_400 + slack).contains(&(end - begin)), "{pk} / {sk}: {end}");
    }
}

#[tokio::test]
async fn rotation_and_breaker_expire_with_their_end() {
    let world = World::new().await;
    world.expect_applied(world.store.put_rotation(&rotation())).await;
    let open = open_breaker(&world, "codex").await;
    let end = async |pk: &str| number_attribute(&world.item(pk, "").await, "expires");
    assert_eq!(end("ROTATION#").await, Some(rotation().until.millis() / 1_000));
    assert_eq!(end("BREAKER#").await, Some(open.expires_at().millis() / 1_000));
}

#[tokio::test]
async fn coordinating_items_have_a_rev() {
    let items = every_item().await;
    let revised = kinds(items, |item| item.contains_key("rev"));
    let expected = "ANALYSIS ARTIFACTS BREAKER COMMENT ENDPOINT GROUP HOOK HOST JOB LIMIT LOOK NOTICE POLL PR PROJECTS ROTATION RUN SCHEDULE SECRETS SETTINGS SPENT TEMPLATE TICKET TRACKERS";
    assert_eq!(revised, expected.split(' ').map(str::to_owned).collect());
    let first = kinds(items, |item| number_attribute(item, "rev").is_some_and(|rev| rev < 1));
    assert!(first.is_empty(), "a stored revision is at least 1: {first:?}");
}

#[tokio::test]
async fn index_rows_exist_only_for_indexed_kinds() {
    let items = every_item().await;
    let work = kinds(items, |item| item.contains_key("wk"));
    assert_eq!(work, ["JOB", "NOTICE", "POLL", "RUN", "SCHEDULE", "TICKET"].map(str::to_owned).into());
    let lists = kinds(items, |item| item.contains_key("lk"));
    assert_eq!(
        lists,
        ["BREAKER", "DELIVERY", "HOOK", "INTEGRATION", "JOB", "NOTICE", "PR", "RUN", "SETTINGS", "TICKET", "TOKEN"]
            .map(str::to_owned)
            .into()
    );
    for ((pk, sk), item) in items {
        assert_eq!(item.contains_key("wk"), item.contains_key("ws"), "{pk} / {sk}");
        assert_eq!(item.contains_key("lk"), item.contains_key("ls"), "{pk} / {sk}");
    }
}
