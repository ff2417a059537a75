//! The test world of reviews: a linked pull request, a reviewer, a scripted agent, and queries of the forge's state.

use crate::prelude::*;
use crate::story::Tasks;
use pullyard_local::{LineComment, User};
use pullyard_protocol::delivery::Delivery;
use pullyard_protocol::pull_request::{LinkPullRequest, PullRequest, PullRequestQuery, RevisePullRequest};

pub(super) const ANN: &str = "ann";
pub(super) const KEY: &str = "APP-1";
const ANNS_TOKEN: &str = "ghp_ann";
const BRANCH: &str = "feature";
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// A story with an open pull request linked to a ticket, a webhook, and Ann, who may review.
pub(super) struct ReviewWorld {
    pub(super) story: Story,
    pub(super) number: u64,
    dir: TempDir,
}

pub(super) struct ReviewSetup {
    pub(super) install_hook: bool,
    pub(super) settings: fn(&mut Settings),
    pub(super) task: fn() -> Task,
}

impl Default for ReviewSetup {
    fn default() -> Self {
        Self { install_hook: true, settings: |_| {}, task: || Task::Runner }
    }
}

impl ReviewWorld {
    pub(super) async fn with_linked_pull_request() -> Self {
        Self::start(ReviewSetup::default()).await
    }

    pub(super) async fn with_blocked_agents() -> Self {
        let desk = Self::with_linked_pull_request().await;
        desk.block_agents();
        desk
    }

    pub(super) async fn start(begin: ReviewSetup) -> Self {
        let mut desk = Self::without_pull_request(&begin).await;
        desk.story.send_ticket_event("told", KEY, TODO, 0).await;
        desk.number = desk.open_pull_request(BRANCH).await;
        desk.link(desk.number, KEY).await;
        desk.install_default_hook(&begin).await;
        desk
    }

    pub(super) async fn with_job_pull_request() -> Self {
        let mut desk = Self::without_pull_request(&ReviewSetup::default()).await;
        let job = desk.story.create_job("e1", KEY, 0).await;
        let job = desk.story.wait_for_end(&job).await;
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        desk.story.wait_for_settled_ticket(KEY).await;
        desk.number = job.result.unwrap().number;
        desk.install_default_hook(&ReviewSetup::default()).await;
        desk
    }

    async fn without_pull_request(begin: &ReviewSetup) -> Self {
        let mut settings = Settings { revise_on_review: true, ..Setup::default().settings };
        (begin.settings)(&mut settings);
        let story = Story::start_with(Setup { task: (begin.task)(), settings, ..Setup::default() }).await;
        let forge = story.local.forge();
        let ann = User { login: ANN.into(), id: 9_007_199_254_740_997, token: ANNS_TOKEN.into() };
        forge.add_user(ann, AccountKind::User).await.unwrap();
        forge.set_role(REPOSITORY, ANN, Role::Write).await.unwrap();
        let dir = TempDir::new().unwrap();
        // The agent writes its prompt to a file, blocks while `wait` exists, and fails if `fail` exists.
        let at = dir.path().display();
        let script = format!(
            "cat > {at}/draft-$PULLYARD_JOB; mv {at}/draft-$PULLYARD_JOB {at}/told-$PULLYARD_JOB
             while [ -e {at}/wait ]; do sleep 0.05; done
             [ ! -e {at}/fail ] || exit 3
             echo \"$PULLYARD_JOB\" >> work.txt"
        );
        story.set_agent_command(&["sh", "-c", &script]).await;
        Self { story, number: 0, dir }
    }

    async fn install_default_hook(&self, begin: &ReviewSetup) {
        if begin.install_hook {
            self.install_hook("acme").await;
        }
    }

    pub(super) async fn install_hook(&self, name: &str) {
        let hook = InstallHook {
            name: HookName::new(name).unwrap(),
            integration: IntegrationId::new("gh1").unwrap(),
            project: self.story.project.clone(),
            repository: Some(repository()),
            organisation: None,
            app: false,
            base_url: self.story.local.api_url().into(),
            by_hand: false,
            template: None,
        };
        self.story.api.install_hook(&hook).await.unwrap();
        self.story.local.forge().wait_for_deliveries().await;
    }

    pub(super) async fn open_pull_request(&self, branch: &str) -> u64 {
        self.commit(branch, "change.txt", "one\ntwo\nthree\n").await;
        let body = json!({ "title": branch, "head": branch, "base": "main", "body": "" });
        self.story.call_forge(Method::POST, "/pulls", body).await["number"].as_u64().unwrap()
    }

    pub(super) async fn link(&self, number: u64, key: &str) {
        self.story.api.link_pull_request(&self.link_request(number, key)).await.unwrap();
    }

    pub(super) fn link_request(&self, number: u64, key: &str) -> LinkPullRequest {
        let (project, ticket) = (self.story.project.clone(), TicketKey::new(key).unwrap());
        LinkPullRequest { project, repository: repository(), number, integration: None, ticket }
    }

    pub(super) fn pull_request_query(&self) -> PullRequestQuery {
        let project = self.story.project.clone();
        PullRequestQuery { project, repository: repository(), number: self.number, integration: None }
    }

    pub(super) fn revise_request(&self, message: &str) -> RevisePullRequest {
        RevisePullRequest {
            project: self.story.project.clone(),
            repository: repository(),
            number: self.number,
            integration: None,
            message: Some(message.into()),
        }
    }

    pub(super) async fn commit(&self, branch: &str, file: &str, text: &str) -> String {
        self.story.local.forge().commit(REPOSITORY, branch, ANN, &[(file, text, false)]).await.unwrap()
    }

    /// Requests changes as Ann and waits for the webhooks. Returns the review's id at the forge.
    pub(super) async fn request_changes(&self, summary: &str, remarks: &[(&str, u64, &str)]) -> u64 {
        self.request_changes_as(ANN, summary, remarks).await
    }

    pub(super) async fn request_changes_as(&self, login: &str, summary: &str, remarks: &[(&str, u64, &str)]) -> u64 {
        let remarks: Vec<_> =
            remarks.iter().map(|(path, line, text)| LineComment { path, line: *line, body: text }).collect();
        let forge = self.story.local.forge();
        let review = forge.request_changes(REPOSITORY, self.number, login, summary, &remarks).await.unwrap();
        forge.wait_for_deliveries().await;
        review
    }

    pub(super) async fn call_forge(&self, method: Method, path: &str, body: Value) -> Value {
        let response = self.story.call_forge(method, &format!("/pulls/{}{path}", self.number), body).await;
        self.story.local.forge().wait_for_deliveries().await;
        response
    }

    pub(super) async fn set_state(&self, state: &str) {
        self.call_forge(Method::PATCH, "", json!({ "state": state })).await;
    }

    pub(super) async fn revision(&self) -> Job {
        self.story.wait_for_revision(1).await
    }

    /// Waits until the ticket has no active job and its tool is updated; deferred reviews may remain.
    pub(super) async fn wait_for_synced_ticket(&self) -> Ticket {
        let store = self.story.store().await;
        wait_until("the ticket is shown", async || {
            let ticket = store.load_ticket(&self.story.project, &TicketKey::new(KEY).unwrap()).await.unwrap().unwrap();
            if ticket.active_job.is_none() && !ticket.is_unsynced() { Ok(()) } else { Err(format!("{ticket:?}")) }
        })
        .await;
        self.story.ticket(KEY).await
    }

    pub(super) async fn wait_for_completion(&self, job: &JobId) -> Job {
        let job = self.story.wait_for_end(job).await;
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        self.wait_for_synced_ticket().await;
        job
    }

    pub(super) fn block_agents(&self) {
        std::fs::write(self.block_file(), "").unwrap();
    }

    pub(super) fn fail_agents(&self) {
        std::fs::write(self.dir.path().join("fail"), "").unwrap();
    }

    pub(super) fn unblock_agents(&self) {
        for name in ["fail", "wait"] {
            let _ = std::fs::remove_file(self.dir.path().join(name));
        }
    }

    pub(super) fn block_file(&self) -> PathBuf {
        self.dir.path().join("wait")
    }

    fn prompt_file(&self, job: &JobId) -> PathBuf {
        self.dir.path().join(format!("told-{job}"))
    }

    pub(super) async fn prompt(&self, job: &JobId) -> String {
        wait_until("the agent is told", async || {
            std::fs::read_to_string(self.prompt_file(job)).map_err(|error| error.to_string())
        })
        .await
    }

    pub(super) async fn why(&self) -> PullRequest {
        self.story.api.explain_pull_request(&self.pull_request_query()).await.unwrap()
    }

    pub(super) async fn wait_for_why(&self, text: &str) {
        wait_until("the sentence is there", async || {
            let sentence = self.why().await.sentence;
            if sentence.contains(text) { Ok(()) } else { Err(sentence) }
        })
        .await
    }

    pub(super) async fn wait_for_status(&self, state: &str, text: &str) {
        wait_until("the status is there", async || {
            let seen = self.story.local.forge().pull_snapshot(REPOSITORY, self.number).await.unwrap().unwrap();
            let ours = seen.statuses.iter().find(|(name, ..)| name == "pullyard");
            match ours {
                Some((_, is, description)) if is == state && description.contains(text) => Ok(()),
                _ => Err(format!("{ours:?} at {}", seen.head)),
            }
        })
        .await
    }

    pub(super) async fn ledger(&self) -> Vec<Delivery> {
        self.story.api.deliveries(&self.story.project, None).await.unwrap().deliveries
    }

    pub(super) async fn ledger_entry(&self, review: u64) -> Delivery {
        let of = |entry: &Delivery| {
            let subject = entry.review.as_ref().and_then(|subject| subject.review.as_ref());
            subject.is_some_and(|id| id.as_str() == review.to_string())
        };
        let mut found: Vec<_> = self.ledger().await.into_iter().filter(of).collect();
        assert_eq!(found.len(), 1, "one entry per review: {found:?}");
        found.remove(0)
    }

    pub(super) async fn commits_of(&self, jobs: &[&JobId]) -> usize {
        let head = self.story.local.forge().pull_snapshot(REPOSITORY, self.number).await.unwrap().unwrap().head;
        let trailers = self.story.git(&["log", &head, "--format=%(trailers:key=Pullyard-Job,valueonly)"]).await;
        let of = |line: &&str| jobs.iter().any(|job| line.split('/').next() == Some(job.as_str()));
        trailers.lines().filter(of).count()
    }

    pub(super) async fn assert_one_commit_and_replies(&self, jobs: &[&JobId], threads: usize) {
        assert_eq!(self.commits_of(jobs).await, 1, "one commit");
        let seen = self.story.local.forge().pull_snapshot(REPOSITORY, self.number).await.unwrap().unwrap();
        let answers: Vec<_> = seen.comments.iter().filter(|(author, _)| author == "pullyard-bot").collect();
        assert_eq!(answers.len(), threads, "one reply per thread: {answers:?}");
        let head = seen.head.get(..10).unwrap();
        assert!(answers.iter().all(|(_, text)| text.contains(head)), "{head}: {answers:?}");
        assert_eq!(seen.requested_reviewers, [ANN], "the review is requested again");
    }

    pub(super) async fn restart(self, tasks: Tasks) -> Self {
        let Self { story, number, dir } = self;
        Self { story: story.restart(tasks).await, number, dir }
    }

    pub(super) async fn sweep_until_ended(&self, job: &JobId) -> Job {
        wait_until("the job ends", async || {
            // The clock advances only while no task runs: on a slow machine a task's lease would expire.
            if self.story.local.count_running_tasks().await == 0 {
                self.story.advance_and_sweep(Duration::from_secs(20)).await;
            }
            let job = self.story.api.job(job).await.unwrap();
            if job.status.is_terminal() { Ok(job) } else { Err(format!("{job:?}")) }
        })
        .await
    }

    pub(super) async fn end(self) {
        self.unblock_agents();
        self.story.shut_down().await;
    }
}

pub(super) fn repository() -> RepositoryName {
    RepositoryName::new(REPOSITORY).unwrap()
}
