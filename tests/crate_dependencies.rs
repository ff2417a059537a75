//! Tests the dependencies between crates against a list, and that targets without a test harness contain no tests.

use crate::prelude::*;
use serde::Deserialize;
use std::process::Command;

/// Each crate of the workspace with the crates of the workspace that it may link.
const CRATES: [(&str, &str); 35] = [
    ("domain", ""),
    ("version", ""),
    ("protocol", "domain"),
    ("store", "domain"),
    ("forge", "domain"),
    ("cloud", "domain"),
    ("outbound", "domain"),
    ("tracker", "domain forge outbound"),
    ("control", "cloud domain forge outbound store tracker"),
    ("entry", "cloud control domain outbound protocol store"),
    ("function-api", "control domain entry protocol"),
    ("function-pages", "control domain entry protocol"),
    ("function-tickets", "control domain entry protocol"),
    ("function-webhook", "control domain entry protocol"),
    ("function-dispatcher", "control domain entry"),
    ("function-effects", "control domain entry"),
    ("function-tasks", "cloud control entry"),
    ("function-sweeper", "control entry"),
    (
        "functions",
        "entry function-api function-dispatcher function-effects function-pages function-sweeper function-tasks \
         function-tickets function-webhook version",
    ),
    ("runner", "agent-proxy domain forge protocol sandbox version"),
    ("sandbox", ""),
    ("loopback", ""),
    ("agent-proxy", "domain loopback"),
    ("emulator", "loopback"),
    ("local-forge", "loopback"),
    ("fake-forge", "local-forge"),
    ("fake-tracker", ""),
    ("demo-model", ""),
    ("testkit", "emulator"),
    ("test-script", ""),
    ("models", ""),
    ("simulation", ""),
    (
        "local",
        "cloud domain emulator entry function-api function-dispatcher function-effects function-pages function-sweeper \
         function-tasks function-tickets function-webhook local-forge store",
    ),
    ("admin", "cloud domain store"),
    ("cli", "admin domain forge functions local protocol runner sandbox tracker version"),
];

/// Libraries with the only crates that may link them.
const RESERVED_LIBRARIES: [(&str, &str); 17] = [
    ("aide", "entry function-api"),
    ("schemars", "domain protocol entry function-api"),
    ("aws-sdk-dynamodb", "store"),
    ("aws-sdk-sqs", "cloud"),
    ("aws-sdk-ecs", "cloud"),
    ("aws-sdk-secretsmanager", "cloud"),
    ("aws-config", "store cloud entry admin"),
    ("aws-sigv4", "cloud testkit"),
    ("xmlparser", "cloud"),
    ("askama", "function-pages"),
    (
        "axum",
        "agent-proxy entry function-api function-pages function-tickets function-webhook emulator local-forge demo-model fake-forge fake-tracker loopback testkit",
    ),
    ("lambda_http", "entry"),
    ("lambda_runtime", "functions"),
    ("dynoxide-rs", "emulator"),
    ("reqwest", "protocol forge runner agent-proxy local-forge fake-forge admin cloud outbound"),
    ("clap", "cli runner"),
    // A document with repeated content must not reach a function.
    ("yaml-rust2", "cli"),
];

const DOMAIN_LIBRARIES: &str = "cronexpr data-encoding jiff percent-encoding schemars serde serde_json sha2 time url";

/// The fields used from `cargo metadata`. The crate `cargo_metadata` would enable a serde_json feature and rebuild its
/// dependents for tests.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
    test: bool,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev` or `build`; `None` for a linked dependency.
    kind: Option<String>,
}

fn packages() -> Vec<Package> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--format-version=1", "--manifest-path", manifest]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    metadata.packages
}

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let linked = |package: Package| {
        let linked = package.dependencies.into_iter().filter(|dependency| dependency.kind.is_none());
        (package.name, linked.map(|dependency| dependency.name).collect())
    };
    packages().into_iter().map(linked).collect()
}

fn files_with_tests(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_tests(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("#[test]") || text.contains("#[tokio::test") {
                found.push(path);
            }
        }
    }
    found
}

fn parse_words(list: &str) -> BTreeSet<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_crate_imports_only_the_listed_crates() {
    let listed: BTreeMap<_, _> = CRATES.iter().map(|(name, may)| (name.to_string(), parse_words(may))).collect();
    for (package, dependencies) in dependencies() {
        let name = package.strip_prefix("pullyard-").unwrap_or(&package);
        let may = listed.get(name).unwrap_or_else(|| panic!("the crate {name} is not listed"));
        let ours: BTreeSet<_> =
            dependencies.iter().filter_map(|name| name.strip_prefix("pullyard-")).map(str::to_owned).collect();
        let unlisted: Vec<_> = ours.difference(may).collect();
        assert!(unlisted.is_empty(), "{name} imports {unlisted:?}, which is not listed");
        let unused: Vec<_> = may.difference(&ours).collect();
        assert!(unused.is_empty(), "{name} no longer imports {unused:?}: remove it from the list");
    }
}

#[test]
fn reserved_libraries_are_linked_only_by_listed_crates() {
    let dependencies = dependencies();
    for (library, crates) in RESERVED_LIBRARIES {
        let may = parse_words(crates);
        for (package, uses) in &dependencies {
            let name = package.strip_prefix("pullyard-").unwrap_or(package);
            assert!(!uses.contains(library) || may.contains(name), "{name} links {library}");
        }
    }
}

#[test]
fn domain_links_only_the_pure_libraries() {
    let domain = &dependencies()["pullyard-domain"];
    assert_eq!(domain, &parse_words(DOMAIN_LIBRARIES));
}

#[test]
fn targets_with_tests_disabled_contain_no_tests() {
    let programs = |target: &Target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin");
    let all: Vec<Target> = packages().into_iter().flat_map(|package| package.targets).filter(programs).collect();
    assert!(all.iter().any(|target| target.test && !files_with_tests(target.src_path.parent().unwrap()).is_empty()));
    for target in all.iter().filter(|target| !target.test) {
        let unrun = files_with_tests(target.src_path.parent().unwrap());
        assert!(unrun.is_empty(), "the tests in {unrun:?} are never run");
    }
}
