//! The choices of the second and the third step, as links that open their forms.

use super::agent::AgentForm;
use super::facts::Facts;
use super::repository::RepositoryForm;
use crate::prelude::*;
use crate::setup::machine::{LOCAL_FORGE, LocalMachine};
use crate::setup::repositories::{free_connection_id, list_integrations};
use pullyard_domain::agent::{CLAUDE_CODE, CODEX, COMMAND};
use pullyard_domain::project::{ForgeKind, Integration};

pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) name: &'static str,
    pub(super) needs: &'static str,
}

const fn choice(value: &'static str, name: &'static str, needs: &'static str) -> Choice {
    Choice { value, name, needs }
}

const FORGES: [Choice; 5] = [
    choice("folder", "Folder of this machine", "A git repository; jobs push their branches into it"),
    choice("connection", "Connected forge", "A repository of a forge that is connected already"),
    choice("github", "GitHub by token", "Needs a token of an account for Pullyard"),
    choice("app", "GitHub by App", "Your own App, created with one button"),
    choice("bitbucket", "Bitbucket by token", "Needs an access token of Bitbucket Cloud"),
];

const AGENTS: [Choice; 3] = [
    choice(CLAUDE_CODE, "Claude Code", "Needs an Anthropic API key or a Claude subscription token"),
    choice(CODEX, "Codex", "Needs an OpenAI API key or a Codex login"),
    choice(COMMAND, "Custom command", "Any program that edits files; needs no key"),
];

const CLAUDE_KEYS: [(&str, &str); 2] =
    [("anthropic_api_key", "Anthropic API key"), ("claude_token", "Claude subscription token")];
const CODEX_KEYS: [(&str, &str); 2] = [("openai_api_key", "OpenAI API key"), ("codex_auth", "Codex login (auth.json)")];

#[derive(Default)]
pub(super) struct RepositoryChoice {
    pub(super) all: Vec<Choice>,
    pub(super) chosen: &'static str,
    pub(super) connections: Vec<(String, SafeText)>,
    pub(super) free_id: String,
    pub(super) api_url: &'static str,
}

pub(super) async fn repository(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    wanted: &str,
) -> Result<RepositoryChoice, Fault> {
    let owner = visit.visitor.may_access_all_projects();
    let integrations = if owner { list_integrations(visit).await? } else { Vec::new() };
    let local = machine.is_some() && integrations.iter().any(|integration| integration.id.as_str() == LOCAL_FORGE);
    let others: Vec<_> =
        integrations.iter().filter(|integration| !local || integration.id.as_str() != LOCAL_FORGE).collect();
    let possible = |choice: &Choice| match choice.value {
        "folder" => owner && local,
        "connection" => !owner || !others.is_empty(),
        _ => owner,
    };
    let all: Vec<_> = FORGES.into_iter().filter(possible).collect();
    // A connected forge is the next choice behind the folder.
    let first = if others.is_empty() { 0 } else { usize::from(local) };
    let fallback = all.get(first).map(|choice| choice.value).unwrap_or_default();
    let chosen = all.iter().map(|choice| choice.value).find(|value| *value == wanted).unwrap_or(fallback);
    let kind = if chosen == "bitbucket" { ForgeKind::Bitbucket } else { ForgeKind::GitHub };
    let free_id = free_connection_id(kind.code(), &integrations);
    Ok(RepositoryChoice {
        all,
        chosen,
        free_id,
        api_url: kind.default_api_url(),
        connections: others.iter().map(|integration| (integration.id.to_string(), describe(integration))).collect(),
    })
}

fn describe(integration: &Integration) -> SafeText {
    let forge = integration.kind.display_name_at(&integration.api_url);
    line(&format!("{}: {forge}, as {}", integration.id, integration.account.login))
}

impl RepositoryChoice {
    pub(super) fn prefill(&self, form: &mut RepositoryForm, machine: Option<&LocalMachine>) {
        self.chosen.clone_into(&mut form.by);
        if form.id.is_empty() {
            form.id.clone_from(&self.free_id);
        }
        if form.api_url.is_empty() {
            self.api_url.clone_into(&mut form.api_url);
        }
        let folder = machine.and_then(|machine| machine.folder.as_deref()?.to_str());
        if let Some(folder) = folder.filter(|_| form.folder.is_empty()) {
            folder.clone_into(&mut form.folder);
        }
    }
}

#[derive(Default)]
pub(super) struct AgentChoice {
    pub(super) all: Vec<Choice>,
    pub(super) chosen: &'static str,
    pub(super) keys: &'static [(&'static str, &'static str)],
}

pub(super) fn agent(facts: &Facts, wanted: &str) -> AgentChoice {
    let known = |value: &str| AGENTS.iter().map(|choice| choice.value).find(|known| *known == value);
    let chosen = known(wanted).or(known(&facts.agent.capability)).unwrap_or(CLAUDE_CODE);
    let keys: &[_] = match chosen {
        CLAUDE_CODE => &CLAUDE_KEYS,
        CODEX => &CODEX_KEYS,
        _ => &[],
    };
    AgentChoice { all: AGENTS.into(), chosen, keys }
}

impl AgentChoice {
    pub(super) fn prefill(&self, form: &mut AgentForm, facts: Option<&Facts>) {
        let Some(agent) = facts.map(|facts| &facts.agent).filter(|_| form.agent.is_empty()) else { return };
        self.chosen.clone_into(&mut form.agent);
        if agent.capability == self.chosen {
            form.model = agent.model.clone().unwrap_or_default();
            form.command = agent.command.join("\n");
        }
    }
}
