//! Runs the demo's three tickets through the public API.

use super::agent::{AgentChoice, FILES, REPOSITORY};
use super::screen::DemoScreen;
use super::verify::{self, ExpectedResult};
use anyhow::{Context as _, bail, ensure};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Settings;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::{EventId, IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_local::LocalSystem;
use pullyard_protocol::client::ApiClient;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::project::{AddRepository, CreateProject};
use pullyard_protocol::ticket::{CreateTicket, EditTicket, EventTicket, MoveTicket, TicketEvent};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TODO: &str = "Todo";
const TRIGGER: &str = "AI Processing";
const REVIEW: &str = "In Review";
const BADGE: &str = "AI Failed";

pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(150);

pub(super) struct DemoRun<'a> {
    pub(super) local: &'a LocalSystem,
    pub(super) api: ApiClient,
    pub(super) project: ProjectId,
    pub(super) screen: &'a mut DemoScreen,
    pub(super) agent_choice: AgentChoice,
}

/// Plays the tickets and the reviews, verifies the branches with git, then merges the first pull request.
pub(super) async fn play(
    local: &LocalSystem,
    screen: &mut DemoScreen,
    agent_choice: AgentChoice,
) -> anyhow::Result<()> {
    let is_ai = agent_choice.is_ai();
    let api = ApiClient::new(local.api_url(), local.admin_token())?;
    let mut run = DemoRun { local, api, project: ProjectId::new("demo")?, screen, agent_choice };
    run.set_up().await?;
    let mut first = run.play_ticket().await?;
    // An AI may find the right file despite the wrong name in the ticket.
    let second = if is_ai { None } else { Some(run.play_failure().await?) };
    let third = run.play_edit().await?;
    if !is_ai {
        run.play_agent_review(&third).await?;
    }
    run.play_review(&mut first).await?;
    let results: Vec<_> = [Some(&first), second.as_ref(), Some(&third)].into_iter().flatten().collect();
    verify::check(local, run.screen, &results).await?;
    run.play_merge(&first).await
}

impl DemoRun<'_> {
    async fn set_up(&mut self) -> anyhow::Result<()> {
        self.local.forge().create_repository(REPOSITORY, "main", &FILES).await?;
        let integration = IntegrationId::new("local")?;
        let connect = CreateIntegration {
            id: integration.clone(),
            kind: ForgeKind::GitHub,
            api_url: self.local.forge().api_url(),
            token_secret: self.local.forge_secret().into(),
        };
        let connected = self.api.create_integration(&connect).await?;
        let settings = Settings {
            auto_create: true,
            revise_on_review: true,
            default_repository: Some(RepositoryName::new(REPOSITORY)?),
            ..Settings::default()
        };
        let create = CreateProject { id: self.project.clone(), name: "Demo".into(), settings };
        self.api.create_project(&create).await?;
        let agent = self.agent_choice.agent();
        let agent_name = if self.agent_choice.is_ai() { self.agent_choice.agent.clone() } else { "./agent.sh".into() };
        let add = AddRepository::new(integration, RepositoryName::new(REPOSITORY)?, agent);
        let repository = self.api.add_repository(&self.project, &add).await?;
        let sentence = format!("{} as {}, the agent is {agent_name}", repository.name, connected.account.login);
        self.screen.step("Connected", &sentence);
        self.set_up_reviews(&connected.id).await
    }

    async fn play_ticket(&mut self) -> anyhow::Result<ExpectedResult> {
        let key = TicketKey::new("DEMO-1")?;
        self.create_ticket(&key, "Greet in French", "In `greeting.txt` replace `Hello` with `Bonjour`").await?;
        let job = self.start_job(&key).await?;
        self.wait_for_completion(&key, &job, "greeting.txt", "Bonjour, and welcome to the shop.").await
    }

    async fn play_failure(&mut self) -> anyhow::Result<ExpectedResult> {
        let key = TicketKey::new("DEMO-2")?;
        self.create_ticket(&key, "Say goodbye in French", "In `goodbye.txt` replace `Goodbye` with `Au revoir`")
            .await?;
        let first = self.start_job(&key).await?;
        let failed = self.follow(&first).await?;
        let failure = failed.failure.context("a failed job has no failure")?;
        ensure!(
            failed.status == JobStatus::Failed && failure.code == "agent_failed",
            "the job ended {:?}",
            failed.status
        );
        self.screen.step("Failed", &failure.sentence);
        let back = self
            .wait_for_ticket(&key, "goes back to Todo", |ticket| ticket.synced && ticket.active_job.is_none())
            .await?;
        ensure!(back.status == TODO, "the ticket is in {}", back.status);
        ensure!(back.badges == [BADGE], "the ticket shows {:?}", back.badges);
        self.screen.step("Ticket", &format!("back in {TODO}, marked \"{BADGE}\""));

        let correct = "In `farewell.txt` replace `Goodbye` with `Au revoir`";
        let edit = EditTicket { description: Some(correct.into()), ..EditTicket::default() };
        self.api.edit_ticket(&self.project, &key, &edit, None).await?;
        self.screen.step("Edited", correct);
        let second = self.start_job(&key).await?;
        ensure!(second != first, "the second entry got the first job");
        let cleared = self.wait_for_ticket(&key, "loses its badge", |ticket| ticket.synced).await?;
        ensure!(cleared.badges.is_empty(), "the ticket still shows {:?}", cleared.badges);
        self.screen.step("Ticket", &format!("\"{BADGE}\" is gone"));
        self.wait_for_completion(&key, &second, "farewell.txt", "Au revoir, see you soon.").await
    }

    async fn play_edit(&mut self) -> anyhow::Result<ExpectedResult> {
        let key = TicketKey::new("DEMO-3")?;
        let title = "Name the shop";
        self.screen.ticket(key.as_str(), title);
        let description = "In `README.md` replace `A small shop` with `The Acme shop`";
        let count_before = self.api.jobs(&self.project, None).await?.jobs.len();
        // Whole seconds, as some tools send: both events get the same time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let at = Timestamp::from_millis(i64::try_from(now.as_secs())? * 1_000);
        let answer = self.send_event(at, &key, "tool-1", title, description).await?;
        self.screen.step("Received", &format!("from the ticket tool: it is in {TRIGGER}"));
        ensure!(answer.verdict == Verdict::Accepted, "the decision is {}", answer.code);
        self.screen.step("Accepted", &answer.sentence);
        let job = answer.job.context("an accepted event has no job")?;

        let edited = self.send_event(at, &key, "tool-2", "Name the shop properly", description).await?;
        self.screen.step("Edited", &format!("by the ticket tool, while it is in {TRIGGER}"));
        ensure!(edited.code == "status_unchanged", "the decision is {}", edited.code);
        self.screen.step("Refused", &edited.sentence);
        let repeated = self.send_event(at, &key, "tool-1", title, description).await?;
        ensure!(repeated.verdict == Verdict::Duplicate, "the decision is {}", repeated.code);
        self.screen.step("Repeated", &format!("the first call once more: {}", repeated.sentence));
        let delivery = self.api.delivery(&edited.delivery).await?;
        ensure!(delivery.code == edited.code, "the ledger says {}", delivery.code);

        let expected =
            self.wait_for_completion(&key, &job, "README.md", "The Acme shop that greets its customers.").await?;
        let jobs = self.api.jobs(&self.project, None).await?.jobs;
        let count = jobs.iter().filter(|job| job.ticket.as_ref() == Some(&key)).count();
        ensure!(count == 1, "the ticket has {count} jobs");
        ensure!(jobs.len() == count_before + 1, "the project has {} jobs, and had {count_before}", jobs.len());
        Ok(expected)
    }

    async fn send_event(
        &mut self,
        at: Timestamp,
        key: &TicketKey,
        event: &str,
        title: &str,
        description: &str,
    ) -> anyhow::Result<Decision> {
        let event = TicketEvent {
            event_id: EventId::new(event)?,
            occurred_at: at,
            project: self.project.clone(),
            actor: Some("ana".into()),
            previous_status: None,
            ticket: EventTicket {
                key: key.clone(),
                title: title.into(),
                description: description.into(),
                status: TRIGGER.into(),
                labels: Default::default(),
                url: None,
                repository: None,
            },
        };
        Ok(self.api.send_ticket_event(&event).await?)
    }

    async fn create_ticket(&mut self, key: &TicketKey, title: &str, description: &str) -> anyhow::Result<()> {
        self.screen.ticket(key.as_str(), title);
        let create = CreateTicket {
            project: self.project.clone(),
            key: Some(key.clone()),
            title: title.into(),
            description: description.into(),
            status: None,
            labels: Default::default(),
            repository: None,
        };
        let answer = self.api.create_ticket(&create, None).await?;
        self.screen.step("Created", &format!("in {}: {description}", answer.ticket.status));
        Ok(())
    }

    async fn start_job(&mut self, key: &TicketKey) -> anyhow::Result<JobId> {
        let answer = self.api.move_ticket(&self.project, key, &MoveTicket::to(TRIGGER), None).await?;
        self.screen.step("Moved", &format!("{TODO} → {TRIGGER}"));
        let decision = answer.decision.context("a move into another column has no decision")?;
        let accepted = decision.verdict == Verdict::Accepted;
        ensure!(accepted, "the decision is {}: {}", decision.code, decision.sentence);
        self.screen.step("Accepted", &decision.sentence);
        decision.job.context("an accepted move has no job")
    }

    async fn wait_for_completion(
        &mut self,
        key: &TicketKey,
        job: &JobId,
        file: &'static str,
        line: &'static str,
    ) -> anyhow::Result<ExpectedResult> {
        let job = self.follow(job).await?;
        let Some(result) = job.result.filter(|_| job.status == JobStatus::Completed) else {
            bail!(
                "the job ended {}: {}",
                job.status.label(),
                job.failure.map(|failure| failure.sentence).unwrap_or_default()
            );
        };
        let changed = format!("{} file, +{} −{}", result.files, result.insertions, result.deletions);
        self.screen.step("Completed", &format!("pull request #{}, {changed}", result.number));
        self.screen.step("Opened", &result.url);
        let ticket = self
            .wait_for_ticket(key, "becomes ready for review", |ticket| ticket.synced && ticket.active_job.is_none())
            .await?;
        ensure!(ticket.status == REVIEW, "the ticket is in {}", ticket.status);
        ensure!(ticket.pull_request.as_ref() == Some(&result.url), "the ticket links {:?}", ticket.pull_request);
        ensure!(ticket.badges.is_empty(), "the ticket shows {:?}", ticket.badges);
        self.screen.step("Ticket", &format!("in {REVIEW}, linked to the pull request"));
        self.screen.finish_ticket(json!({
            "key": key,
            "status": ticket.status,
            "job": job.id,
            "pull_request": result.url,
            "branch": result.branch,
            "head": result.head,
        }));
        Ok(ExpectedResult { ticket: key.clone(), job: job.id, result, file, line, commits: 1 })
    }
}
