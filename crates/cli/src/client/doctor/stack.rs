//! `pullyard doctor --stack`: checks a stack, from the AWS account to the webhooks.

use super::{Account, check_clock, check_projects, check_token, error_sentence, show_all};
use crate::client::prelude::*;
use crate::client::{Global, hooks, integrations};
use pullyard_admin::doctor::{self, Finding, ImageLabels, ModelRequirement, Verdict};
use pullyard_admin::{Aws, Error, Stack};
use pullyard_domain::agent::COMMAND;
use pullyard_domain::project::hook::{Ingress, WebhookScope};
use pullyard_domain::text::{format_error_chain, to_sentence};
use pullyard_protocol::client::ApiClient;
use pullyard_protocol::hook::Hook;
use pullyard_protocol::project::Project;
use pullyard_protocol::version::{PROTOCOL, Version};
use pullyard_version::{COMMIT, UNKNOWN, VERSION, short_commit};
use std::collections::BTreeSet;

pub(super) async fn run(account: Account, global: &Global, screen: &Screen) -> Result<(), CliError> {
    let name = account.stack.unwrap_or_default();
    let findings = match Aws::connect(account.region, account.profile).await {
        Err(error) => vec![stack_unavailable(&error)],
        Ok(aws) => match Stack::load(&aws, &name).await {
            Err(error) => vec![stack_unavailable(&error)],
            Ok(stack) => run_checks(&aws, &stack, global).await?,
        },
    };
    show_all(screen, &findings)
}

async fn run_checks(aws: &Aws, stack: &Stack, global: &Global) -> Result<Vec<Finding>, CliError> {
    let session = Session::open_for_url(global, &stack.api_url)?;
    let server = ApiClient::new(&stack.api_url, "")?.version().await;
    let labels = doctor::load_labels(aws, stack).await;
    let commits = [
        ("this program", Some(COMMIT)),
        ("the stack's program", server.as_ref().ok().map(|server| server.commit.as_str())),
        ("its templates", Some(stack.commit.as_deref().unwrap_or(UNKNOWN))),
        ("its image", labels.as_ref().ok().map(ImageLabels::commit)),
    ];
    let mut api_findings = vec![check_commits(&stack.name, &commits)];
    api_findings.extend(server.as_ref().ok().and_then(check_clock));
    api_findings.push(check_version(stack, server));
    let (mut secrets, mut needs) = (Vec::new(), Requirements::default());
    match &session {
        None => api_findings.push(Finding::wrong(
            "token",
            format!(
                "This command line has no token for {}: hooks, forges and model keys were not checked.",
                stack.api_url
            ),
            format!("Set the stack up with `pullyard init --stack {}`, or sign in with `pullyard login`.", stack.name),
        )),
        Some(session) => {
            if let Some(all) = check_token(session, &mut api_findings).await {
                secrets = secrets_in_use(session, stack).await;
                needs = Requirements::load(session, &all).await;
                api_findings.extend(check_models(aws, &needs).await);
                api_findings.push(check_hooks(session, &all).await);
                check_projects(session, &all, &mut api_findings).await;
            }
        }
    }
    let mut findings = doctor::run_checks(aws, stack, &secrets).await;
    match labels {
        Ok(labels) => findings.extend(doctor::check_agents(stack, &labels, &needs.models)),
        Err(finding) => findings.push(finding),
    }
    findings.extend(api_findings);
    Ok(findings)
}

fn stack_unavailable(error: &Error) -> Finding {
    let chain = format_error_chain(error);
    Finding::wrong("stack", format!("Failed to check the stack: failed to {chain}."), to_sentence(error.help()))
}

fn check_version(stack: &Stack, server: Result<Version, pullyard_protocol::client::Error>) -> Finding {
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            let help = format!(
                "See the errors of the function: `aws logs tail /pullyard/{}/api --since 1h`; then the network from here.",
                stack.name
            );
            return Finding::wrong(
                "version",
                format!("The API returns no version. {}", error_sentence(&CliError::from(error))),
                help,
            );
        }
    };
    if server.version != stack.version {
        let sentence = format!(
            "The stack {} is of version {}, but its functions run {}.",
            stack.name, stack.version, server.version
        );
        Finding::wrong("version", sentence, "Deploy it again: `infra/preflight` prints the commands.")
    } else if server.protocol != PROTOCOL {
        let sentence = format!("The API speaks protocol {}, this program {PROTOCOL}.", server.protocol);
        Finding::wrong("version", sentence, "Update the older of the two.")
    } else if server.version != VERSION {
        let sentence = format!("The stack runs version {}, this program is {VERSION}.", server.version);
        Finding::warning("version", sentence, "Update the older of the two when something looks odd.")
    } else {
        Finding::good("version", format!("Stack, functions and this program are of version {VERSION}."))
    }
}

/// Each part with its commit; `None` if the part was not read, which another finding reports.
fn check_commits(stack: &str, parts: &[(&str, Option<&str>)]) -> Finding {
    let readable: Vec<_> = parts.iter().filter_map(|(part, commit)| Some((*part, commit.map(str::trim)?))).collect();
    let is_known = |commit: &str| !commit.is_empty() && commit != UNKNOWN;
    let describe = |(part, commit): &(&str, &str)| {
        format!("{part} {}", if is_known(commit) { short_commit(commit) } else { UNKNOWN })
    };
    let list = readable.iter().map(describe).collect::<Vec<_>>().join(", ");
    if readable.iter().all(|(_, commit)| is_known(commit) && *commit == readable[0].1) {
        return Finding::good("commit", format!("Every commit is the same: {list}."));
    }
    let help = format!(
        "Deploy one release or one clone, with its `pullyard`: `infra/preflight`, the commands that it prints, \
         `infra/image/push --stack {stack}`."
    );
    Finding::warning("commit", format!("The commits differ or are unknown: {list}."), help)
}

async fn secrets_in_use(session: &Session, stack: &Stack) -> Vec<String> {
    let forges = integrations::list_all(session).await.unwrap_or_default();
    let of_forges = forges.iter().flat_map(|forge| forge.auth.secrets().into_iter().map(str::to_owned));
    let hooks = hooks::list_all(session).await.unwrap_or_default();
    let repository_hooks = hooks.iter().filter(|hook| !matches!(hook.kind, WebhookScope::App {}));
    of_forges.chain(repository_hooks.map(|hook| format!("{}{}", stack.user_secret_prefix, hook.secret))).collect()
}

#[derive(Default)]
struct Requirements {
    models: Vec<ModelRequirement>,
    /// The API did not list the repositories of some project, whose own check reports this.
    is_partial: bool,
}

impl Requirements {
    async fn load(session: &Session, projects: &[Project]) -> Self {
        let mut needs = Self::default();
        for project in projects {
            let Ok(answer) = session.api.repositories(&project.id).await else {
                needs.is_partial = true;
                continue;
            };
            let settings = &project.settings;
            let agents =
                answer.repositories.into_iter().map(|repository| repository.agent.resolve(settings).capability);
            needs.models.push(ModelRequirement {
                project: project.id.to_string(),
                agents: agents.filter(|agent| agent != COMMAND).collect(),
                secrets: settings.model_secrets.clone(),
                compute: settings.compute,
                signing_secret: settings.commits.signing_secret.clone(),
            });
        }
        needs
    }
}

async fn check_models(aws: &Aws, needs: &Requirements) -> Vec<Finding> {
    let mut findings = doctor::check_models(aws, &needs.models).await;
    findings.retain(|finding| !needs.is_partial || finding.verdict != Verdict::Good);
    findings
}

pub(super) async fn check_hooks(session: &Session, projects: &[Project]) -> Finding {
    compare_hooks(session, projects).await.unwrap_or_else(|error| {
        let sentence = format!("Failed to check the webhooks: {}.", error.message());
        Finding::warning("hook", sentence, "Run it with an admin token.")
    })
}

async fn compare_hooks(session: &Session, projects: &[Project]) -> Result<Finding, CliError> {
    let hooks = hooks::list_all(session).await?;
    let mut webhook_repositories = 0;
    // A webhook that starts a template is needed while it exists.
    let mut needed: BTreeSet<_> = hooks.iter().filter(|hook| hook.template.is_some()).map(|hook| &hook.name).collect();
    for project in projects {
        let repositories = session.api.repositories(&project.id).await?.repositories;
        let ingresses = session.api.ingresses(&project.id).await?.repositories;
        for repository in &repositories {
            let entry = ingresses.iter().find(|entry| entry.repository == repository.name);
            let ingress = entry.map_or(Ingress::Webhook, |entry| entry.ingress);
            if ingress == Ingress::Poll {
                continue;
            }
            webhook_repositories += 1;
            let covers = |hook: &&Hook| {
                hook.template.is_none()
                    && hook.integration == repository.integration
                    && match &hook.kind {
                        WebhookScope::Repository { id, .. } => *id == repository.id && hook.project == project.id,
                        WebhookScope::Organisation { login } => {
                            let owner = repository.name.as_str().split('/').next().unwrap_or_default();
                            owner.eq_ignore_ascii_case(login)
                        }
                        WebhookScope::App {} => true,
                    }
            };
            let mut covering = hooks.iter().filter(covers).map(|hook| &hook.name).peekable();
            if covering.peek().is_none() {
                let sentence =
                    format!("No webhook sends reviews of {} to the project {}.", repository.name, project.id);
                let help = format!(
                    "`pullyard hooks install --base-url {0} --integration {3} --repo {1} --project {2}`, or \
                     poll: `pullyard repos ingress {1} poll --project {2}`.",
                    session.url, repository.name, project.id, repository.integration
                );
                // Without revisions only tickets matter, and they arrive another way.
                return Ok(match project.settings.revise_on_review {
                    true => Finding::wrong("hook", sentence, help),
                    false => Finding::warning("hook", sentence, help),
                });
            }
            needed.extend(covering);
        }
    }
    let mut unneeded = None;
    for Hook { name, .. } in &hooks {
        if let Some(drift) = session.api.verify_hook(name).await?.drifts.first() {
            let sentence = format!("The webhook {name} differs from its expected settings: {}", drift.sentence);
            if needed.contains(name) {
                let help = match drift.repairable {
                    true => format!("`pullyard hooks repair {name}`."),
                    false => format!("Fix the cause at the forge; then `pullyard hooks verify {name}`."),
                };
                return Ok(Finding::wrong("hook", sentence, help));
            }
            let help = format!("No repository needs it now. To remove it for good: `pullyard hooks delete {name}`.");
            unneeded.get_or_insert(Finding::warning("hook", sentence, help));
        }
    }
    if let Some(finding) = unneeded {
        return Ok(finding);
    }
    Ok(Finding::good(
        "hook",
        match webhook_repositories {
            0 => "No repository needs a webhook.".to_owned(),
            1 => "The webhook of 1 repository exists.".to_owned(),
            n => format!("The webhooks of {n} repositories exist."),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parts: &[(&str, Option<&str>)], verdict: Verdict, sentence: &str) {
        let finding = check_commits("py", parts);
        assert_eq!((finding.verdict, finding.sentence.as_str()), (verdict, sentence));
    }

    #[test]
    fn different_or_unknown_commits_are_one_warning() {
        let (a, b) = ("aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb");
        let same = "Every commit is the same: this program aaaaaaaaaaaa, its image aaaaaaaaaaaa.";
        check(
            &[("this program", Some(a)), ("its templates", None), ("its image", Some("aaaaaaaaaaaaaaaa\n"))],
            Verdict::Good,
            same,
        );
        let differ = "The commits differ or are unknown: this program aaaaaaaaaaaa, its image bbbbbbbbbbbb.";
        check(&[("this program", Some(a)), ("its image", Some(b))], Verdict::Warning, differ);
        let unknown = "The commits differ or are unknown: this program unknown, its image unknown.";
        check(&[("this program", Some(UNKNOWN)), ("its image", Some(""))], Verdict::Warning, unknown);
    }
}
