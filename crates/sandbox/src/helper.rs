//! The hidden commands of the runner's own program. Each runs in a process of its own.

use crate::launch::{self, HELPER_WORD};
use crate::{contained, inside};
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Runs a hidden command if the arguments (with the program's name) name one.
///
/// Call it at the beginning of `main`, before threads exist.
pub fn run_helper(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<OsString> = args.into_iter().skip(1).collect();
    let (word, args) = args.split_first()?;
    if word != HELPER_WORD {
        return None;
    }
    let (command, args) = args.split_first()?;
    let failure = match command.to_str() {
        Some("launch") => match launch::run() {
            Ok(code) => return Some(ExitCode::from(code)),
            Err(failure) => failure,
        },
        Some("contained") => match contained::run() {
            Ok(()) => return Some(ExitCode::FAILURE),
            Err(error) => format!("cannot start the command: {error}"),
        },
        Some("enter") => match enter(args) {
            Ok(failure) | Err(failure) => format!("cannot start the command: {failure}"),
        },
        Some("kill") => match kill(args) {
            Ok(()) => return Some(ExitCode::SUCCESS),
            Err(error) => format!("cannot kill the processes of the account: {error}"),
        },
        Some("canaries") => return Some(inside::run(args)),
        Some("bait" | "orphan") => return Some(inside::wait_for_input()),
        Some("namespaces") => return Some(inside::try_namespaces()),
        _ => "there is no such helper".to_owned(),
    };
    eprintln!("pullyard: {failure}");
    Some(ExitCode::from(launch::NOT_STARTED))
}

/// Runs inside, before the command: opens the ports, sends them to the runner, and becomes the command. The command
/// cannot imitate or stop it, and the runner needs no rights in the sandbox's network.
fn enter(args: &[OsString]) -> io::Result<io::Error> {
    let mut ports = Vec::new();
    let mut args = args.iter();
    for arg in args.by_ref().take_while(|arg| *arg != "--") {
        let port = arg.to_str().and_then(|port| port.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
        ports.push(TcpListener::bind(("127.0.0.1", port))?);
    }
    let program = args.next().ok_or(io::ErrorKind::InvalidInput)?;
    launch::announce("", &ports.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>())?;
    drop(ports);
    Ok(Command::new(program).args(args).exec())
}

fn kill(args: &[OsString]) -> io::Result<()> {
    let mut ids = args.iter().filter_map(|arg| arg.to_str()?.parse().ok());
    let (uid, gid) = ids.next().zip(ids.next()).ok_or(io::ErrorKind::InvalidInput)?;
    launch::kill_account(uid, gid)
}
