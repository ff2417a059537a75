"""Creates an item of each kind in a running `pullyard up` for .ci/schemathesis, and writes credentials of each kind and
values that name the items to FOLDER/mixed.toml and FOLDER/pinned.toml.

    seed.py PROGRAM FOLDER
"""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request


def caller(api, token):
    def call(method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(api + path, data, {"Authorization": f"Bearer {token}"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return call


def seed(program, kept):
    api = json.loads((kept / "up.json").read_text())["api"]
    admin = json.loads((kept / "data" / "keys.json").read_text())["admin_token"]
    ask = caller(api, admin)

    ask("POST", "/v1/projects", {"id": "shop", "name": "Shop", "settings": {"compute": "runners", "auto_create": True}})
    environment = {**os.environ, "PULLYARD_URL": api, "PULLYARD_TOKEN": admin, "PULLYARD_PROJECT": "shop"}
    add = [program, "repos", "add", "--path", str(kept / "shop"), "--agent-command", "true"]
    subprocess.run(add, env=environment, check=True, stdout=subprocess.DEVNULL)
    repository = ask("GET", "/v1/projects/shop/repositories")["repositories"][0]["name"]
    ticket = {"project": "shop", "key": "SHOP-1", "title": "Greet", "status": "AI Processing"}
    decision = ask("POST", "/v1/tickets", ticket)["decision"]
    ask("PUT", "/v1/secrets/spare", {"value": "nothing"})

    token = ask("POST", "/v1/tokens", {"name": "ci", "kind": "runner"})["token"]
    spare = ask("POST", "/v1/tokens", {"name": "spare", "kind": "api", "scopes": ["read"]})["id"]
    run = caller(api, token)
    register = {"name": "kite", "instance": "i1", "capabilities": ["command"], "version": "0.1.0", "slots": 4}
    runner = run("POST", "/v1/runners", register)["runner"]
    idle = run("POST", "/v1/runners", {**register, "name": "idle"})["runner"]
    claimed = run("POST", f"/v1/runners/{runner}/claim", {"instance": "i1", "claim_id": "c1"})["job"]
    attempt = f"/v1/jobs/{claimed['job']}/attempts/{claimed['attempt']}"
    started = caller(api, claimed["bootstrap"])("POST", f"{attempt}/start", {"claim_id": "c1", "instance": "i1"})
    waiting = ask("POST", "/v1/jobs", {"project": "shop", "prompt": "Greet."})["job"]

    (kept / "api").write_text(api)
    (kept / "beat.curl").write_text(f'url = "{api}/v1/runners/{runner}/heartbeat"\nheader = "Authorization: Bearer {token}"\n')
    (kept / "beat.json").write_text(json.dumps({"instance": "i1", "active": [claimed["job"]]}))
    credentials = {"api_token": admin, "runner_token": token, "bootstrap": claimed["bootstrap"], "lease": started["lease"]}
    known = {
        "project": ["shop"],
        "integration": ["local"],
        "owner": [repository.split("/")[0]],
        "name": [repository.split("/")[1]],
        "key": ["SHOP-1"],
        "job": [claimed["job"], waiting],
        "delivery": [decision["delivery"]],
        "runner": [idle, runner],
        # Revoking the ones in use would end the run.
        "token": [spare],
        "secret": ["spare"],
        "attempt": [claimed["attempt"]],
        "repository": [repository],
    }
    lines = [f"[auth.openapi.{name}]\nbearer = {json.dumps(value)}\n" for name, value in credentials.items()]
    lines += [f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in known.items()]
    bound = {f"path.{name}": name for name in known if name != "repository"}
    bound |= {"query.project": "project", "body.project": "project", "body.repository": "repository"}
    # Half of the values name existing objects, the others are generated.
    mixed = [f'"{place}" = {{ dictionary = "{name}", probability = 0.5 }}' for place, name in bound.items()]
    # Every value names an existing object; body fields support only a dictionary.
    pinned = [
        f'"{place}" = ' + (f'{{ dictionary = "{name}" }}' if place.startswith("body.") else json.dumps(str(known[name][0])))
        for place, name in bound.items()
    ]
    for file, parameters in [("mixed.toml", mixed), ("pinned.toml", pinned)]:
        (kept / file).write_text("\n".join(["", *lines, "[parameters]", *parameters, ""]))
    print(f"seeded {api}: a project, a repository, a ticket, 2 jobs, 2 runners, 3 tokens, an attempt with its lease")


seed(sys.argv[1], pathlib.Path(sys.argv[2]))
