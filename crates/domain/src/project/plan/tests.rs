mod generated_plans;

use super::*;
use crate::generated;
use serde_json::{Value, json};

fn contributor() -> Value {
    json!({
        "name": "contributor",
        "parameters": { "task": { "type": "text", "required": true } },
        "limits": { "wall": "6h", "cost_usd": 20 },
        "defaults": { "agent": "claude_code", "limits": { "cost_usd": 5 } },
        "steps": [
            { "name": "plan", "role": "planner", "prompt": "Write down how to do the task." },
            { "name": "implement", "role": "implementer", "needs": ["plan"], "prompt": "Do it.",
              "checks": ["cargo test"], "retries": 1 },
            { "name": "review", "role": "reviewer", "needs": ["implement"], "agent": "codex", "prompt": "Name each fault." },
            { "name": "fix", "role": "fixer", "needs": ["review"], "when": { "review": "changes_requested" },
              "prompt": "Repair it.", "checks": ["cargo test"] },
        ],
    })
}

fn faults(plan: Value) -> Vec<(String, String)> {
    let faults = Plan::parse(plan).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.pointer, fault.fault)).collect()
}

/// The contributor plan with another value.
fn changed(pointer: &str, value: Value) -> Value {
    let mut plan = contributor();
    set(&mut plan, pointer, value);
    plan
}

/// `null` removes the key.
fn set(plan: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match plan.pointer_mut(parent).unwrap() {
        Value::Object(all) if value.is_null() => drop(all.remove(key)),
        Value::Object(all) => drop(all.insert(key.into(), value)),
        Value::Array(all) if key == "-" => all.push(value),
        other => other[key.parse::<usize>().unwrap()] = value,
    }
}

#[track_caller]
fn check(plan: Value, expected: &[(&str, &str)]) {
    let found = faults(plan);
    let found: Vec<_> = found.iter().map(|(pointer, fault)| (pointer.as_str(), fault.as_str())).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((pointer, fault), (at, says)) in found.iter().zip(expected) {
        assert!(pointer == at && fault.contains(says), "{found:#?}\nexpected {expected:?}");
    }
}

#[test]
fn step_with_spawn_may_leave_the_tree_unchanged() {
    let step = |keys: Value| {
        let mut step = json!({ "name": "lead", "prompt": "Lead." });
        step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let plan = Plan::parse(json!({ "name": "one", "steps": [step] })).unwrap();
        plan.resolve(plan.find_step("lead").unwrap()).may_change_nothing()
    };
    assert!(step(json!({ "spawn": { "most": 4 } })), "it may only add steps");
    assert!(step(json!({ "role": "manager" })));
    assert!(!step(json!({})));
    assert!(!step(json!({ "spawn": { "most": 4 }, "changes": "required" })));
}

#[test]
fn contributor_plan_has_no_fault_and_resolves_its_keys() {
    let plan = Plan::parse(contributor()).unwrap();
    let keys = |name: &str| plan.resolve(plan.find_step(name).unwrap());
    assert_eq!(keys("plan").agent.as_deref(), Some("claude_code"));
    assert_eq!(keys("review").agent.as_deref(), Some("codex"));
    assert!(keys("plan").is_read_only() && !keys("implement").is_read_only());
    assert_eq!(keys("review").outcomes, Some(vec!["approved".into(), "changes_requested".into()]));
    assert_eq!((keys("implement").retries, keys("fix").changes), (Some(1), Some(StepChanges::Optional)));
    assert_eq!(keys("fix").cost_usd_micros(), Some(5_000_000));
    assert_eq!((plan.cost_limit_usd_micros(), plan.wall_limit().as_secs()), (Some(20_000_000), 21_600));
    assert_eq!(plan.concurrency_limit(), 4);
}

#[test]
fn every_fault_has_its_pointer() {
    check(changed("/name", Value::Null), &[("/name", "`name` is missing")]);
    check(changed("/name", json!(3)), &[("/name", "write text, in quotes")]);
    check(changed("/name", json!("")), &[("/name", "1 to 80 characters")]);
    check(changed("/name", json!("a\nb")), &[("/name", "one line")]);
    check(changed("/repository", json!("app")), &[("/repository", "owner/name")]);
    for base in ["a\nb", "v1..v2", "refs/heads/main", "origin/main"] {
        check(changed("/base", json!(base)), &[("/base", "name of a branch")]);
    }
    check(changed("/concurrency_limit", json!(51)), &[("/concurrency_limit", "use 1 to 50")]);
    check(changed("/concurrency", json!({ "group": " deploy" })), &[("/concurrency/group", "no space at the ends")]);
    check(changed("/concurrency_limit", json!(1.5)), &[("/concurrency_limit", "a whole number")]);
    check(changed("/limits/wall", json!("8d")), &[("/limits/wall", "1m to 168h")]);
    check(changed("/limits/wall", json!(60)), &[("/limits/wall", "in quotes")]);
    check(changed("/on_failure", json!("abort")), &[("/on_failure", "use stop or continue")]);
    check(changed("/pull_request", json!("none")), &[("/pull_request", "use open or draft")]);
    check(changed("/parameters/Task", json!({ "type": "text" })), &[("/parameters/Task", "lower-case")]);
    check(changed("/parameters/task/type", json!("secret")), &[("/parameters/task/type", "use text")]);
    check(changed("/parameters/task/default", json!("x")), &[("/parameters/task", "no default")]);
    check(changed("/roles", json!({ "planner": {} })), &[("/roles/planner", "built-in")]);
    check(changed("/steps", json!([])), &[("/steps", "1 to 50 items")]);
    check(changed("/steps", json!({})), &[("/steps", "write a list")]);
    check(changed("/steps/3", json!("fix")), &[("/steps/3", "write keys with values")]);
    check(changed("/steps/3/name", json!("Fix")), &[("/steps/3/name", "lower-case")]);
    check(changed("/steps/3/name", json!("plan")), &[("/steps/3/name", "earlier step")]);
    let twins = json!({ "name": "n", "steps": [{ "name": "a", "prompt": "b" }, { "name": "a", "prompt": "c" }] });
    check(twins, &[("/steps/1/name", "earlier step")]);
    check(changed("/steps/3/prompt", Value::Null), &[("/steps/3", "needs `prompt`")]);
    check(changed("/steps/3/prompt", json!(" ")), &[("/steps/3/prompt", "16 KiB")]);
    check(changed("/steps/3/prompt", json!("x".repeat(16_385))), &[("/steps/3/prompt", "16 KiB")]);
    check(changed("/steps/3/approve", json!("Deploy?")), &[("/steps/3/approve", "not both")]);
    check(changed("/steps/3/role", json!("fixr")), &[("/steps/3/role", "did you mean `fixer`?")]);
    check(changed("/steps/3/promt", json!("x")), &[("/steps/3/promt", "did you mean `prompt`?")]);
    check(changed("/steps/3/a~1b", json!("x")), &[("/steps/3/a~01b", "there is no key")]);
    check(changed("/steps/3/needs/-", json!("review")), &[("/steps/3/needs/1", "twice")]);
    check(changed("/steps/3/needs/-", json!("reviw")), &[("/steps/3/needs/1", "did you mean `review`?")]);
    check(changed("/steps/0/needs", json!(["fix"])), &[("/steps/0/needs", "plan → fix → review → implement → plan")]);
    check(changed("/steps/0/needs", json!(["plan"])), &[("/steps/0/needs", "plan → plan")]);
    check(changed("/steps/3/when", json!({ "plan": "ok" })), &[("/steps/3/when/plan", "add `plan` to `needs`")]);
    check(changed("/steps/3/when/review", json!("done")), &[("/steps/3/when/review", "approved or changes_requested")]);
    check(changed("/steps/3/when/review", json!([])), &[("/steps/3/when/review", "name an outcome")]);
    check(changed("/steps/3/when/review", json!(true)), &[("/steps/3/when/review", "text or a list, in quotes")]);
    check(changed("/steps/1/when", json!({ "plan": "ok" })), &[("/steps/1/when/plan", "has no `outcomes`")]);
    check(changed("/steps/0/checks", json!(["make"])), &[("/steps/0/checks", "only reads")]);
    check(changed("/steps/1/checks/-", json!("a\nb")), &[("/steps/1/checks/1", "one line")]);
    check(changed("/steps/1/agent", json!("codx")), &[("/steps/1/agent", "did you mean `codex`?")]);
    check(changed("/steps/1/model", json!("--x")), &[("/steps/1/model", "letters, digits")]);
    check(changed("/steps/1/retries", json!(6)), &[("/steps/1/retries", "0 to 5")]);
    check(changed("/steps/1/outcomes", json!(["a"])), &[("/steps/1/outcomes", "2 to 8 items")]);
    check(changed("/steps/1/outcomes", json!(["a", "A b"])), &[("/steps/1/outcomes/1", "lower-case")]);
    check(
        changed("/steps/1/limits", json!({ "cost_usd": 21 })),
        &[("/steps/1/limits/cost_usd", "limit of the run is $20.00")],
    );
    check(changed("/steps/1/limits", json!({ "cost_usd": 0 })), &[("/steps/1/limits/cost_usd", "0.01 to 1000")]);
    check(changed("/steps/3/name", json!("")), &[("/steps/3/name", "lower-case")]);
    check(changed("/steps/3/needs/-", json!("")), &[("/steps/3/needs/1", "there is no step")]);
    check(changed("/steps/1/limits", json!({ "turns": 0 })), &[("/steps/1/limits/turns", "1 to 10000")]);
    check(changed("/steps/3/needs", json!(["review", "implement", 5])), &[("/steps/3/needs/2", "text, in quotes")]);
}

#[test]
fn step_without_a_cost_limit_is_refused_in_a_limited_run() {
    let limited = changed("/defaults", Value::Null);
    let steps: Vec<_> = faults(limited).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(steps, ["/steps/0", "/steps/1", "/steps/2", "/steps/3"]);
}

#[test]
fn command_agent_has_no_model() {
    let mut plan = changed("/steps/1/agent", json!("command"));
    plan["steps"][1]["model"] = json!("m");
    check(plan, &[("/steps/1/model", "has no model")]);
}

#[test]
fn keys_without_effect_are_refused() {
    check(changed("/steps/0/branch", json!("own")), &[("/steps/0/branch", "only reads")]);
    check(changed("/steps/0/changes", json!("required")), &[("/steps/0/changes", "only reads")]);
    let reader = json!({ "reader": { "sandbox": "read_only", "checks": ["make"] } });
    check(changed("/roles", reader), &[("/roles/reader/checks", "only reads")]);
    let mut plan = changed("/steps/-", json!({ "name": "ask", "needs": ["fix"], "approve": "Deploy?" }));
    plan["defaults"]["outcomes"] = json!(["approved", "faulty"]);
    plan["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "last", "needs": ["ask"], "when": { "ask": "approved" }, "prompt": "Deploy." }));
    check(plan, &[("/steps/5/when/ask", "has no `outcomes`")]);
}

#[test]
fn unordered_writers_of_the_shared_branch_are_refused() {
    let own = json!({ "name": "docs", "needs": ["plan"], "prompt": "Write.", "branch": "own" });
    check(changed("/steps/-", own.clone()), &[]);
    let mut shared = own;
    shared["branch"] = json!("shared");
    check(changed("/steps/-", shared.clone()), &[("/steps/4", "`implement` and `docs` both write")]);
    shared["sandbox"] = json!("read_only");
    shared.as_object_mut().unwrap().remove("branch");
    check(changed("/steps/-", shared), &[]);
}

#[test]
fn question_has_no_keys_of_an_agent() {
    let question = json!({ "name": "ask", "needs": ["fix"], "approve": "Deploy?", "allow_failure": true });
    check(changed("/steps/-", question.clone()), &[]);
    let mut with_agent = question;
    with_agent["agent"] = json!("codex");
    check(changed("/steps/-", with_agent), &[("/steps/4/approve", "only `name`")]);
}

#[test]
fn manager_adds_steps_only_with_known_roles_that_add_none() {
    let manager = |spawn: Value| {
        changed(
            "/steps/-",
            json!({ "name": "lead", "role": "manager", "needs": ["fix"], "prompt": "Lead.", "spawn": spawn }),
        )
    };
    check(manager(json!({ "roles": ["implementer"] })), &[]);
    check(manager(json!({ "roles": ["implementr"] })), &[("/steps/4/spawn/roles/0", "did you mean `implementer`?")]);
    check(manager(json!({ "roles": ["manager"] })), &[("/steps/4/spawn/roles/0", "added steps cannot")]);
    check(manager(json!({ "roles": [] })), &[("/steps/4/spawn/roles", "1 to 20 items")]);
    check(manager(json!({ "turns": 1 })), &[("/steps/4/spawn/turns", "2 to 20")]);
    check(changed("/defaults/spawn", json!({ "roles": ["implementer"] })), &[]);
    check(changed("/defaults/spawn", json!({ "roles": ["manager"] })), &[("/defaults/spawn/roles/0", "cannot")]);
    let lead = json!({ "lead": { "spawn": { "roles": ["x"] } } });
    check(changed("/roles", lead), &[("/roles/lead/spawn/roles/0", "there is no role `x`")]);
}

#[test]
fn old_keys_are_refused_with_their_new_names() {
    for (key, says) in [
        ("depends_on", "`depends_on` is `needs` here"),
        ("use_role", "`use_role` is `role` here"),
        ("max_cost_usd", "`limits.cost_usd`"),
        ("runtime", "`agent`"),
        ("check", "`checks`"),
        ("env_refs", "setup gets no secret yet"),
        ("mcp_servers", "names no MCP servers"),
        ("cache", "no cache yet"),
        ("approvals", "no user is at a terminal"),
        ("concurrency_limit", "a key of the plan"),
        ("labels", "`pullyard repos set OWNER/NAME --labels "),
        ("resume", "`pullyard settings set resume="),
    ] {
        check(changed(&format!("/steps/1/{key}"), json!("x")), &[(&format!("/steps/1/{key}"), says)]);
    }
    let mut plan = contributor();
    let steps = plan.as_object_mut().unwrap().remove("steps").unwrap();
    plan["agents"] = steps;
    check(plan, &[("/agents", "`agents` is `steps` here")]);
}

#[test]
fn old_plan_gets_all_its_faults_at_once() {
    let mut plan = contributor();
    plan.as_object_mut().unwrap().remove("steps");
    plan["orchestration"] = json!({
        "worktree_source":
            { "base_ref": "origin/main", "fetch": true, "env_refs": { "GIT_ASKPASS": "SPAWND_GIT_ASKPASS" } },
        "worktree_setup":
            { "command": "bash scripts/worktree/setup.sh", "cache": true, "cache_paths": ["pnpm-lock.yaml"] },
        "command_policy": { "mode": "allowlist" },
        "cleanup": { "worktree": true },
        "concurrency_limit": 2,
    });
    let codex =
        json!({ "engine": "cli", "sandbox": "workspace-write", "approval_mode": "deny_all", "ephemeral": true });
    plan["agents"] = json!([
        { "name": "reviewer", "use_role": "reviewer", "write_allowed": false, "prompt": "Review the current diff." },
        { "name": "codex-worker", "runtime": "codex", "codex": codex, "promt": "Make the requested change." },
    ]);
    let mut pointers: Vec<_> = faults(plan).into_iter().map(|(pointer, _)| pointer).collect();
    pointers.sort();
    let of_agents =
        ["", "/0/use_role", "/0/write_allowed", "/1/codex", "/1/codex/approval_mode", "/1/promt", "/1/runtime"];
    let of_orchestration = [
        "",
        "/cleanup",
        "/command_policy",
        "/concurrency_limit",
        "/worktree_setup",
        "/worktree_setup/cache",
        "/worktree_setup/cache_paths",
        "/worktree_source",
        "/worktree_source/env_refs",
    ];
    let mut expected: Vec<_> = of_agents.map(|key| format!("/agents{key}")).to_vec();
    expected.extend(of_orchestration.map(|key| format!("/orchestration{key}")));
    assert_eq!(pointers, expected, "without `steps`, which `agents` becomes");
}

#[test]
fn faults_of_form_come_first_and_cause_no_others() {
    let mut plan = contributor();
    plan["on_fail"] = json!("stop");
    plan["defaults"]["limits"]["cost_usd"] = json!("5");
    plan["steps"][0]["sandbox"] = json!("readonly");
    plan["steps"][1]["name"] = json!(1);
    plan["steps"][2]["outcomes"] = json!("approved");
    plan["steps"][3]["agent"] = json!(null);
    plan["roles"] = json!([]);
    let form = [
        ("/defaults/limits/cost_usd", "write a number"),
        ("/on_fail", "there is no key"),
        ("/roles", "write keys with values"),
        ("/steps/0/sandbox", "use workspace_write or read_only"),
        ("/steps/1/name", "in quotes"),
        ("/steps/2/outcomes", "write a list"),
        ("/steps/3/agent", "write text"),
    ];
    let mut sorted = faults(plan);
    sorted.sort();
    let pointers = |all: &[(String, String)]| all.iter().map(|(pointer, _)| pointer.clone()).collect::<Vec<_>>();
    assert_eq!(pointers(&sorted), form.map(|(pointer, _)| pointer));
    assert!(sorted.iter().zip(form).all(|((_, fault), (_, says))| fault.contains(says)), "{sorted:#?}");

    let mut plan = contributor();
    plan["steps"][0]["agent"] = json!("x");
    plan["steps"][2]["needs"] = json!(["implemnt"]);
    plan["steps"][3]["retries"] = json!(1);
    plan["steps"][3]["role"] = json!("fixr");
    assert_eq!(pointers(&faults(plan)), ["/steps/0/agent", "/steps/2/needs/0", "/steps/3/role"]);
}

#[test]
fn misspelt_need_of_a_condition_is_one_fault() {
    check(changed("/steps/3/when", json!({ "reviw": "approved" })), &[("/steps/3/when/reviw", "mean `review`?")]);
    check(changed("/steps/3/needs", json!(["reviw"])), &[("/steps/3/needs/0", "mean `review`?")]);
}

#[test]
fn hostile_names_are_neither_compared_nor_repeated() {
    let long = |letter: &str, length: usize| letter.repeat(length);
    let mut plan = changed("/steps/0/name", json!(long("a", 30_000)));
    plan["steps"][1]["needs"] = json!([long("a", 29_999)]);
    let found = faults(plan);
    assert!(found.iter().all(|(_, fault)| fault.len() < 200 && !fault.contains("did you mean")), "{found:#?}");
    // Without the limit of faults, each of 6 million needs would be compared with each name.
    let mut steps = vec![json!({}); 2_000];
    steps.push(json!({ "name": "x", "needs": (0..2_000).map(|need| format!("n{need}")).collect::<Vec<_>>() }));
    let found = faults(changed("/steps", json!(steps)));
    assert_eq!((found.len(), found[0].0.as_str()), (MAX_FAULTS, "/steps"));
    assert!(found.iter().all(|(_, fault)| !fault.contains("there is no step")));
    let unknown = |step: usize| (0..MAX_NEEDS).map(|need| format!("n{step}-{need}")).collect::<Vec<_>>();
    let steps: Vec<_> =
        (0..50).map(|n| json!({ "name": format!("s{n}"), "prompt": "x", "needs": unknown(n) })).collect();
    assert_eq!(faults(changed("/steps", json!(steps))).len(), MAX_FAULTS);
    let when = json!({ long("k", 54_000): vec![1; 4_900] });
    check(changed("/steps/0/when", when), &[("", "a key has at most 100 bytes")]);
    let parameters: serde_json::Map<_, _> =
        (0..30).map(|n| (format!("{}{n}", long("k", 90)), json!({ "a": 1, "b": 2, "c": 3, "d": 4 }))).collect();
    let found = faults(changed("/parameters", json!(parameters)));
    assert_eq!(found.len(), MAX_FAULTS);
    assert!(found.iter().all(|(pointer, _)| pointer.len() < MAX_DEPTH * 2 * MAX_KEY_BYTES));
}

#[test]
fn plan_freezes_the_built_in_roles() {
    let mut plan = Plan::parse(contributor()).unwrap();
    plan.roles.get_mut("reviewer").unwrap().keys.sandbox = None;
    assert!(!plan.resolve(plan.find_step("review").unwrap()).is_read_only());
}

#[test]
fn deep_or_large_document_is_refused_before_its_check() {
    let nested = |depth| (0..depth).fold(json!("x"), |inner, _| json!([inner]));
    check(nested(MAX_DEPTH + 1), &[("", "12 levels and 5000 nodes")]);
    check(nested(MAX_DEPTH), &[("", "write keys with values")]);
    check(json!(vec![0; MAX_NODES]), &[("", "12 levels and 5000 nodes")]);
    let steps = vec![json!({ "name": "a", "prompt": 5 }); 51];
    let found = faults(changed("/steps", json!(steps)));
    assert_eq!((found[0].0.as_str(), found[51].0.as_str(), found.len()), ("/steps", "/steps/50/prompt", 52));
}

#[test]
fn schema_file_equals_the_types() {
    let schema = schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(schema["properties"]["steps"]["items"]["additionalProperties"], json!(false));
    let file = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    generated::compare_or_write("docs/reference/plan.schema.json", &file);
}

#[test]
fn stored_plan_is_readable_with_keys_of_a_newer_program() {
    let plan = Plan::parse(contributor()).unwrap();
    let mut stored = serde_json::to_value(&plan).unwrap();
    stored["steps"][0]["newer"] = json!({ "x": 1 });
    assert_eq!(serde_json::from_value::<Plan>(stored).unwrap(), plan);
}
