//! The choices of the second and the third step, as links that open their forms.

use super::agent::AgentForm;
use super::facts::Facts;
use super::repository::{RepositoryForm, name_of_folder};
use crate::prelude::*;
use crate::setup::machine::{LOCAL_FORGE, LocalMachine};
use crate::setup::repositories::{free_connection_id, list_integrations};
use pullyard_domain::agent::{AGENTS, AgentSpec, COMMAND, ModelKey, list_programs};
use pullyard_domain::job::agent_check::LocalAgent;
use pullyard_domain::project::forge::{ForgeKind, ForgeSpec, Integration};
use pullyard_domain::text::id::RepositoryName;
use std::path::PathBuf;

pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) name: &'static str,
    pub(super) needs: &'static str,
}

pub(super) struct NearbyFolder {
    pub(super) name: SafeText,
    pub(super) path: SafeText,
    pub(super) value: String,
}

const fn choice(value: &'static str, name: &'static str, needs: &'static str) -> Choice {
    Choice { value, name, needs }
}

const FOLDER: Choice = choice("folder", "Folder of this machine", "A git repository; jobs push their branches into it");
const CONNECTION: Choice = choice("connection", "Connected forge", "A repository of a forge that is connected already");
const APP: Choice = choice("app", "GitHub by App", "Your own App, created with one button");

fn list_sources() -> impl Iterator<Item = Choice> {
    let list_of_kind = |kind: ForgeKind| {
        let ForgeSpec { token, hook, .. } = kind.spec();
        [Some(choice(kind.as_str(), token.choice, token.needs)), hook.has_apps.then_some(APP)]
    };
    [FOLDER, CONNECTION].into_iter().chain(ForgeKind::ALL.into_iter().flat_map(list_of_kind).flatten())
}

#[derive(Default)]
pub(super) struct RepositoryChoice {
    pub(super) all: Vec<Choice>,
    pub(super) chosen: &'static str,
    pub(super) connections: Vec<(String, SafeText)>,
    pub(super) free_id: String,
    /// The forge that the form connects by a token.
    pub(super) forge: Option<&'static ForgeSpec>,
    pub(super) nearby: Vec<NearbyFolder>,
}

pub(super) async fn repository(
    visit: &PageContext,
    machine: Option<&LocalMachine>,
    facts: &Facts,
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
    let all: Vec<_> = list_sources().filter(possible).collect();
    // A connected forge is the next choice behind the folder.
    let first = if others.is_empty() { 0 } else { usize::from(local) };
    let fallback = all.get(first).map(|choice| choice.value).unwrap_or_default();
    let chosen = all.iter().map(|choice| choice.value).find(|value| *value == wanted).unwrap_or(fallback);
    let kind = ForgeKind::from_code(chosen);
    let free_id = kind.map(|kind| free_connection_id(kind.as_str(), &integrations)).unwrap_or_default();
    Ok(RepositoryChoice {
        all,
        chosen,
        free_id,
        forge: kind.map(ForgeKind::spec),
        nearby: machine.filter(|_| chosen == "folder").map(|machine| list_nearby(machine, facts)).unwrap_or_default(),
        connections: others.iter().map(|integration| (integration.id.to_string(), describe(integration))).collect(),
    })
}

/// Without folders that cannot be connected under the name that is made from them.
fn list_nearby(machine: &LocalMachine, facts: &Facts) -> Vec<NearbyFolder> {
    let is_free = |path: &PathBuf, name: &str| {
        let is_connected = facts.repositories.iter().any(|repository| repository.name.as_str() == name);
        !is_connected && (machine.find_folder)(name).is_none_or(|linked| linked == *path)
    };
    let folder = |path: PathBuf| {
        let (value, name) = (path.to_str()?.to_owned(), path.file_name()?.to_str()?);
        let repository = RepositoryName::new(name_of_folder(&value)).ok()?;
        is_free(&path, repository.as_str()).then(|| NearbyFolder {
            name: line(name),
            path: line(&value),
            value: value.clone(),
        })
    };
    (machine.list_repositories)().into_iter().filter_map(folder).collect()
}

fn describe(integration: &Integration) -> SafeText {
    let forge = integration.kind.display_name_at(&integration.api_url);
    line(&format!("{}: {forge}, as {}", integration.id, integration.account.login))
}

impl RepositoryChoice {
    pub(super) fn complete(&self, form: &mut RepositoryForm) {
        self.chosen.clone_into(&mut form.by);
        if form.id.is_empty() {
            form.id.clone_from(&self.free_id);
        }
        if let Some(forge) = self.forge.filter(|_| form.api_url.is_empty()) {
            forge.api_url.clone_into(&mut form.api_url);
        }
    }
}

#[derive(Default)]
pub(super) struct AgentChoice {
    pub(super) all: Vec<Choice>,
    pub(super) chosen: &'static str,
    pub(super) keys: &'static [ModelKey],
    /// Secrets of other projects with a key for the chosen agent.
    pub(super) stored: Vec<String>,
    /// The environment of `pullyard up` has a key for the chosen agent.
    pub(super) has_local_key: bool,
    /// The project has a secret for the chosen agent, which jobs use before a key of the environment.
    pub(super) has_own_key: bool,
}

/// Preselects an agent that works: one with a key before one without, and the command if no agent is installed.
pub(super) fn agent(facts: &Facts, stored: Vec<(ModelKey, String)>, wanted: &str) -> AgentChoice {
    let known = |value: &str| AgentSpec::find(value).map(|agent| agent.code);
    let local = |value: &str| facts.local.as_ref().map(|all| all.iter().find(|local| local.capability == value));
    let has_local_key = |value: &str| local(value).flatten().is_some_and(|local| local.has_key);
    let has_stored_key = |value: &str| stored.iter().any(|(key, _)| key.supports_capability(value));
    let is_usable = |value: &&str| !matches!(local(value), Some(None));
    let mut usable: Vec<_> = list_programs().map(|agent| agent.code).filter(is_usable).collect();
    usable.sort_by_key(|value| (!has_local_key(value), !has_stored_key(value)));
    let fallback = usable.first().copied().unwrap_or(COMMAND);
    let chosen = known(wanted).or(known(&facts.agent.capability)).unwrap_or(fallback);
    let keys = AgentSpec::find(chosen).map(|agent| agent.keys).unwrap_or_default();
    let describe = |choice: Choice| match (choice.value, local(choice.value)) {
        (COMMAND, _) | (_, None) => choice,
        (_, Some(None)) => Choice { needs: "Not installed on this machine", ..choice },
        (_, Some(Some(LocalAgent { has_key: true, .. }))) => {
            Choice { needs: "Installed, with a key in the environment of pullyard up", ..choice }
        }
        (value, _) if has_stored_key(value) => {
            Choice { needs: "Installed; another project has a key for it", ..choice }
        }
        _ => choice,
    };
    let all = AGENTS.map(|agent| describe(choice(agent.code, agent.name, agent.needs))).into();
    let has_local_key = has_local_key(chosen);
    let mut own = facts.project.settings.model_secrets.iter();
    let has_own_key = own.any(|(key, _)| key.supports_capability(chosen));
    let stored = stored.into_iter().filter(|(key, _)| key.supports_capability(chosen)).map(|(_, secret)| secret);
    let mut stored: Vec<_> = stored.collect();
    stored.dedup();
    AgentChoice { all, chosen, keys, stored, has_local_key, has_own_key }
}

impl AgentChoice {
    pub(super) fn prefill(&self, form: &mut AgentForm, facts: Option<&Facts>) {
        let Some(agent) = facts.map(|facts| &facts.agent).filter(|_| form.agent.is_empty()) else { return };
        self.chosen.clone_into(&mut form.agent);
        if !self.has_local_key {
            form.stored = self.stored.first().cloned().unwrap_or_default();
        }
        if agent.capability == self.chosen {
            form.model = agent.model.clone().unwrap_or_default();
            form.command = agent.command.join("\n");
        }
    }
}
