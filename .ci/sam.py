"""What .ci/sam does and holds: see there."""

import functools
import io
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
import zipfile

import boto3
import template_deployed as deployed
from botocore.exceptions import ClientError
from cfnlint.decode import decode
from sam_expand import expanded as expand

PARTS = ["address", "network", "data", "queues", "tasks", "functions", "api", "watch", "template"]
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
client = functools.cache(boto3.client)


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


def load(part):
    template, errors = decode(str(checkout / "infra" / f"{part}.yaml"))
    if errors:
        fail(part, errors)
    return json.loads(json.dumps(template))


def expanded(part, tags):
    """A template as CloudFormation makes it: after SAM, and with the tags of the stack."""
    template = expand(load(part), f"s3://{PACKAGED}/functions.zip")
    for one in template["Resources"].values():
        if one["Type"].removeprefix("AWS::") in TAGGED:
            properties = one["Properties"]
            added = [{"Key": key, "Value": value} for key, value in tags.items()]
            properties["Tags"] = properties.get("Tags", []) + added
    return template


def pairs(said):
    return dict(one.split("=", 1) for one in shlex.split(said))


def configured(environment="default", file="samconfig.toml"):
    """What a configuration file says of a deployment: the stack's name, parameters and tags."""
    said = tomllib.loads((checkout / file).read_text())[environment]
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
        there = client("lambda").get_function(FunctionName=f"{name}-{function}")
        archive = urllib.request.urlopen(there["Code"]["Location"]).read()
        held(f"the program of {name}-{function}", zipfile.ZipFile(io.BytesIO(archive)).read("bootstrap") == program, True)
    # The expanded templates name this address for the code.
    client("s3").put_object(Bucket=PACKAGED, Key="functions.zip", Body=archive)
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
    chosen = dict(one.split("=", 1) for one in given["Settings"].split(";") if one)
    held("for how many days logs are kept", days, {chosen.get("LogRetentionDays", "30")})
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    protected = str(table["DeletionProtectionEnabled"]).lower()
    held("whether the table is protected", protected, chosen.get("DeletionProtection", "true"))
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
    return family["containerDefinitions"][0]["image"]


def questions(said):
    """The questions of `sam deploy --guided`: each has its default in brackets."""
    return re.findall(r"(?m)^\t*([A-Z][^\n#]*?\??) \[[^\]\n]*\]: ", re.sub(r"\x1b\[[0-9;]*m", "", said).replace("]: ", "]: \n"))


if __name__ == "__main__":
    # `sam build` compiled one program and copied it for each function.
    programs = {path.read_bytes() for path in checkout.glob(".aws-sam/build/Functions/*/bootstrap")}
    held("the programs of the build", len(programs), 1)
    program = programs.pop()
    client("s3").create_bucket(Bucket=PACKAGED)

    # dev asks nothing. The second deployment has no changes, which is no failure.
    dev = configured("dev")
    ran("deploy", "--config-env", "dev")
    stands(*dev)
    answers(dev[0])
    held("a second time", "No changes to deploy" in ran("deploy", "--config-env", "dev"), True)

    # prod deploys nothing before a person confirms.
    prod = configured("prod")
    ran("deploy", "--config-env", "prod", answers="n\n")
    held("a refused change set", standing(prod[0])["StackStatus"], "REVIEW_IN_PROGRESS")
    ran("deploy", "--config-env", "prod", answers="y\n")
    stands(*prod)

    # A person without opinions: a name, then Enter for each question. The answers go into samconfig.local.toml.
    subprocess.run([checkout / "infra/settings", "LogRetentionDays=90"], check=True, cwd=checkout, stdout=subprocess.DEVNULL)
    before = (checkout / "samconfig.toml").read_text()
    local = ("--config-file", "samconfig.local.toml")
    said = ran("deploy", "--guided", *local, answers="acme\n" + "\n" * 10 + "y\n")
    asked = questions(said)
    print(f"sam deploy --guided asks {len(asked)} questions: {', '.join(asked)}")
    held("at most twelve questions", len(asked) <= 12, True)
    for parameter in defaults():
        held(f"{parameter} is asked for", f"Parameter {parameter}" in " ".join(asked), True)
    name, kept, tags = configured(file="samconfig.local.toml")
    held("the name that was kept", name, "acme")
    held("the answers that were kept", kept, defaults() | {"Settings": "LogRetentionDays=90"})
    stands("acme", kept, tags)
    held("the tracked file", (checkout / "samconfig.toml").read_text(), before)
    held("a second time", "No changes to deploy" in ran("deploy", *local), True)

    # The image of a digest, and back to the newest one.
    digest = "sha256:" + "1" * 64
    subprocess.run([checkout / "infra/settings", f"ImageDigest={digest}"], check=True, cwd=checkout, stdout=subprocess.DEVNULL)
    ran("deploy", *local, answers="y\n")
    held("the image of tasks", image("acme").split("@")[-1], digest)
    subprocess.run([checkout / "infra/settings", "ImageDigest="], check=True, cwd=checkout, stdout=subprocess.DEVNULL)
    ran("deploy", *local, answers="y\n")
    held("the image of tasks", image("acme").rsplit(":", 1)[-1], "latest")

    # A failed first deployment leaves no stack, and a name is checked before the first resource.
    for stack, more in [
        ("without-roles", ["--capabilities", "CAPABILITY_AUTO_EXPAND"]),
        ("without-sam", ["--capabilities", "CAPABILITY_IAM"]),
        ("Capital", []),
        ("two--hyphens", []),
        ("unknown-setting", ["--parameter-overrides", "Settings=KmsKeyARN=arn"]),
    ]:
        ran("deploy", "--config-env", "dev", "--stack-name", stack, *more, code=1)
        left = standing(stack)
        held(f"{stack}'s stack", left and left["StackStatus"], None)
    print(f"sam: three stacks, two updates, five refusals, {held.count} things held")
