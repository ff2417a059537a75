//! The program `pullyard`: parses the command line and runs a command.

mod client;
mod demo;
mod disk;
mod functions;
mod logs;
mod runner;
mod signals;
mod temporary;
mod try_job;
mod up;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;
use std::process::ExitCode;

/// Turns tickets into pull requests with AI coding agents.
#[derive(Parser)]
#[command(name = "pullyard", version = pullyard_version::LONG, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES)]
struct CommandLine {
    #[command(flatten)]
    global: client::Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  pullyard demo                    watch three tickets become pull requests, on this machine only
  pullyard try acme/app 'Do it'    run one job on a real repository, without any setup
  pullyard up                      run all of Pullyard on this machine, and keep it running
  pullyard jobs                    list a project's jobs and their status

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 not signed in or not allowed, 5 not found,
6 the watched job or run failed or was cancelled, 8 changed by someone else, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Up(up::Up),
    Try(try_job::Try),
    #[command(flatten)]
    Client(client::Command),
    // `demo`, `try` and `up` start this program as the runner of each job; tests start it as a function.
    /// Run and check a self-hosted runner (same as pullyard-runner).
    #[command(hide = true)]
    Runner(Box<runner::Runner>),
    /// Run one function as Lambda does.
    #[command(hide = true)]
    Function(functions::Function),
}

fn main() -> ExitCode {
    if let Some(code) = pullyard_sandbox::run_helper(std::env::args_os()) {
        return code;
    }
    let program = || client::prepare(CommandLine::command());
    CompleteEnv::with_factory(program).var(client::COMPLETE_VARIABLE).complete();
    let program = program();
    let parsed = program.clone().try_get_matches().and_then(|matches| CommandLine::from_arg_matches(&matches));
    let CommandLine { global, command } = match parsed {
        Ok(line) => line,
        Err(error) => return client::report_parse_error(&error, &mut program.clone()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match command {
        Command::Demo(demo) => runtime.block_on(demo.run()),
        Command::Up(up) => Ok(runtime.block_on(up.run(&global))),
        Command::Try(job) => Ok(runtime.block_on(job.run(&global))),
        Command::Client(command) => Ok(runtime.block_on(command.run(&global, program))),
        Command::Runner(runner) => runtime.block_on(runner.run(&global)),
        Command::Function(function) => runtime.block_on(function.run()),
    };
    // Dropping the runtime would wait for threads of `spawn_blocking`, which a disk that hangs can block forever.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
