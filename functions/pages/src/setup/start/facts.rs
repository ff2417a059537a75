//! Loads the state of each step, and describes it in a sentence.

use crate::prelude::*;
use crate::setup::machine::{LOCAL_FORGE, LocalMachine, RepositoryProblem};
use pullyard_control::{JobView, TicketView};
use pullyard_domain::agent::{AUTO, Agent, AgentSpec, COMMAND, join_programs};
use pullyard_domain::job::JobStatus;
use pullyard_domain::job::agent_check::{AgentCheck, LocalAgent};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::listing::JobSearch;

const MAX_JOBS: usize = 5;

pub(super) struct Facts {
    pub(super) project: Project,
    pub(super) repositories: Vec<Repository>,
    /// Why no job can work in the repository. Only a folder of this machine is checked here; a forge by “Test”.
    pub(super) problem: Option<RepositoryProblem>,
    pub(super) agent: Agent,
    pub(super) check: AgentCheck,
    /// Agents of this machine; `None` on AWS.
    pub(super) local: Option<Vec<LocalAgent>>,
    pub(super) ticket: Option<TicketView>,
    /// The newest of the last jobs that has a pull request, else the newest job.
    pub(super) job: Option<JobView>,
}

pub(super) async fn load(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    project: Project,
) -> Result<Facts, Fault> {
    let ctx = &visit.ctx;
    let repositories = ctx.store.list_repositories(&project.id).await?;
    let local: Option<Vec<_>> = machine.map(|machine| {
        let agents = (machine.list_agents)().into_iter();
        agents.map(|(capability, has_key)| LocalAgent { capability, has_key }).collect()
    });
    let repository = first_repository(&project, &repositories);
    let (agent, check) = control::check_agent(ctx, &project, repository, local.as_deref()).await?;
    let folder = machine.zip(repository).filter(|(_, repository)| repository.integration.as_str() == LOCAL_FORGE);
    let problem = match folder {
        Some((machine, repository)) => {
            let Repository { name, default_branch, .. } = repository.clone();
            (machine.check_repository)(name.to_string(), default_branch, agent.command.clone()).await
        }
        None => None,
    };
    let jobs = control::search_jobs(ctx, &project.id, &JobSearch::default(), None, MAX_JOBS).await?.jobs;
    let best = jobs.iter().position(|found| found.view.job.result.is_some()).unwrap_or_default();
    let job = jobs.into_iter().nth(best).map(|found| found.view);
    let (keys, _) = ctx.store.list_ticket_keys(&project.id, None, 1).await?;
    let key = job.as_ref().and_then(|view| view.job.ticket.clone()).or(keys.into_iter().next());
    let ticket = match key {
        Some(key) => match control::ticket_view(ctx, &project.id, &key).await {
            Err(Error::NotFound { .. }) => None,
            view => Some(view?),
        },
        None => None,
    };
    Ok(Facts { project, repositories, problem, agent, check, local, ticket, job })
}

pub(super) fn first_repository<'a>(project: &Project, repositories: &'a [Repository]) -> Option<&'a Repository> {
    let default = project.settings.default_repository.as_ref();
    repositories.iter().find(|repository| Some(&repository.name) == default).or(repositories.first())
}

impl Facts {
    pub(super) fn repository(&self) -> Option<&Repository> {
        first_repository(&self.project, &self.repositories)
    }

    pub(super) fn done(&self) -> [bool; 5] {
        let has_pull_request = self.job.as_ref().is_some_and(|view| view.job.result.is_some());
        let has_repository = !self.repositories.is_empty() && self.problem.is_none();
        [true, has_repository, self.check.is_ready(), self.job.is_some(), has_pull_request]
    }

    pub(super) fn sentences(&self) -> [String; 5] {
        let Project { id, name, settings, .. } = &self.project;
        let trigger = &settings.statuses.trigger;
        let project = match settings.auto_create {
            true => format!("{name} ({id}). A ticket that enters {trigger} starts a job."),
            false => format!("{name} ({id}). Automatic jobs are off: a ticket that enters {trigger} starts nothing."),
        };
        [project, self.describe_repository(), self.describe_agent(), self.describe_ticket(), self.describe_job()]
    }

    fn describe_repository(&self) -> String {
        let Some(first) = self.repository() else {
            return "No repository is connected. Pullyard pushes branches to it and opens pull requests there.".into();
        };
        let more = match self.repositories.len() {
            1 => String::new(),
            all => format!(" {} more are connected.", all - 1),
        };
        format!("{}, connected by {}, branch {}.{more}", first.name, first.integration, first.default_branch)
    }

    fn describe_agent(&self) -> String {
        let agent = match self.agent.capability.as_str() {
            COMMAND => "The custom command".to_owned(),
            code => match AgentSpec::find(code) {
                Some(agent) => agent.name.to_owned(),
                None => join_programs(|agent| agent.name, " or "),
            },
        };
        let model = self.agent.model.as_ref().map(|model| format!(" with the model {model}")).unwrap_or_default();
        match &self.check {
            AgentCheck::Command => format!("{agent}: {}. It needs no key of Pullyard.", self.agent.command.join(" ")),
            AgentCheck::Secrets(names) => format!("{agent}{model} signs in with the secret {}.", names.join(" or ")),
            AgentCheck::LocalKey => format!("{agent}{model} signs in with the environment of pullyard up."),
            AgentCheck::Runners(names) => format!("{agent}{model} runs on {}, which is online.", names.join(" or ")),
            AgentCheck::NoLocalProgram if self.agent.capability == AUTO => {
                let names = join_programs(|agent| agent.name, " nor ");
                format!("Neither {names} is installed on this machine. Install one, or choose a command.")
            }
            AgentCheck::NoLocalProgram => {
                format!("{agent} is not installed on this machine. Install it, or choose another agent.")
            }
            AgentCheck::NoKey => format!("{agent} has no key. Enter one; only attempts of jobs receive it."),
            AgentCheck::NoRunner => {
                format!("{agent} has no online runner. Add a runner that offers it, or choose another agent.")
            }
        }
    }

    fn describe_ticket(&self) -> String {
        match (&self.ticket, &self.job) {
            (Some(view), _) => format!("{} {}, in {}.", view.ticket.key, view.text.title, view.ticket.status),
            (None, Some(view)) => format!("A job without a ticket: {}.", view.title),
            (None, None) => "A small, specific change works best.".into(),
        }
    }

    fn describe_job(&self) -> String {
        let Some(view) = &self.job else {
            return "Follow the agent’s work here until Pullyard opens the pull request.".into();
        };
        match (&view.job.result, labels::explain_job(view)) {
            (Some(result), _) => format!("Pullyard opened pull request #{}. Review it, then merge it.", result.number),
            (None, Some(sentence)) => sentence.to_string(),
            (None, None) if view.job.status == JobStatus::Cancelled => "The job was cancelled.".into(),
            (None, None) if view.job.status == JobStatus::Completed => {
                "The job answered a question. A job that changes files opens a pull request.".into()
            }
            (None, None) => "The job runs. Its page shows the agent’s work.".into(),
        }
    }
}

pub(super) fn sentences_without_project() -> [String; 5] {
    let agents = join_programs(|agent| agent.name, ", ");
    let forges = ForgeKind::ALL.map(ForgeKind::label).join(" or ");
    [
        "A project has a board, repositories and settings.".into(),
        format!("A folder of this machine, {forges}."),
        format!("{agents} or a command of your own."),
        "A small, specific change works best.".into(),
        "Follow the agent’s work here until Pullyard opens the pull request.".into(),
    ]
}
