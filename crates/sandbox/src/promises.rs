//! The promises of each level: a table that the canaries test.
//!
//! A canary is an attack that a hostile command tries. At a level that promises against it, the canary stays quiet.

use crate::level::Level;
use std::fmt;

macro_rules! canaries {
    ($($canary:ident $name:literal $attack:literal $levels:ident),* $(,)?) => {
        /// An attack that a hostile command tries.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

            fn levels(self) -> &'static [Level] {
                match self { $(Self::$canary => $levels),* }
            }
        }
    };
}

// Seatbelt is untested, so it is in none of these lists.
const NAMESPACES: &[Level] = &[Level::Bubblewrap, Level::Podman, Level::Docker];
const FILES_LIMITED: &[Level] = &[Level::Bubblewrap, Level::Podman, Level::Docker, Level::Landlock];
const RESTRICTED: &[Level] = &[Level::Bubblewrap, Level::Podman, Level::Docker, Level::Landlock, Level::External];
const EVERYWHERE: &[Level] =
    &[Level::Bubblewrap, Level::Podman, Level::Docker, Level::Landlock, Level::External, Level::None];

canaries! {
    HostRead "host_read" "read files of this machine" FILES_LIMITED,
    HostWrite "host_write" "write files of this machine" FILES_LIMITED,
    SshFolder "ssh_folder" "read SSH keys" FILES_LIMITED,
    OtherProcesses "other_processes" "read the environment of other processes" FILES_LIMITED,
    KeyInEnvironment "key_in_environment" "find the runner's variables in its environment" EVERYWHERE,
    InheritedFiles "inherited_files" "use open files of the runner" EVERYWHERE,
    NetworkTcp "network_tcp" "connect to any address" FILES_LIMITED,
    NetworkUdp "network_udp" "send datagrams to any address" FILES_LIMITED,
    HostSocket "host_socket" "connect to abstract sockets of this machine" FILES_LIMITED,
    KernelSettings "kernel_settings" "write the kernel's settings" RESTRICTED,
    Ptrace "ptrace" "debug processes" RESTRICTED,
    Namespaces "namespaces" "create namespaces and mount" RESTRICTED,
    Signal "signal" "signal processes of this machine" NAMESPACES,
    Privileges "privileges" "gain privileges" RESTRICTED,
    SystemCalls "system_calls" "make rare system calls" RESTRICTED,
    Orphan "orphan" "leave processes behind" NAMESPACES,
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

impl Level {
    pub fn promise(self, canary: Canary) -> Promise {
        if canary.levels().contains(&self) { Promise::Quiet } else { Promise::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_with_mounts_promises_against_every_canary() {
        for level in Level::ALL.into_iter().filter(|level| level.has_mounts()) {
            assert!(Canary::ALL.iter().all(|canary| level.promise(*canary) == Promise::Quiet), "{level}");
        }
    }
}
