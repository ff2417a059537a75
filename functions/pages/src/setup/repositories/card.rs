//! Builds the card of a repository: the source of its events, and their problems.

use super::hooks::hook_url;
use super::repository::own_labels;
use super::{HEALTHY, WEBHOOK_FAILING, repository_query};
use crate::labels::{NEEDS_ATTENTION, format_time};
use crate::prelude::*;
use pullyard_control::hooks::{HookView, list_hook_views};
use pullyard_domain::agent::{AUTO, AgentSpec, COMMAND, ChoiceLevel, PROJECT, choices};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::poll_progress::describe_poll_interval;
use pullyard_domain::project::hook::{Ingress, Poll};
use pullyard_domain::project::labels::join_labels;
use pullyard_domain::text::id::IntegrationId;
use std::collections::BTreeSet;

pub(super) fn agent_choices() -> Vec<(&'static str, &'static str)> {
    let codes = std::iter::once(PROJECT).chain(choices(ChoiceLevel::Job));
    codes.map(|code| (code, agent_label(code))).collect()
}

fn agent_label(code: &str) -> &'static str {
    match code {
        PROJECT => "The project’s agent",
        AUTO => "Any installed agent",
        COMMAND => "A command",
        code => AgentSpec::find(code).map_or("unknown", |agent| agent.name),
    }
}

pub(super) struct Card {
    pub(super) integration: IntegrationId,
    /// The forge does not answer, or reports the repository as gone.
    pub(super) has_forge_problem: bool,
    pub(super) id: String,
    pub(super) name: SafeText,
    pub(super) is_default: bool,
    pub(super) query: String,
    pub(super) form: (String, String),
    pub(super) state: Pill,
    pub(super) notes: Vec<Note>,
    pub(super) facts: Vec<(&'static str, SafeText)>,
    pub(super) hooks: Vec<(String, SafeText)>,
    pub(super) checked: Option<TimeLabel>,
    pub(super) last_event: Option<TimeLabel>,
    pub(super) ingresses: Vec<(&'static str, &'static str)>,
}

pub(super) struct Note {
    pub(super) cause: SafeText,
    pub(super) effect: SafeText,
    /// The repairing form's address; without one, a test shows more.
    pub(super) repair: Option<String>,
}

pub(super) async fn list_hooks(visit: &PageContext, project: &ProjectId) -> Result<Vec<HookView>, Fault> {
    let mut hooks = Vec::new();
    if !visit.visitor.may_administer() {
        return Ok(hooks);
    }
    let mut after: Option<String> = None;
    loop {
        let (page, next) = list_hook_views(&visit.ctx, after.as_deref(), 100, |hook| {
            hook.serves(project) && visit.may_manage_hook(hook)
        })
        .await?;
        hooks.extend(page);
        after = next;
        if after.is_none() {
            return Ok(hooks);
        }
    }
}

impl Card {
    pub(super) async fn load(
        visit: &PageContext,
        project: &Project,
        repository: &Repository,
        hooks: &[HookView],
    ) -> Result<Self, Fault> {
        let store = &visit.ctx.store;
        let poll = store.load_poll(&project.id, &repository.integration, repository.id).await?;
        let forge = store.load_integration(&repository.integration).await?;
        let now = visit.ctx.clock.now();
        let kind = forge.as_ref().map(|forge| forge.kind);
        let forge = forge.map_or_else(
            || repository.integration.to_string(),
            |forge| format!("{} ({})", forge.kind.display_name_at(&forge.api_url), forge.id),
        );
        let serves_repository = |view: &&HookView| {
            let hook = &view.hook;
            hook.template.is_none()
                && hook.integration == repository.integration
                && hook.is_for_repository(repository.id)
        };
        let hooks: Vec<&HookView> = hooks.iter().filter(serves_repository).collect();
        let ingress = poll.as_ref().map(|poll| poll.ingress).unwrap_or_default();
        let forge_problem = poll.as_ref().and_then(|poll| forge_note(poll, repository));
        let has_forge_problem = forge_problem.is_some();
        let failing = hooks.iter().filter(|view| view.is_refusing()).map(|view| refusing_note(view, ingress));
        let notes: Vec<Note> = forge_problem.into_iter().chain(failing).collect();
        let may_see_hooks = visit.visitor.may_administer();
        Ok(Self {
            integration: repository.integration.clone(),
            id: format!("r-{}-{}", repository.integration, repository.id),
            name: line(repository.name.as_str()),
            is_default: is_default(project, repository),
            query: repository_query(repository),
            form: (repository.project.to_string(), repository.name.to_string()),
            state: match notes.is_empty() {
                true => HEALTHY,
                false if has_forge_problem => NEEDS_ATTENTION,
                false => WEBHOOK_FAILING,
            },
            has_forge_problem,
            notes,
            facts: vec![
                ("Forge", line(&forge)),
                ("Base branch", line(&repository.default_branch)),
                ("Agent", line(&describe_agent(project, repository))),
                ("Event source", line(&describe_ingress(ingress, kind, !may_see_hooks || !hooks.is_empty()))),
                ("Checks", describe_commands(repository.commands.checks.as_deref())),
                ("Setup commands", describe_commands(repository.commands.setup.as_deref())),
                (
                    "Running jobs",
                    line(&repository.running_jobs.map_or("no own limit".into(), |max| format!("at most {max}"))),
                ),
                ("Labels of the runner", describe_labels(&own_labels(&repository.labels))),
                (
                    "Token of its jobs",
                    line(if repository.uses_runner_token() { "the runner’s" } else { "the connection’s" }),
                ),
            ],
            checked: poll.as_ref().and_then(|poll| poll.look.complete_until()).map(|at| format_time(at, now)),
            last_event: hooks
                .iter()
                .filter_map(|view| view.delivery_counts.verified_at)
                .max()
                .map(|at| format_time(at, now)),
            hooks: hooks.iter().map(|view| (hook_url(&view.hook.name), line(view.hook.name.as_str()))).collect(),
            ingresses: [
                (Ingress::Webhook, "webhook", "Use the webhook"),
                (Ingress::Poll, "poll", "Use polling"),
                (Ingress::Both, "both", "Use webhook and polling"),
            ]
            .into_iter()
            .filter(|(choice, ..)| *choice != ingress)
            .map(|(_, code, label)| (code, label))
            .collect(),
        })
    }
}

fn is_default(project: &Project, repository: &Repository) -> bool {
    let default = project.settings.default_repository.as_ref();
    default.is_some_and(|default| default.as_str().eq_ignore_ascii_case(repository.name.as_str()))
}

fn describe_agent(project: &Project, repository: &Repository) -> String {
    let agent = &repository.agent;
    if agent.capability == COMMAND {
        return agent.command.join(" ");
    }
    let resolved = repository.clone().resolve_agent(&project.settings).agent;
    let name = agent_label(&resolved.capability);
    let origin = if agent.capability == PROJECT { " (of the project)" } else { "" };
    match &resolved.model {
        Some(model) => format!("{name}, {model}{origin}"),
        None => format!("{name}{origin}"),
    }
}

fn describe_ingress(ingress: Ingress, kind: Option<ForgeKind>, has_hook: bool) -> String {
    let Some(kind) = kind else { return "None, because the connection is missing".into() };
    let interval = describe_poll_interval(ingress, kind);
    match ingress {
        Ingress::Poll => format!("Polling {interval}"),
        Ingress::Webhook | Ingress::Both if has_hook => format!("Webhook, and polling {interval}"),
        Ingress::Webhook | Ingress::Both => format!("Polling {interval}; no webhook is installed"),
    }
}

fn describe_labels(labels: &BTreeSet<String>) -> SafeText {
    line(&if labels.is_empty() { "no own labels".into() } else { join_labels(labels) })
}

fn describe_commands(commands: Option<&[String]>) -> SafeText {
    match commands {
        None => line("those of the project"),
        Some([]) => line("none"),
        Some(commands) => line(&commands.join("; ")),
    }
}

fn forge_note(poll: &Poll, repository: &Repository) -> Option<Note> {
    let name = &repository.name;
    let (cause, effect) = match (&poll.gone_at, &poll.look.problem) {
        (Some(_), _) => (
            format!("The forge reports {name} as deleted or hidden from Pullyard’s account."),
            "Pullyard receives no events, and jobs cannot push. Restore the access, or remove the repository.",
        ),
        (None, Some(problem)) => (
            format!("Failed to fetch changes of {name} from the forge: {problem}."),
            "Reviews that no webhook delivers start no jobs until the next poll succeeds.",
        ),
        (None, None) => return None,
    };
    Some(Note { cause: line(&cause), effect: line(effect), repair: None })
}

fn refusing_note(view: &HookView, ingress: Ingress) -> Note {
    let name = &view.hook.name;
    let interval = describe_poll_interval(ingress, view.hook.forge);
    Note {
        cause: line(&format!("The newest deliveries of the webhook {name} had a wrong signature.")),
        effect: line(&format!(
            "The secret at the forge differs from Pullyard’s. Pullyard rejects these deliveries and polls {interval}, so \
             reviews arrive later."
        )),
        repair: Some(format!("{}/repair", hook_url(name))),
    }
}
