//! `pullyard jobs output`: prints the output of a job that reports.

use super::logs::sanitize_line;
use crate::client::prelude::*;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::budget::format_usd;
use pullyard_domain::review::output::{Answer, FindingPlace, JobOutput, PostedReview};
use pullyard_domain::review::report::review_output::Finding;
use pullyard_domain::text::id::JobId;

pub(super) async fn print_output(session: &Session, id: &JobId) -> Result<(), CliError> {
    let answer = session.api.job_output(id).await?;
    let text = match &answer.output {
        None => return Err(missing_output(session, id).await?),
        Some(_) if session.screen.is_json() => return session.screen.json(&answer),
        Some(JobOutput::Read(Answer { text, .. })) => text.clone(),
        Some(JobOutput::Review(posted)) => render_review(posted),
        Some(JobOutput::Analysis(report)) => report.sentence(),
    };
    print_text(session, &text)
}

/// At the end of a watched job: its answer, or a sentence about its review with the cost.
pub(in crate::client) async fn print_end(session: &Session, id: &JobId) -> Result<(), CliError> {
    match session.api.job_output(id).await?.output {
        None => Err(missing_output(session, id).await?),
        Some(JobOutput::Read(Answer { text, .. })) => print_text(session, &text),
        Some(JobOutput::Analysis(report)) => session.screen.print_line(&report.sentence()),
        Some(JobOutput::Review(posted)) => {
            let attempts = session.api.attempts(id).await?.attempts;
            let cost: Option<u64> = attempts.iter().map(|attempt| attempt.spent_usd_micros).sum();
            let cost = cost.map(|cost| format!(" {}", format_usd(cost))).unwrap_or_default();
            session.screen.print_line(&format!("{}{cost}", posted.counts().sentence()))?;
            if !posted.review.findings.is_empty() {
                session.screen.hint(&format!("`pullyard jobs output {}` prints the findings", id.short()));
            }
            Ok(())
        }
    }
}

fn print_text(session: &Session, text: &str) -> Result<(), CliError> {
    text.lines().try_for_each(|line| session.screen.print_line(&sanitize_line(line)))
}

/// The worst finding is first.
fn render_review(posted: &PostedReview) -> String {
    let sentence = format!("{} {}", posted.scope(), posted.counts().sentence());
    let findings = posted.findings().into_iter().map(|(finding, place)| render_finding(finding, place));
    let earlier = posted.earlier.iter().map(|finding| {
        let (severity, verdict, location) = (finding.severity.as_str(), finding.verdict.as_str(), finding.location());
        format!("Earlier, {severity}, {verdict}: {}\n{}", sanitize(&location), finding.text).trim_end().to_owned()
    });
    let texts = [sentence, posted.review.summary.clone()].into_iter().chain(earlier).chain(findings);
    texts.collect::<Vec<_>>().join("\n\n")
}

fn render_finding(finding: &Finding, place: FindingPlace) -> String {
    let Finding { severity, category, title, body, suggestion, .. } = finding;
    let suggestion = match suggestion {
        None => String::new(),
        Some(_) if finding.deletes_lines() => "\nSuggested: delete the lines.".to_owned(),
        Some(code) => format!("\nSuggested instead:\n{code}"),
    };
    let (severity, category, place) = (severity.as_str(), category.as_str(), place.label());
    let (location, title) = (sanitize(&finding.location()), sanitize(title));
    format!("{severity}, {category}: {title}\n{location}, {place}\n{body}{suggestion}")
}

async fn missing_output(session: &Session, id: &JobId) -> Result<CliError, CliError> {
    let (job, short) = (session.api.job(id).await?, id.short());
    let reports = job.kind.reports();
    let is_published = job.result.is_some() || job.pushed.is_some();
    Ok(match job.status {
        JobStatus::Completed if reports || !is_published => {
            CliError::not_found(format!("the output of job {short} was deleted after 90 days"))
        }
        status if reports && !status.is_terminal() => {
            CliError::not_found(format!("no output yet: job {short} has not ended"))
                .with_help(format!("wait for it with `pullyard jobs watch {short}`"))
        }
        _ => CliError::not_found(format!("job {short} has no output"))
            .with_help(format!("`pullyard jobs show {short}` shows its result")),
    })
}
