//! `pullyard doctor`: looks at everything between this command line and a pull request, and says what is
//! wrong and how to mend it. It changes nothing.

use super::fault::{Exit, Fault};
use super::integrations;
use super::session::Session;
use crate::client::screen::Colour;
use crate::disk::free_bytes;
use pullyard_protocol::project::Project;
use pullyard_protocol::version::PROTOCOL;
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::process::Command;

/// Signatures and deadlines bear less than a few minutes.
const SKEW: Duration = Duration::from_secs(60);
/// Jobs need room for worktrees. Units: bytes.
const LITTLE_ROOM: u64 = 1 << 30;
const GIT_LIMIT: Duration = Duration::from_secs(10);

/// Look for what keeps tickets from becoming pull requests, and say how to mend it.
///
/// Exits with 1 if something is wrong; warnings alone are no failure.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard doctor
  pullyard doctor --json --context work")]
pub(crate) struct Doctor {}

/// How one look went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    Warning,
    Wrong,
}

/// One look.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Finding {
    fn good(check: &'static str, sentence: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, sentence: sentence.into(), help: None }
    }

    fn warning(check: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, sentence: sentence.into(), help: Some(help.into()) }
    }

    fn wrong(check: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Wrong, sentence: sentence.into(), help: Some(help.into()) }
    }
}

impl Doctor {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let findings = examine(session).await;
        let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count();
        if session.screen.is_json() {
            session.screen.json(&findings)?;
        } else {
            for finding in &findings {
                show(session, finding)?;
            }
            let summary = match wrong {
                0 => "Nothing is wrong.".to_owned(),
                1 => "1 thing is wrong.".to_owned(),
                n => format!("{n} things are wrong."),
            };
            session.screen.note(&summary);
        }
        Ok(if wrong == 0 { ExitCode::SUCCESS } else { Exit::Failed.into() })
    }
}

fn show(session: &Session, finding: &Finding) -> Result<(), Fault> {
    let (shape, plain, colour) = match finding.verdict {
        Verdict::Good => ("✓", "ok", Colour::Green),
        Verdict::Warning => ("!", "!", Colour::Yellow),
        Verdict::Wrong => ("✕", "x", Colour::Red),
    };
    let shape = if session.screen.has_shapes() { shape } else { plain };
    let shape = session.screen.painted(Some(colour), shape);
    session.screen.out(&format!("{shape} {:<12} {}", finding.check, super::screen::tame(&finding.sentence)))?;
    match &finding.help {
        Some(help) => session.screen.out(&format!("  {:<12} {}", "", super::screen::tame(help))),
        None => Ok(()),
    }
}

/// Every look, in the order of the way from here to a pull request. What depends on something that is
/// wrong is not looked at: one cause, one finding.
async fn examine(session: &Session) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(data) = &session.data {
        findings.push(git().await);
        findings.push(match free_bytes(data) {
            Some(free) if free < LITTLE_ROOM => Finding::warning(
                "disk",
                format!("{} MB are free where the data is.", free >> 20),
                "Free some space: jobs fail when the disk is full.",
            ),
            Some(free) => Finding::good("disk", format!("{} GB are free where the data is.", free >> 30)),
            None => Finding::wrong(
                "disk",
                format!("The data folder {} is gone.", data.display()),
                "Start `pullyard up` with the --data that it was started with.",
            ),
        });
    }
    if !server(session, &mut findings).await {
        return findings;
    }
    let Some(projects) = token(session, &mut findings).await else { return findings };
    forges(session, &mut findings).await;
    if projects.is_empty() {
        findings.push(Finding::warning(
            "projects",
            "There is no project yet.",
            "Make one: `pullyard projects create ID`.",
        ));
    }
    for project in &projects {
        findings.push(self::project(session, project).await);
    }
    findings
}

/// The runner of embedded tasks uses this machine's git.
async fn git() -> Finding {
    let help = "Install git, version 2.31 or later.";
    let asked = tokio::time::timeout(GIT_LIMIT, Command::new("git").arg("--version").output()).await;
    match asked {
        Ok(Ok(said)) if said.status.success() => {
            Finding::good("git", format!("{} is installed.", String::from_utf8_lossy(&said.stdout).trim()))
        }
        _ => Finding::wrong("git", "git is not installed, or does not start.", help),
    }
}

/// The server answers, and speaks our protocol at our time.
async fn server(session: &Session, findings: &mut Vec<Finding>) -> bool {
    let server = match session.api.version().await {
        Ok(server) => server,
        Err(error) => {
            let fault = Fault::from(error);
            let help = "Start it with `pullyard up`, or name another server with --url or --context.";
            findings.push(Finding::wrong("server", format!("{}.", fault.words()), help));
            return false;
        }
    };
    let ours = env!("CARGO_PKG_VERSION");
    findings.push(if server.protocol != PROTOCOL {
        Finding::wrong(
            "server",
            format!("{} speaks protocol {}, this program {PROTOCOL}.", session.url, server.protocol),
            "Update the older of the two.",
        )
    } else if server.version != ours {
        let sentence = format!("{} runs version {}, this program is {ours}.", session.url, server.version);
        Finding::warning("server", sentence, "Update the older of the two when something looks odd.")
    } else {
        Finding::good("server", format!("{} answers, version {ours}.", session.url))
    });
    if let Some(time) = server.time {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let apart = u64::try_from(time.millis()).map_or(u128::MAX, |time| u128::from(time).abs_diff(now));
        if apart > SKEW.as_millis() {
            let sentence = format!("The clocks of the server and of this machine are {} s apart.", apart / 1_000);
            findings.push(Finding::warning(
                "clock",
                sentence,
                "Set both by a time service: signatures expire by time.",
            ));
        } else {
            findings.push(Finding::good("clock", "Server and this machine agree on the time."));
        }
    }
    true
}

/// The token is taken; gives the projects it may touch.
async fn token(session: &Session, findings: &mut Vec<Finding>) -> Option<Vec<Project>> {
    match session.projects().await {
        Ok(projects) => {
            findings.push(Finding::good("token", "The token is taken."));
            Some(projects)
        }
        Err(fault) => {
            let help = "Sign in with `pullyard login`; `pullyard up --new-admin-token` makes a new one.";
            findings.push(Finding::wrong("token", format!("{}.", fault.words()), help));
            None
        }
    }
}

/// Every forge takes our token.
async fn forges(session: &Session, findings: &mut Vec<Finding>) {
    let forges = match integrations::all(session).await {
        Ok(forges) => forges,
        Err(_) => {
            let sentence = "The forges were not looked at: this token is limited to some projects.";
            findings.push(Finding::warning("forges", sentence, "Run it with an admin token."));
            return;
        }
    };
    if forges.is_empty() {
        let help = "Connect one: `pullyard integrations add ID --api-url URL --token-secret NAME`.";
        findings.push(Finding::warning("forges", "No forge is connected.", help));
    }
    for forge in forges {
        findings.push(match session.api.test_integration(&forge.id).await {
            Ok(tested) if tested.works => Finding::good("forge", tested.sentence),
            Ok(tested) => Finding::wrong("forge", tested.sentence, tested.help),
            Err(error) => {
                let sentence = format!("{} was not tested: {}.", forge.id, Fault::from(error).words());
                Finding::warning("forge", sentence, "Run it with an admin token.")
            }
        });
    }
}

/// Tickets of the project can become jobs.
async fn project(session: &Session, project: &Project) -> Finding {
    let (id, settings) = (&project.id, &project.settings);
    let repositories = match session.api.repositories(id).await {
        Ok(found) => found.repositories.len(),
        Err(error) => {
            let sentence = format!("{id} could not be looked at: {}.", Fault::from(error).words());
            return Finding::wrong("project", sentence, "Look into the server's log.");
        }
    };
    if repositories == 0 {
        let help = format!("Connect one: `pullyard repos add OWNER/NAME --project {id}`.");
        return Finding::warning("project", format!("{id} has no repository."), help);
    }
    if let Some(who) = &settings.held_by {
        let help = format!("Release it: `pullyard settings set held_by=null --project {id}`.");
        return Finding::warning("project", format!("{id} is paused by {who}: nothing new starts."), help);
    }
    if !settings.auto_create {
        return Finding::warning(
            "project",
            format!("Tickets of {id} that enter {} start nothing: auto-create is off.", settings.statuses.trigger),
            format!("Switch it on: `pullyard settings set auto_create=true --project {id}`, or create jobs by hand."),
        );
    }
    Finding::good("project", format!("Tickets of {id} that enter {} start jobs.", settings.statuses.trigger))
}
