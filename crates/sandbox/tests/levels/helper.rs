//! Uses the library by hand. The tests use this program as the helper that starts commands.
//!
//! `pullyard-sandbox check LEVEL FOLDER` prints whether this machine keeps the promises of a level.
//! `pullyard-sandbox run LEVEL WORKTREE HOME PROGRAM ARGS` runs a command in a worktree.
//! Containers have the image in the variable `IMAGE`, on the engine at `ENGINE`.

use pullyard_sandbox::{Containers, Error, Level, Ports, Sandbox, Spec};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Some(code) = pullyard_sandbox::run_helper(std::env::args_os()) {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["check", level, folder] => check(level, folder),
        ["run", level, worktree, home, program, ref args @ ..] => run(level, worktree, home, program, args),
        _ => {
            eprintln!("usage: pullyard-sandbox check LEVEL FOLDER");
            eprintln!("       pullyard-sandbox run LEVEL WORKTREE HOME PROGRAM ARGS");
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        println!("{error}");
        ExitCode::FAILURE
    })
}

fn sandbox(level: &str, folder: &Path) -> Result<Sandbox, Error> {
    let level: Level = level.parse()?;
    let sandbox = Sandbox::new(level)?;
    if !level.is_container() {
        return Ok(sandbox);
    }
    sandbox.in_containers(Containers {
        image: std::env::var("IMAGE").unwrap_or_default(),
        network: "none".into(),
        host: std::env::var("ENGINE").ok(),
        memory_bytes: 1 << 30,
        cpu_percent: None,
        time_limit: None,
        pool: 0,
        label: "by-hand".into(),
        folder: folder.join("containers"),
    })
}

fn check(level: &str, folder: &str) -> Result<ExitCode, Error> {
    let report = sandbox(level, Path::new(folder))?.check(Path::new(folder));
    println!("{report}");
    for (canary, outcome) in &report.outcomes {
        let promise = if report.level.prevents(*canary) { "prevented" } else { "not prevented" };
        println!("{canary} {outcome:?} {promise}");
    }
    Ok(if report.is_usable() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(level: &str, worktree: &str, home: &str, program: &str, args: &[&str]) -> Result<ExitCode, Error> {
    let sandbox = sandbox(level, &std::env::temp_dir())?;
    let mut spec = Spec::new(program, worktree, home);
    spec.args = args.iter().map(Into::into).collect();
    for folder in [worktree, home] {
        sandbox.chown_to_account(Path::new(folder))?;
    }
    let (mut child, start) = sandbox.prepare(&spec, Ports::none())?.spawn(|mut command| command.spawn())?;
    let running = start.finish(START_LIMIT);
    let status = child.wait();
    if let Ok(running) = &running {
        running.kill();
        running.wait_ended(START_LIMIT);
    }
    for folder in [worktree, home] {
        sandbox.chown_to_runner(Path::new(folder))?;
    }
    running?;
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
