"""One event per function, with the environment that `sam local invoke --env-vars` gives it; .ci/local-invoke runs this.

    local_invoke.py TEMPLATE FUNCTIONS FOLDER

FOLDER has env.json for the `pullyard up` that runs, and the events that were signed for it.
"""

import http.server
import json
import pathlib
import sys

from runtime_api import INIT_SECS, Environment, Failed
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

EVENTS = pathlib.Path("events")
# Those that events/README.md lists first: an event without placeholders that shows a success.
SHOWN = {
    "api": "health", "pages": "sign_in_form", "tickets": "ignored", "webhook": "ping", "dispatcher": "unknown_job",
    "effects": "unknown_ticket", "tasks": "foreign_unknown_job", "sweeper": "scheduled",
}


# A program that was killed resets its connection, and the driver would print a traceback.
http.server.ThreadingHTTPServer.handle_error = lambda *_: None


def read(path):
    return json.loads(path.read_text())


def environments(functions, variables):
    """The environment of each function by its handler, as SAM's own runner resolves it."""
    runner = LocalLambdaRunner(None, None, ".", ".", env_vars_values=variables)
    return {function.handler: runner._make_env_vars(function).resolve() for function in functions}


def difference(found, expected, at="answer"):
    """The first part of `expected` that `found` does not contain; None if it contains all of it."""
    if isinstance(expected, dict) and isinstance(found, dict):
        parts = (difference(found.get(name), part, f"{at}/{name}") for name, part in expected.items())
        return next((part for part in parts if part), None)
    return None if found == expected else f"{at} is {found!r}, not {expected!r}"


def answer(plan, event):
    environment = Environment(plan, event)
    try:
        environment.hears("next", INIT_SECS)
        _, body = environment.hears("response", plan["timeout_secs"])
    finally:
        environment.killed()
    answer = json.loads(body or b"null")
    if isinstance(answer, dict) and "application/json" in answer.get("headers", {}).get("content-type", ""):
        answer["body"] = json.loads(answer["body"])
    return answer


def main(template, program, folder):
    stacks, _ = SamLocalStackProvider.get_stacks(template)
    functions = list(SamFunctionProvider(stacks, use_raw_codeuri=False).get_all())
    if sorted(function.handler for function in functions) != sorted(SHOWN):
        return f"the template has the functions {sorted(function.full_path for function in functions)}"
    faults = []

    # SAM overrides a variable only where the template declares it.
    committed = read(EVENTS / "env.json")["Parameters"]
    for handler, resolved in environments(functions, {"Parameters": committed}).items():
        wrong = sorted(name for name, value in committed.items() if resolved.get(name) != value)
        faults += [f"{handler}: the template does not declare {', '.join(wrong)}"] if wrong else []
    if faults:
        # Without its endpoints a function calls AWS.
        return "\n".join(faults)

    running = environments(functions, read(folder / "env.json"))
    # A function must start with the template's own values, too. Its event then reaches no service, not even AWS's.
    bare = environments(functions, {})
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for function in functions:
        name = f"{function.handler}.{SHOWN[function.handler]}"
        signed = folder / f"{name}.json"
        event = read(signed if signed.exists() else EVENTS / f"{name}.json")
        expected = read(EVENTS / f"{name}.expected.json")["answer"]
        plan = {
            "name": function.name, "handler": function.handler, "command": [program], "timeout_secs": function.timeout,
            "memory_mb": function.memory, "log": str(folder / f"{function.handler}.log"),
        }
        try:
            fault = difference(answer({**plan, "environment": running[function.handler]}, event), expected)
            started = Environment({**plan, "environment": {**bare[function.handler], **nowhere}}, event)
            try:
                started.hears("next", INIT_SECS)
            finally:
                started.killed()
        except Failed as failed:
            fault = f"{failed}: {pathlib.Path(plan['log']).read_text()[-600:]}"
        faults += [f"{name}: {fault}"] if fault else []
        print(f"{function.full_path} {name}: {'failed' if fault else 'as expected'}")
    if read(folder / "webhook.ping.json") != read(EVENTS / "webhook.ping.json"):
        faults.append("`pullyard events sign` signs events/webhook.ping.json otherwise than it is signed")
    return "\n".join(faults)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])) or 0)
