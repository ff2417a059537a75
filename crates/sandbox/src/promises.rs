//! The promises of each level: a table that the canaries test.
//!
//! A canary is an attack that a hostile command tries. At a level that promises against it, the canary stays quiet.

use crate::level::Level;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! canaries {
    ($($canary:ident $name:literal $attack:literal),* $(,)?) => {
        /// An attack that a hostile command tries.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Canary { $($canary),* }

        impl Canary {
            pub const ALL: &'static [Self] = &[$(Self::$canary),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$canary => $name),* }
            }

            /// The attack, as a fragment of a sentence: "a command can …".
            pub fn attack(self) -> &'static str {
                match self { $(Self::$canary => $attack),* }
            }
        }
    };
}

canaries! {
    HostRead "host_read" "read files of this machine",
    HostWrite "host_write" "write files of this machine",
    SshFolder "ssh_folder" "read SSH keys",
    OtherProcesses "other_processes" "read the environment of other processes",
    KeyInEnvironment "key_in_environment" "find the runner's variables in its environment",
    InheritedFiles "inherited_files" "use open files of the runner",
    NetworkTcp "network_tcp" "connect to any address",
    NetworkUdp "network_udp" "send datagrams to any address",
    HostSocket "host_socket" "connect to abstract sockets of this machine",
    KernelSettings "kernel_settings" "write the kernel's settings",
    Ptrace "ptrace" "debug processes",
    Namespaces "namespaces" "create namespaces and mount",
    Signal "signal" "signal processes of this machine",
    Privileges "privileges" "gain privileges",
    SystemCalls "system_calls" "make rare system calls",
    GitWrite "git_write" "write into .git",
    GitReplace "git_replace" "replace .git",
    Orphan "orphan" "leave processes behind",
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(target_os = "linux")]
impl Canary {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|canary| canary.name() == name)
    }
}

/// Whether a level promises that a canary stays quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Quiet,
    /// The level does not prevent the attack, or not on every machine.
    Open,
}

use Promise::{Open, Quiet};

/// In the order of `Level::ALL`: bubblewrap, podman, docker, landlock, external, seatbelt, none. Nothing tests seatbelt,
/// so it promises nothing.
#[rustfmt::skip]
const TABLE: [(Canary, [Promise; 7]); 18] = [
    (Canary::HostRead,         [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::HostWrite,        [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::SshFolder,        [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::OtherProcesses,   [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::KeyInEnvironment, [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Quiet]),
    (Canary::InheritedFiles,   [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Quiet]),
    (Canary::NetworkTcp,       [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::NetworkUdp,       [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::HostSocket,       [Quiet, Quiet, Quiet, Quiet, Open, Open, Open]),
    (Canary::KernelSettings,   [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Open]),
    (Canary::Ptrace,           [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Open]),
    (Canary::Namespaces,       [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Open]),
    (Canary::Signal,           [Quiet, Quiet, Quiet, Open, Open, Open, Open]),
    (Canary::Privileges,       [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Open]),
    (Canary::SystemCalls,      [Quiet, Quiet, Quiet, Quiet, Quiet, Open, Open]),
    (Canary::GitWrite,         [Quiet, Quiet, Quiet, Open, Open, Open, Open]),
    (Canary::GitReplace,       [Quiet, Quiet, Quiet, Open, Open, Open, Open]),
    (Canary::Orphan,           [Quiet, Quiet, Quiet, Open, Open, Open, Open]),
];

impl Level {
    pub fn promise(self, canary: Canary) -> Promise {
        let column = Self::ALL.iter().position(|level| *level == self);
        let row = TABLE.iter().find(|(named, _)| *named == canary);
        row.zip(column).and_then(|((_, row), column)| row.get(column)).copied().unwrap_or(Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_canary_has_one_row() {
        let rows: Vec<_> = TABLE.iter().map(|(canary, _)| *canary).collect();
        assert_eq!(rows, Canary::ALL);
    }

    #[test]
    fn level_with_mounts_promises_against_every_canary() {
        for level in Level::ALL.into_iter().filter(|level| level.has_mounts()) {
            assert!(Canary::ALL.iter().all(|canary| level.promise(*canary) == Quiet), "{level}");
        }
    }
}
