"""Compares requests, responses and webhook bodies with GitHub's API descriptions. Called by .ci/octokit."""
import collections
import json
import pathlib
import re
import sys
import urllib.parse

from octokit_bodies import Described

HERE = pathlib.Path(__file__).parent.parent
FIXTURES = HERE / "crates/forge/tests/fixtures/webhooks"


def load(packages, path):
    return json.loads((pathlib.Path(packages) / path).read_text())


def validator(document, schema):
    from jsonschema import Draft202012Validator

    return Draft202012Validator({**schema, "components": {"schemas": document["components"]["schemas"]}})


def leaves(fault):
    """The errors of the closest alternative of a oneOf or anyOf, instead of one error for all alternatives."""
    choices = collections.defaultdict(list)
    for inner in fault.context or []:
        choices[inner.schema_path[0]].append(inner)
    if not choices:
        return [fault]
    nearest = min(choices.values(), key=lambda inner: (any(one.validator in ("type", "enum") and not one.path
                                                           for one in inner), len(inner)))
    return [leaf for inner in nearest for leaf in leaves(inner)]


def faults(check, body, limit=12, whole=True):
    found = [leaf for fault in check.iter_errors(body) for leaf in leaves(fault) if whole or leaf.validator != "required"]
    # An error is reported once for all items of a list, without the item's value.
    messages = {f"{'/'.join('*' if isinstance(step, int) else step for step in leaf.absolute_path)}: "
                + (leaf.message if leaf.validator == "required" else f"it is not of the {leaf.validator} {leaf.validator_value!r}"[:120])
                for leaf in found}
    return sorted(messages)[:limit]


def webhooks(packages, folder):
    """Writes one file for each published example and for each event described, and checks our own fixtures."""
    document = load(packages, "openapi-webhooks/generated/api.github.com.json")
    described, folder = Described(document), pathlib.Path(folder)
    examples = made = 0
    for version in sorted((pathlib.Path(packages) / "webhooks-examples").glob("*/index.json")):
        for event in json.loads(version.read_text()):
            for body in event["examples"]:
                examples += 1
                name = f"{event['name']}.example-{version.parent.name}-{examples}.json"
                (folder / name).write_text(json.dumps(body))
    for name in described.webhooks:
        for full in (False, True):
            body = described.body(name, full)
            if not body:  # All fields of a ping are optional, and GitHub never sends an empty body.
                continue
            made += 1
            (folder / f"{described.event(name)}.described-{made}.json").write_text(json.dumps(body))
    wrong, ours = [], sorted(FIXTURES.glob("*.json"))
    for path in ours:
        body = json.loads(path.read_text())
        schema = described.schema(described.name(path.name.split(".")[0], body.get("action")))
        wrong += [f"{path.name}: {fault}" for fault in faults(validator(document, schema), body)]
    print(f"{examples} published examples, {made} generated bodies, {len(ours)} fixtures")
    return wrong


def nullable(schema):
    """Converts OpenAPI 3.0 to JSON Schema: replaces `nullable` by the type null."""
    if isinstance(schema, list):
        return [nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    read = {name: nullable(part) for name, part in schema.items() if name not in ("nullable", "example", "examples")}
    if schema.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, read]}
    return read


class Api:
    """The requests and responses that @octokit/openapi describes."""

    def __init__(self, document):
        self.document = {"components": {"schemas": nullable(document["components"]["schemas"])}}
        self.components = document["components"]
        self.routes = []
        for path, methods in document["paths"].items():
            # Under `git`, a `{ref}` is a full name with slashes, such as heads/feature/a.
            value = "(.+)" if "/git/" in path and path.endswith("/{ref}") else "([^/]+)"
            pattern = re.compile(re.sub(r"\\{[^}]+\\}", value, re.escape(path)) + "$")
            # A literal path segment has precedence over a parameter.
            self.routes.append((path.count("{"), pattern, path, methods))
        self.routes.sort(key=lambda route: route[0])

    def resolve(self, part):
        while "$ref" in part:
            part = self.components[part["$ref"].split("/")[2]][part["$ref"].split("/")[3]]
        return part

    def find(self, method, path):
        for _, pattern, template, methods in self.routes:
            if method in methods and pattern.match(path):
                return template, methods
        return None

    def check(self, schema, value, whole=True):
        return faults(validator(self.document, nullable(schema)), value, whole=whole)

    def request(self, methods, method, exchange):
        wrong, operation = [], methods[method]
        parameters = [self.resolve(one) for one in methods.get("parameters", []) + operation.get("parameters", [])]
        known = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
        for name, value in urllib.parse.parse_qsl(exchange["query"] or "", keep_blank_values=True):
            if name not in known:
                wrong.append(f"the query has {name}, which is not described")
                continue
            kind = self.resolve(known[name]).get("type")
            wrong += self.check(known[name], int(value) if kind == "integer" and value.isdigit() else value)
        described = operation.get("requestBody")
        if described is None:
            return wrong + (["it has a body, which is not described"] if exchange["body"] is not None else [])
        schema = described["content"]["application/json"]["schema"]
        if exchange["body"] is None:
            return wrong + (["it has no body"] if described.get("required") else [])
        names = self.resolve(schema).get("properties")
        if names is not None:
            wrong += [f"the body has {name}, which is not described" for name in exchange["body"] if name not in names]
        return wrong + self.check(schema, exchange["body"])

    def answer(self, methods, method, exchange):
        status = str(exchange["status"])
        responses = methods[method]["responses"]
        # The description omits common error statuses, and the redirect of every call after a rename of the repository.
        if status not in responses and status in ("301", "307", "401", "403", "404", "422", "429", "500", "502", "503"):
            return []
        if status not in responses:
            return [f"the status {status} is not described"]
        content = self.resolve(responses[status]).get("content", {}).get("application/json")
        # The local forge omits fields that nothing reads.
        wrong = self.check(content["schema"], exchange["answer"], whole=False) if content else []
        return [fault for fault in wrong if fault not in UNDESCRIBED]


# Errors in GitHub's description, with the reason.
UNDESCRIBED = {
    # An outdated comment has no line; GitHub describes this for the other list of comments.
    "*/line: it is not of the type 'integer'",
    "*/start_line: it is not of the type 'integer'",
}


def claimed():
    """The operations that `Source:` comments of the GitHub client name."""
    found = set()
    for source in (path for path in (HERE / "crates/forge/src").rglob("*.rs") if "bitbucket" not in str(path)):
        found |= set(re.findall(r"Source: `([A-Z]+ /[^`]+)`", source.read_text()))
    return found


def exchanges(packages, file):
    """Checks requests of the forge crate's tests and responses of the local forge against GitHub's descriptions."""
    from graphql import build_schema, parse, validate

    api = Api(load(packages, "openapi/generated/api.github.com.json"))
    hooks = load(packages, "openapi-webhooks/generated/api.github.com.json")
    described = Described(hooks)
    sdl = (pathlib.Path(packages) / "graphql-schema/schema.graphql").read_text()
    # assume_valid_sdl, because GitHub's schema defines two fields twice.
    graph = build_schema(sdl, assume_valid_sdl=True)
    covered, answered, wrong, delivered = (collections.Counter() for _ in range(4))
    for line in pathlib.Path(file).read_text().splitlines():
        exchange = json.loads(line)
        if exchange["by"] == "hook":
            name = described.name(exchange["event"], exchange["body"].get("action"))
            delivered[name] += 1
            for fault in faults(validator(hooks, described.schema(name)), exchange["body"], whole=False):
                wrong[f"delivery {name}: {fault}"] += 1
            continue
        path = exchange["path"].removeprefix("/api/v3")
        if exchange["method"] == "POST" and exchange["path"].endswith("/graphql"):
            document = parse(exchange["body"]["query"])
            field = document.definitions[0].selection_set.selections[0].name.value
            covered[f"GraphQL {field}"] += 1
            answered[f"GraphQL {field}"] += exchange["by"] == "demo"
            for fault in validate(graph, document):
                wrong[f"GraphQL {field}: {fault.message}"] += 1
            continue
        found = api.find(exchange["method"].lower(), path)
        if found is None:
            # The target of the redirect after a rename, which the description omits.
            if not path.startswith("/repositories/"):
                wrong[f"{exchange['method']} {path}: this operation does not exist"] += 1
            continue
        template, methods = found
        name = f"{exchange['method']} {template}"
        covered[name] += 1
        for fault in api.request(methods, exchange["method"].lower(), exchange):
            # Tests also send invalid requests on purpose, so only accepted requests are checked.
            if exchange["status"] < 400:
                wrong[f"{name}: {fault}"] += 1
        if exchange["by"] == "demo":
            answered[name] += 1
            for fault in api.answer(methods, exchange["method"].lower(), exchange):
                wrong[f"{name} answers {exchange['status']}: {fault}"] += 1
    plain = {re.sub(r"\{[^}]+\}", "{}", name) for name in covered}
    missing = [name for name in sorted(claimed()) if re.sub(r"\{[^}]+\}", "{}", name) not in plain]
    for name in sorted(covered):
        print(f"{covered[name]:5} {answered[name]:5} by the local forge  {name}")
    for name in sorted(delivered):
        print(f"{delivered[name]:5} deliveries of the local forge  {name}")
    print(f"{len(covered)} operations, {sum(covered.values())} requests, {sum(answered.values())} answers of the local forge")
    return [f"{fault} ({times} times)" for fault, times in sorted(wrong.items())] + [
        f"{name}: a `Source:` comment names this operation, but no test calls it" for name in missing
    ]


if __name__ == "__main__":
    command, packages, *rest = sys.argv[1:]
    messages = {"webhooks": webhooks, "exchanges": exchanges}[command](packages, *rest)
    if messages:
        sys.exit("\n".join(messages))
