//! The table of routes: the credential of each route and a valid call for one project's objects.

use super::{Objects, RequiredCredential, Route, World, manual_hook};
use crate::prelude::*;

impl World {
    pub(crate) fn routes(&self, of: &Objects) -> Vec<Route> {
        use RequiredCredential::{AllProjects, Bootstrap, Lease, Nothing, Object, OwnProjects, Project, Runner};
        let (get, post) = (Method::GET, Method::POST);
        let connect = json!({
            "id": "gh1", "kind": "github", "api_url": self.story.local.forge().api_url(),
            "token_secret": self.story.local.forge_secret(),
        });
        let existing_app = json!({
            "id": "gh1", "api_url": self.story.local.forge().api_url(), "app_id": 7,
            "key_secret": "pullyard/user/key", "webhook_secret": "pullyard/user/webhook",
        });
        let settings = json!(Setup::default().settings);
        let create = json!({ "id": of.project, "name": "Acme", "settings": settings });
        let add = json!({
            "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        let mut event = serde_json::to_value(self.story.event("e5", "APP-5", "Blocked", 1)).unwrap();
        event["project"] = json!(of.project);
        let ticket = json!({ "project": of.project, "key": "B-1", "title": "t" });
        let job = json!({ "project": of.project, "prompt": "Do it." });
        let raise = json!({ "project": of.project, "repository": REPOSITORY, "number": self.number, "jobs": 1 });
        let revise = json!({ "project": of.project, "repository": REPOSITORY, "number": self.number });
        let analyse = json!({ "project": of.project, "repository": REPOSITORY });
        let link = json!({ "project": of.project, "repository": REPOSITORY, "number": self.number, "ticket": of.key });
        let start = json!({ "claim_id": "c1", "instance": "instance-c1" });
        let keep = json!({ "kind": "patch", "name": "other.patch", "size_bytes": 1, "sha256": "a".repeat(64) });
        let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
        let register = json!({
            "name": of.runner_name, "instance": "i1", "capabilities": ["command"], "version": "0.1.0", "slots": 1,
        });
        let heartbeat = json!({ "instance": "i1", "active": [] });
        let claim = json!({ "instance": "i1", "claim_id": "r1" });
        let token = json!({ "name": "t", "kind": "api", "scopes": ["read"] });
        let ingress = json!({ "repository": REPOSITORY, "ingress": "webhook" });
        let close = json!({ "account": format!("project/{}/codex", of.project) });
        let schedule = json!({ "analyse": true, "every": "6h" });
        let endpoint = json!({ "kind": "webhook", "url": "http://127.0.0.1:9/" });
        let tracker = json!({ "id": "own", "kind": "http", "url": "http://127.0.0.1:9/tool" });
        let plan = json!({ "name": "n", "steps": [{ "name": "ask", "approve": "Now?" }] });
        let start_run = json!({ "project": of.project, "plan": plan });
        let template =
            json!({ "plan": { "started_by": ["hand", "submission"], "name": plan["name"], "steps": plan["steps"] } });
        let name = REPOSITORY.split('/').nth(1).unwrap();
        let submission = json!({ "id": "s1", "project": of.project, "template": name });
        let none = || Value::Null;
        let route = |method: &Method, route: &'static str, needs, body| {
            let filled = [
                ("{project}", of.project),
                ("{integration}", "gh1"),
                ("{owner}", REPOSITORY.split('/').next().unwrap()),
                ("{name}", REPOSITORY.split('/').nth(1).unwrap()),
                ("{key}", of.key),
                ("{comment}", "1"),
                ("{job}", of.job.as_str()),
                ("{attempt}", "1"),
                ("{artifact}", &of.artifact),
                ("{delivery}", &of.delivery),
                ("{runner}", &of.runner),
                ("{endpoint}", "ops"),
                ("{hook}", &of.hook),
                ("{token}", &self.token),
                ("{secret}", if route.ends_with("/test") { "claude" } else { "github" }),
                ("{run}", &of.run),
                ("{step}", "ask"),
                ("{message}", &self.dead_letter),
                ("{command}", "pause"),
                ("{tracker}", "own"),
            ];
            let path = filled.iter().fold(route.to_owned(), |path, (name, value)| path.replace(name, value));
            let lists =
                ["/v1/analyses", "/v1/deliveries", "/v1/jobs", "/v1/notices", "/v1/pulls", "/v1/runs", "/v1/tickets"]
                    .contains(&route)
                    && *method == Method::GET;
            let has_query = route.starts_with("/v1/tickets/{key}") || lists;
            let path = if has_query { format!("{path}?project={}", of.project) } else { path };
            let which = format!("?project={}&repository={REPOSITORY}&number={}", of.project, self.number);
            let is_one = route == "/v1/pulls/why" || (route == "/v1/pulls/link" && *method == Method::DELETE);
            let path = if is_one { format!("{path}{which}") } else { path };
            let items = route == "/v1/analyses/items";
            let path = if items { format!("{path}?project={}&repository={REPOSITORY}", of.project) } else { path };
            Route { method: method.clone(), route, needs, path, body }
        };
        vec![
            route(&get, "/healthz", Nothing, none()),
            route(&get, "/readyz", Nothing, none()),
            route(&get, "/metrics", AllProjects(Scope::Read), none()),
            route(&get, "/openapi.json", Nothing, none()),
            route(&get, "/plan.schema.json", Nothing, none()),
            route(&get, "/v1/version", Nothing, none()),
            route(&post, "/v1/sign-in-links", OwnProjects(Scope::Read), json!({})),
            route(&get, "/v1/integrations", AllProjects(Scope::Read), none()),
            route(&post, "/v1/integrations", AllProjects(Scope::Admin), connect),
            route(&get, "/v1/integrations/{integration}", AllProjects(Scope::Read), none()),
            route(&post, "/v1/github-apps", AllProjects(Scope::Admin), existing_app),
            route(&post, "/v1/integrations/{integration}/test", AllProjects(Scope::Admin), none()),
            route(
                &Method::PUT,
                "/v1/integrations/{integration}/projects",
                AllProjects(Scope::Admin),
                json!({ "projects": ["acme", "other"] }),
            ),
            route(&get, "/v1/projects", OwnProjects(Scope::Read), none()),
            route(&post, "/v1/projects", Project(Scope::Admin), create),
            route(&get, "/v1/projects/{project}", Project(Scope::Read), none()),
            route(&Method::PATCH, "/v1/projects/{project}", Project(Scope::Admin), json!({ "name": "Acme" })),
            route(&Method::DELETE, "/v1/projects/{project}", Project(Scope::Admin), none()),
            route(&Method::PUT, "/v1/projects/{project}/settings", Project(Scope::Admin), settings),
            route(
                &post,
                "/v1/projects/{project}/columns/rename",
                Project(Scope::Admin),
                json!({ "from": "Done", "to": "Done" }),
            ),
            route(&post, "/v1/projects/{project}/hold", Project(Scope::Admin), json!({ "reason": "a freeze" })),
            route(&post, "/v1/projects/{project}/release", Project(Scope::Admin), json!({})),
            route(&get, "/v1/projects/{project}/budget", Project(Scope::Read), none()),
            route(&get, "/v1/projects/{project}/repositories", Project(Scope::Read), none()),
            route(&post, "/v1/projects/{project}/repositories", Project(Scope::Admin), add),
            route(&post, "/v1/projects/{project}/repositories/{owner}/{name}/test", Project(Scope::Admin), none()),
            route(&get, "/v1/projects/{project}/ingress", Project(Scope::Read), none()),
            route(&Method::PUT, "/v1/projects/{project}/ingress", Project(Scope::Admin), ingress),
            route(&get, "/v1/hooks", OwnProjects(Scope::Admin), none()),
            route(&post, "/v1/hooks", Project(Scope::Admin), manual_hook(&self.story, of.project)),
            route(&get, "/v1/hooks/{hook}", Object(Scope::Admin), none()),
            route(&post, "/v1/hooks/{hook}/verify", Object(Scope::Admin), none()),
            route(&post, "/v1/hooks/{hook}/repair", Object(Scope::Admin), none()),
            route(&post, "/v1/tickets/events", Project(Scope::Tickets), event),
            route(&post, "/v1/tickets", Project(Scope::Jobs), ticket),
            route(&get, "/v1/tickets", Project(Scope::Read), none()),
            route(&get, "/v1/tickets/{key}", Project(Scope::Read), none()),
            route(&Method::PATCH, "/v1/tickets/{key}", Project(Scope::Jobs), json!({})),
            route(&Method::DELETE, "/v1/tickets/{key}", Project(Scope::Jobs), none()),
            route(&post, "/v1/tickets/{key}/move", Project(Scope::Jobs), json!({ "status": "Blocked" })),
            route(&post, "/v1/tickets/{key}/raises", Project(Scope::Jobs), json!({ "usd_micros": 1_000_000 })),
            route(&get, "/v1/tickets/{key}/comments", Project(Scope::Read), none()),
            route(&post, "/v1/tickets/{key}/comments", Project(Scope::Jobs), json!({ "text": "Use tabs." })),
            route(
                &Method::PATCH,
                "/v1/tickets/{key}/comments/{comment}",
                Project(Scope::Jobs),
                json!({ "text": "Use spaces." }),
            ),
            route(&Method::DELETE, "/v1/tickets/{key}/comments/{comment}", Project(Scope::Jobs), none()),
            route(&get, "/v1/jobs", Project(Scope::Read), none()),
            route(&post, "/v1/jobs", Project(Scope::Jobs), job),
            route(&get, "/v1/jobs/{job}", Object(Scope::Read), none()),
            route(&post, "/v1/jobs/{job}/cancel", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/retry", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/pause", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/continue", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/jobs/{job}/answer", Object(Scope::Jobs), json!({ "text": "Yes." })),
            route(&get, "/v1/jobs/{job}/why", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/events", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/artifacts", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/artifacts/{artifact}", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/attempts", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/context", Object(Scope::Read), none()),
            route(&get, "/v1/jobs/{job}/output", Object(Scope::Read), none()),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/artifacts", Lease, keep),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/artifacts/{artifact}/stored", Lease, json!({})),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/start", Bootstrap, start),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/status", Lease, json!({ "status": "preparing" })),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/events", Lease, json!({ "first_seq": 1, "events": [] })),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/credentials", Lease, json!({})),
            route(&get, "/v1/analyses", Project(Scope::Read), none()),
            route(&post, "/v1/analyses", Project(Scope::Jobs), analyse),
            route(&get, "/v1/analyses/items", Project(Scope::Read), none()),
            route(&get, "/v1/pulls", Project(Scope::Read), none()),
            route(&get, "/v1/pulls/why", Project(Scope::Read), none()),
            route(&post, "/v1/pulls/revise", Project(Scope::Jobs), revise.clone()),
            route(&post, "/v1/pulls/review", Project(Scope::Jobs), revise.clone()),
            route(&post, "/v1/pulls/resolve", Project(Scope::Jobs), revise),
            route(&Method::PUT, "/v1/pulls/link", Project(Scope::Jobs), link),
            route(&post, "/v1/pulls/raise", Project(Scope::Jobs), raise),
            route(&Method::DELETE, "/v1/pulls/link", Project(Scope::Jobs), none()),
            route(&get, "/v1/notices", Project(Scope::Read), none()),
            route(&post, "/v1/notices/redeliver", Object(Scope::Admin), json!({ "notice": of.notice })),
            route(&get, "/v1/projects/{project}/notifications", Project(Scope::Read), none()),
            route(&Method::PUT, "/v1/projects/{project}/notifications/{endpoint}", Project(Scope::Admin), endpoint),
            route(&post, "/v1/projects/{project}/notifications/{endpoint}/test", Project(Scope::Admin), json!({})),
            route(&post, "/v1/projects/{project}/notifications/{endpoint}/enable", Project(Scope::Admin), json!({})),
            route(&Method::DELETE, "/v1/projects/{project}/notifications/{endpoint}", Project(Scope::Admin), none()),
            route(&Method::PUT, "/v1/schedules/{project}/{name}", Project(Scope::Jobs), schedule),
            route(&get, "/v1/schedules/{project}", Project(Scope::Read), none()),
            route(&get, "/v1/schedules/{project}/{name}", Project(Scope::Read), none()),
            route(&post, "/v1/schedules/{project}/{name}/{command}", Project(Scope::Jobs), json!({})),
            route(&post, "/v1/due-schedules/run", OwnProjects(Scope::Jobs), json!({})),
            route(&Method::DELETE, "/v1/schedules/{project}/{name}", Project(Scope::Jobs), none()),
            route(&get, "/v1/trackers", AllProjects(Scope::Read), none()),
            route(&post, "/v1/trackers", AllProjects(Scope::Admin), tracker),
            route(&get, "/v1/trackers/{tracker}", AllProjects(Scope::Read), none()),
            route(&get, "/v1/trackers/{tracker}/statuses", AllProjects(Scope::Admin), none()),
            route(&post, "/v1/trackers/{tracker}/test", AllProjects(Scope::Admin), json!({})),
            route(
                &Method::PUT,
                "/v1/projects/{project}/tracker",
                Project(Scope::Admin),
                json!({ "connection": "own" }),
            ),
            route(&Method::DELETE, "/v1/projects/{project}/tracker", Project(Scope::Admin), none()),
            route(&post, "/v1/tickets/{key}/sync", Project(Scope::Jobs), json!({})),
            route(&Method::DELETE, "/v1/trackers/{tracker}", AllProjects(Scope::Admin), none()),
            route(&post, "/v1/plans/check", Project(Scope::Jobs), start_run.clone()),
            route(&get, "/v1/runs", Project(Scope::Read), none()),
            route(&post, "/v1/runs", Project(Scope::Jobs), start_run),
            route(&get, "/v1/runs/{run}", Object(Scope::Read), none()),
            route(&post, "/v1/runs/{run}/steps/{step}/approve", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/runs/{run}/steps/{step}/refuse", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/runs/{run}/cancel", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/runs/{run}/pull-request", Object(Scope::Jobs), json!({ "step": "ask" })),
            route(&post, "/v1/runs/{run}/pull-request/merge", Object(Scope::Admin), json!({})),
            route(&post, "/v1/runs/{run}/resume", Object(Scope::Jobs), json!({})),
            route(&post, "/v1/submissions", Project(Scope::Jobs), submission),
            route(&Method::PUT, "/v1/templates/{project}/{name}", Project(Scope::Admin), template),
            route(&get, "/v1/templates/{project}", Project(Scope::Read), none()),
            route(&get, "/v1/templates/{project}/{name}", Project(Scope::Read), none()),
            route(&post, "/v1/templates/{project}/{name}/runs", Project(Scope::Jobs), json!({})),
            route(&Method::DELETE, "/v1/templates/{project}/{name}", Project(Scope::Admin), none()),
            route(&get, "/v1/runners", OwnProjects(Scope::Read), none()),
            route(&post, "/v1/runners", Runner, register),
            route(&get, "/v1/runners/{runner}", Object(Scope::Read), none()),
            route(&post, "/v1/runners/{runner}/commands", Object(Scope::Admin), json!({ "command": "resume" })),
            route(&post, "/v1/runners/{runner}/heartbeat", Runner, heartbeat),
            route(&post, "/v1/runners/{runner}/claim", Runner, claim),
            route(&get, "/v1/deliveries", Project(Scope::Read), none()),
            route(&get, "/v1/deliveries/{delivery}", Object(Scope::Read), none()),
            route(&post, "/v1/deliveries/{delivery}/replay", Object(Scope::Admin), none()),
            route(&get, "/v1/breakers", OwnProjects(Scope::Read), none()),
            route(&post, "/v1/breakers/close", Project(Scope::Admin), close),
            route(&get, "/v1/dlq", AllProjects(Scope::Admin), none()),
            route(&get, "/v1/dlq/{message}", AllProjects(Scope::Admin), none()),
            route(&post, "/v1/dlq/redrive", AllProjects(Scope::Admin), json!({ "messages": [self.dead_letter] })),
            route(&post, "/v1/dlq/drop", AllProjects(Scope::Admin), json!({ "messages": ["gone"] })),
            route(&get, "/v1/tokens", AllProjects(Scope::Admin), none()),
            route(&post, "/v1/tokens", AllProjects(Scope::Admin), token),
            route(&get, "/v1/tokens/self", RequiredCredential::AnyToken, none()),
            route(&Method::DELETE, "/v1/tokens/{token}", AllProjects(Scope::Admin), none()),
            route(&get, "/v1/secrets", AllProjects(Scope::Admin), none()),
            route(&Method::PUT, "/v1/secrets/{secret}", AllProjects(Scope::Admin), json!({ "value": "planted" })),
            route(
                &Method::PUT,
                "/v1/secrets/{secret}/projects",
                AllProjects(Scope::Admin),
                json!({ "projects": null }),
            ),
            route(&post, "/v1/secrets/{secret}/rotate", AllProjects(Scope::Admin), json!({ "value": "planted" })),
            route(&post, "/v1/secrets/{secret}/test", AllProjects(Scope::Admin), json!({ "project": of.project })),
            route(&Method::DELETE, "/v1/secrets/{secret}", AllProjects(Scope::Admin), none()),
            route(&Method::DELETE, "/v1/projects/{project}/repositories/{owner}/{name}", Project(Scope::Admin), none()),
            // Refused because a hook uses the integration.
            route(&Method::DELETE, "/v1/integrations/{integration}", AllProjects(Scope::Admin), none()),
            // Last, because they end the hook, the runner and the attempt.
            route(&Method::DELETE, "/v1/hooks/{hook}", Object(Scope::Admin), none()),
            route(&Method::DELETE, "/v1/runners/{runner}", Object(Scope::Admin), none()),
            route(&get, "/v1/jobs/{job}/attempts/{attempt}/inputs", Lease, none()),
            route(&get, "/v1/jobs/{job}/attempts/{attempt}/checkpoint", Lease, none()),
            route(&post, "/v1/jobs/{job}/attempts/{attempt}/finish", Lease, finish),
            route(
                &post,
                "/v1/jobs/{job}/attempts/{attempt}/yield",
                Lease,
                json!({ "yield_id": "y1", "outcome": "paused" }),
            ),
        ]
    }
}
