//! Refuses settings of agents, commands and commits that could not work.

use super::Settings;
use crate::agent::{PROJECT_CHOICES, is_valid_model_name, model_name_rule};
use crate::checks::{MAX_LIMIT_SECS, MAX_OUTPUT_KIB};
use crate::commits::{CommitSettings, MAX_CHARS};
use crate::egress::AllowList;
use crate::setting_fault::SettingFault;

pub(super) fn validate_agent(settings: &Settings) -> Result<(), SettingFault> {
    let fault = |pointer, fault: String| Err(SettingFault { pointer, fault: fault.into() });
    match (&settings.agent, &settings.model) {
        (Some(agent), _) if !PROJECT_CHOICES.contains(&agent.as_str()) => {
            let choices = PROJECT_CHOICES.join(", ");
            fault("/agent", format!("choose one of {choices}, or none; set a command on the repository"))
        }
        (None, Some(_)) => fault("/model", "a model needs an agent: set `agent` as well".into()),
        (Some(_), Some(model)) if !is_valid_model_name(model) => fault("/model", model_name_rule()),
        _ => Ok(()),
    }
}

/// Refuses a change of the agent that keeps the model, because the model belongs to the previous agent. A change
/// contains all settings, so it cannot show whether the user named the model again. A user who wants the model sets it
/// in a second change.
pub fn validate_change(before: &Settings, after: &Settings) -> Result<(), SettingFault> {
    match (&before.agent, &before.model) {
        (Some(agent), Some(model)) if before.agent != after.agent && after.model.as_ref() == Some(model) => {
            let fault = format!(
                "{model} was named for {agent}: with the new agent name another, or none; {model} itself is taken by a \
                 change after that"
            );
            Err(SettingFault { pointer: "/model", fault: fault.into() })
        }
        _ => Ok(()),
    }
}

pub(super) fn validate_commands(settings: &Settings) -> Result<(), SettingFault> {
    let Settings { setup, checks, command_policy, .. } = settings;
    let listed = [("/setup/commands", &setup.commands), ("/checks/commands", &checks.commands)];
    listed.into_iter().try_for_each(|(pointer, lines)| {
        command_policy.check(lines).map_err(|fault| SettingFault { pointer, fault: fault.into() })
    })?;
    let limits = [("/setup/limit_secs", setup.limit_secs), ("/checks/limit_secs", checks.limit_secs)];
    if let Some((pointer, _)) = limits.into_iter().find(|(_, secs)| !(1..=MAX_LIMIT_SECS).contains(secs)) {
        return Err(SettingFault { pointer, fault: "use 1 to 21600 seconds (6 hours)".into() });
    }
    if !(4..=MAX_OUTPUT_KIB).contains(&checks.output_kib) {
        return Err(SettingFault { pointer: "/checks/output_kib", fault: "use 4 to 16384 KiB".into() });
    }
    Ok(())
}

/// The longest list, so that a job's context stays small.
const MAX_EGRESS_RULES: usize = 100;

pub(super) fn validate_egress(settings: &Settings) -> Result<(), SettingFault> {
    let fault = |fault: String| SettingFault { pointer: "/egress", fault: fault.into() };
    if settings.egress.len() > MAX_EGRESS_RULES {
        return Err(fault(format!("use at most {MAX_EGRESS_RULES} lines")));
    }
    AllowList::parse(&settings.egress).map(drop).map_err(|invalid| fault(invalid.to_string()))
}

/// Refuses an author that git rejects or misreads.
pub(super) fn validate_commits(settings: &Settings) -> Result<(), SettingFault> {
    let CommitSettings { name, email, .. } = &settings.commits;
    let plain = |text: &str| {
        let odd = |c: char| c.is_control() || matches!(c, '<' | '>');
        (1..=MAX_CHARS).contains(&text.trim().chars().count()) && !text.contains(odd)
    };
    if !name.as_deref().is_none_or(|name| plain(name) && name.contains(char::is_alphanumeric)) {
        return Err(SettingFault {
            pointer: "/commits/name",
            fault: "use 1 to 100 printable characters without < and >".into(),
        });
    }
    let is_address = |email: &str| {
        let parts = email.split_once('@');
        plain(email)
            && !email.contains(char::is_whitespace)
            && parts.is_some_and(|(name, at)| !name.is_empty() && !at.is_empty())
    };
    if !email.as_deref().is_none_or(is_address) {
        return Err(SettingFault {
            pointer: "/commits/email",
            fault: "use an address, such as bot@example.com".into(),
        });
    }
    Ok(())
}
