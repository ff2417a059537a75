"""Holds what we read and write of GitHub against GitHub's own descriptions. Called by .ci/octokit."""
import json
import pathlib
import sys

from octokit_bodies import Described, fixtures

HERE = pathlib.Path(__file__).parent.parent
FIXTURES = HERE / "crates/forge/tests/fixtures/webhooks"


def load(packages, path):
    return json.loads((pathlib.Path(packages) / path).read_text())


def validator(document, schema):
    from jsonschema import Draft202012Validator

    return Draft202012Validator({**schema, "components": {"schemas": document["components"]["schemas"]}})


def faults(check, body, limit=3):
    return [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:160]}"
            for fault in list(check.iter_errors(body))[:limit]]


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
            if not body:  # Nothing in a ping is required, and nothing is what nobody sends.
                continue
            made += 1
            (folder / f"{described.event(name)}.described-{made}.json").write_text(json.dumps(body))
    ours = fixtures(described)
    wrong = []
    for name, body in ours.items():
        action = body.get("action")
        event = name.split(".")[0].replace("_", "-")
        schema = described.schema(event if action is None else f"{event}-{action.replace('_', '-')}")
        wrong += [f"{name}: {fault}" for fault in faults(validator(document, schema), body)]
        # What is checked in is what this makes.
        stored = FIXTURES / f"{name}.json"
        if not stored.exists() or json.loads(stored.read_text()) != body:
            wrong.append(f"{stored.relative_to(HERE)} is not what .ci/octokit_bodies.py makes")
    wrong += [f"{path.name} is made by nothing" for path in FIXTURES.glob("*.json") if path.stem not in ours]
    print(f"{examples} published examples, {made} described bodies, {len(ours)} fixtures")
    return wrong


def write(packages):
    described = Described(load(packages, "openapi-webhooks/generated/api.github.com.json"))
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for name, body in fixtures(described).items():
        (FIXTURES / f"{name}.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    command, packages, *rest = sys.argv[1:]
    told = {"webhooks": webhooks, "write-fixtures": write}[command](packages, *rest)
    if told:
        sys.exit("\n".join(told))
