//! Paths of the files in a worktree by which Pullyard and an agent exchange texts, relative to the worktree.

/// Folder of the files that an agent leaves for Pullyard.
pub const PULLYARD_FOLDER: &str = ".pullyard";

/// Folder of the files that an agent receives.
pub const INPUT_FOLDER: &str = ".pullyard/input";

/// File in which the agent of a job that reports writes its output. Never committed.
pub const OUTPUT_FILE: &str = ".pullyard/output.json";

/// The agent's replies to reviewers; never committed.
pub const REPLIES_FILE: &str = ".pullyard/replies.json";

/// A question of the agent at the end of its turn; never committed.
pub const QUESTION_FILE: &str = ".pullyard/question.md";
