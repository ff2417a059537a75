//! Finds the git commit of the sources and passes it to the crate.

mod commit;

use commit::{SourceTree, UNKNOWN};
use std::path::Path;

/// Replaces git where the build has no repository: containers, releases, source archives.
const COMMIT_VARIABLE: &str = "PULLYARD_COMMIT";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=commit.rs");
    println!("cargo:rerun-if-env-changed={COMMIT_VARIABLE}");
    let given =
        std::env::var(COMMIT_VARIABLE).ok().map(|given| given.trim().to_owned()).filter(|given| !given.is_empty());
    let commit = given.or_else(|| {
        let sources = SourceTree::load(Path::new("."))?;
        for path in sources.watched {
            println!("cargo:rerun-if-changed={}", path.display());
        }
        Some(sources.commit)
    });
    let commit = commit.unwrap_or_else(|| UNKNOWN.into());
    println!("cargo:rustc-env=BUILD_COMMIT={commit}");
    println!("cargo:rustc-env=BUILD_COMMIT_SHORT={}", commit.get(..12).unwrap_or(&commit));
}
