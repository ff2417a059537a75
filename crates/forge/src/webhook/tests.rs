//! Signatures, bodies from GitHub's and Bitbucket's documentation, and malformed bodies.

mod bitbucket;
mod mutations;
mod payloads;
mod signatures;

use std::{fs, path::PathBuf};

use super::{Event, parse};
use pullyard_domain::project::forge::ForgeKind::GitHub;

const SUPPORTED_EVENTS: [&str; 6] =
    ["issue_comment", "issues", "ping", "pull_request", "pull_request_review", "repository"];

struct Sample {
    event: String,
    name: String,
    body: Vec<u8>,
}

/// Bodies of our own, which `.ci/octokit` compares with GitHub's schema.
fn github_samples() -> Vec<Sample> {
    samples(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/webhooks")))
}

/// GitHub's published bodies if `.ci/octokit` has stored them, else the samples of this repository.
fn all_github_samples() -> Vec<Sample> {
    let mut found = github_samples();
    if let Some(folder) = std::env::var_os("PULLYARD_WEBHOOK_EXAMPLES") {
        let others = samples(PathBuf::from(folder));
        println!("{} published and described bodies", others.len());
        assert!(others.len() > 500, "the folder holds the examples");
        found.extend(others);
    }
    found
}

fn samples(folder: PathBuf) -> Vec<Sample> {
    let mut found: Vec<Sample> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let event = name.split('.').next().unwrap().to_owned();
            Sample { event, name, body: fs::read(entry.path()).unwrap() }
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!found.is_empty());
    found
}

/// Bodies from Bitbucket's documentation: `EVENT.CASE.json`, with a period for the event's colon.
fn bitbucket_samples() -> Vec<Sample> {
    let mut found = samples(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bitbucket_webhooks")));
    for sample in &mut found {
        sample.event = sample.name.split('.').take(2).collect::<Vec<_>>().join(":");
    }
    found
}

fn github_sample(name: &str) -> Sample {
    github_samples().into_iter().find(|sample| sample.name == format!("{name}.json")).unwrap()
}

fn parse_sample(name: &str) -> Event {
    let sample = github_sample(name);
    parse(GitHub, &sample.event, &sample.body).unwrap()
}
