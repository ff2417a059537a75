//! Runs a command of `setup` or `checks` without secrets, with a time limit, and without leaving a process behind.

mod output;

use crate::Isolation;
use crate::agent::environment::Environment;
use crate::api::calls::Calls;
use crate::api::event_draft::EventDraft;
use crate::attempt::Attempt;
use crate::disk_limit;
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::create_private_dirs;
use crate::options::RunJob;
use crate::process::enclosed::Enclosed;
use crate::process::pid_namespace::Exit;
use crate::process::program::find_program_at;
use crate::process::sandbox::{Inside, JobSandbox, TreeAccess};
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use output::OutputBuffer;
use pullyard_domain::agent::commands::CommandPolicy;
use pullyard_domain::text::Span;
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of the output's end is in an event. Units: bytes.
const EVENT_OUTPUT_BYTES: usize = 8 * 1024;
const NOT_STARTED_EXIT: i32 = 127;

pub(crate) struct CommandRunner<'a> {
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) options: &'a RunJob,
    pub(crate) workspace: &'a Workspace,
    pub(crate) sandbox: Option<&'a JobSandbox>,
    pub(crate) policy: CommandPolicy,
}

#[derive(Clone, Copy)]
pub(crate) struct CommandLine<'a> {
    pub(crate) line: &'a str,
    pub(crate) call: &'a str,
    pub(crate) limit: Duration,
    pub(crate) max_output_bytes: usize,
    pub(crate) tree: TreeAccess<'a>,
}

#[derive(Debug)]
pub(crate) struct CommandResult {
    pub(crate) exit: Option<Exit>,
    pub(crate) stop: Option<Stop>,
    pub(crate) duration: Duration,
    pub(crate) output: String,
    pub(crate) truncated: bool,
}

impl CommandResult {
    fn from_start_error(reason: &str, took: Duration) -> Self {
        let output = format!("{reason}\n");
        Self { exit: Some(Exit::Code(NOT_STARTED_EXIT)), stop: None, duration: took, output, truncated: false }
    }

    pub(crate) fn is_success(&self) -> bool {
        self.exit == Some(Exit::Code(0))
    }
}

impl CommandRunner<'_> {
    /// Errors: `CommandNotAllowed`, and processes that could not be killed. An order or a limit gives a result.
    pub(crate) async fn run(&self, command: CommandLine<'_>) -> Result<CommandResult, Stop> {
        let argv = self.policy.parse_command(command.line);
        let argv = argv.map_err(|_| Failure::CommandNotAllowed { command: command.line.to_owned() })?;
        let call = Some(command.call.to_owned());
        let draft = EventDraft::text(EventKind::Command, command.line);
        self.attempt.events.add(EventDraft { call: call.clone(), ..draft });
        let result = self.start_and_wait(&argv, command).await?;
        let end = match result.exit {
            Some(exit) => exit.to_string(),
            None if result.stop.is_some() => "stopped with its attempt".to_owned(),
            None => format!("stopped after {}", Span::from(command.limit)),
        };
        tracing::info!(job.id = %self.attempt.assignment.job, end, "project command finished");
        let took_ms = u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX);
        self.attempt.events.add(EventDraft {
            call,
            data: Some(json!({ "end": end, "took_ms": took_ms, "truncated": result.truncated })),
            ..EventDraft::text(EventKind::ToolResult, output_tail(&result.output))
        });
        Ok(result)
    }

    async fn start_and_wait(&self, argv: &[String], command: CommandLine<'_>) -> Result<CommandResult, Stop> {
        let start = Instant::now();
        let env = self.environment()?;
        let path = env.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| path.as_os_str());
        let Some((program_name, args)) = argv.split_first() else {
            return Ok(CommandResult::from_start_error("there is no command", start.elapsed()));
        };
        let is_container = self.options.isolation.is_some_and(Isolation::is_container);
        let program = match find_program_at(is_container, program_name, &self.workspace.tree(), path) {
            Ok(program) => program,
            Err(reason) => return Ok(CommandResult::from_start_error(&reason, start.elapsed())),
        };
        // One pipe for both keeps the order of the output.
        let (output_pipe, writer) = std::io::pipe()?;
        let pipe = Receiver::from_owned_fd(OwnedFd::from(output_pipe))?;
        let stdout = writer.try_clone()?;
        let set_streams = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(stdout).stderr(writer);
        };
        let home = self.workspace.commands_home();
        let args = args.iter().map(OsString::from).collect();
        let network = self.sandbox.map(|sandbox| sandbox.network(false)).transpose()?.unwrap_or_default();
        let inside = Inside { program: &program, args, env, home: &home, network, tree: command.tree };
        let enclosure = (self.sandbox, self.options.process_namespace);
        let mut running = match Enclosed::start(self.workspace, enclosure, inside, set_streams).await? {
            Ok(running) => running,
            Err(error) => return Ok(CommandResult::from_start_error(&error.to_string(), start.elapsed())),
        };
        let reader = read_output(pipe, &self.attempt.redactor, command.max_output_bytes);
        let result = self.supervise(&mut running, command.limit).await;
        let took = start.elapsed();
        running.end(self.workspace, self.options.stop_grace, "a command").await?;
        let (output, truncated) = match timeout(LAST_OUTPUT_TIMEOUT, reader).await {
            Ok(Ok(buffer)) => buffer.finish(),
            _ => ("its output could not be read to its end\n".to_owned(), true),
        };
        let (exit, stop) = match result {
            Ok(exit) => (exit, None),
            Err(stop) => (None, Some(stop)),
        };
        Ok(CommandResult { exit, stop, duration: took, output, truncated })
    }

    async fn supervise(&self, running: &mut Enclosed, limit: Duration) -> Result<Option<Exit>, Stop> {
        let Calls { assignment, orders, deadline, .. } = &self.attempt.calls;
        let disk_failure = disk_limit::wait_until_exceeded(self.workspace.root(), self.options.disk_limit);
        tokio::select! {
            biased;
            order = orders.wait_any() => Err(Stop::Order(order)),
            exit = running.wait() => exit.map(Some),
            () = deadline.reached() => Err(Failure::TimeLimit { limit: Span(assignment.limits.wall_secs) }.into()),
            failure = disk_failure => Err(failure.into()),
            () = sleep(limit) => Ok(None),
        }
    }

    /// A home other than the agent's, and no secrets. Parameters of a run are data, which no command's text contains.
    fn environment(&self) -> Result<Vec<(String, OsString)>, Stop> {
        let home = self.workspace.commands_home();
        create_private_dirs(&home)?;
        let temp_dir = self.workspace.temp_dir();
        let env = Environment::from_process().for_job(self.attempt.assignment, &temp_dir, &home).into_iter();
        let env = env.chain([("CI", "true".into())]).map(|(name, value)| (name.to_owned(), value));
        let parameters = self.attempt.assignment.step.iter().flat_map(|step| &step.parameters);
        let variable = |(name, value): (&String, &String)| {
            (format!("PULLYARD_PARAM_{}", name.to_ascii_uppercase().replace('-', "_")), OsString::from(value))
        };
        Ok(env.chain(parameters.map(variable)).collect())
    }
}

fn output_tail(output: &str) -> &str {
    let from = output.ceil_char_boundary(output.len().saturating_sub(EVENT_OUTPUT_BYTES));
    let tail = output.get(from..).unwrap_or_default();
    match tail.split_once('\n') {
        Some((_, lines)) if from > 0 && !lines.is_empty() => lines,
        _ => tail,
    }
}

/// Reads the output on a task of its own, so that the command never blocks on us.
fn read_output(mut pipe: Receiver, redactor: &Redactor, max_bytes: usize) -> AbortOnDropHandle<OutputBuffer> {
    let mut buffer = OutputBuffer::new(redactor.stream(), max_bytes);
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
            buffer.push(chunk.get(..read).unwrap_or_default());
        }
        buffer
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_long_output_starts_at_a_line() {
        assert_eq!(output_tail("short\nwords\n"), "short\nwords\n");
        let long = format!("{}\nlast line\n", "ü".repeat(EVENT_OUTPUT_BYTES));
        assert_eq!(output_tail(&long), "last line\n");
        assert!(output_tail(&"x".repeat(2 * EVENT_OUTPUT_BYTES)).len() <= EVENT_OUTPUT_BYTES);
    }
}
