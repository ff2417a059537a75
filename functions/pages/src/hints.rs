//! Replaces commands in advice by the buttons and pages that do the same. Other commands stay.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Job,
    Run,
    Ticket,
    Other,
}

pub struct NextStep {
    pub label: &'static str,
    pub address: String,
}

pub fn name_buttons(help: &str, page: Page) -> String {
    let mut out = String::with_capacity(help.len());
    let mut rest = help;
    while let Some((before, opened)) = rest.split_once('`') {
        let Some((command, after)) = opened.split_once('`') else { break };
        match (find_control(command, page), before.strip_suffix("with ")) {
            (Some((name, preposition)), Some(before)) => out.push_str(&format!("{before}{preposition} {name}")),
            (Some((name, _)), None) => out.push_str(&format!("{before}{name}")),
            (None, _) => out.push_str(&format!("{before}`{command}`")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

pub fn next_steps(help: &str, project: &str) -> Vec<NextStep> {
    let commands = help.split('`').skip(1).step_by(2).filter_map(|command| command.strip_prefix("pullyard "));
    let mut steps: Vec<NextStep> = Vec::new();
    for command in commands {
        let (label, page) = match command.split(' ').next() {
            Some("settings") => ("Open settings", "settings"),
            Some("secrets") => ("Open secrets", "secrets"),
            Some("runner" | "runners") => ("Open runners", "runners"),
            Some("repos") => ("Open repositories", "repositories"),
            _ => continue,
        };
        if steps.iter().all(|step| step.label != label) {
            steps.push(NextStep { label, address: format!("/setup/{page}?project={project}") });
        }
    }
    steps
}

/// The name of a button or page, and the preposition that replaces `with` before the command.
fn find_control(command: &str, page: Page) -> Option<(String, &'static str)> {
    let mut parts = command.strip_prefix("pullyard ")?.split(' ');
    let control =
        |home: Page, name: &str, at: &str| if page == home { name.to_owned() } else { format!("{name} {at}") };
    let job_control = |name: &str| control(Page::Job, name, "on the job’s page");
    Some(match (parts.next()?, parts.next()) {
        ("jobs", Some("retry")) => (job_control("“Retry”"), "with"),
        ("jobs", Some("answer")) => (job_control("“Answer”"), "with"),
        ("jobs", Some("continue")) => (job_control("“Continue”"), "with"),
        ("jobs", Some("cancel")) => (job_control("“Cancel”"), "with"),
        ("jobs", Some("output")) => (job_control("“Output”"), "under"),
        ("jobs", Some("logs")) => (job_control("the log"), "in"),
        ("jobs", Some("artifacts")) => (job_control("“Artifacts”"), "under"),
        ("jobs", Some("checks")) => (job_control("“Attempts”"), "under"),
        ("jobs", Some("diff")) => (job_control("“Changes”"), "under"),
        ("jobs", Some("create")) => ("“Create job” on the Jobs page".to_owned(), "with"),
        ("runs", Some("resume")) if command.contains(" --cost-usd") => {
            (control(Page::Run, "“Cost limit” beside “Resume”", "on the run’s page"), "with")
        }
        ("runs", Some("resume")) => (control(Page::Run, "“Resume”", "on the run’s page"), "with"),
        ("runs", Some("cancel")) => (control(Page::Run, "“Cancel”", "on the run’s page"), "with"),
        ("runs", Some("why")) if !command.contains('/') => (control(Page::Run, "“Plan”", "on the run’s page"), "under"),
        ("tokens", Some("revoke")) => ("“Revoke” on the Tokens page".to_owned(), "with"),
        ("repos", Some("add")) => ("“Add repository” on the Repositories page".to_owned(), "with"),
        ("repos", Some("delete")) => ("“Remove” on the Repositories page".to_owned(), "with"),
        ("repos", Some("test")) => ("“Test now” on the Repositories page".to_owned(), "with"),
        ("hooks", Some("install")) => ("“Install webhook” on the Repositories page".to_owned(), "with"),
        ("hooks", Some("repair")) => ("“Repair webhook” on the Repositories page".to_owned(), "with"),
        ("hooks", Some("delete")) => ("“Remove” on the webhook’s page".to_owned(), "with"),
        ("integrations", Some("test")) => ("“Test again” on the connection’s page".to_owned(), "with"),
        ("secrets", Some("set" | "rotate")) => ("“Set secret” on the Secrets page".to_owned(), "with"),
        ("settings", Some("set")) => match parts.next() {
            Some(setting) => (format!("`{setting}` in Settings"), "with"),
            None => ("Settings".to_owned(), "in"),
        },
        ("runners", None) => ("the Runners page".to_owned(), "on"),
        ("repos", None) => ("the Repositories page".to_owned(), "on"),
        ("release", _) => ("“Release” on the board".to_owned(), "with"),
        ("review", Some(_)) if command.ends_with("--full") => {
            ("“Full review” on the pull request’s page".to_owned(), "with")
        }
        ("review", Some(_)) => ("“Review” on the pull request’s page".to_owned(), "with"),
        ("revise", _) => (control(Page::Ticket, "“Revise”", "on the ticket’s page"), "with"),
        _ => return None,
    })
}
