//! `pullyard doctor`: checks everything between this machine and a pull request; changes nothing.

mod project;
mod stack;

pub(in crate::client) use project::is_missing_here;

use super::{Global, integrations};
use crate::client::prelude::*;
use crate::disk::free_bytes;
use pullyard_admin::doctor::{Finding, Verdict};
use pullyard_domain::job::diagnosis::{check_disk, check_isolation};
use pullyard_domain::text::{Span, format_count, to_sentence};
use pullyard_protocol::project::Project;
use pullyard_protocol::token::Token;
use pullyard_protocol::version::{PROTOCOL, Version};
use std::time::Duration;
use tokio::process::Command;

/// Signatures and deadlines tolerate only a few minutes.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);
const EXPIRY_WARNING: Duration = Duration::from_secs(7 * 86_400);
/// A success of this age still shows that a ticket tool works.
const RECENT: Duration = Duration::from_secs(3_600);
const GIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Find problems that keep tickets from becoming pull requests, and how to fix them.
///
/// Exits with 1 if something is wrong; warnings alone exit with 0.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard doctor
  pullyard doctor --json --context work
  pullyard doctor --stack pullyard --region eu-central-1")]
pub(crate) struct Doctor {
    #[command(flatten)]
    account: Account,
}

/// A stack in an account of AWS.
#[derive(clap::Args)]
pub(super) struct Account {
    /// Deployed stack to check, with the AWS credentials of this shell.
    #[arg(long, value_name = "NAME")]
    pub(super) stack: Option<String>,
    /// Region of the stack (default: the profile's).
    #[arg(long, value_name = "REGION", requires = "stack")]
    pub(super) region: Option<String>,
    /// Profile of ~/.aws/config; IAM Identity Center needs the AWS CLI version 2.
    #[arg(long, value_name = "NAME", requires = "stack")]
    pub(super) profile: Option<String>,
}

impl Doctor {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        show_all(&session.screen, &run_checks(session).await)
    }

    pub(super) fn stack(&self) -> Option<&str> {
        self.account.stack.as_deref()
    }

    pub(super) async fn run_on_stack(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        stack::run(self.account, global, screen).await
    }
}

fn show_all(screen: &Screen, findings: &[Finding]) -> Result<(), CliError> {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (wrong, warnings) = (count(Verdict::Wrong), count(Verdict::Warning));
    if screen.is_json() {
        screen.json(&findings)?;
    } else {
        for finding in findings {
            show(screen, finding)?;
        }
        screen.note(&summarize(wrong, warnings));
    }
    if wrong == 0 { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
}

fn summarize(wrong: usize, warnings: usize) -> String {
    let warnings_text = format_count(warnings, "warning");
    let wrong_text = if wrong == 1 { "1 thing is wrong".to_owned() } else { format!("{wrong} things are wrong") };
    match (wrong, warnings) {
        (0, 0) => "Nothing is wrong.".to_owned(),
        (0, _) => format!("{warnings_text}; see above."),
        (_, 0) => format!("{wrong_text}."),
        _ => format!("{wrong_text}; {warnings_text}."),
    }
}

fn show(screen: &Screen, finding: &Finding) -> Result<(), CliError> {
    let (shape, plain, colour) = match finding.verdict {
        Verdict::Good => ("✓", "ok", Colour::Green),
        Verdict::Warning => ("!", "!", Colour::Yellow),
        Verdict::Wrong => ("✕", "x", Colour::Red),
    };
    let shape = screen.paint(Some(colour), screen.symbol(shape, plain));
    screen.print_line(&format!("{shape} {:<12} {}", finding.check, sanitize(&finding.sentence)))?;
    match &finding.help {
        Some(help) => screen.print_line(&format!("  {:<12} {}", "", sanitize(help))),
        None => Ok(()),
    }
}

/// Runs the checks in the order from here to a pull request. Skips those that depend on a failed one.
async fn run_checks(session: &Session) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(data) = &session.data {
        findings.push(check_git().await);
        findings.push(match free_bytes(data) {
            Some(free) => check_disk(free),
            None => Finding::wrong(
                "disk",
                format!("The data folder {} is gone.", data.display()),
                "Start `pullyard up` again with its former --data.",
            ),
        });
    }
    if !check_server(session, &mut findings).await {
        return findings;
    }
    let Some(all) = check_token(session, &mut findings).await else { return findings };
    findings.push(stack::check_hooks(session, &all).await);
    check_projects(session, &all, &mut findings).await;
    findings
}

async fn check_projects(session: &Session, projects: &[Project], findings: &mut Vec<Finding>) {
    check_forges(session, findings).await;
    check_tools(session, findings).await;
    if projects.is_empty() {
        findings.push(Finding::warning(
            "projects",
            "There is no project yet.",
            "Create one: `pullyard projects create ID`.",
        ));
    }
    let runners = match projects.iter().any(|project| project.settings.compute.uses_runners()) {
        true => super::runners::list_all(session).await,
        false => Ok(Vec::new()),
    };
    for project in projects {
        findings.push(project::check_repositories(session, project).await);
        findings.extend(project::check_budget(session, project).await);
        findings.extend(project::check_polls(session, project).await);
        findings.extend(project::check_runners(&session.url, project, &runners));
        findings.extend(project::check_agents(session, project, &runners).await);
        findings.extend(project::check_keys(session, project).await);
        findings.extend(project::check_last_job(session, project).await);
    }
    findings.extend(runners.iter().flatten().filter_map(|runner| check_isolation(&runner.into())));
}

async fn check_git() -> Finding {
    match tokio::time::timeout(GIT_TIMEOUT, Command::new("git").arg("--version").output()).await {
        Ok(Ok(output)) if output.status.success() => {
            Finding::good("git", format!("{} is installed.", String::from_utf8_lossy(&output.stdout).trim()))
        }
        _ => Finding::wrong("git", "git is not installed, or does not start.", "Install git, version 2.38 or later."),
    }
}

async fn check_server(session: &Session, findings: &mut Vec<Finding>) -> bool {
    let server = match session.api.version().await {
        Ok(server) => server,
        Err(error) => {
            let fault = CliError::from(error);
            let help = "Start it with `pullyard up`, or choose another server with --url or --context.";
            findings.push(Finding::wrong("server", error_sentence(&fault), help));
            return false;
        }
    };
    let own_version = env!("CARGO_PKG_VERSION");
    findings.push(if server.protocol != PROTOCOL {
        Finding::wrong(
            "server",
            format!("{} speaks protocol {}, this program {PROTOCOL}.", session.url, server.protocol),
            "Update the older of the two.",
        )
    } else if server.version != own_version {
        let sentence = format!("{} runs version {}, this program is {own_version}.", session.url, server.version);
        Finding::warning("server", sentence, "Update the older of the two when something looks odd.")
    } else {
        Finding::good("server", format!("{} answers, version {own_version}.", session.url))
    });
    findings.extend(check_clock(&server));
    true
}

fn check_clock(server: &Version) -> Option<Finding> {
    let (time, now) = (server.time?, format::now());
    let skew = time.since(now).max(now.since(time));
    Some(if skew > MAX_CLOCK_SKEW {
        let sentence = format!("The clocks of the server and this machine differ by {}.", Span::from(skew));
        Finding::warning("clock", sentence, "Synchronise both with a time service: signatures expire.")
    } else {
        Finding::good("clock", "The clocks of the server and this machine agree.")
    })
}

async fn check_token(session: &Session, findings: &mut Vec<Finding>) -> Option<Vec<Project>> {
    let requests = async { Ok::<_, CliError>((session.api.own_token().await?, session.projects().await?)) };
    match requests.await {
        Ok((token, projects)) => {
            findings.push(check_token_expiry(&token));
            Some(projects)
        }
        Err(fault) => {
            let help = if session.data.is_some() {
                "Remove PULLYARD_TOKEN and --token, if set. Otherwise start `pullyard up` again: it saves a valid token; \
                 --new-admin-token creates another."
            } else {
                "Sign in with `pullyard login`, or set PULLYARD_TOKEN."
            };
            findings.push(Finding::wrong("token", error_sentence(&fault), help));
            None
        }
    }
}

fn check_token_expiry(token: &Token) -> Finding {
    let name = &token.name;
    let Some(remaining) = token.expires_at.map(|at| at.since(format::now())) else {
        return Finding::good("token", format!("The token {name} is valid and does not expire."));
    };
    let duration = Span::from(remaining);
    if remaining < EXPIRY_WARNING {
        let help = "An admin creates the next one with `pullyard tokens create`; then run `pullyard login`.";
        return Finding::warning("token", format!("The token {name} is valid, but expires in {duration}."), help);
    }
    Finding::good("token", format!("The token {name} is valid and expires in {duration}."))
}

fn error_sentence(fault: &CliError) -> String {
    to_sentence(&fault.message())
}

async fn check_forges(session: &Session, findings: &mut Vec<Finding>) {
    let forges = match integrations::list_all(session).await {
        Ok(forges) => forges,
        Err(_) => {
            let sentence = "The forges were not checked: this token is limited to some projects.";
            findings.push(Finding::warning("forges", sentence, "Run it with an admin token."));
            return;
        }
    };
    if forges.is_empty() {
        let help = "Connect one: `pullyard integrations add ID --kind KIND --token-secret NAME`.";
        findings.push(Finding::warning("forges", "No forge is connected.", help));
    }
    for forge in forges {
        findings.push(match session.api.test_integration(&forge.id).await {
            Ok(tested) if tested.works => Finding::good("forge", tested.sentence),
            Ok(tested) => Finding::wrong("forge", tested.sentence, tested.help),
            Err(error) => {
                let sentence = format!("{} was not tested: {}.", forge.id, CliError::from(error).message());
                Finding::warning("forge", sentence, "Run it with an admin token.")
            }
        });
    }
}

async fn check_tools(session: &Session, findings: &mut Vec<Finding>) {
    // Without the right to list them, the finding of the forges says so.
    let tools = session.api.trackers().await.map(|list| list.trackers).unwrap_or_default();
    for tool in tools {
        let id = &tool.id;
        // A call ends the tool's rest and sends a message to a user's own tool, so a recent success suffices.
        let is_known = tool.problem.is_some() || tool.last_ok.is_some_and(|at| format::now().since(at) < RECENT);
        let tested = match is_known {
            true => Ok(tool.problem.clone()),
            false => session.api.test_tracker(id).await.map(|tested| tested.problem),
        };
        findings.push(match tested {
            Ok(None) => Finding::good("tool", format!("The ticket tool {id} works.")),
            Ok(Some(problem)) => {
                let help = format!("Repair it, then run `pullyard trackers test {id}`; its secret is {}.", tool.secret);
                Finding::wrong("tool", format!("The ticket tool {id} fails: {problem}."), help)
            }
            Err(error) => {
                let sentence = format!("The ticket tool {id} was not tested: {}.", CliError::from(error).message());
                Finding::warning("tool", sentence, format!("Try `pullyard trackers test {id}` with an admin token."))
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::summarize;

    #[test]
    fn summary_counts_warnings() {
        for (wrong, warnings, expected) in [
            (0, 0, "Nothing is wrong."),
            (0, 1, "1 warning; see above."),
            (1, 0, "1 thing is wrong."),
            (2, 3, "2 things are wrong; 3 warnings."),
        ] {
            assert_eq!(summarize(wrong, warnings), expected);
        }
    }
}
