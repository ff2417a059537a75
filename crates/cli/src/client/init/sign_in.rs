//! Signs this command line in to a stack: creates its first admin token, or uses the saved one.

use super::{Step, StepOutcome, to_fault};
use crate::client::config::{Config, SavedContext};
use crate::client::prelude::*;
use pullyard_admin::{Aws, FirstTokenOutcome, Renew, Stack, create_first_token, generate_token};
use pullyard_protocol::client::ApiClient;

/// Saves the token here before the stack gets it, so that a lost answer loses no token.
pub(super) async fn sign_in(aws: &Aws, stack: &Stack, context: &str, renew: Renew) -> Result<Step, CliError> {
    let before = Config::load()?;
    let url = &stack.api_url;
    if let Some(other) = before.contexts.get(context).filter(|other| other.url != *url) {
        return Err(CliError::usage(format!("context {context} belongs to another server, {}", other.url))
            .with_help("choose another with --context, or remove it with `pullyard logout`"));
    }
    let saved = before.contexts.get(context).or_else(|| before.contexts.values().find(|other| other.url == *url));
    let token = match (saved, renew) {
        (Some(saved), Renew::Never) => saved.token.clone(),
        _ => generate_token(),
    };
    let mut config = Config::load()?;
    let project = saved.and_then(|saved| saved.project.clone());
    let signed = SavedContext { url: url.clone(), token: token.clone(), project, data: None };
    config.contexts.insert(context.into(), signed);
    config.current = Some(context.into());
    config.save()?;
    let created = match create_first_token(aws, stack, &token, renew).await {
        Ok(created) => created,
        // The write may have succeeded: keep the token for a second run.
        Err(error) if error.is_transient() => return Err(to_fault(error)),
        Err(error) => {
            before.save()?;
            return Err(to_fault(error));
        }
    };
    let signed_in = |did, state: &str| {
        let sentence = format!("{state}; this command line is signed in to {url} as context {context}.");
        Ok(Step::new("token", did, sentence))
    };
    match created {
        FirstTokenOutcome::Created => signed_in(StepOutcome::Made, "Created the first admin token"),
        FirstTokenOutcome::AlreadyExists => signed_in(StepOutcome::Existed, "The first admin token exists"),
        FirstTokenOutcome::OtherAdmin { name, prefix } => {
            if saved.is_some() && ApiClient::new(url, &token)?.own_token().await.is_ok() {
                let sentence =
                    format!("An admin token exists, {name} ({prefix}…); context {context} is signed in to {url}.");
                return Ok(Step::new("token", StepOutcome::Existed, sentence));
            }
            before.save()?;
            Err(CliError::new(Exit::Refused, format!("{} already has an admin token, {name} ({prefix}…)", stack.name)).with_help(
                "sign in with it: `pullyard login`; if it is lost, --new-admin-token revokes the first one and creates another",
            ))
        }
        FirstTokenOutcome::Unusable { name, prefix } => {
            before.save()?;
            let error = format!("the saved token of {url}, {name} ({prefix}…), is not a valid admin token");
            Err(CliError::new(Exit::Refused, error).with_help(
                "it was revoked, has expired or is limited: sign in with an admin token (`pullyard login`), or replace the first one with --new-admin-token",
            ))
        }
    }
}
