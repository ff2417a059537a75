"""What .ci/sam does and holds: see there."""

import base64
import functools
import hashlib
import io
import json
import pathlib
import shlex
import subprocess
import sys
import tomllib
import zipfile

import boto3
import template_deployed as deployed
from botocore.exceptions import ClientError
from cfnlint.decode import decode
from samtranslator.translator.transform import transform

PARTS = ["network", "data", "queues", "tasks", "functions", "api", "watch", "template"]
# One of events/ for each function that needs nothing in the table; what is answered stands beside it.
ASKED = [
    "api.health", "dispatcher.empty", "effects.unknown_ticket", "pages.foreign_form", "sweeper.scheduled",
    "tasks.foreign_service", "tickets.not_signed_in", "webhook.unknown_hook_base64",
]
# The bucket that the templates name when SAM has expanded them here.
PACKAGED = "packaged"
# What has the tags of its stack, of all that shows any.
TAGGED = [
    "EC2::InternetGateway", "EC2::RouteTable", "EC2::SecurityGroup", "EC2::Subnet", "EC2::VPC", "Lambda::Function",
]

sam, checkout = sys.argv[1], pathlib.Path(sys.argv[2])
functions = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
client = functools.cache(boto3.client)


class Policies:
    """Stands for IAM, whom the translator asks for the policies that AWS manages. We use none."""

    def load(self):
        return {}


def fail(*what):
    print("sam:", *what)
    raise SystemExit(1)


def held(what, is_so, should):
    if is_so != should:
        fail(what, "is", is_so, "and should be", should)
    held.count += 1


held.count = 0


def ran(*arguments, answers="", code=0):
    """One command of a person, in the checkout, with what they type; who asks for more than that is not answered."""
    done = subprocess.run([sam, *arguments], cwd=checkout, input=answers, capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        fail("sam", *arguments, "ended with", done.returncode, done.stdout[-4000:], done.stderr[-4000:])
    return done.stdout + done.stderr


def zipped():
    """The functions, as `just build` leaves them; without them a program that answers nothing."""
    if functions and functions.suffix == ".zip":
        return functions.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, functions.read_bytes() if functions else b"#!/bin/sh\nexit 1\n")
    return packed.getvalue()


def load(part):
    template, errors = decode(str(checkout / "infra" / f"{part}.yaml"))
    if errors:
        fail(part, errors)
    return json.loads(json.dumps(template))


def expanded(part, tags):
    """A template as CloudFormation makes it: after SAM, and with the tags of the stack."""
    template = load(part)
    if template.get("Transform"):
        for one in template["Resources"].values():
            if one["Type"] == "AWS::Serverless::Function":
                one["Properties"]["CodeUri"] = f"s3://{PACKAGED}/functions.zip"
        template = transform(template, {}, Policies())
    for one in template["Resources"].values():
        if one["Type"].removeprefix("AWS::") in TAGGED:
            properties = one["Properties"]
            added = [{"Key": key, "Value": value} for key, value in tags.items()]
            properties["Tags"] = properties.get("Tags", []) + added
    return template


def pairs(said):
    return dict(one.split("=", 1) for one in shlex.split(said))


def settings(environment="default"):
    """What samconfig.toml says of a deployment: the stack's name, parameters and tags."""
    said = tomllib.loads((checkout / "samconfig.toml").read_text())[environment]
    deploy = {**said["global"]["parameters"], **said["deploy"]["parameters"]}
    return deploy["stack_name"], pairs(deploy.get("parameter_overrides", "")), pairs(deploy["tags"])


def defaults():
    return {key: str(one["Default"]) for key, one in load("template")["Parameters"].items()}


def standing(name):
    try:
        return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError:
        return None


def stands(name, parameters, tags, status="CREATE_COMPLETE"):
    """The stack is there with these parameters; a new one is as the templates say with them, all of it."""
    stack = standing(name) or fail(name, "does not stand")
    held(f"{name}'s status", stack["StackStatus"], status)
    held("parameters that the template does not have", parameters.keys() - defaults().keys(), set())
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    held(f"{name}'s parameters", given, defaults() | parameters)
    held(f"{name}'s tags", {one["Key"]: one["Value"] for one in stack["Tags"]}, tags)
    held("a template's outputs", {one["OutputKey"] for one in stack["Outputs"]},
         {key for key, one in load("template")["Outputs"].items() if "Condition" not in one})
    for function in {one.split(".")[0] for one in ASKED}:
        there = client("lambda").get_function(FunctionName=f"{name}-{function}")["Configuration"]
        digest = base64.b64encode(hashlib.sha256(program).digest()).decode()
        held(f"what {name}-{function} runs", there["CodeSha256"], digest)
    if status != "CREATE_COMPLETE":
        return
    templates = {part: expanded(part, tags) for part in PARTS}
    # The emulator knows no alarm on a sum of metrics.
    all_of_them = [each for one in templates.values() for each in one["Resources"].items()]
    sums = [key for key, one in all_of_them if "Metrics" in one.get("Properties", {})]
    root, resources = deployed.Stack(client, name, templates, "template", parameters), 0
    for part in root.all():
        wrong, compared = deployed.differences(part, sums)
        if wrong:
            fail("\n".join([f"{name}: {part.part} is not as its template says:", *wrong]))
        held.count, resources = held.count + compared, resources + len(part.there)
    held("the stacks", len(root.all()), len(PARTS))
    pages = client("logs").get_paginator("describe_log_groups").paginate()
    groups = [one for page in pages for one in page["logGroups"] if f"/pullyard/{name}/" in one["logGroupName"]]
    days = {str(one.get("retentionInDays")) for one in groups}
    held("for how many days logs are kept", days, {given["LogRetentionDays"]})
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    held("whether the table is protected", str(table["DeletionProtectionEnabled"]).lower(), given["DeletionProtection"])
    print(f"{name}: {resources} resources as the templates say with {parameters or 'their defaults'}")


def contains(whole, part):
    """Whether all that is expected is there; a body is text on the wire."""
    if isinstance(part, dict):
        whole = json.loads(whole) if isinstance(whole, str) else whole
        return all(key in whole and contains(whole[key], one) for key, one in part.items())
    return whole == part


def answers(name):
    """Each function runs in the emulator from the zip that was deployed."""
    for event in ASKED:
        path = pathlib.Path("events") / f"{event}.json"
        said = client("lambda").invoke(FunctionName=f"{name}-{event.split('.')[0]}", Payload=path.read_bytes())
        answer = json.loads(said["Payload"].read())
        expected = json.loads(path.with_suffix(".expected.json").read_text())["answer"]
        if "FunctionError" in said or not contains(answer, expected):
            fail(event, "was answered with", json.dumps(answer))
        held.count += 1
    print(f"{name}: all {len(ASKED)} functions answer")


def image(name):
    family = client("ecs").describe_task_definition(taskDefinition=f"{name}-small")["taskDefinition"]
    return family["containerDefinitions"][0]["image"].rsplit(":", 1)[1]


if __name__ == "__main__":
    program = zipped()
    (checkout / "target/lambda").mkdir(parents=True)
    (checkout / "target/lambda/functions.zip").write_bytes(program)
    ran("build")
    # Where the expanded templates have it from: what runs is held against it.
    client("s3").create_bucket(Bucket=PACKAGED)
    client("s3").put_object(Bucket=PACKAGED, Key="functions.zip", Body=program)

    # To be thrown away: nothing is asked. A second time nothing is left to do, and that is no failure.
    dev = settings("dev")
    ran("deploy", "--config-env", "dev")
    stands(*dev)
    if functions:
        answers(dev[0])
    held("a second time", "No changes to deploy" in ran("deploy", "--config-env", "dev"), True)

    # Looked at before it changes: nothing stands there before somebody says so.
    prod = settings("prod")
    ran("deploy", "--config-env", "prod", answers="n\n")
    held("what nobody agreed to", standing(prod[0])["StackStatus"], "REVIEW_IN_PROGRESS")
    ran("deploy", "--config-env", "prod", answers="y\n")
    stands(*prod)

    # What a person without opinions answers, but for the name: each parameter is asked for, and the answers are kept.
    _, none, tags = settings()
    held("what the default sets", none, {})
    said = ran("deploy", "--guided", answers="acme\n" + "\n" * (len(defaults()) + 7) + "y\n")
    for parameter in defaults():
        held(f"{parameter} is asked for", f"Parameter {parameter} [" in said, True)
    stands("acme", {}, tags)
    name, kept, _ = settings()
    held("the name that was kept", name, "acme")
    held("the answers that were kept", kept, defaults())
    held("the other settings", (settings("dev"), settings("prod")), (dev, prod))
    held("a second time", "No changes to deploy" in ran("deploy"), True)

    # Back to an earlier image: it stays until somebody says otherwise, and so does everything else.
    name, parameters, tags = dev
    ran("deploy", "--config-env", "dev", "--parameter-overrides", "ImageTag=0.1.0-20261120T180529Z")
    stands(name, parameters | {"ImageTag": "0.1.0-20261120T180529Z"}, tags, "UPDATE_COMPLETE")
    held("the image of tasks", image(name), "0.1.0-20261120T180529Z")
    held("a deployment that does not name it", "No changes to deploy" in ran("deploy", "--config-env", "dev"), True)
    ran("deploy", "--config-env", "dev", "--parameter-overrides", "ImageTag=latest")
    stands(*dev, "UPDATE_COMPLETE")
    held("the image of tasks", image(name), "latest")
    # What is given on the command line takes the place of all that samconfig.toml gives.
    ran("deploy", "--config-env", "dev", "--stack-name", "other", "--parameter-overrides", "Architecture=x86_64")
    stands("other", {"Architecture": "x86_64"}, tags)

    # What samconfig.toml agrees to is what it takes, and a name is what infra/README.md says.
    for stack, more, reason in [
        ("without-roles", ["--capabilities", "CAPABILITY_AUTO_EXPAND"], "[CAPABILITY_IAM]"),
        ("without-sam", ["--capabilities", "CAPABILITY_IAM"], "[CAPABILITY_AUTO_EXPAND]"),
        ("Capital", [], "Parameter 'Deployment'"),
        ("two--hyphens", [], "Parameter 'Deployment'"),
    ]:
        ran("deploy", "--config-env", "dev", "--stack-name", stack, *more, code=1)
        held(f"{stack}'s status", standing(stack)["StackStatus"], "ROLLBACK_COMPLETE")
        events = client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [one.get("ResourceStatusReason", "") for one in events if one["ResourceStatus"] == "CREATE_FAILED"]
        held(f"{stack} fails for {reason}", [reason in one for one in reasons], [True])
    print(f"sam: four stacks, two updates, four refusals, {held.count} things held")
