"""Commands, checks and refusals of AWS for .ci/sam."""

import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib

import boto3
from botocore.exceptions import ClientError
from cfnlint.decode import decode

sam, pullyard, checkout = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
# What the emulator refuses: `create` and `delete` each name a nested stack, a resource and a reason. With `hold`, it waits
# before it refuses, and creates the second file. `rollback_retains`: sam_emulator.py explains it; `queue_names`:
# sam_updates.py.
FAULTS = pathlib.Path(os.environ["PULLYARD_FAULTS"])
REACHED = FAULTS.with_suffix(".reached")
# With the credentials of the account's root, whichever the commands use.
client = functools.cache(boto3.Session(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]).client)


def check(what, found, expected):
    if found != expected:
        sys.exit(f"sam: {what} is {found}, expected {expected}")


def run(*arguments, answers="", code=0):
    """Runs sam in the checkout with these lines as the person's input."""
    done = subprocess.run([sam, *arguments], cwd=checkout, input=answers, capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        sys.exit(f"sam {' '.join(arguments)} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout + done.stderr


def preflight(*arguments):
    """Runs the check that writes samconfig.local.toml, without a terminal."""
    subprocess.run([checkout / "infra/preflight", *arguments, "--only", "config"], check=True, stdout=subprocess.DEVNULL)


def parameters():
    template, errors = decode(str(checkout / "infra/template.yaml"))
    check("the errors of the template", errors, [])
    return {name: str(one["Default"]) for name, one in template["Parameters"].items()}


def configured(environment="default", file="samconfig.toml"):
    """Name, parameters and tags of a deployment in a configuration file."""
    section = tomllib.loads((checkout / file).read_text())[environment]
    deploy = {**section["global"]["parameters"], **section["deploy"]["parameters"]}
    pairs = lambda text: dict(one.split("=", 1) for one in shlex.split(text))
    return deploy["stack_name"], pairs(deploy.get("parameter_overrides", "")), pairs(deploy["tags"])


def describe(name):
    try:
        return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError:
        return None


def set_faults(**faults):
    REACHED.unlink(missing_ok=True)
    # The emulator reads the file at any time.
    new = FAULTS.with_suffix(".new")
    new.write_text(json.dumps(faults))
    new.rename(FAULTS)


def plain(output):
    return re.sub(r"\x1b\[[0-9;]*m", "", output)
