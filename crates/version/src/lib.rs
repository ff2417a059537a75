//! The release and the git commit of a build.
//! Each commit rebuilds this crate and its dependents, so only programs depend on it and pass the values to libraries.

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub const COMMIT: &str = env!("BUILD_COMMIT");

/// The release and the first 12 characters of the commit, for `--version`.
pub const LONG: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_COMMIT_SHORT"), ")");

/// The address of the releases that this program is one of; `infra/release --address` sets it. Empty without one.
pub const RELEASES: &str = match option_env!("PULLYARD_RELEASES") {
    Some(address) => address,
    None => "",
};

/// The commit of a program that was built without git and without `PULLYARD_COMMIT`.
pub const UNKNOWN: &str = "unknown";

pub fn short_commit(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

#[cfg(test)]
#[path = "../commit.rs"]
mod commit;
#[cfg(test)]
mod tests;
