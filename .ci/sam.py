"""The steps and checks of .ci/sam."""

import io
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
import zipfile

from sam_commands import check, checkout, client, configured, describe, parameters, plain, preflight, pullyard, run
from sam_failures import FAILURES, fail_first_deployment

# One event of events/ for each function, of those that need no item in the table.
EVENTS = [
    "api.health", "dispatcher.empty", "effects.unknown_ticket", "pages.foreign_form", "sweeper.scheduled",
    "tasks.foreign_service", "tickets.not_signed_in", "webhook.unknown_hook_base64",
]
# First deployments that leave no stack: its name, what the output says, and further arguments.
VPC, SUBNETS = "VpcId=vpc-00000001", "Subnets=subnet-00000001"
REFUSALS = [
    ("without-roles", "Requires capabilities", "--capabilities", "CAPABILITY_AUTO_EXPAND"),
    ("without-sam", "Requires capabilities", "--capabilities", "CAPABILITY_IAM"),
    ("Capital", "Parameter 'Deployment'"),
    ("two--hyphens", "Parameter 'Deployment'"),
    *(("contradiction", sentence, "--parameter-overrides", values) for values, sentence in {
        "KmsKeyArn=arn": "'KmsKeyArn' must match",
        "DomainName=a.example": "DomainName needs CertificateArn", VPC: "VpcId needs Subnets", SUBNETS: "Subnets needs VpcId",
        f"{VPC} {SUBNETS} Zones=us-east-1a,us-east-1b": "remove Zones or Subnets",
        "AssignPublicIp=false": "AssignPublicIp=false needs Subnets",
    }.items()),
]
LOCAL = ("--config-file", "samconfig.local.toml")


def check_stack(name, overrides, tags):
    """The stack and all nested stacks are complete, with these parameters and tags and with `program`."""
    stack = describe(name)
    check(f"the parameters of {name}", {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}, parameters() | overrides)
    check(f"the tags of {name}", {one["Key"]: one["Value"] for one in stack["Tags"]}, tags)
    stacks, resources = [name], 0
    for one in stacks:
        pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=one)
        listed = [resource for page in pages for resource in page["StackResourceSummaries"]]
        stacks += [resource["PhysicalResourceId"] for resource in listed if resource["ResourceType"] == "AWS::CloudFormation::Stack"]
        resources += len(listed)
        check(f"the resources of {one}", {resource["ResourceStatus"] for resource in listed}, {"CREATE_COMPLETE"})
    check("the number of stacks", len(stacks), len(list((checkout / "infra").glob("*.yaml"))))
    for event in EVENTS:
        function = client("lambda").get_function(FunctionName=f"{name}-{event.split('.')[0]}")
        archive = urllib.request.urlopen(function["Code"]["Location"]).read()
        check(f"the program of {event}", zipfile.ZipFile(io.BytesIO(archive)).read("bootstrap") == program, True)
    pages = client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/pullyard/{name}/")
    days = {str(one.get("retentionInDays")) for page in pages for one in page["logGroups"]}
    check("the retention of logs", days, {overrides.get("LogRetentionDays", "30")})
    protected = client("dynamodb").describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled", False)
    check("the protection of the table", protected, False)
    print(f"{name}: {resources} resources in {len(stacks)} stacks")


def contains(whole, part):
    """Whether `whole` has everything of `part`; a body is text on the wire."""
    if isinstance(part, dict):
        whole = json.loads(whole) if isinstance(whole, str) else whole
        return all(key in whole and contains(whole[key], one) for key, one in part.items())
    return whole == part


def check_functions(name):
    """Each function answers one event as events/ expects, run by the emulator from the deployed zip."""
    for event in EVENTS:
        path = pathlib.Path("events") / f"{event}.json"
        invoked = client("lambda").invoke(FunctionName=f"{name}-{event.split('.')[0]}", Payload=path.read_bytes())
        answer = json.loads(invoked["Payload"].read())
        expected = json.loads(path.with_suffix(".expected.json").read_text())["answer"]
        if "FunctionError" in invoked or not contains(answer, expected):
            sys.exit(f"sam: {event} was answered with {json.dumps(answer)}")


def check_operator(name):
    """`doctor` names what a new stack lacks; `init` creates the first token once. The emulator's API has no address."""
    outputs = {one["OutputKey"]: one["OutputValue"] for one in describe(name)["Outputs"]}
    token = lambda: client("dynamodb").get_item(TableName=outputs["TableName"], Key={"pk": {"S": "FIRST"}, "sk": {"S": "FIRST"}}).get("Item")

    def operator(home, *arguments):
        environment = {**os.environ, "XDG_CONFIG_HOME": str(checkout / home)}
        return subprocess.run([pullyard, *arguments], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    done = operator("first", "doctor", "--stack", name, "--json")
    verdicts = {one["check"]: one["verdict"] for one in json.loads(done.stdout)}
    expected = {"stack": "good", "secret": "good", "image": "wrong", "egress": "good", "queue": "good"}
    check("doctor", {one: verdicts.get(one) for one in expected}, expected)
    check("the first token", token(), None)
    init = ("init", "--stack", name, "--project", "acme", "--no-forge")
    check("the end of init", operator("first", *init).returncode, 1)
    first = token()["token"]
    operator("first", *init)
    check("the first token after a second init", token()["token"], first)
    check("the init of another operator", operator("second", *init).returncode, 3)


def image(name):
    family = client("ecs").describe_task_definition(taskDefinition=f"{name}-small")["taskDefinition"]
    return family["containerDefinitions"][0]["image"]


# The archive of a release deploys its own program.
if (checkout / "RELEASE").exists():
    program = zipfile.ZipFile(checkout / "functions.zip").read("bootstrap")
    preflight("--stack", "acme")
    run("deploy", *LOCAL, answers="y\n")
    check_stack(*configured(file=LOCAL[1]))
    check_functions("acme")
    output = run("deploy", "--guided", *LOCAL, answers="\n" * (len(parameters()) + 8) + "y\n")
    check("an answer beside the file", [str(one) for one in checkout.rglob(LOCAL[1]) if one.parent != checkout], [])
    check("the stored answers", configured(file=LOCAL[1])[1].keys(), parameters().keys())
    print("sam: the archive's stack, and an update with --guided")
    sys.exit()

# `sam build` compiled one program and copied it for each function.
[program] = {path.read_bytes() for path in checkout.glob(".aws-sam/build/Functions/*/bootstrap")}

# dev asks no questions.
dev = configured("dev")
run("deploy", "--config-env", "dev")
check_stack(*dev)
check_functions(dev[0])
check_operator(dev[0])

# The later stacks get only the first megabyte of the program. SAM zips it once for each function and deployment; the
# whole one takes a minute per deployment.
program = program[:1 << 20]
for path in checkout.glob(".aws-sam/build/Functions/*/bootstrap"):
    path.write_bytes(program)

# prod deploys nothing before a person confirms.
prod = configured("prod")
run("deploy", "--config-env", "prod", answers="n\n")
check("a refused change set", describe(prod[0])["StackStatus"], "REVIEW_IN_PROGRESS")

# A first deployment that fails in a nested stack: it leaves nothing, preflight names the reason, and the same command succeeds
# when the cause is gone. As CI types it, without a terminal. The nested stack changes with each commit.
failing = list(FAILURES)[int(os.environ["PULLYARD_COMMITS"]) % len(FAILURES)]
fail_first_deployment(failing, "prod")
check("the failed stack", describe(prod[0]), None)
check("the tables", client("dynamodb").list_tables()["TableNames"], [dev[0]])
run("deploy", "--config-env", "prod", "--no-confirm-changeset", "--role-arn", "arn:aws:iam::000000000000:role/deployer")
check_stack(*prod)

# A second deployment without changes succeeds without a question.
check("a second deployment", "No changes to deploy" in run("deploy", "--config-env", "prod"), True)

# `sam deploy --guided` asks for every parameter. A user who accepts its defaults deploys what preflight and an editor wrote.
preflight("--stack", "acme")
local = checkout / "samconfig.local.toml"
local.write_text(local.read_text().replace('"Architecture=x86_64"', '"Architecture=x86_64 LogRetentionDays=90"'))
before = (checkout / "samconfig.toml").read_text()
output = run("deploy", "--guided", *LOCAL, answers="\n" * (len(parameters()) + 8) + "y\n")
check("the parameters without a question", [one for one in parameters() if f"Parameter {one} [" not in plain(output)], [])
guided = configured(file="samconfig.local.toml")
check("the stored answers", guided[:2], ("acme", parameters() | {"LogRetentionDays": "90"}))
check_stack(*guided)
check("the tracked file", (checkout / "samconfig.toml").read_text(), before)

# An image by digest, and back to the newest one. A parameter that the file loses has its previous value.
preflight()
local.write_text(local.read_text().replace(" LogRetentionDays=90 ", " "))
digest = "sha256:" + "1" * 64
for value, ending in ((digest, f"@{digest}"), ("", ":latest")):
    subprocess.run([checkout / "infra/preflight_checks/samconfig.py", "default", f"ImageDigest={value}"], check=True)
    run("deploy", *LOCAL, answers="y\n")
    check("the image of tasks", image("acme")[-len(ending):], ending)
deployed = {one["ParameterKey"]: one["ParameterValue"] for one in describe("acme")["Parameters"]}
check("the parameters of acme", deployed, parameters() | {"LogRetentionDays": "90"})

# A failed first deployment leaves no stack; a name is checked before the first resource exists. The program is packaged
# once for all of them.
run("package", "--config-env", "dev", "--resolve-s3", "--output-template-file", "packaged.yaml")
# SAM accepts uploaded templates at AWS's address only; the emulator reads the path.
template = checkout / "packaged.yaml"
template.write_text(template.read_text().replace(os.environ["AWS_ENDPOINT_URL"], "https://s3.amazonaws.com"))
for name, sentence, *more in REFUSALS:
    output = run("deploy", "--config-env", "dev", "--template-file", template, "--stack-name", name, *more, code=1)
    check(f"the reason why {name} is refused", sentence if sentence in plain(output) else output[-3000:], sentence)
    check(f"the stack {name}", (describe(name) or {}).get("StackStatus"), None)

# `sam sync` would change functions past CloudFormation.
check("sam sync", "Template file not found" in run("sync", "--config-env", "dev", code=1), True)

# A deletion deletes the templates and programs of its stack only, though its folder's name begins the other's. The later
# stacks are dev's packages.
bucket = next(one["Name"] for one in client("s3").list_buckets()["Buckets"] if one["Name"].startswith("aws-sam-cli-managed-default"))
pages = lambda: client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
uploaded = lambda: {one["Key"] for page in pages() for one in page.get("Contents", [])}
own = f"{prod[0]}/"
before = uploaded()
check("the folders of stacks", {one.split("/")[0] for one in before}, {dev[0], prod[0], "acme"})
run("delete", "--config-env", "prod", "--no-prompts", "--region", "us-east-1")
check("what the deletion of prod left", uploaded(), {one for one in before if not one.startswith(own)})
check("the tables after it", prod[0] in client("dynamodb").list_tables()["TableNames"], True)
print(f"sam: three stacks, two updates, {len(REFUSALS)} refusals, a failure in {failing}, a deletion")
