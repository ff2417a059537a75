//! Recognizes why a forge refused a push, by its messages. Each forge has its own phrases in its module.

use crate::forge::vendor;
use pullyard_domain::project::forge::ForgeKind;

/// Reasons of `[remote rejected]`, and messages with it, after which the push is repeated: the ref was locked or has
/// moved during the push, or the forge failed.
const UNDECIDED: [&str; 7] = [
    "cannot lock ref",
    "failed to update ref",
    "unable to lock",
    "internal server error",
    "fatal error in commit_refs",
    "unable to migrate objects to permanent storage",
    "transaction failed",
];
/// GitHub's reason if it failed itself. It states another one for each refusal.
const INTERNAL: &str = "failure";
/// With this reason the forge did not store the objects. Only its check of their content is a refusal.
const NOT_STORED: &str = "unpacker error";
const CONTENT_REFUSALS: [&str; 3] = ["fsck", "exceeds", "too large"];

/// A push that the forge refused, as printed by git.
#[derive(Clone, Copy, Debug)]
pub struct PushOutput<'a> {
    /// The reason of `[remote rejected]`.
    pub reason: Option<&'a str>,
    /// The forge's messages, which git marks with `remote:`.
    pub messages: &'a [&'a str],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushRefusal {
    WorkflowPermission,
    /// The forge found a secret. Completes "the forge rejected the push: …".
    Secret(String),
    /// A rule protects the branch. Contains the rule, if the forge names it.
    BranchProtected(Option<String>),
    PermissionMissing,
    /// Another reason, if the forge states one.
    Other(Option<String>),
}

/// `None` if the forge decided nothing, so the push is repeated.
pub fn parse_push_refusal(kind: ForgeKind, output: &PushOutput<'_>) -> Option<PushRefusal> {
    let PushOutput { reason, messages } = *output;
    let phrases = vendor(kind).push_phrases;
    let words = format!("{}\n{}", messages.join("\n"), reason.unwrap_or_default()).to_lowercase();
    let mentions = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if words.contains("workflow") && mentions(phrases.workflow) {
        return Some(PushRefusal::WorkflowPermission);
    }
    let is_unstored = reason.is_some_and(|reason| reason.contains(NOT_STORED)) && !mentions(&CONTENT_REFUSALS);
    if mentions(&UNDECIDED) || reason == Some(INTERNAL) || is_unstored || mentions(&["rate limit"]) {
        return None;
    }
    if mentions(&["secret detected"]) || mentions(phrases.secret) {
        return Some(PushRefusal::Secret(describe_secret(messages)));
    }
    if mentions(&["protected branch", "protected ref"]) || mentions(phrases.protected) {
        let rule = parse_broken_rule(messages, phrases.rule_headings);
        return Some(PushRefusal::BranchProtected(rule.map(str::to_owned)));
    }
    if phrases.denied.iter().any(|parts| parts.iter().all(|part| words.contains(part))) {
        return Some(PushRefusal::PermissionMissing);
    }
    // The forge's own messages are more specific than its reason, such as "pre-receive hook declined".
    Some(PushRefusal::Other(quote_messages(messages).or_else(|| reason.map(str::to_owned))))
}

/// The forge's messages as one line, beginning with the messages that name a file, then the errors.
fn quote_messages(messages: &[&str]) -> Option<String> {
    let mut lines: Vec<&str> = messages.iter().copied().filter(|line| !is_noise(line)).collect();
    lines.sort_by_key(|line| (!names_file(line), !line.starts_with("error: ")));
    let mut quoted = String::new();
    for line in lines {
        let line = line.trim_start_matches("error: ").trim_start_matches("- ").trim();
        let separator = if quoted.is_empty() {
            ""
        } else if quoted.ends_with(['.', '!', '?', ':']) {
            " "
        } else {
            "; "
        };
        quoted.push_str(separator);
        quoted.push_str(line);
    }
    (!quoted.is_empty()).then_some(quoted)
}

/// Progress, separators, and ids for the forge's support.
fn is_noise(line: &str) -> bool {
    let progress = ["Resolving deltas", "Counting objects", "Compressing objects", "error: Trace:"];
    progress.iter().any(|start| line.starts_with(start)) || !line.chars().any(char::is_alphanumeric)
}

/// Whether a word looks like a path. Web addresses do not count.
fn names_file(line: &str) -> bool {
    let is_path = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
        let has_extension = word.rsplit_once('.').is_some_and(|(name, extension)| {
            name.contains(char::is_alphabetic) && matches!(extension.len(), 1..=8) && !extension.contains('/')
        });
        (has_extension || word.contains('/')) && !word.contains("://") && !word.starts_with("refs/")
    };
    line.split_whitespace().any(is_path)
}

/// The rule that a push broke, in the forge's own text: an item of a list, an error, or one line. Unrelated messages may precede
/// it, such as a new name of the repository.
fn parse_broken_rule<'a>(messages: &[&'a str], headings: &[&str]) -> Option<&'a str> {
    let is_heading = |line: &str| headings.iter().any(|heading| line.contains(heading));
    let rules: Vec<&str> = messages.iter().copied().filter(|line| !is_heading(line)).collect();
    let find_rule = |with: &str| rules.iter().find_map(|line| line.strip_prefix(with));
    find_rule("- ").or_else(|| find_rule("error: ")).or(rules.first().copied()).map(str::trim)
}

/// The path of the secret that the forge found, or the forge's message.
fn describe_secret(messages: &[&str]) -> String {
    if let Some(path) = messages.iter().find_map(|line| line.strip_prefix("path: ")) {
        return format!("it found a secret in {path}");
    }
    let message = messages.iter().find(|line| line.to_lowercase().contains("secret"));
    match message.map(|line| line.trim_start_matches("- ").trim_start_matches("error: ")) {
        Some(line) => format!("it found a secret: {line}"),
        None => "it found a secret in the change".into(),
    }
}
