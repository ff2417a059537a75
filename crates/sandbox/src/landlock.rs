//! Limits files, ports, signals and sockets of this process by Landlock, without namespaces.
//!
//! Source: landlock(7), "Versions".

use crate::bubblewrap::{ETC_FILES, ETC_SHARED, System};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The first that limits TCP ports. Linux 6.7.
const REQUIRED: ABI = ABI::V4;
/// The first that also limits signals and abstract sockets. Linux 6.12.
const NEWEST: ABI = ABI::V6;
/// A shell complains if it may not read these. If mounts hide them, they do not exist.
const SHELL_FILES: [&str; 4] = ["/etc/profile", "/etc/profile.d", "/etc/bash.bashrc", "/etc/bashrc"];
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Strictness {
    /// All rules for files and ports, or an error. Only the listed files can be read.
    Required,
    /// The rules that this kernel knows. All files can be read.
    BestEffort,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) strictness: Strictness,
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    /// The only ports that can be connected to; `None` for all.
    pub(crate) ports: Option<Vec<u16>>,
}

/// Returns the version of the kernel's interface; 0 without Landlock.
/// Errors: this kernel does not know a required rule.
pub(crate) fn restrict(rules: &Rules) -> Result<u32, String> {
    let help = "Linux 6.7 or newer is needed, with `landlock` in the kernel's `lsm=` list, or another isolation";
    apply(rules).map_err(|_| help.to_owned())
}

fn apply(rules: &Rules) -> Result<u32, RulesetError> {
    let compatibility = match rules.strictness {
        Strictness::Required => CompatLevel::HardRequirement,
        Strictness::BestEffort => CompatLevel::BestEffort,
    };
    let mut ruleset =
        Ruleset::default().set_compatibility(compatibility).handle_access(AccessFs::from_all(REQUIRED))?;
    if rules.ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let ruleset = ruleset.set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(NEWEST))?;
    let mut ruleset = ruleset.scope(Scope::AbstractUnixSocket)?.scope(Scope::Signal)?.create()?;
    let read = AccessFs::from_read(NEWEST);
    let system = System::read();
    let shared = system.folders.into_iter().chain(system.links.into_iter().map(|(_, link)| link));
    let shared = shared.chain(ETC_FILES.iter().map(|(path, _)| path.into())).chain(ETC_SHARED.map(PathBuf::from));
    let shared = shared
        .chain(["/proc", "/dev"].into_iter().chain(SHELL_FILES).map(PathBuf::from))
        .chain(rules.read.iter().cloned());
    let readable: Vec<PathBuf> = match rules.strictness {
        Strictness::Required => shared.collect(),
        Strictness::BestEffort => vec!["/".into()],
    };
    for path in readable {
        ruleset = allow(ruleset, path, read)?;
    }
    for path in DEVICES {
        ruleset = allow(ruleset, path.into(), AccessFs::from_file(NEWEST))?;
    }
    for path in &rules.write {
        ruleset = allow(ruleset, path.clone(), AccessFs::from_all(NEWEST))?;
    }
    for port in rules.ports.iter().flatten() {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(match ruleset.restrict_self()?.landlock {
        LandlockStatus::Available { effective_abi, .. } => version(effective_abi),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}

fn version(abi: ABI) -> u32 {
    format!("{abi:?}").trim_start_matches('V').parse().unwrap_or(0)
}

/// A path that does not exist needs no rule.
fn allow(
    ruleset: RulesetCreated,
    path: PathBuf,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(open) = PathFd::new(&path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    ruleset.add_rule(PathBeneath::new(open, access))
}
