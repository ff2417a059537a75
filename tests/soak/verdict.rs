//! Verifies the state after a soak run.

use super::hands::{Kind, PROJECTS, TODO, World, id};
use pullyard_domain::job::JobStatus;
use pullyard_protocol::job::Job;
use pullyard_protocol::ticket::Ticket;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const REVIEW: &str = "In Review";
const BADGE: &str = "AI Failed";

pub(super) async fn faults(world: &World) -> Vec<String> {
    let (jobs, tickets) = (world.jobs().await, world.tickets().await);
    let mut faults = Vec::new();
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for job in &jobs {
        let code = job.failure.as_ref().map(|failure| format!(" {}", failure.code)).unwrap_or_default();
        *ends.entry(format!("{:?}{code}", job.status)).or_default() += 1;
    }
    let attempts: u32 = jobs.iter().map(|job| job.attempt).sum();
    println!("soak: {} tickets, {} jobs, {attempts} attempts: {ends:?}", tickets.len(), jobs.len());
    for (project, _) in PROJECTS {
        let pushed = Pushed::of(&world.root.join(project));
        let pulls = pulls(world, project).await;
        of_forge(&pushed, &pulls, &mut faults);
        for job in jobs.iter().filter(|job| job.project.as_str() == project) {
            of_job(job, &pushed, &mut faults);
        }
        for ticket in tickets.iter().filter(|ticket| ticket.project.as_str() == project) {
            of_ticket(world, ticket, &jobs, &pushed, &pulls, &mut faults);
        }
        of_ledger(world, project, &mut faults).await;
    }
    if world.kind == Kind::Load {
        of_load(world, &jobs, &tickets, &mut faults);
    }
    of_logs(&world.root, &mut faults);
    faults
}

fn of_load(world: &World, jobs: &[Job], tickets: &[Ticket], faults: &mut Vec<String>) {
    let told = world.told.lock().unwrap();
    let entered: BTreeSet<_> = told.iter().map(|event| (&event.project, &event.ticket.key)).collect();
    let completed = jobs.iter().filter(|job| job.status == JobStatus::Completed).count();
    let pushed: usize = PROJECTS.iter().map(|(project, _)| Pushed::of(&world.root.join(project)).commits()).sum();
    if [tickets.len(), jobs.len(), completed, pushed] != [entered.len(); 4] {
        faults.push(format!(
            "{} tickets entered, {} are there, with {} jobs, of which {completed} completed, and {pushed} commits",
            entered.len(),
            tickets.len(),
            jobs.len(),
        ));
    }
    let elsewhere = |ticket: &&Ticket| ticket.status != REVIEW || !ticket.badges.is_empty();
    faults.extend(tickets.iter().filter(elsewhere).map(|ticket| format!("not in review: {ticket:?}")));
    let ended = jobs.iter().filter(|job| job.status != JobStatus::Completed);
    faults.extend(ended.map(|job| format!("not completed: {job:?}")));
}

/// Pushed branches, each with its head and the jobs of its commits.
struct Pushed(BTreeMap<String, (String, Vec<String>)>);

impl Pushed {
    fn of(checkout: &Path) -> Self {
        let git = |args: &[&str]| {
            let output = std::process::Command::new("git").arg("-C").arg(checkout).args(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {output:?}");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let refs = git(&["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/pullyard"]);
        let branch = |line: &str| {
            let (name, head) = line.split_once(' ').unwrap();
            let said = git(&["log", "--format=%(trailers:key=Pullyard-Job,valueonly)", &format!("main..{head}")]);
            let jobs = said.lines().filter(|line| !line.is_empty()).map(|line| line.split('/').next().unwrap().into());
            (name.to_owned(), (head.to_owned(), jobs.collect()))
        };
        Self(refs.lines().map(branch).collect())
    }

    fn commits(&self) -> usize {
        self.0.values().map(|(_, jobs)| jobs.len()).sum()
    }

    fn commits_of(&self, job: &str) -> usize {
        self.0.values().flat_map(|(_, jobs)| jobs).filter(|of| *of == job).count()
    }
}

fn of_forge(pushed: &Pushed, pulls: &[Value], faults: &mut Vec<String>) {
    let mut heads = BTreeSet::new();
    for pull in pulls {
        let branch = pull["head"]["ref"].as_str().unwrap_or_default();
        if !heads.insert(branch) {
            faults.push(format!("two pull requests of {branch}"));
        }
        if !pushed.0.contains_key(branch) {
            faults.push(format!("a pull request of {branch}, which is not there"));
        }
    }
}

fn of_job(job: &Job, pushed: &Pushed, faults: &mut Vec<String>) {
    let commits = pushed.commits_of(job.id.as_str());
    match (job.status, &job.result) {
        (JobStatus::Completed, Some(_)) if commits == 1 => {}
        // The job was ended by another writer after its push.
        (JobStatus::Failed | JobStatus::Cancelled, _) if commits <= 1 => {}
        _ => faults.push(format!("{commits} commits of {job:?}")),
    }
}

fn of_ticket(world: &World, ticket: &Ticket, jobs: &[Job], pushed: &Pushed, pulls: &[Value], faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{what}: {ticket:?}"));
    let mine = |job: &&Job| job.project == ticket.project && job.ticket.as_ref() == Some(&ticket.key);
    let Some(last) = jobs.iter().filter(mine).max_by_key(|job| job.created) else {
        return fault("it has no job");
    };
    let told = world.told.lock().unwrap();
    let moved = told
        .iter()
        .any(|event| event.project == ticket.project && event.ticket.key == ticket.key && event.ticket.status == TODO);
    let badged = ticket.badges == [BADGE];
    match (ticket.status.as_str(), last.status) {
        (REVIEW, JobStatus::Completed) if ticket.badges.is_empty() => {
            let result = last.result.as_ref();
            let branch = result.map(|result| result.branch.as_str()).unwrap_or_default();
            let of_branch = pulls.iter().filter(|pull| pull["head"]["ref"] == branch).collect::<Vec<_>>();
            let head = pushed.0.get(branch);
            if of_branch.len() != 1 || ticket.pull_request.as_deref() != of_branch[0]["html_url"].as_str() {
                fault("it has not the one pull request of its last job");
            } else if head.is_none_or(|(_, jobs)| jobs.first().map(String::as_str) != Some(last.id.as_str())) {
                fault("its branch does not end in its last job's commit");
            }
        }
        (TODO, JobStatus::Failed) if badged => {}
        (TODO, JobStatus::Cancelled) if ticket.badges.is_empty() => {}
        // A later move by a user takes precedence.
        (TODO, JobStatus::Completed | JobStatus::Failed) if moved => {}
        _ => fault(&format!("its last job is {:?}, {}", last.status, last.id)),
    }
}

async fn of_ledger(world: &World, project: &str, faults: &mut Vec<String>) {
    let mut decided: BTreeMap<String, usize> = BTreeMap::new();
    // The run may pass midnight.
    let days = [0, 86_400_000].map(|ago| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let at = pullyard_domain::time::Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap() - ago);
        serde_json::to_value(Rfc(at)).unwrap().as_str().unwrap()[..10].to_owned()
    });
    for day in days {
        let mut after: Option<String> = None;
        loop {
            let ask = async || world.api.deliveries(&id(project), Some(&day), after.as_deref()).await;
            let page = world.asks("deliveries", ask).await.unwrap();
            for delivery in page.deliveries {
                *decided.entry(delivery.event.to_string()).or_default() += 1;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let told = world.told.lock().unwrap();
    for event in told.iter().filter(|event| event.project.as_str() == project) {
        match decided.get(event.event_id.as_str()) {
            Some(1) => {}
            other => faults.push(format!("{} was decided {other:?} times", event.event_id)),
        }
    }
}

#[derive(serde::Serialize)]
struct Rfc(#[serde(with = "pullyard_domain::time::rfc3339")] pullyard_domain::time::Timestamp);

async fn pulls(world: &World, project: &str) -> Vec<Value> {
    let keys: Value = serde_json::from_slice(&fs::read(world.root.join("data/keys.json")).unwrap()).unwrap();
    let local = world.api.integration(&"local".parse().unwrap()).await.unwrap();
    let repositories = world.api.repositories(&id(project)).await.unwrap().repositories;
    let (http, mut all) = (reqwest::Client::new(), Vec::new());
    for page in 1.. {
        let url = format!("{}/repos/{}/pulls?state=all&per_page=100&page={page}", local.api_url, repositories[0].name);
        let token = keys["forge_token"].as_str().unwrap();
        let answer = http.get(url).bearer_auth(token).send().await.unwrap().error_for_status().unwrap();
        let more: Vec<Value> = answer.json().await.unwrap();
        let fresh = more.into_iter().filter(|pull| all.iter().all(|seen: &Value| seen["number"] != pull["number"]));
        let fresh = fresh.collect::<Vec<_>>();
        if fresh.is_empty() {
            break;
        }
        all.extend(fresh);
    }
    all
}

/// Searches the logs for panics and violated invariants.
fn of_logs(root: &Path, faults: &mut Vec<String>) {
    let mut folders = vec![root.to_owned()];
    let mut logs: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !["forge", "mirrors", "worktrees", "dynamodb", ".git"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".log") || name.ends_with(".err") || name == "output" {
                logs.push(path);
            }
        }
    }
    for log in logs {
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        for line in text.lines() {
            let lower = line.to_lowercase();
            if ["panicked", "inconsistent", "corrupt", "not locked by it", "stale slot emptied"]
                .iter()
                .any(|word| lower.contains(word))
            {
                faults.push(format!("{}: {line}", log.display()));
            }
        }
    }
}
