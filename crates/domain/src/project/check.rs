//! Refuses settings of agents, commands and commits that could not work.

use super::Settings;
use crate::agent::{OF_PROJECTS, is_model, model_fault};
use crate::checks::{LONGEST_SECS, MOST_OUTPUT_KIB};
use crate::commits::{Commits, LONGEST};
use crate::setting_fault::SettingFault;

pub(super) fn agent(settings: &Settings) -> Result<(), SettingFault> {
    let fault = |pointer, fault: String| Err(SettingFault { pointer, fault: fault.into() });
    match (&settings.agent, &settings.model) {
        (Some(agent), _) if !OF_PROJECTS.contains(&agent.as_str()) => {
            let choices = OF_PROJECTS.join(", ");
            fault("/agent", format!("choose one of {choices}, or null; set a command on the repository"))
        }
        (None, Some(_)) => fault("/model", "a model needs an agent: set `agent` as well".into()),
        (Some(_), Some(model)) if !is_model(model) => fault("/model", model_fault()),
        _ => Ok(()),
    }
}

/// Refuses a change of the agent that keeps the model, because the model belongs to the previous agent. A change
/// contains all settings, so it cannot show whether the user named the model again. A user who wants the model sets it
/// in a second change.
pub fn check_change(before: &Settings, after: &Settings) -> Result<(), SettingFault> {
    match (&before.agent, &before.model) {
        (Some(agent), Some(model)) if before.agent != after.agent && after.model.as_ref() == Some(model) => {
            let fault = format!(
                "{model} was named for {agent}: with the new agent name another, or null; {model} itself is taken by a \
                 change after that"
            );
            Err(SettingFault { pointer: "/model", fault: fault.into() })
        }
        _ => Ok(()),
    }
}

pub(super) fn commands(settings: &Settings) -> Result<(), SettingFault> {
    let Settings { setup, checks, command_policy, .. } = settings;
    let listed = [("/setup/commands", &setup.commands), ("/checks/commands", &checks.commands)];
    listed.into_iter().try_for_each(|(pointer, lines)| {
        command_policy.check(lines).map_err(|fault| SettingFault { pointer, fault: fault.into() })
    })?;
    let limits = [("/setup/limit_secs", setup.limit_secs), ("/checks/limit_secs", checks.limit_secs)];
    if let Some((pointer, _)) = limits.into_iter().find(|(_, secs)| !(1..=LONGEST_SECS).contains(secs)) {
        return Err(SettingFault { pointer, fault: "use 1 to 21600 seconds".into() });
    }
    if !(4..=MOST_OUTPUT_KIB).contains(&checks.output_kib) {
        return Err(SettingFault { pointer: "/checks/output_kib", fault: "use 4 to 16384 KiB".into() });
    }
    Ok(())
}

/// Refuses an author that git rejects or misreads.
pub(super) fn commits(settings: &Settings) -> Result<(), SettingFault> {
    let Commits { name, email, .. } = &settings.commits;
    let plain = |text: &str| {
        let odd = |c: char| c.is_control() || matches!(c, '<' | '>');
        (1..=LONGEST).contains(&text.trim().chars().count()) && !text.contains(odd)
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
            && parts.is_some_and(|(who, at)| !who.is_empty() && !at.is_empty())
    };
    if !email.as_deref().is_none_or(is_address) {
        return Err(SettingFault {
            pointer: "/commits/email",
            fault: "use an address, such as bot@example.com".into(),
        });
    }
    Ok(())
}
