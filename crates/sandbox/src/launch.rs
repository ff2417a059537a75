//! The first process of every command: a fresh, single-threaded process of the runner's own program.
//!
//! It closes inherited files, drops privileges (except at level `none`), and becomes bubblewrap or the command. For a
//! container it sends the command to the container's first process, and waits for its exit code. A fork of the runner
//! could not do this safely, because the runner has threads.

use crate::account::Account;
use crate::landlock::{self, Rules};
use crate::limits;
use crate::seccomp::{self, Sockets};
use crate::spec::Limits;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::unistd::{Gid, Pid, Uid, close, getppid, setgroups, setresgid, setresuid};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The first argument of every hidden command.
pub(crate) const HELPER_WORD: &str = "sandbox-helper";
// Descriptors that the launcher inherits: its orders, the socket to the runner, its own program, and further files.
pub(crate) const ORDERS: RawFd = 3;
pub(crate) const SOCKET: RawFd = 4;
pub(crate) const OWN_PROGRAM: RawFd = 5;
pub(crate) const FIRST_FILE: RawFd = 6;

/// The first byte of a message to the runner.
pub(crate) const READY: u8 = b'+';
pub(crate) const FAILED: u8 = b'-';

/// Exit code of a launcher that could not start the command; a shell has the same.
pub(crate) const NOT_STARTED: u8 = 126;

/// Exit code of a command that was killed with its container.
const KILLED: u8 = 137;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The runner. The command ends with it.
    pub(crate) parent: u32,
    pub(crate) account: Option<Account>,
    pub(crate) privileges: Privileges,
    pub(crate) limits: Limits,
    pub(crate) target: Target,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Privileges {
    Drop,
    Retain,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Target {
    /// Bubblewrap, which needs the inherited descriptors up to `last_descriptor`.
    Bubblewrap {
        last_descriptor: RawFd,
    },
    /// The command in a container, whose first process is connected to `FIRST_FILE`.
    Container {
        folder: PathBuf,
        ports: Vec<u16>,
        time_limit_secs: Option<u64>,
    },
    Command {
        folder: PathBuf,
        confinement: Option<Confinement>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confinement {
    pub(crate) rules: Rules,
    pub(crate) sockets: Sockets,
}

/// Runs the orders. Returns an error, or the exit code of a command in a container.
pub(crate) fn run() -> Result<u8, String> {
    let orders = read_orders().map_err(|error| format!("cannot read the launch orders: {error}"))?;
    let failure = match &orders.target {
        Target::Container { .. } => match run_in_container(&orders) {
            Ok(code) => return Ok(code),
            Err(error) => format!("cannot send the command to its container: {error}"),
        },
        Target::Bubblewrap { .. } | Target::Command { .. } => launch(&orders),
    };
    // The runner does not see the command's error output.
    let _ = send(SOCKET, FAILED, failure.as_bytes(), &[]);
    Err(failure)
}

/// Sends the command with this process's streams, and waits for its exit code. The container ends with this process.
fn run_in_container(orders: &Orders) -> io::Result<u8> {
    end_with_parent(orders.parent)?;
    let mut text = serde_json::to_vec(orders)?;
    text.push(b'\n');
    let (first, mut rest) = text.split_at(1);
    let streams = [0, 1, 2, SOCKET];
    let rights = [ControlMessage::ScmRights(&streams)];
    sendmsg::<UnixAddr>(FIRST_FILE, &[IoSlice::new(first)], &rights, MsgFlags::empty(), None)?;
    while !rest.is_empty() {
        let count = socket::send(FIRST_FILE, rest, MsgFlags::MSG_NOSIGNAL)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    for descriptor in streams {
        close(descriptor)?;
    }
    let mut code = [KILLED];
    // Without an answer, the command was killed.
    let _ = socket::recv(FIRST_FILE, &mut code, MsgFlags::empty());
    let [code] = code;
    Ok(code)
}

fn read_orders() -> io::Result<Orders> {
    let text = fs::read(format!("/proc/self/fd/{ORDERS}"))?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

/// Becomes the program. Returns only if that fails, with the reason.
fn launch(orders: &Orders) -> String {
    let mut command = Command::new(&orders.program);
    command.args(&orders.args).env_clear().envs(orders.env.iter().map(|(name, value)| (name, value)));
    if let Target::Command { folder, .. } = &orders.target {
        command.current_dir(folder);
    }
    match restrict(orders) {
        Err(failure) => failure,
        Ok(()) => format!("cannot start {}: {}", orders.program.display(), command.exec()),
    }
}

fn restrict(orders: &Orders) -> Result<(), String> {
    let step = |action: &'static str| move |error: io::Error| format!("cannot {action}: {error}");
    close_other_files(orders).map_err(step("close inherited files"))?;
    limits::limit_process(&orders.limits, orders.account.is_some()).map_err(step("set the resource limits"))?;
    change_account(orders.account).map_err(step("change to the agents' account"))?;
    if orders.privileges == Privileges::Drop {
        drop_privileges().map_err(step("drop privileges"))?;
    }
    end_with_parent(orders.parent).map_err(step("tie the command to the runner"))?;
    match &orders.target {
        Target::Bubblewrap { .. } | Target::Container { .. } => Ok(()),
        Target::Command { confinement, .. } => enter_command(confinement.as_ref()),
    }
}

fn close_other_files(orders: &Orders) -> io::Result<()> {
    let last = match orders.target {
        Target::Bubblewrap { last_descriptor } => last_descriptor,
        Target::Command { .. } | Target::Container { .. } => OWN_PROGRAM,
    };
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor == ORDERS || *descriptor > last)
        .collect();
    for descriptor in open {
        // The listing's own descriptor is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

pub(crate) fn change_account(account: Option<Account>) -> io::Result<()> {
    let Some(Account { uid, gid }) = account else { return Ok(()) };
    let mut capability = 1_u64;
    while let Ok(is_set) = capability_is_in_bounding_set(CapabilitySet::from_bits_retain(capability)) {
        if is_set {
            remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(capability))?;
        }
        capability <<= 1;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(())
}

fn drop_privileges() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    prctl::set_no_new_privs()?;
    Ok(())
}

/// Call after `change_account`, because the kernel clears the parent-death signal when the account changes.
fn end_with_parent(parent: u32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The runner may have died before the request.
    if u32::try_from(getppid().as_raw()).ok() != Some(parent) {
        return Err(io::Error::other("the runner is gone"));
    }
    Ok(())
}

fn enter_command(confinement: Option<&Confinement>) -> Result<(), String> {
    let version = match confinement {
        Some(Confinement { rules, .. }) => landlock::restrict(rules)?.to_string(),
        None => String::new(),
    };
    announce(&version, &[]).map_err(|error| format!("cannot report to the runner: {error}"))?;
    if let Some(Confinement { sockets, .. }) = confinement {
        for filter in seccomp::filters(*sockets).map_err(|error| error.to_string())? {
            seccompiler::apply_filter(&filter)
                .map_err(|error| format!("cannot load the system call filter: {error}"))?;
        }
    }
    Ok(())
}

/// Reports that this process is about to become the command, and closes the socket and the own program.
/// The runner gets Landlock's version, a handle of this process, one of the first process of its namespace, and `more`.
pub(crate) fn announce(landlock: &str, more: &[RawFd]) -> io::Result<()> {
    let own_handle = pidfd_open(getpid(), PidfdFlags::empty())?;
    let first = rustix::process::Pid::from_raw(1).map(|first| pidfd_open(first, PidfdFlags::empty())).transpose()?;
    let handles = [Some(own_handle.as_raw_fd()), first.as_ref().map(AsRawFd::as_raw_fd)];
    let descriptors: Vec<RawFd> = handles.into_iter().flatten().chain(more.iter().copied()).collect();
    send(SOCKET, READY, landlock.as_bytes(), &descriptors)?;
    close(SOCKET)?;
    close(OWN_PROGRAM)?;
    Ok(())
}

pub(crate) fn send(socket: RawFd, kind: u8, text: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() { &[][..] } else { &rights };
    sendmsg::<UnixAddr>(socket, &[IoSlice::new(&[kind]), IoSlice::new(text)], rights, MsgFlags::empty(), None)?;
    Ok(())
}

/// Kills every process of an account, including those that left their group and session.
pub(crate) fn kill_account(uid: u32, gid: u32) -> io::Result<()> {
    change_account(Some(Account { uid, gid }))?;
    match kill(Pid::from_raw(-1), Signal::SIGKILL) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
