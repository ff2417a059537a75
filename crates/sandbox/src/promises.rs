//! The table of canaries: attacks that the check of a level tries, each with the levels that prevent it.

use crate::level::Level;
use std::fmt;

macro_rules! canaries {
    ($($canary:ident $name:literal $attack:literal $levels:ident),* $(,)?) => {
        /// An attack that a hostile command could try. A canary "fires" if its attack succeeds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Canary { $($canary),* }

        impl Canary {
            pub const ALL: &'static [Self] = &[$(Self::$canary),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$canary => $name),* }
            }

            /// The end of a sentence that begins with "a command can".
            pub fn attack(self) -> &'static str {
                match self { $(Self::$canary => $attack),* }
            }

            fn levels(self) -> &'static [Level] {
                match self { $(Self::$canary => $levels),* }
            }
        }
    };
}

// None of these lists contains Seatbelt, because it is untested.
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

impl Level {
    /// `false` if the attack is possible at this level, at least on some machines.
    pub fn prevents(self, canary: Canary) -> bool {
        canary.levels().contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_with_mounts_prevents_every_attack() {
        for level in Level::ALL.into_iter().filter(|level| level.has_mounts()) {
            assert!(Canary::ALL.iter().all(|canary| level.prevents(*canary)), "{level}");
        }
    }
}
