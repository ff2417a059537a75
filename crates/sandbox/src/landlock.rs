//! Limits files, ports, signals and sockets of this process by Landlock, without namespaces.
//!
//! Source: Landlock ABI 6 (Linux 6.12) is the first that also limits signals and abstract sockets.

use crate::bubblewrap::{ETC_FILES, ETC_SHARED, System};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const NEEDED: ABI = ABI::V6;
/// A shell complains if it may not read them. Where mounts hide them, they do not exist.
const SHELL_FILES: [&str; 4] = ["/etc/profile", "/etc/profile.d", "/etc/bash.bashrc", "/etc/bashrc"];
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Strictness {
    /// Every rule, or an error. Only the listed files can be read.
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

/// Errors: this kernel does not know a required rule.
pub(crate) fn restrict(rules: &Rules) -> Result<(), String> {
    let failed = |error: RulesetError| format!("Linux 6.12 or newer with Landlock is needed: {error}");
    let status = apply(rules).map_err(failed)?;
    if rules.strictness == Strictness::Required && status != RulesetStatus::FullyEnforced {
        return Err("Linux 6.12 or newer with Landlock is needed, and `landlock` in the kernel's `lsm=` list".into());
    }
    Ok(())
}

fn apply(rules: &Rules) -> Result<RulesetStatus, RulesetError> {
    let compatibility = match rules.strictness {
        Strictness::Required => CompatLevel::HardRequirement,
        Strictness::BestEffort => CompatLevel::BestEffort,
    };
    let mut ruleset = Ruleset::default().set_compatibility(compatibility).handle_access(AccessFs::from_all(NEEDED))?;
    if rules.ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut ruleset = ruleset.scope(Scope::AbstractUnixSocket)?.scope(Scope::Signal)?.create()?;
    let read = AccessFs::from_read(NEEDED);
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
        ruleset = allow(ruleset, path.into(), AccessFs::from_file(NEEDED))?;
    }
    for path in &rules.write {
        ruleset = allow(ruleset, path.clone(), AccessFs::from_all(NEEDED))?;
    }
    for port in rules.ports.iter().flatten() {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// A path that does not exist needs no rule.
fn allow(
    ruleset: RulesetCreated,
    path: PathBuf,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(open) = PathFd::new(&path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEEDED) };
    ruleset.add_rule(PathBeneath::new(open, access))
}
