//! Compares the commits of this program, the stack's program, its templates and its image.

use super::Finding;
use crate::Stack;

const DEPLOY: &str = "`sam build && sam deploy --config-file samconfig.local.toml`";
const INSTALL: &str = "`cargo install --path crates/cli`";

/// `None`: the part was not read, which another finding reports. Empty or `unknown`: the part names no commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commits<'a> {
    pub client: &'a str,
    pub program: Option<&'a str>,
    pub image: Option<&'a str>,
}

struct Reference<'a> {
    commit: &'a str,
    part: &'static str,
}

pub fn compare_commits(stack: &Stack, commits: &Commits<'_>) -> Vec<Finding> {
    let (ours, templates) = (known_commit(commits.client), stack.commit.as_deref().and_then(known_commit));
    let program = commits.program.and_then(known_commit);
    let deployed = program.filter(|program| templates == Some(program));
    let Some(reference) = reference(ours, program, templates, deployed) else {
        return vec![Finding::warning(
            "commit",
            "The commits of this program and of the stack are unknown.",
            format!("Build from a clone: {INSTALL}; run infra/preflight before sam deploy."),
        )];
    };
    let mut findings: Vec<Finding> = [
        check_client(ours, deployed),
        commits.program.and_then(|_| check_program(program, &reference)),
        check_templates(templates, &reference),
        commits.image.and_then(|image| check_image(known_commit(image), &reference, &stack.name)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if findings.is_empty() {
        let parts = ["this program", "the stack's program", "its templates", "the image"];
        let read = [true, commits.program.is_some(), true, commits.image.is_some()];
        let read: Vec<&str> = parts.into_iter().zip(read).filter(|(_, read)| *read).map(|(part, _)| part).collect();
        let sentence = format!("Same commit, {}, for {}.", short(reference.commit), read.join(", "));
        findings.push(Finding::good("commit", sentence));
    }
    findings
}

fn known_commit(commit: &str) -> Option<&str> {
    Some(commit.trim()).filter(|commit| !commit.is_empty() && *commit != "unknown")
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The deployed commit if program and templates agree; otherwise this program's, which the operator just installed.
fn reference<'a>(
    ours: Option<&'a str>,
    program: Option<&'a str>,
    templates: Option<&'a str>,
    deployed: Option<&'a str>,
) -> Option<Reference<'a>> {
    let candidates = [
        (deployed, "the stack's program and templates"),
        (ours, "this program"),
        (program, "the stack's program"),
        (templates, "the stack's templates"),
    ];
    candidates.into_iter().find_map(|(commit, part)| Some(Reference { commit: commit?, part }))
}

/// An older client is common and harmless, so it is a warning.
fn check_client(ours: Option<&str>, deployed: Option<&str>) -> Option<Finding> {
    let Some(ours) = ours else {
        let help = format!("Install it from a clone: {INSTALL}.");
        return Some(Finding::warning("commit", "The commit of this program is unknown.", help));
    };
    let deployed = deployed.filter(|deployed| *deployed != ours)?;
    let sentence = format!(
        "This program is from commit {}; the stack's program and templates are from {}.",
        short(ours),
        short(deployed)
    );
    let help = format!("If the stack is newer: {INSTALL}; if it is older: {DEPLOY}.");
    Some(Finding::warning("commit", sentence, help))
}

fn check_program(program: Option<&str>, reference: &Reference<'_>) -> Option<Finding> {
    let help = format!("Deploy it: {DEPLOY}.");
    match program {
        None => Some(Finding::warning("commit", "The commit of the stack's program is unknown.", help)),
        Some(program) => check_equal("The stack's program is", program, reference, help),
    }
}

fn check_templates(templates: Option<&str>, reference: &Reference<'_>) -> Option<Finding> {
    let help = format!("Deploy them: {DEPLOY}.");
    match templates {
        None => {
            let sentence = "The commit of the templates is unknown: run infra/preflight before sam deploy.";
            Some(Finding::warning("commit", sentence, format!("`infra/preflight`, then {DEPLOY}.")))
        }
        Some(templates) => check_equal("The stack's templates are", templates, reference, help),
    }
}

fn check_image(image: Option<&str>, reference: &Reference<'_>, stack: &str) -> Option<Finding> {
    let help = format!("Push it: `infra/image/push --stack {stack}`.");
    match image {
        None => Some(Finding::warning(
            "commit",
            "The commit of the image is unknown: an older version of infra/image/push built it.",
            help,
        )),
        Some(image) => check_equal("The image is", image, reference, help),
    }
}

fn check_equal(subject: &str, commit: &str, reference: &Reference<'_>, help: String) -> Option<Finding> {
    let Reference { commit: expected, part } = reference;
    let sentence = || format!("{subject} from commit {}; {part} from {}.", short(commit), short(expected));
    (commit != *expected).then(|| Finding::wrong("commit", sentence(), help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::stack::sample;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn findings(ours: &str, program: Option<&str>, templates: Option<&str>, image: Option<&str>) -> Vec<Finding> {
        let stack = Stack { commit: templates.map(str::to_owned), ..sample() };
        compare_commits(&stack, &Commits { client: ours, program, image })
    }

    #[track_caller]
    fn check(findings: Vec<Finding>, expected: &[(Verdict, &str, &str)]) {
        assert_eq!(findings.len(), expected.len(), "{findings:#?}");
        for (finding, (verdict, sentence, help)) in findings.iter().zip(expected) {
            assert_eq!((finding.verdict, finding.sentence.as_str()), (*verdict, *sentence));
            assert!(finding.help.as_deref().unwrap_or_default().contains(help), "{finding:?}");
        }
    }

    #[test]
    fn verdict_is_good_when_all_known_commits_agree() {
        let all = "Same commit, aaaaaaaaaaaa, for this program, the stack's program, its templates, the image.";
        check(findings(A, Some(A), Some(A), Some(A)), &[(Verdict::Good, all, "")]);
        let some = "Same commit, aaaaaaaaaaaa, for this program, its templates.";
        check(findings(A, None, Some(A), None), &[(Verdict::Good, some, "")]);
    }

    #[test]
    fn part_of_another_commit_is_wrong_and_names_its_fix() {
        let program = "The stack's program is from commit bbbbbbbbbbbb; this program from aaaaaaaaaaaa.";
        check(findings(A, Some(B), Some(A), Some(A)), &[(Verdict::Wrong, program, DEPLOY)]);
        let templates = "The stack's templates are from commit bbbbbbbbbbbb; this program from aaaaaaaaaaaa.";
        check(findings(A, Some(A), Some(B), Some(A)), &[(Verdict::Wrong, templates, DEPLOY)]);
        let image = "The image is from commit bbbbbbbbbbbb; the stack's program and templates from aaaaaaaaaaaa.";
        check(findings(A, Some(A), Some(A), Some(B)), &[(Verdict::Wrong, image, "`infra/image/push --stack py`")]);
        let (image, templates) = (
            "The image is from commit bbbbbbbbbbbb; this program from aaaaaaaaaaaa.",
            "The stack's templates are from commit cccccccccccc; this program from aaaaaaaaaaaa.",
        );
        let expected = [
            (Verdict::Wrong, program, DEPLOY),
            (Verdict::Wrong, templates, DEPLOY),
            (Verdict::Wrong, image, "infra/image/push"),
        ];
        check(findings(A, Some(B), Some(C), Some(B)), &expected);
    }

    #[test]
    fn client_of_another_commit_is_a_warning_when_the_stack_agrees() {
        let client =
            "This program is from commit aaaaaaaaaaaa; the stack's program and templates are from bbbbbbbbbbbb.";
        check(findings(A, Some(B), Some(B), Some(B)), &[(Verdict::Warning, client, INSTALL)]);
    }

    #[test]
    fn part_without_a_commit_is_a_warning() {
        let templates = "The commit of the templates is unknown: run infra/preflight before sam deploy.";
        for absent in [None, Some(""), Some("unknown")] {
            check(findings(A, Some(A), absent, Some(A)), &[(Verdict::Warning, templates, "infra/preflight")]);
        }
        let program = "The commit of the stack's program is unknown.";
        check(findings(A, Some(""), Some(A), None), &[(Verdict::Warning, program, DEPLOY)]);
        let image = "The commit of the image is unknown: an older version of infra/image/push built it.";
        check(findings(A, Some(A), Some(A), Some("")), &[(Verdict::Warning, image, "infra/image/push")]);
        let client = "The commit of this program is unknown.";
        check(findings("unknown", Some(A), Some(A), Some(A)), &[(Verdict::Warning, client, INSTALL)]);
        check(
            findings("unknown", Some(""), None, None),
            &[(Verdict::Warning, "The commits of this program and of the stack are unknown.", INSTALL)],
        );
    }

    #[test]
    fn parts_are_compared_when_the_client_names_no_commit() {
        let expected = [
            (Verdict::Warning, "The commit of this program is unknown.", INSTALL),
            (
                Verdict::Wrong,
                "The stack's templates are from commit bbbbbbbbbbbb; the stack's program from aaaaaaaaaaaa.",
                DEPLOY,
            ),
        ];
        check(findings("unknown", Some(A), Some(B), None), &expected);
    }
}
