//! The first process of a container: receives a command from the runner, runs it, and ends with it.
//!
//! When the runner closes the connection or dies, this process ends, and with it every process of the container.

use crate::container::SOCKET;
use crate::launch::{self, NOT_STARTED, Orders, READY, Target};
use crate::limits;
use crate::running::receive;
use rustix::process::{PidfdFlags, WaitOptions, WaitStatus, getpid, pidfd_open, wait};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The exit code of timeout(1) for a command that it killed.
const TIME_LIMIT_EXIT: u8 = 124;

/// Errors: the runner is gone, or its orders are invalid.
pub(crate) fn run() -> io::Result<()> {
    let mut runner = UnixStream::connect(SOCKET)?;
    let (orders, files) = read_orders(&mut runner)?;
    let [input, output, errors, reports] =
        <[OwnedFd; 4]>::try_from(files).map_err(|_| io::Error::other("the runner sent no streams"))?;
    let mut error_output = File::from(errors.try_clone()?);
    let Target::Container { folder, ports, time_limit_secs } = &orders.target else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    limits::limit_process(&orders.limits, orders.account.is_some())?;
    let listeners = ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)));
    let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
    let first_handle = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut command = command(&orders, folder);
    let spawn_result = command.stdin(input).stdout(output).stderr(errors).spawn();
    drop(command);
    let command_pid = match &spawn_result {
        Ok(child) => rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap_or(getpid()),
        Err(error) => {
            writeln!(error_output, "pullyard: cannot start {}: {error}", orders.program.display())?;
            getpid()
        }
    };
    let command_handle = pidfd_open(command_pid, PidfdFlags::empty())?;
    let report: Vec<_> = [command_handle.as_raw_fd(), first_handle.as_raw_fd()]
        .into_iter()
        .chain(listeners.iter().map(AsRawFd::as_raw_fd))
        .collect();
    launch::send(reports.as_raw_fd(), READY, &[], &report)?;
    drop((reports, listeners));
    end_with_runner(runner.try_clone()?);
    if let Some(secs) = *time_limit_secs {
        end_after(secs, runner.try_clone()?, error_output);
    }
    let code = if spawn_result.is_ok() { wait_for(command_pid)? } else { NOT_STARTED };
    end(&mut runner, code)
}

fn read_orders(runner: &mut UnixStream) -> io::Result<(Orders, Vec<OwnedFd>)> {
    let (mut text, files) = receive(runner)?;
    let mut chunk = [0; 4096];
    while !text.ends_with(b"\n") {
        match runner.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => text.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    Ok((serde_json::from_slice(&text).map_err(io::Error::other)?, files))
}

/// Adds the job's variables to the image's. Programs are searched in the image's folders first.
fn command(orders: &Orders, folder: &Path) -> Command {
    let mut command = Command::new(&orders.program);
    command.args(&orders.args).envs(orders.env.iter().map(|(name, value)| (name, value))).current_dir(folder);
    let job = orders.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    let folders: Vec<OsString> = std::env::var_os("PATH").into_iter().chain(job).collect();
    command.env("PATH", folders.join(":".as_ref()));
    command
}

/// Waits for this child, and collects all others that ended.
fn wait_for(child: rustix::process::Pid) -> io::Result<u8> {
    loop {
        match wait(WaitOptions::empty())? {
            Some((pid, status)) if pid == child => return Ok(exit_code(status)),
            _ => {}
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn end(runner: &mut UnixStream, code: u8) -> ! {
    // The runner may be gone.
    let _ = runner.write_all(&[code]);
    let _ = runner.shutdown(Shutdown::Both);
    std::process::exit(code.into())
}

fn end_with_runner(mut runner: UnixStream) {
    std::thread::spawn(move || {
        let _ = runner.read(&mut [0]);
        std::process::exit(1)
    });
}

fn end_after(secs: u64, mut runner: UnixStream, mut error_output: File) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(secs));
        let limit = format!("the container reached its time limit of {secs} s (DOCKER_TIMEOUT_SECONDS)");
        let _ = writeln!(error_output, "pullyard: {limit}");
        end(&mut runner, TIME_LIMIT_EXIT)
    });
}
