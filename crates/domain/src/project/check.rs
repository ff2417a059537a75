//! Refuses settings of agents, commands and commits that could not work.

use super::Settings;
use super::endpoint::Endpoint;
use crate::agent::checks::{MAX_LIMIT_SECS, MAX_OUTPUT_KIB};
use crate::agent::egress::AllowList;
use crate::agent::{ChoiceLevel, choices, is_valid_model_name, model_name_rule};
use crate::project::commits::{CommitSettings, MAX_CHARS};
use crate::text::setting_fault::{SettingFault, fault};

pub(super) fn validate_agent(settings: &Settings) -> Result<(), SettingFault> {
    match (&settings.agent, &settings.model) {
        (Some(agent), _) if !choices(ChoiceLevel::Project).contains(&agent.as_str()) => {
            let choices = choices(ChoiceLevel::Project).join(", ");
            fault("/agent", format!("choose one of {choices}, or none; set a command on the repository"))
        }
        (None, Some(_)) => fault("/model", "a model needs an agent: set `agent` as well"),
        (Some(_), Some(model)) if !is_valid_model_name(model) => fault("/model", model_name_rule()),
        _ => Ok(()),
    }
}

/// Refuses a change of the agent that keeps the model, because the model belongs to the previous agent. A change
/// contains all settings, so it cannot show whether the user named the model again. A user who wants the model sets it
/// in a second change.
pub fn validate_change(before: &Settings, after: &Settings) -> Result<(), SettingFault> {
    Endpoint::validate_events(&before.notifications, &after.notifications)?;
    match (&before.agent, &before.model) {
        (Some(agent), Some(model)) if before.agent != after.agent && after.model.as_ref() == Some(model) => {
            let message = format!(
                "{model} was named for {agent}: with the new agent name another, or none; {model} itself is taken by a \
                 change after that"
            );
            fault("/model", message)
        }
        _ => Ok(()),
    }
}

pub(super) fn validate_commands(settings: &Settings) -> Result<(), SettingFault> {
    let Settings { setup, checks, command_policy, .. } = settings;
    let lists = [("/setup/commands", &setup.commands), ("/checks/commands", &checks.commands)];
    lists
        .into_iter()
        .try_for_each(|(pointer, lines)| command_policy.check(lines).or_else(|message| fault(pointer, message)))?;
    let limits = [("/setup/limit_secs", setup.limit_secs), ("/checks/limit_secs", checks.limit_secs)];
    if let Some((pointer, _)) = limits.into_iter().find(|(_, secs)| !(1..=MAX_LIMIT_SECS).contains(secs)) {
        return fault(pointer, "use 1 to 21600 seconds (6 hours)");
    }
    if !(4..=MAX_OUTPUT_KIB).contains(&checks.output_kib) {
        return fault("/checks/output_kib", "use 4 to 16384 KiB");
    }
    Ok(())
}

/// The longest list, so that a job's context stays small.
const MAX_EGRESS_RULES: usize = 100;

pub(super) fn validate_egress(settings: &Settings) -> Result<(), SettingFault> {
    if settings.egress.len() > MAX_EGRESS_RULES {
        return fault("/egress", format!("use at most {MAX_EGRESS_RULES} lines"));
    }
    AllowList::parse(&settings.egress).map(drop).or_else(|invalid| fault("/egress", invalid.to_string()))
}

/// Refuses an author that git rejects or misreads.
pub(super) fn validate_commits(settings: &Settings) -> Result<(), SettingFault> {
    let CommitSettings { name, email, .. } = &settings.commits;
    let is_plain = |text: &str| {
        let is_odd = |c: char| c.is_control() || matches!(c, '<' | '>');
        (1..=MAX_CHARS).contains(&text.trim().chars().count()) && !text.contains(is_odd)
    };
    if !name.as_deref().is_none_or(|name| is_plain(name) && name.contains(char::is_alphanumeric)) {
        return fault("/commits/name", "use 1 to 100 printable characters without < and >");
    }
    let is_address = |email: &str| {
        let parts = email.split_once('@');
        is_plain(email)
            && !email.contains(char::is_whitespace)
            && parts.is_some_and(|(name, at)| !name.is_empty() && !at.is_empty())
    };
    if !email.as_deref().is_none_or(is_address) {
        return fault("/commits/email", "use an address, such as bot@example.com");
    }
    Ok(())
}
