//! What a job reports besides changes.

use super::tabs::Tabs;
use super::{Shell, Subject, load_subject};
use crate::analyses::items_url;
use crate::job::head::JobHead;
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use pullyard_domain::id::JobId;
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_domain::output::{Answer, EarlierFinding, FindingPlace, JobOutput, PostedReview};
use pullyard_domain::prompt::review::Side;
use pullyard_domain::report::review_output::{Finding, Severity};
use std::cmp::Reverse;

#[derive(Template)]
#[template(path = "job_output.html")]
struct OutputPage {
    frame: Frame,
    head: JobHead,
    tabs: Tabs,
    /// The answer, or the summary of a review.
    html: Option<SafeHtml>,
    review: Option<ReviewView>,
    /// The page with the items of an analysis.
    analysis: Option<String>,
}

struct ReviewView {
    sentence: SafeText,
    scope: SafeText,
    earlier: Vec<EarlierView>,
    /// The most severe first.
    findings: Vec<FindingView>,
}

struct EarlierView {
    verdict: &'static str,
    severity: &'static str,
    lines: SafeText,
    text: SafeText,
}

struct FindingView {
    severity: &'static str,
    tone: &'static str,
    category: &'static str,
    place: &'static str,
    /// `src/retry.rs:38–41`
    lines: SafeText,
    title: SafeText,
    html: SafeHtml,
    deletes_lines: bool,
    suggestion: Option<SafeText>,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    render(&visit, &subject).await
}

pub(super) async fn render(visit: &PageContext, subject: &Subject) -> Result<Response, Fault> {
    let output = control::load_output(&visit.ctx, &subject.view.job.id).await?;
    let (text, review) = match output {
        Some(JobOutput::Read(Answer { text })) => (Some(text), None),
        Some(JobOutput::Review(posted)) => (Some(posted.review.summary.clone()), Some(to_review(&posted))),
        Some(JobOutput::Analysis(report)) => (Some(report.sentence()), None),
        None => (None, None),
    };
    let repository = subject.view.repository.as_ref().filter(|_| subject.view.job.kind == JobKind::Analysis);
    let analysis = repository.map(|repository| items_url(&subject.view.job.project, repository));
    let html = text.map(|text| markdown::render(&text, Below::Title));
    let (Shell { frame, head, tabs }, _) = subject.load_tab(visit, "output").await?;
    Ok(render_page(StatusCode::OK, &OutputPage { frame, head, tabs, html, review, analysis }))
}

fn to_review(posted: &PostedReview) -> ReviewView {
    let mut findings: Vec<_> = posted.review.findings.iter().zip(&posted.places).collect();
    findings.sort_by_key(|(finding, _)| Reverse(finding.severity));
    ReviewView {
        sentence: line(&posted.counts().sentence()),
        scope: line(&posted.scope()),
        earlier: posted.earlier.iter().map(to_earlier).collect(),
        findings: findings.into_iter().map(|(finding, place)| to_finding(finding, *place)).collect(),
    }
}

fn to_earlier(finding: &EarlierFinding) -> EarlierView {
    let at = finding.line.map(|at| format!(":{at}")).unwrap_or_default();
    EarlierView {
        verdict: finding.verdict.as_str(),
        severity: finding.severity.as_str(),
        lines: line(&format!("{}{at}", finding.path)),
        text: line(&finding.text),
    }
}

fn to_finding(finding: &Finding, place: FindingPlace) -> FindingView {
    let lines = match (finding.start_line, finding.line) {
        (Some(start), Some(end)) => format!(":{start}\u{2013}{end}"),
        (_, Some(at)) => format!(":{at}"),
        _ => String::new(),
    };
    let before = if finding.side == Side::Left { " before the change" } else { "" };
    FindingView {
        severity: finding.severity.as_str(),
        tone: match finding.severity {
            Severity::Critical | Severity::High => "bad",
            Severity::Medium => "warn",
            Severity::Low | Severity::Nit => "",
        },
        category: finding.category.as_str(),
        place: place.label(),
        lines: line(&format!("{}{lines}{before}", finding.path)),
        title: line(&finding.title),
        html: markdown::render(&finding.body, Below::Section),
        deletes_lines: finding.suggestion.as_ref().is_some_and(|code| code.trim().is_empty()),
        suggestion: finding.suggestion.as_deref().map(text::block),
    }
}
