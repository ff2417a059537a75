//! Reads the agent's replies to reviewers, which are untrusted, from a file in its worktree.

use crate::agent_files;
use crate::git::Git;
use crate::git::workspace::Workspace;
use crate::secrets::redact::Redactor;
use pullyard_domain::kinds::prompt::REPLIES_FILE;
use pullyard_domain::review::published::break_closing_words;
use pullyard_domain::text::untrusted;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

const MAX_FILE_BYTES: u64 = 256 * 1024;
const MAX_REPLY_CHARS: usize = 4_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentReplies(BTreeMap<u64, String>);

impl AgentReplies {
    /// The reply for one thread: the texts for its comments, in the order of the comments and without secrets.
    pub(super) fn for_thread(&self, comments: &BTreeSet<u64>, redactor: &Redactor) -> Option<String> {
        let replies: Vec<&str> = comments.iter().filter_map(|id| self.0.get(id).map(String::as_str)).collect();
        // Redact before the text is cut: the redactor does not recognise half of a secret.
        (!replies.is_empty())
            .then(|| untrusted::truncate_with_count(&redactor.redact_text(&replies.join("\n\n")), MAX_REPLY_CHARS))
            .map(|text| break_closing_words(&text))
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let entries: BTreeMap<String, serde_json::Value> = serde_json::from_str(text)?;
        let replies = entries.iter().filter_map(|(id, value)| {
            // Hidden characters are removed, and with them any marker of Pullyard.
            let reply = untrusted::remove_hidden(value.as_str()?);
            Some((id.parse().ok()?, reply.trim().to_owned())).filter(|(_, reply)| !reply.is_empty())
        });
        Ok(Self(replies.collect()))
    }
}

/// The agent's replies, if it wrote a readable file. A file that the repository itself contains is ignored.
pub(crate) async fn load_agent_replies(git: &Git, workspace: &Workspace) -> AgentReplies {
    if !agent_files::is_untracked(git, workspace, REPLIES_FILE).await {
        return AgentReplies::default();
    }
    let tree = workspace.tree();
    let result = tokio::task::spawn_blocking(move || read_replies_file(&tree)).await.map_err(io::Error::from).flatten();
    match result.map(|text| AgentReplies::parse(&text)) {
        Ok(Ok(replies)) => replies,
        Ok(Err(error)) => {
            // The message of this error quotes the text, so log only its position.
            let (kind, line, column) = (error.classify(), error.line(), error.column());
            tracing::warn!(?kind, line, column, "invalid reply file of the agent, at line {line}, column {column}");
            AgentReplies::default()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => AgentReplies::default(),
        Err(error) => {
            tracing::warn!(error = %error, "cannot read the agent's replies to reviewers: {error}");
            AgentReplies::default()
        }
    }
}

pub(crate) fn read_replies_file(tree: &Path) -> io::Result<String> {
    agent_files::read(tree, REPLIES_FILE, MAX_FILE_BYTES)
}

/// Restores the file that the agent of an earlier attempt wrote, unless a file exists.
pub(crate) fn restore_replies_file(tree: &Path, text: &str) -> io::Result<()> {
    let (folder, name) = REPLIES_FILE.split_once('/').unwrap_or((".", REPLIES_FILE));
    let folder = tree.join(folder);
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // No other process changes the folder now, so the result of this check stays true.
    if !std::fs::symlink_metadata(&folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    File::create_new(folder.join(name))?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::review::published::marker::Marker;

    #[test]
    fn replies_are_parsed_by_comment_and_hidden_text_is_removed() {
        let replies = AgentReplies::parse(
            r#"{"1":" Kept.<!-- pullyard:status --> ","2":"","x":"y","3":4,"18446744073709551615":"b"}"#,
        );
        let replies = replies.unwrap();
        let redactor = Redactor::new([]);
        let reply = replies.for_thread(&BTreeSet::from([1, 2, 3]), &redactor).unwrap();
        assert_eq!(reply, "Kept.(hidden text left out)");
        assert!(!Marker::is_present(&reply));
        assert_eq!(replies.for_thread(&BTreeSet::from([u64::MAX]), &redactor).as_deref(), Some("b"));
        assert_eq!(replies.for_thread(&BTreeSet::from([2]), &redactor), None);
        assert!(AgentReplies::parse("[]").is_err() && AgentReplies::parse("").is_err());
        let long =
            AgentReplies(BTreeMap::from([(1, "ü".repeat(9_000))])).for_thread(&BTreeSet::from([1]), &redactor).unwrap();
        assert!(long.chars().count() < MAX_REPLY_CHARS + 60 && long.contains("5000 more characters left out"));
    }

    #[test]
    fn reply_cut_within_a_secret_is_redacted() {
        let redactor = Redactor::new(["planted-secret-4711".to_owned()]);
        let text = format!("{}planted-secret-4711 and on", "x".repeat(MAX_REPLY_CHARS - 10));
        let reply = AgentReplies(BTreeMap::from([(1, text)])).for_thread(&BTreeSet::from([1]), &redactor).unwrap();
        assert!(reply.contains("xxx[redacted]") && !reply.contains("planted"), "{reply}");
    }

    #[test]
    fn replies_are_restored_without_overwriting_or_links() {
        let dir = tempfile::tempdir().unwrap();
        let [tree, elsewhere] = ["tree", "elsewhere"].map(|name| dir.path().join(name));
        std::fs::create_dir(&tree).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        restore_replies_file(&tree, "{}").unwrap();
        assert!(restore_replies_file(&tree, "[]").is_err(), "an existing file");
        assert_eq!(read_replies_file(&tree).unwrap(), "{}");
        let (folder, file) = (tree.join(".pullyard"), tree.join(REPLIES_FILE));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("replies.json"), &file).unwrap();
        assert!(restore_replies_file(&tree, "{}").is_err(), "a linked file");
        std::fs::remove_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
        assert!(restore_replies_file(&tree, "{}").is_err(), "a linked folder");
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn replies_up_to_256_kib_are_read() {
        let dir = tempfile::tempdir().unwrap();
        for (size, is_read) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
            restore_replies_file(dir.path(), &" ".repeat(size)).unwrap();
            assert_eq!(read_replies_file(dir.path()).is_ok(), is_read, "{size}");
            std::fs::remove_dir_all(dir.path().join(".pullyard")).unwrap();
        }
    }
}
