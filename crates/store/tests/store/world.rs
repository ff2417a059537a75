//! A table of its own for each test, with its store and all its items. Only tests scan a table.

use crate::prelude::*;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::HttpClient;
use pullyard_domain::agent::runner::Profile;
use pullyard_domain::job::{AttemptRecord, Claim, End, Fence, Suspension};
use pullyard_domain::project::budget::Refund;
use pullyard_domain::project::spending::Spending;
use pullyard_domain::review::outcome::{pull_request_link, ticket_after_job};
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::run::notice::Notice;
use pullyard_emulator::{ACCESS_KEY_ID, Access, Aws, Options, REGION, SECRET_ACCESS_KEY, ecs};
use pullyard_store::{Error, StoredText, TextEdit};
use pullyard_testkit::{Lag, Schedule, Wire, WriteConditions};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) type Item = HashMap<String, AttributeValue>;
pub(crate) type Items = BTreeMap<(String, String), Item>;

/// The URL of another DynamoDB instead of the embedded one, as set by `.ci/second-opinion`.
const DYNAMODB_URL_VARIABLE: &str = "PULLYARD_TEST_DYNAMODB";

pub(crate) struct World {
    pub(crate) store: Store,
    /// Random, because tests may share a DynamoDB.
    pub(crate) table: String,
    pub(crate) faults: Wire,
    pub(crate) client: Client,
    endpoint: String,
    schedule: Option<Arc<Schedule>>,
    /// The source of stale reads, if reads lag.
    lag: Option<Lag>,
    _aws: Option<Aws>,
}

/// A seed for scheduled faults and lagging reads in every world except calm ones. Without it there are none.
const SEED_VARIABLE: &str = "PULLYARD_STORE_SEED";

/// Derives a seed from the variable, the running test and the number of its worlds. `None` without the variable.
pub(crate) fn seed() -> Option<u64> {
    let seed = std::env::var(SEED_VARIABLE).ok()?;
    let number = seed.parse().expect("the seed is a number");
    let current = std::thread::current();
    let test = current.name().expect("the test's thread has a name");
    // A failed test prints this line.
    println!("once more: {SEED_VARIABLE}={seed} cargo test -p pullyard-store --test store -- --exact {test}");
    Some(derive_seed(number, test))
}

impl World {
    /// A world whose faults and lag follow from the seed, if one is set.
    pub(crate) async fn new() -> Self {
        match seed() {
            Some(seed) => Self::with_seed_data(seed).await,
            None => Self::calm().await,
        }
    }

    /// A world with the faults and the lag of this seed.
    pub(crate) async fn with_seed_data(seed: u64) -> Self {
        Self::with_faults_and_lag(Some(Arc::new(Schedule::new(seed))), Some(Lag::new(seed))).await
    }

    /// A world with planned faults only and without lag, for tests that count calls or plan faults.
    pub(crate) async fn calm() -> Self {
        Self::with_faults_and_lag(None, None).await
    }

    /// A world without faults, whose index reads and eventually consistent reads are stale.
    pub(crate) async fn lagging(lag: &Lag) -> Self {
        Self::with_faults_and_lag(None, Some(lag.clone())).await
    }

    pub(crate) async fn recording_conditions(demands: &WriteConditions) -> Self {
        let mut world = Self::calm().await;
        let config = config(demands.wrap(Wire::default()), &world.table);
        world.store = Store::new(&config, Some(&world.endpoint), &world.table);
        world
    }

    async fn with_faults_and_lag(schedule: Option<Arc<Schedule>>, lag: Option<Lag>) -> Self {
        let another = std::env::var(DYNAMODB_URL_VARIABLE).ok();
        let aws = match another {
            Some(_) => None,
            None => {
                let tasks = ecs::Options::new(env!("CARGO_TARGET_TMPDIR").into(), vec![]);
                Some(Aws::start(Options { data: None, tasks, access: Access::Open }).await.unwrap())
            }
        };
        let endpoint = aws.as_ref().map(|aws| aws.endpoints().dynamodb.clone()).or(another).unwrap();
        // The lag is below the faults: its own calls meet none, and it registers writes with lost answers. Writes of a
        // test without the store pass it too.
        let over_lag = |wire: Wire| match &lag {
            Some(lag) => wire.with_client(lag.client()),
            None => wire,
        };
        let faults = over_lag(schedule.clone().map_or_else(Wire::default, Wire::with_schedule));
        let table = format!("pullyard-{:016x}", rand::random::<u64>());
        let store = Store::new(&config(faults.clone(), &table), Some(&endpoint), &table);
        store.create_table().await.unwrap();
        let raw = config(over_lag(Wire::default()), &table);
        let raw = aws_sdk_dynamodb::config::Builder::from(&raw).endpoint_url(&endpoint).build();
        Self { store, table, faults, client: Client::from_conf(raw), endpoint, schedule, lag, _aws: aws }
    }

    /// A store that has read nothing yet, over the same table.
    pub(crate) fn reopen(&mut self) {
        self.store = Store::new(&config(self.faults.clone(), &self.table), Some(&self.endpoint), &self.table);
    }

    pub(crate) async fn catch_up(&self) {
        if let Some(lag) = &self.lag {
            lag.catch_up().await.unwrap();
        }
    }

    /// The result of a read after the lag has ended. The read also runs before that: its stale result must not fail.
    pub(crate) async fn after_catching_up<T>(&self, read: impl AsyncFn() -> T) -> T {
        if self.lag.is_some() {
            read().await;
            self.catch_up().await;
        }
        read().await
    }

    /// Whether only planned faults occur.
    pub(crate) fn is_calm(&self) -> bool {
        self.schedule.is_none()
    }

    /// Asserts how often a counter was raised by an update expression. After a lost answer that another writer's mark
    /// replaced, a retry may raise it once more, which is harmless.
    pub(crate) fn check_counter(&self, by: u64, times: u64) {
        match self.is_calm() {
            true => assert_eq!(by, times),
            false => assert!(by >= times, "{by} of {times}"),
        }
    }

    pub(crate) async fn items(&self) -> Items {
        let mut items = Items::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await
                .unwrap();
            from = page.last_evaluated_key;
            for item in page.items.unwrap_or_default() {
                items.insert((text_attribute(&item, "pk"), text_attribute(&item, "sk")), item);
            }
            if from.is_none() {
                return items;
            }
        }
    }

    /// Checks that all items are consistent: tickets and runners with jobs, `work` rows with the domain's due times,
    /// attempts with jobs, and budgets with reservations. Returns the number of jobs.
    pub(crate) async fn check_consistency(&self) -> usize {
        let items = self.items().await;
        crate::model::check_items(&items);
        let of = |sk: &'static str| items.iter().filter(move |((_, found), _)| found == sk).map(|(_, item)| item);
        let jobs: Vec<Job> = of("JOB").map(decode_item).collect();
        let mut days = BTreeMap::<String, [i128; 3]>::new();
        for (job, reserved) in jobs.iter().filter_map(|job| Some((job, job.reserved?))) {
            let returned = job.refund();
            let spent = returned.as_ref().map_or(0, |returned| i128::from(returned.spent_usd_micros));
            let taken = returned.as_ref().map_or(i128::from(reserved.usd_micros), |_| spent);
            let count = 1 - returned.map_or(0, |returned| i128::from(returned.jobs));
            let sums = days.entry(reserved.day.to_string()).or_default();
            *sums = [sums[0] + count, sums[1] + taken, sums[2] + spent];
        }
        for (day, sums) in days {
            let item = self.item("BUDGET#acme", &day).await;
            let stored = ["jobs", "taken_usd_micros", "spent_usd_micros"]
                .map(|name| number_attribute(&item, name).map(i128::from));
            assert_eq!(stored, sums.map(Some), "{day}");
        }
        self.check_spending(&jobs).await;
        jobs.len()
    }

    /// Checks that each spending has the reservations of its open jobs and the costs of its ended ones.
    async fn check_spending(&self, jobs: &[Job]) {
        for item in self.items().await.iter().filter(|((_, sk), _)| sk == "SPENT").map(|(_, item)| item) {
            let stored: Spending = decode_item(item);
            let charged = jobs.iter().filter_map(|job| Some((job, job.charged.as_ref()?)));
            let sums = charged.filter(|(_, charge)| charge.of == stored.of).fold([0, 0, 0], |sums, (job, charge)| {
                let (reserved, spent) = (charge.usd_micros.unwrap_or(0), job.spent_usd_micros + charge.lost_usd_micros);
                match job.ended_charge() {
                    None => [sums[0] + 1, sums[1] + reserved, sums[2]],
                    Some(_) => [sums[0] + u64::from(job.worked), sums[1] + spent, sums[2] + spent],
                }
            });
            let found = [stored.jobs.into(), stored.taken_usd_micros, stored.spent_usd_micros];
            assert_eq!(found, sums, "{:?}", stored.of);
        }
    }

    pub(crate) async fn item(&self, pk: &str, sk: &str) -> Item {
        let items = self.items().await;
        let mut found = items.into_iter().filter(|((p, s), _)| p.starts_with(pk) && s.starts_with(sk));
        let (_, item) = found.next().unwrap_or_else(|| panic!("no item {pk} / {sk}"));
        assert!(found.next().is_none(), "several items {pk} / {sk}");
        item
    }

    /// Writes an item without any condition.
    pub(crate) async fn put_item(&self, item: Item) {
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
    }

    /// Writes one attribute of the item with these key prefixes, without any condition.
    pub(crate) async fn set_attribute(&self, (pk, sk): (&str, &str), attribute: &str, value: AttributeValue) {
        let mut item = self.item(pk, sk).await;
        item.insert(attribute.into(), value);
        self.put_item(item).await;
    }

    pub(crate) async fn delete_item(&self, pk: &str, sk: &str) {
        let item = self.item(pk, sk).await;
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("pk", item["pk"].clone())
            .key("sk", item["sk"].clone())
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn due_items(&self, shard: u8, now: Timestamp, limit: i32) -> Vec<WorkKey> {
        let rows = self.after_catching_up(async || self.store.list_due(shard, limit).await.unwrap()).await;
        rows.into_iter().filter(|(_, at)| *at <= now).map(|(key, _)| key).collect()
    }

    pub(crate) async fn expect_applied(&self, write: impl Future<Output = Result<Write, Error>>) {
        assert_eq!(write.await.unwrap(), Write::Applied);
    }

    pub(crate) async fn expect_refused(&self, write: impl Future<Output = Result<Write, Error>>) {
        let before = self.items().await;
        assert_eq!(write.await.unwrap(), Write::Stale);
        assert_eq!(self.items().await, before, "a refused write changed the table");
    }

    pub(crate) async fn job(&self, job: &Job) -> Job {
        self.store.load_job(&job.id).await.unwrap().expect("the job is stored")
    }

    pub(crate) async fn ticket(&self, key: &str) -> Ticket {
        let ticket = self.store.load_ticket(&sample::project(), &sample::ticket_key(key)).await;
        ticket.unwrap().expect("the ticket is stored")
    }

    pub(crate) async fn text(&self, key: &str) -> Option<TicketText> {
        let stored = self.store.load_ticket_text(&sample::project(), &sample::ticket_key(key)).await;
        stored.unwrap().map(|stored| stored.text)
    }

    pub(crate) async fn runner(&self, runner: &Runner) -> Runner {
        self.store.load_runner(&runner.id).await.unwrap().expect("the runner is stored")
    }

    pub(crate) async fn create_ticket_job(&self, ticket: &str) -> Job {
        let (job, ticket) = sample::plan_ticket_job(&sample::ticket(ticket), ticket);
        self.expect_applied(self.store.create_job(&ticket_job_trigger(&job, &ticket))).await;
        self.job(&job).await
    }

    pub(crate) async fn create_job(&self, name: &str) -> Job {
        let job = sample::job(name);
        self.expect_applied(self.store.create_job(&job_trigger(&job))).await;
        self.job(&job).await
    }

    pub(crate) async fn register_runner(&self, runner: &Runner) -> Runner {
        let profile = sample::profile(runner, &runner.name);
        self.expect_applied(self.store.register_runner(&first_registration(runner, &profile))).await;
        self.runner(runner).await
    }

    pub(crate) async fn claim_job(&self, job: &Job, claim: &Claim) -> Job {
        let claimed = job.claim(claim, sample::at(60)).unwrap();
        self.expect_applied(self.store.claim_job(&claimed)).await;
        self.job(job).await
    }

    pub(crate) async fn advance_job(&self, job: &Job, to: JobStatus) -> Job {
        let mut job = job.clone();
        for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
            if job.status < to {
                let next = job.advance(&fence(&job), phase, sample::at(120)).unwrap();
                self.expect_applied(self.store.update_job(&next)).await;
                job = self.job(&job).await;
            }
        }
        assert_eq!(job.status, to);
        job
    }

    pub(crate) async fn running_job(&self, ticket: &str, phase: JobStatus) -> Job {
        let job = self.create_ticket_job(ticket).await;
        let claim = sample::claim_by_task(&job, "c1");
        let job = self.claim_job(&job, &claim).await;
        self.advance_job(&job, phase).await
    }

    pub(crate) async fn running_job_on(&self, runner: &Runner, ticket: &str, phase: JobStatus) -> Job {
        let job = self.create_ticket_job(ticket).await;
        let claim = sample::claim_by(runner, &job, &format!("claim-{ticket}"));
        let job = self.claim_job(&job, &claim).await;
        self.advance_job(&job, phase).await
    }

    pub(crate) async fn prepare_end(&self, before: &Job, end: End, now: Timestamp) -> EndingJob {
        let job = match (before.status.is_active(), end) {
            (true, end) => before.finish(&fence(before), &sample::finish("f1"), end, now),
            (false, End::Failed(failure, _)) => before.fail(failure, now),
            (false, end) => panic!("an unclaimed job cannot end like this: {end:?}"),
        };
        self.prepare_end_of(before, job.unwrap(), now).await
    }

    pub(crate) async fn prepare_end_of(&self, before: &Job, job: Job, now: Timestamp) -> EndingJob {
        let ticket = match &job.ticket {
            Some(key) => self.store.load_ticket(&job.project, key).await.unwrap(),
            None => None,
        };
        let mut pull_request = None;
        if let (Some(link), Some(result)) = (pull_request_link(&job), &job.result) {
            let stored = self.store.load_pull_request(&link.id).await.unwrap();
            let (project, ticket) = (job.project.clone(), job.ticket.clone());
            pull_request = Some(PullRequest {
                url: link.url,
                branch: link.branch,
                head: result.head.clone(),
                rev: stored.map_or(0, |stored| stored.rev),
                ..PullRequest::new(link.id, project, ticket, Some(job.id.clone()))
            });
        }
        EndingJob {
            before: before.clone(),
            attempt: sample::ended_attempt(before, job.attempt_end(), now),
            output: None,
            ticket: ticket.map(|ticket| ticket_after_job(&job, &ticket)),
            returned_budget: job.refund(),
            spending: self.settled_spending(&job).await,
            notice: Notice::of_job(before, &job, &[sample::endpoint()], "https://p.example".into(), now),
            job,
            pull_request,
        }
    }

    async fn settled_spending(&self, ended: &Job) -> Option<Spending> {
        let charge = ended.ended_charge()?;
        let stored = self.store.load_spending(&ended.project, &charge.of).await.unwrap();
        Some(stored?.settle(ended, charge))
    }

    /// A finish with a pushed result, within the push window.
    pub(crate) async fn prepare_completion(&self, before: &Job) -> EndingJob {
        self.prepare_end(before, End::Completed(Some(sample::result(7))), sample::at(180)).await
    }

    pub(crate) async fn questioning_job(&self, ticket: &str) -> Job {
        let job = self.running_job(ticket, JobStatus::Executing).await;
        let rest = Suspension::Question { question: "Which list?".into() };
        self.expect_applied(crate::suspensions::yield_job(self, &job, rest, 0)).await;
        self.job(&job).await
    }

    pub(crate) async fn requeue_job(&self, before: &Job) -> Job {
        let (job, attempt) = prepare_requeue(before);
        let write = requeue_write(before, &job, &attempt, RunnerCondition::Exists);
        self.expect_applied(self.store.write_job(&write)).await;
        self.job(before).await
    }
}

pub(crate) struct EndingJob {
    pub(crate) before: Job,
    pub(crate) job: Job,
    pub(crate) attempt: Option<AttemptRecord>,
    pub(crate) output: Option<JobOutput>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) pull_request: Option<PullRequest>,
    pub(crate) returned_budget: Option<Refund>,
    pub(crate) spending: Option<Spending>,
    pub(crate) notice: Option<Notice>,
}

impl EndingJob {
    pub(crate) fn request(&self) -> JobWrite<'_> {
        JobWrite {
            analysis: None,
            before: &self.before,
            job: &self.job,
            attempt: self.attempt.as_ref(),
            output: self.output.as_ref(),
            ticket: self.ticket.as_ref(),
            pull_request: self.pull_request.as_ref(),
            refund: self.returned_budget.as_ref(),
            spending: self.spending.as_ref(),
            input: None,
            notice: self.notice.as_ref(),
            runner: RunnerCondition::Exists,
        }
    }
}

pub(crate) fn prepare_requeue(before: &Job) -> (Job, AttemptRecord) {
    let now = sample::at(1_000);
    let end = AttemptEnd::Requeued { failure: sample::failure() };
    let attempt = sample::ended_attempt(before, end, now).expect("the job has an attempt");
    (before.requeue(now).unwrap(), attempt)
}

pub(crate) fn requeue_write<'a>(
    before: &'a Job,
    job: &'a Job,
    attempt: &'a AttemptRecord,
    runner: RunnerCondition,
) -> JobWrite<'a> {
    let attempt = Some(attempt);
    JobWrite {
        before,
        job,
        attempt,
        output: None,
        ticket: None,
        pull_request: None,
        analysis: None,
        refund: None,
        spending: None,
        input: None,
        notice: None,
        runner,
    }
}

pub(crate) fn fence(job: &Job) -> Fence {
    let run = job.run.as_ref().expect("the job has a run");
    Fence { job: job.id.clone(), attempt: job.attempt, claim: run.claim.clone() }
}

pub(crate) fn failed_end() -> End {
    End::Failed(sample::failure(), None)
}

pub(crate) fn job_trigger(job: &Job) -> JobCreation<'_> {
    JobCreation {
        job,
        ticket: None,
        delivery: None,
        pull_request: None,
        analysis: None,
        charge: None,
        spending: None,
        request: None,
    }
}

pub(crate) fn ticket_job_trigger<'a>(job: &'a Job, ticket: &'a Ticket) -> JobCreation<'a> {
    JobCreation { ticket: Some(ticket), ..job_trigger(job) }
}

pub(crate) fn ticket_without_job<'a>(
    ticket: &'a Ticket,
    text: &'a TicketText,
    delivery: &'a Delivery,
) -> TicketCreation<'a> {
    TicketCreation { ticket, text, delivery, job: None, charge: None, spending: None, request: None }
}

pub(crate) async fn replace_text_by(
    store: &Store,
    event: &str,
    text: &TicketText,
    seen: Option<&StoredText>,
) -> Result<Write, Error> {
    let (project, ticket) = (sample::project(), sample::ticket_key("APP-1"));
    let delivery = sample::refused_decision(event, sample::at(0));
    let edited =
        TextEdit { project: &project, ticket: &ticket, text, previous: seen, delivery: &delivery, request: None };
    store.replace_text(&edited).await
}

pub(crate) fn first_registration<'a>(runner: &'a Runner, profile: &'a Profile) -> RegistrationWrite<'a> {
    RegistrationWrite { runner, profile, previous: None }
}

pub(crate) fn decode_item<T: DeserializeOwned>(item: &Item) -> T {
    serde_dynamo::from_item(item.clone()).unwrap()
}

pub(crate) fn text_attribute(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

pub(crate) fn number_attribute(item: &Item, name: &str) -> Option<i64> {
    Some(item.get(name)?.as_n().ok()?.parse().unwrap())
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(schedule) = self.schedule.as_ref().filter(|_| std::thread::panicking()) {
            println!("its calls met: {:#?}", schedule.injected_faults());
        }
    }
}

fn derive_seed(seed: u64, test: &str) -> u64 {
    static WORLDS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    let worlds = worlds.entry(test.to_owned()).or_default();
    *worlds += 1;
    // FNV-1a, which is the same on every machine.
    let parts = [&seed.to_le_bytes()[..], test.as_bytes(), &worlds.to_le_bytes()[..]].concat();
    parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn config(client: impl HttpClient + 'static, world: &str) -> SdkConfig {
    // Retries of the SDK happen without delay.
    let retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let credentials = Credentials::from_keys(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None);
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        // The SDK limits retries per region across all clients of a process. A region per world isolates the tests.
        .region(Region::new(format!("{REGION}-{world}")))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(retry)
        .http_client(client)
        .build()
}
