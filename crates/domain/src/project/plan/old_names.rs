//! Keys that plans refuse with a hint: keys of Spawnd, with their names here, and keys that only jobs have.

const RENAMED: [(&str, &str); 12] = [
    ("agents", "steps"),
    ("check", "checks"),
    ("cost_usd", "limits.cost_usd"),
    ("depends_on", "needs"),
    ("max_cost_usd", "limits.cost_usd"),
    ("runtime", "agent"),
    ("source_ref", "base"),
    ("source_repo", "repository"),
    ("spawn_worker", "spawn"),
    ("use_role", "role"),
    ("worktree_setup", "setup"),
    ("write_allowed", "sandbox"),
];

/// Keys that this place of the plan cannot have, with the reason or the right place.
const REPLACED: [(&[&str], &str); 14] = [
    (&["approval_mode", "approvals"], "no user is at a terminal; add a step with `approve`"),
    (&["artifacts"], "raw output is a setting of the runner, PULLYARD_RAW_CAPTURE"),
    (&["cache", "cache_paths"], "setup has no cache yet"),
    (&["cleanup"], "Pullyard always removes the worktree"),
    (&["codex"], "use `agent: codex`, and `sandbox` for its permission to write"),
    (&["command_policy"], "the project sets it: `pullyard settings set command_policy=…`"),
    (&["concurrency_limit"], "it is a key of the plan"),
    (&["env_refs", "git"], "clone and push use the integration's token; setup gets no secret yet"),
    (&["labels"], "the repository has them: `pullyard repos set OWNER/NAME --labels …`"),
    (&["mcp_servers"], "a plan names no MCP servers"),
    (&["orchestration"], "move its keys as their faults say"),
    (&["resume"], "the project sets it: `pullyard settings set resume=…`"),
    (&["telemetry"], "the stack has a parameter for it, `Tracing`"),
    (&["worktree_source"], "use `base`; the source is always fetched"),
];

/// The fault of an unknown key that has another name or place.
pub(super) fn find_fault(key: &str) -> Option<String> {
    let renamed = RENAMED.iter().find(|(old, _)| *old == key).map(|(_, new)| format!("`{key}` is `{new}` here"));
    let replaced = || REPLACED.iter().find(|(old, _)| old.contains(&key));
    renamed.or_else(|| replaced().map(|(_, fault)| format!("there is no `{key}` here: {fault}")))
}
