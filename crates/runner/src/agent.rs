//! Chooses the agent of an attempt, and starts it repeatedly until its work is done or it fails for good.
//! `run::run` runs one start, `classify` judges its end, `limits` checks limits, `drivers` has the agents.

mod adapter;
pub(crate) mod agent_event;
pub(crate) mod attempt_usage;
mod choice;
mod classify;
mod command;
mod command_line_event;
mod cost_meter;
pub(crate) mod detect;
pub(crate) mod driver;
pub(crate) mod drivers;
pub(crate) mod environment;
#[cfg(test)]
mod goldens;
pub(crate) mod host_profile;
mod instructions;
mod json_lines;
mod limit_failure;
mod limit_reset;
mod limits;
mod line_reader;
pub(crate) mod model_keys;
mod model_route;
mod prices;
mod prompt_escape;
mod reported_usage;
mod restart;
mod restart_pauses;
mod run;
mod run_context;
mod run_state;
pub(crate) mod session;
mod usage_reporter;
mod variant_name;

use agent_event::UsageTotal;
pub(crate) use choice::{AgentChoice, choose_agent};
pub use detect::list_local_agents;
pub use drivers::agent_variables;
use environment::Environment;
pub use restart_pauses::RestartPauses;
pub(crate) use restart_pauses::parse_pauses;

use crate::agent_files;
use crate::api::event_draft::EventDraft;
use crate::attempt::Attempt;
use crate::git::work;
use crate::inputs::messages::{newest_number, prompt_with_messages};
use crate::output;
use crate::process::program::find_program_at;
use crate::stop::Stop;
use adapter::{Adapter, StartInput};
use classify::{EndFacts, Verdict};
use command::CommandAgent;
use cost_meter::{CostMeter, Remaining};
use host_profile::{AgentProfile, HostHome};
use limits::Limits;
use model_route::create_proxy;
use pullyard_domain::job::AgentWrites;
use pullyard_domain::kinds::prompt::QUESTION_FILE;
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::Assignment;
use pullyard_protocol::event::EventKind;
use run::RunEnd;
use run_context::agent_missing;
pub(crate) use run_context::{Run, SessionResume};
use run_state::SharedRunState;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const CONTINUE_PROMPT: &str = "The connection to the model broke off. Continue the task where you were.";
pub(crate) const READ_INPUTS_PROMPT: &str =
    "You ended your work, but it is not published yet. First act on the messages below.";
/// Prompt for a session that asked a question before it read new messages. They may contain the answer.
const QUESTION_SUPERSEDED_PROMPT: &str =
    "Users sent messages before they saw your question. Act on them, and ask again if you still have to.";
const SESSION_LOST_NOTE: &str = "\n\nAn earlier session on this task broke off; files in this folder may already contain a \
                           part of its work. Inspect them first.";

/// An agent and the state that all its starts share.
struct Agent<'a> {
    choice: &'a AgentChoice,
    environment: &'a Environment<'a>,
    adapter: Box<dyn Adapter>,
    instructions: String,
    limits: Limits,
    /// The usage of all ended starts.
    usage: UsageTotal,
}

/// Runs the agent, with further starts, until its work is done or a `Stop` ends it. Called again to repair failed
/// checks, and for messages before the push. Usage and restarts count for the whole attempt.
pub(crate) async fn run(run: &Run<'_>, choice: &AgentChoice, environment: &Environment<'_>) -> Result<(), Stop> {
    let adapter = create_adapter(run, choice, environment)?;
    let (repository, names) = (run.workspace.repository(), choice.instruction_files());
    let base = (run.target.base_branch.as_str(), run.target.base_commit.as_str());
    let instructions = instructions::load_base_instructions(run.git, &repository, base, names).await?;
    let usage = run.attempt.usage.usage();
    let mut agent = Agent { choice, environment, adapter, instructions, limits: limits(run.assignment), usage };
    let resume = run.resume.filter(|_| choice.has_sessions());
    let mut session = resume.map(|earlier| earlier.session.clone());
    let mut prompt = match resume {
        Some(earlier) => earlier.prompt.clone(),
        None if run.has_earlier_work => new_session_prompt(run, choice),
        None => run.assignment.prompt.clone(),
    };
    if let Some(earlier) = resume {
        agent.adapter.set_resumed_tokens(earlier.tokens);
    }
    let mut resume_prompt = CONTINUE_PROMPT;
    let mut silent_ends = 0;
    loop {
        if let Some(failure) = agent.limits.check_before_start(&agent.usage) {
            return Err(failure.into());
        }
        let end = agent.start(run, &prompt, session.as_deref()).await?;
        match agent.classify_end(run, &end).await? {
            // New messages may make a denied tool unnecessary, and the agent's question may be about that tool.
            verdict @ (Verdict::Succeeded | Verdict::Failed(Failure::PermissionDenied { .. })) => {
                // Only a `command` prints a question. Every agent may leave one in a file.
                let question = match end.record.question {
                    Some(question) => Some(question),
                    None => load_question(run).await,
                };
                silent_ends = if end.record.turns == 0 { silent_ends + 1 } else { 0 };
                if !choice.has_sessions() || !can_read_more_inputs(run, silent_ends).await? {
                    return match (question, verdict) {
                        (Some(question), _) => Err(Stop::Question(question)),
                        (None, Verdict::Failed(failure)) => Err(failure.into()),
                        (None, _) => Ok(()),
                    };
                }
                session = end.record.session.or(session);
                resume_prompt = if question.is_some() { QUESTION_SUPERSEDED_PROMPT } else { READ_INPUTS_PROMPT };
            }
            Verdict::Stopped(stop) => return Err(stop),
            Verdict::Failed(failure) => return Err(failure.into()),
            Verdict::Retry(transient) => {
                restart::wait_before_restart(transient, run.attempt, &run.options.agent_waits).await?;
                session = end.record.session.or(session);
                resume_prompt = CONTINUE_PROMPT;
            }
            Verdict::SessionLost => {
                let Some(lost_session) = session.take().filter(|_| !run.assignment.fails_without_session()) else {
                    return Err(Failure::SessionLost {}.into());
                };
                run.attempt.usage.forget_session(&lost_session);
                run.attempt.checkpoint_state.forget_session(&lost_session);
                if run.assignment.kind.spec().writes == AgentWrites::OutputFile {
                    // Otherwise the lost session's answer would win over the last message of a new session that
                    // writes no file.
                    output::create_folder(run.workspace)?;
                }
                let message = format!("The earlier session of {} is lost; it starts a new one.", choice.name());
                run.attempt.events.log(message);
            }
        }
        prompt = match &session {
            Some(_) => resume_prompt.to_owned(),
            None => new_session_prompt(run, choice),
        };
    }
}

impl Agent<'_> {
    /// Runs one start to the end of its processes, and adds its usage.
    async fn start(&mut self, run: &Run<'_>, prompt: &str, session: Option<&str>) -> Result<RunEnd, Stop> {
        let Self { choice, environment, adapter, instructions, limits, usage } = self;
        // The assignment's prompt already contains the messages for a `command` agent.
        let inputs = match session {
            _ if !choice.has_sessions() => Vec::new(),
            Some(_) => run.inputs.unread().await?,
            // A new session has read no message, so it receives all messages. `unread` fetches the newest.
            None => run.inputs.unread().await.map(|_| run.inputs.all())?,
        };
        let upstream = match run.sandbox {
            Some(_) => adapter.model_upstream().map_err(|reason| Failure::SandboxFailed { reason })?,
            None => None,
        };
        let network = run.sandbox.map(|sandbox| sandbox.network(upstream.is_some())).transpose()?.unwrap_or_default();
        let remaining_cost = limits.remaining_cost(usage);
        let host_home = environment.get("HOME").filter(|_| run.options.agent_profile == AgentProfile::Host);
        let host_home = host_home.map(PathBuf::from);
        let log = |text: String| run.attempt.events.log(text);
        let start = StartInput {
            prompt: &prompt_with_messages(prompt, &inputs),
            instructions,
            session,
            writes: run.assignment.kind.spec().writes,
            model: run.assignment.agent.model.as_deref(),
            remaining_turns: limits.remaining_turns(usage),
            remaining_cost,
            home: &run.workspace.home(),
            host_home: host_home.as_deref().map(|path| HostHome { path, redactor: &run.attempt.redactor, log: &log }),
            tree: &run.workspace.tree(),
            model_port: network.model_port(),
        };
        let launch = adapter.prepare(&start).map_err(|error| Failure::WorkspaceFailed { reason: error.to_string() })?;
        let attempt_usage = &run.attempt.usage;
        let check = run.sandbox.map(|sandbox| sandbox.check_result().to_owned());
        attempt_usage.note_start((choice.capability(), choice.version()), run.isolation, check, session);
        run.inputs.report(&inputs);
        let shared = if upstream.is_some() { SharedRunState::metered() } else { SharedRunState::default() };
        let rest = Remaining { turns: limits.remaining_turns(usage), cost: remaining_cost };
        let meter = upstream.is_some().then(|| Arc::new(CostMeter::new(environment, rest, &shared)));
        let proxy = upstream
            .zip(meter.clone())
            .map(|(upstream, meter)| create_proxy(upstream, environment, meter))
            .transpose()?;
        let newest_input = newest_number(&inputs);
        let bounds = run::RunLimits { meter, newest_input, limits: *limits, usage: *usage };
        let env = agent_environment(run, environment);
        let mut end = run::run(run, launch, env, (network.with_model(proxy), shared), bounds).await?;
        if !choice.has_sessions() {
            // A command reports no turns.
            run.inputs.mark_read(newest_input);
        }
        end.record.denied_tool = attempt_usage.note_denied_tool(end.record.denied_tool.take());
        *usage += end.record.usage_at_end();
        attempt_usage.note_usage(&end.record, usage);
        Ok(end)
    }

    async fn classify_end(&self, run: &Run<'_>, end: &RunEnd) -> Result<Verdict, Stop> {
        let record = &end.record;
        let denied = record.denied_tool.as_deref();
        // After a stop, skip the check for changes: the files may be gone or the disk full.
        let reports = run.assignment.step.as_ref().is_some_and(|step| step.reports);
        let may_change = run.assignment.kind.spec().writes == AgentWrites::Tree && !reports;
        let has_changes = if denied.is_some() && end.stop.is_none() && may_change {
            work::is_changed(run.git, run.workspace, &run.target.start_commit, run.assignment.kind).await?
        } else {
            true
        };
        let model = record.model.as_deref().or(run.assignment.agent.model.as_deref());
        Ok(classify::classify(&EndFacts {
            agent: self.choice.name(),
            has_sessions: self.choice.has_sessions(),
            stop: end.stop.as_ref(),
            exit: end.exit,
            end_report: record.end_report.as_ref(),
            denied_tool: denied,
            stderr: &record.stderr,
            last_message: &record.last_message(),
            has_changes,
            model,
            turn_limit: self.limits.turns,
            cost_limit: self.limits.cost,
            cost_upper_bound: self.usage.cost_upper_bound,
            now: SystemTime::now().into(),
        }))
    }
}

/// `silent_ends`: the newest ends without an answer of the model. No limit of turns or cost stops such an agent.
async fn can_read_more_inputs(run: &Run<'_>, silent_ends: u32) -> Result<bool, Stop> {
    if run.inputs.unread().await?.is_empty() || log_exhausted_limit(run.attempt) {
        return Ok(false);
    }
    let can_read = silent_ends < 2;
    if !can_read {
        run.attempt.events.log("The agent did not read the last messages: its model answered nothing in two starts.");
    }
    Ok(can_read)
}

/// `None` for a kind without questions.
async fn load_question(run: &Run<'_>) -> Option<String> {
    if !run.assignment.kind.spec().side_files.contains(&QUESTION_FILE) {
        return None;
    }
    let question = agent_files::take_question(run.git, run.workspace).await?;
    run.attempt.events.add(EventDraft::text(EventKind::Question, question.as_str()));
    Some(question)
}

fn new_session_prompt(run: &Run<'_>, choice: &AgentChoice) -> String {
    let may_have_work = choice.has_sessions() && run.assignment.kind.spec().writes == AgentWrites::Tree;
    let note = if may_have_work { SESSION_LOST_NOTE } else { "" };
    format!("{}{note}", run.assignment.prompt)
}

pub(crate) fn log_exhausted_limit(attempt: &Attempt<'_>) -> bool {
    let Some(failure) = exhausted_limit(attempt) else { return false };
    attempt.events.log(format!("The agent did not receive the last messages. {}", failure.sentence()));
    true
}

pub(crate) fn exhausted_limit(attempt: &Attempt<'_>) -> Option<Failure> {
    limits(attempt.assignment).check_before_start(&attempt.usage.usage())
}

fn limits(assignment: &Assignment) -> Limits {
    let limits = &assignment.limits;
    Limits { stall: Duration::from_secs(limits.stall_secs), turns: limits.turns, cost: limits.cost_usd_micros }
}

fn create_adapter(
    run: &Run<'_>,
    choice: &AgentChoice,
    environment: &Environment<'_>,
) -> Result<Box<dyn Adapter>, Stop> {
    Ok(match choice {
        AgentChoice::Installed(installed) => {
            (installed.driver.create)(installed.program.clone(), environment, run.isolation)
        }
        AgentChoice::Command => {
            let command = &run.assignment.agent.command;
            let Some((name, args)) = command.split_first() else {
                return Err(agent_missing(run, "The agent", &"no command is set"));
            };
            let path = environment.get("PATH");
            let is_container = run.isolation.is_container();
            let program = find_program_at(is_container, name, &run.workspace.tree(), path.as_deref())
                .map_err(|reason| agent_missing(run, name, &reason))?;
            Box::new(CommandAgent { program, args: args.to_vec() })
        }
    })
}

/// The environment of every agent. Agents inherit no other variables of the runner.
fn agent_environment(run: &Run<'_>, environment: &Environment<'_>) -> Vec<(&'static str, OsString)> {
    let assignment = run.assignment;
    let mut variables = environment.for_job(assignment, &run.workspace.temp_dir(), &run.workspace.home());
    if let Some(resume) = &assignment.resume {
        // A `command` program may store its state under this name and find it in the next attempt.
        let session = resume.session.as_deref().unwrap_or(assignment.job.as_str());
        variables.push(("PULLYARD_SESSION", session.into()));
    }
    variables
}
