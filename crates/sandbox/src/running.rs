//! Controls a command from its start to the end of its last process.

use crate::account::{self, AccountLease};
use crate::container::Container;
use crate::error::Error;
use crate::launch::{FAILED, HELPER_WORD, READY};
use crate::ports::{INSIDE_PORTS, Ports};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Two handles of processes and the listeners, or the four streams of a command in a container.
const MAX_DESCRIPTORS: usize = 2 + INSIDE_PORTS.len();
const MAX_MESSAGE_BYTES: usize = 4096;

#[derive(Debug)]
#[must_use]
pub struct Prepared {
    pub(crate) command: Command,
    pub(crate) start: PendingStart,
}

impl Prepared {
    /// Starts the command. `start` sets standard streams and process group, and spawns; it drops the `Command`.
    ///
    /// The command is killed when the thread that spawned it ends, so spawn on a long-lived one, as a runtime's.
    pub fn spawn<C>(self, start: impl FnOnce(Command) -> io::Result<C>) -> Result<(C, PendingStart), Error> {
        let child = start(self.command).map_err(Error::io("start the sandbox"))?;
        Ok((child, self.start))
    }
}

/// A spawned command that has not reported yet.
#[derive(Debug)]
#[must_use]
pub struct PendingStart {
    pub(crate) socket: UnixStream,
    pub(crate) ports: Ports,
    pub(crate) cleanup: Cleanup,
}

impl PendingStart {
    /// Waits until the sandbox is complete and the command begins. Blocks for about 20 ms.
    /// Errors: `NotStarted` if the sandbox could not be created; kill the child then. Its error output says why.
    pub fn finish(self, limit: Duration) -> Result<Running, Error> {
        let Self { socket, ports, cleanup } = self;
        let not_started = |reason: &str| Error::NotStarted(reason.to_owned());
        if !is_readable_within(&socket, limit).map_err(Error::io("wait for the sandbox"))? {
            return Err(not_started("it was not complete in time"));
        }
        let (message, descriptors) = receive(&socket).map_err(Error::io("wait for the sandbox"))?;
        let landlock = match message.split_first() {
            Some((&READY, version)) => String::from_utf8_lossy(version).parse().ok(),
            Some((&FAILED, reason)) => return Err(not_started(&String::from_utf8_lossy(reason))),
            _ => return Err(not_started("its first process ended; see the command's error output")),
        };
        let mut descriptors = descriptors.into_iter();
        let (Some(command), Some(first)) = (descriptors.next(), descriptors.next()) else {
            return Err(not_started("its report is incomplete"));
        };
        let listeners: Vec<TcpListener> = match ports.listeners {
            inside if inside.is_empty() => descriptors.map(TcpListener::from).collect(),
            bound => bound,
        };
        if listeners.len() != ports.numbers.len() {
            return Err(not_started("its ports are missing"));
        }
        let first = cleanup.has_namespace.then_some(first);
        Ok(Running { listeners, landlock, command, first, cleanup })
    }
}

#[derive(Debug)]
pub(crate) struct Cleanup {
    /// Set if the kill must include every process of this account.
    pub(crate) account: Option<Arc<AccountLease>>,
    pub(crate) helper: PathBuf,
    pub(crate) has_namespace: bool,
    pub(crate) _container: Option<Container>,
}

/// A running command. The caller holds its child process and waits for it.
#[derive(Debug)]
pub struct Running {
    /// Listen on the reserved ports, in their order. Take them out to serve the proxies.
    pub listeners: Vec<TcpListener>,
    /// The version of Landlock's interface; 0 without Landlock, `None` at levels that do not use it.
    pub(crate) landlock: Option<u32>,
    command: OwnedFd,
    /// The first process of the command's process namespace. It ends after all others.
    first: Option<OwnedFd>,
    cleanup: Cleanup,
}

impl Running {
    /// Sends SIGTERM to the command only. A signal to the child would end bubblewrap and with it the command at once.
    /// Returns `false` if the caller must signal the child's group instead, as without a namespace.
    pub fn terminate(&self) -> bool {
        let _ = pidfd_send_signal(&self.command, Signal::TERM);
        self.first.is_some()
    }

    /// Kills the command and everything that it started. Without a namespace, this includes processes that left its
    /// group only if they have an account of their own.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(self.first.as_ref().unwrap_or(&self.command), Signal::KILL);
        if let Some(lease) = &self.cleanup.account {
            let ids = [lease.account.uid, lease.account.gid].map(|id| id.to_string());
            let mut kill = Command::new(&self.cleanup.helper);
            kill.args([HELPER_WORD, "kill"]).args(ids).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
            // The caller sees by `wait_ended` whether it worked.
            let _ = kill.status();
        }
    }

    /// Waits until no process of the command exists; `false` at the limit. Without a namespace and without an account of
    /// its own, waits only for the command itself. Blocks.
    pub fn wait_ended(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let last = self.first.as_ref().unwrap_or(&self.command);
        if !is_readable_within(last, limit).unwrap_or(false) {
            return false;
        }
        if let Some(first) = &self.first {
            // Its parent is the system's first process, which in a container is the runner.
            let _ = waitid(WaitId::PidFd(first.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        let Some(lease) = &self.cleanup.account else { return true };
        while !account::is_idle(lease.account.uid) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

pub(crate) fn is_readable_within(descriptor: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&limit))? > 0)
}

pub(crate) fn receive(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut text = vec![0; MAX_MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    text.truncate(received.bytes);
    Ok((text, descriptors))
}
