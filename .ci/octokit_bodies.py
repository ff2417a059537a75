"""Generates webhook bodies from GitHub's description, for events without a published example."""
import copy

TIME, ADDRESS = "2026-11-20T12:04:01Z", "https://example.com/a"


class Described:
    """The webhooks that @octokit/openapi-webhooks describes."""

    def __init__(self, document):
        self.parts = document["components"]["schemas"]
        self.webhooks = document["webhooks"]

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.parts[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def event(self, name):
        """The value of X-GitHub-Event; the described header names another event in places."""
        return self.webhooks[name]["post"]["operationId"].split("/")[0].replace("-", "_")

    def name(self, event, action):
        """The name of an event with its action in the description."""
        return "-".join(word.replace("_", "-") for word in (event, action) if word)

    def schema(self, name):
        return self.webhooks[name]["post"]["requestBody"]["content"]["application/json"]["schema"]

    def body(self, name, full=False):
        """The smallest body that the description allows, or one with every field down to some depth."""
        return self.make(self.schema(name), 2 if full else 0)

    def make(self, schema, full, name=""):
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        for choice in ("oneOf", "anyOf"):
            if choice in schema and "properties" not in schema:
                return self.make(schema[choice][0], full, name)
        if "allOf" in schema:
            made = {}
            for part in schema["allOf"]:
                value = self.make(part, full, name)
                made = {**made, **value} if isinstance(value, dict) else made
            return made
        if schema.get("enum"):
            return next(value for value in schema["enum"] if value is not None or len(schema["enum"]) == 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        if kind == "object" or "properties" in schema:
            required = schema.get("required", [])
            fields = schema.get("properties", {})
            return {
                field: self.make(part, max(full - 1, 0), field)
                for field, part in fields.items()
                if field in required or full
            }
        if kind == "array":
            least = schema.get("minItems", 1 if full else 0)
            return [self.make(schema.get("items", {}), max(full - 1, 0), name) for _ in range(least)]
        if kind == "integer":
            return max(1, schema.get("minimum", 1))
        if kind == "number":
            return 0.5
        if kind == "boolean":
            return False
        if kind == "null":
            return None
        return {"date-time": TIME, "date": TIME[:10], "uri": ADDRESS, "email": "a@example.com"}.get(
            schema.get("format"), TIME if name.endswith("_at") else "x"
        )


def person(actor, login, number, kind="User"):
    actor.update(login=login, id=number, type=kind)


def fixtures(described):
    """The bodies in crates/forge/tests/fixtures/webhooks, by file name, with realistic values."""
    made = {}

    def start(name):
        body = described.body(name)
        if "repository" in body:
            body["repository"].update(id=9_007_199_254_740_997, name="app", full_name="acme/app")
        if "sender" in body:
            person(body["sender"], "ann", 9_007_199_254_740_995)
        if "pull_request" in body:
            pull = body["pull_request"]
            pull.update(number=3, title="Add a button", state="open", draft=False, merged_at=None, closed_at=None,
                        html_url="https://example.com/acme/app/pull/3", body=None)
            person(pull["user"], "pullyard[bot]", 77, "Bot")
            pull["head"].update(ref="pullyard/acme/app-17-1", sha="a" * 40)
            pull["base"].update(ref="main", sha="b" * 40)
            pull["head"]["repo"]["id"] = 9_007_199_254_740_997
            if "number" in body:
                body["number"] = 3
        return body

    def review(action, state, **fields):
        body = start(f"pull-request-review-{action}")
        body["review"].update(id=9_007_199_254_740_993, state=state, commit_id="a" * 40, submitted_at=TIME,
                              author_association="NONE", html_url="https://example.com/acme/app/pull/3#review")
        body["review"].update(fields)
        person(body["review"]["user"], "ann", 9_007_199_254_740_995)
        return body

    made["pull_request_review.changes_requested"] = review("submitted", "changes_requested", body="Rename it.")
    silent = review("submitted", "changes_requested", body=None)
    silent["pull_request"]["head"]["repo"] = None
    made["pull_request_review.without_words"] = silent
    nobody = copy.deepcopy(silent)
    nobody["review"]["user"] = None
    made["pull_request_review.deleted_author"] = nobody
    made["pull_request_review.approved"] = review("submitted", "approved", body="Good.")
    made["pull_request_review.edited"] = review("edited", "changes_requested", body="Rename both.")
    dismissed = review("dismissed", "dismissed", body="Rename it.")
    person(dismissed["sender"], "bob", 5)
    made["pull_request_review.dismissed"] = dismissed

    for action in ("opened", "reopened", "edited", "ready-for-review"):
        made[f"pull_request.{action.replace('-', '_')}"] = start(f"pull-request-{action}")
    for merged in (True, False):
        closed = start("pull-request-closed")
        closed["pull_request"].update(state="closed", closed_at=TIME, merged=merged, merged_at=TIME if merged else None)
        made["pull_request.merged" if merged else "pull_request.closed"] = closed
    pushed = start("pull-request-synchronize")
    pushed.update(before="c" * 40, after="a" * 40)
    made["pull_request.synchronize"] = pushed
    labeled = start("pull-request-labeled")
    labeled["label"] = described.make(described.schema("pull-request-labeled"), 2)["label"]
    labeled["label"]["name"] = "pullyard:revise"
    made["pull_request.labeled"] = labeled

    for action in ("created", "edited", "deleted"):
        said = start(f"issue-comment-{action}")
        said["comment"].update(id=9_007_199_254_740_999, body="/pullyard revise")
        person(said["comment"]["user"], "ann", 9_007_199_254_740_995)
        said["issue"]["number"] = 3
        said["issue"]["pull_request"] = {name: ADDRESS for name in ("url", "html_url", "diff_url", "patch_url")}
        made[f"issue_comment.{action}"] = said
    made["pull_request_review_comment.created"] = start("pull-request-review-comment-created")
    made["pull_request_review_thread.resolved"] = start("pull-request-review-thread-resolved")

    renamed = start("repository-renamed")
    renamed["changes"]["repository"]["name"]["from"] = "old-app"
    made["repository.renamed"] = renamed
    made["repository.transferred"] = start("repository-transferred")
    made["repository.deleted"] = start("repository-deleted")
    made["repository.archived"] = start("repository-archived")
    made["star.deleted"] = start("star-deleted")
    made["push.push"] = start("push")

    for action in ("created", "deleted", "suspend", "new-permissions-accepted"):
        installed = start(f"installation-{action}")
        installed["installation"].update(id=5, app_id=6)
        person(installed["installation"]["account"], "acme", 8, "Organization")
        if action == "created":
            installed["repositories"] = described.make(described.schema("installation-created"), 2)["repositories"]
            installed["repositories"][0].update(id=9_007_199_254_740_997, name="app", full_name="acme/app")
        made[f"installation.{action.replace('-', '_')}"] = installed
    made["installation_repositories.added"] = start("installation-repositories-added")
    ping = start("ping")
    ping.update(zen="Keep it logically awesome.", hook_id=31)
    made["ping.ping"] = ping
    return made
