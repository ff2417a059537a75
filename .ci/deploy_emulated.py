"""What .ci/deploy-emulated does and holds: see there."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from cfnlint.decode import decode
from samtranslator.translator.transform import transform

INFRA = pathlib.Path("infra")
STACK = "acme"
BUCKET = "packaged"

# Parameters of parts that the emulator gives other values than AWS: name -> how they differ.
UNPATTERNED = {
    **dict.fromkeys(["ApiUrl", "DispatchQueueUrl", "DispatchDeadLetterUrl", "EffectsQueueUrl", "EffectsDeadLetterUrl"], "addresses are http here"),
    "KeySecretArn": "a Ref of a secret is its name here, not its ARN",
}

left_out = []
endpoint, program, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
functions = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None


class Policies:
    """Stands for IAM, whom the translator asks for the policies that AWS manages. We use none."""

    def load(self):
        return {}


def fail(*what):
    print("deploy-emulated:", *what)
    raise SystemExit(1)


def load(path):
    template, errors = decode(str(path))
    if errors:
        fail(path, errors)
    return json.loads(json.dumps(template))


def client(service):
    return boto3.client(service, endpoint_url=endpoint, config=Config(retries={"max_attempts": 2}))


def packaged(name, s3):
    """The template as `sam deploy` hands it to CloudFormation: SAM expanded, files in a bucket."""
    template = load(INFRA / f"{name}.yaml")
    for alarm in [name for name, one in template["Resources"].items() if "Metrics" in one.get("Properties", {})]:
        # The emulator knows no alarm on a sum of metrics.
        left_out.append(alarm)
        del template["Resources"][alarm]
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            part = resource["Properties"]["TemplateURL"].removesuffix(".yaml")
            body = packaged(part, s3)
            s3.put_object(Bucket=BUCKET, Key=f"{part}.json", Body=json.dumps(body).encode())
            resource["Properties"]["TemplateURL"] = f"{endpoint}/{BUCKET}/{part}.json"
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{BUCKET}/functions.zip"
    for name, parameter in template.get("Parameters", {}).items():
        if name in UNPATTERNED:
            del parameter["AllowedPattern"]
    if template.get("Transform") == "AWS::Serverless-2016-10-31":
        template = transform(template, {}, Policies())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            # A number that comes from a parameter stays a text here, and the emulator counts with it.
            resource["Properties"].pop("ScalingConfig", None)
        if resource["Type"] == "AWS::Lambda::Function":
            # On AWS nothing of this is set: the one thing that is not as it is deployed.
            variables = resource["Properties"]["Environment"]["Variables"]
            for service in ["DYNAMODB", "SQS", "ECS", "SECRETSMANAGER"]:
                variables[f"PULLYARD_{service}_ENDPOINT"] = endpoint
    return template


def program_zip():
    """The functions, as `just build` leaves them; without them a program that answers nothing."""
    if functions and functions.suffix == ".zip":
        return functions.read_bytes()
    body = functions.read_bytes() if functions else b"#!/bin/sh\nexit 1\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, body)
    return packed.getvalue()


def deploy():
    s3, cloudformation = client("s3"), client("cloudformation")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="functions.zip", Body=program_zip())
    root = packaged("template", s3)
    s3.put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(root).encode())
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=f"{endpoint}/{BUCKET}/template.json",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": "Architecture", "ParameterValue": "x86_64"}],
    )
    for _ in range(240):
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.5)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        for event in cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]:
            if "FAILED" in event["ResourceStatus"]:
                print(event["LogicalResourceId"], event.get("ResourceStatusReason"))
        fail("the stack is", stack["StackStatus"], stack.get("StackStatusReason"))
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def held(what, is_so, should):
    if is_so != should:
        fail(what, "is", is_so, "and should be", should)
    held.count += 1


held.count = 0


def compared(outputs):
    """What stands there, resource by resource, beside what the templates say."""
    data, queues, tasks = (load(INFRA / f"{part}.yaml")["Resources"] for part in ["data", "queues", "tasks"])

    wanted = data["Table"]["Properties"]
    table = client("dynamodb").describe_table(TableName=outputs["TableName"])["Table"]
    held("the table's keys", table["KeySchema"], wanted["KeySchema"])
    by_name = lambda types: sorted((one["AttributeName"], one["AttributeType"]) for one in types)
    held("the table's attributes", by_name(table["AttributeDefinitions"]), by_name(wanted["AttributeDefinitions"]))
    indexes = lambda all: {one["IndexName"]: [one["KeySchema"], one["Projection"]["ProjectionType"]] for one in all}
    held("its indexes", indexes(table["GlobalSecondaryIndexes"]), indexes(wanted["GlobalSecondaryIndexes"]))
    # Its time to live is not set by the emulator's CloudFormation; tests/infra.rs compares that one.

    sqs = client("sqs")
    said = lambda url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    for queue, dead in [("Dispatch", "DispatchDeadLetter"), ("Effects", "EffectsDeadLetter")]:
        there, beyond = said(outputs[f"{queue}QueueUrl"]), said(outputs[f"{dead}Url"])
        wanted = queues[f"{queue}Queue"]["Properties"]
        held(f"{queue}'s visibility", int(there["VisibilityTimeout"]), wanted["VisibilityTimeout"])
        held(f"{queue}'s kind", there.get("FifoQueue", "false"), str(wanted.get("FifoQueue", False)).lower())
        redrive = json.loads(there["RedrivePolicy"])
        held(f"{queue}'s dead letters", redrive["deadLetterTargetArn"], beyond["QueueArn"])
        held(f"{queue}'s tries", int(redrive["maxReceiveCount"]), wanted["RedrivePolicy"]["maxReceiveCount"])
        held(f"{queue}'s dead letters' kind", beyond.get("FifoQueue", "false"), there.get("FifoQueue", "false"))

    ecs = client("ecs")
    families = dict(pair.split("=") for pair in outputs["TaskDefinitions"].split(","))
    for size, family in families.items():
        there = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        found = [one["Properties"] for one in tasks.values() if one["Type"] == "AWS::ECS::TaskDefinition"]
        wanted = next(one for one in found if one["Family"]["Fn::Sub"].endswith(f"-{size}"))
        held(f"{size}'s processors", str(there["cpu"]), wanted["Cpu"])
        held(f"{size}'s memory", str(there["memory"]), wanted["Memory"])
        held(f"{size}'s network", there["networkMode"], wanted["NetworkMode"])
        held(f"{size}'s role", there.get("taskRoleArn") or None, None)
        [runner] = there["containerDefinitions"]
        held(f"{size}'s container", runner["name"], wanted["ContainerDefinitions"][0]["Name"])
        held(f"{size}'s image", runner["image"], outputs["RepositoryUri"] + ":latest")
    cluster = ecs.describe_clusters(clusters=[outputs["ClusterName"]])["clusters"][0]
    held("the cluster's capacity", sorted(cluster["capacityProviders"]), ["FARGATE", "FARGATE_SPOT"])

    functions = load(INFRA / "functions.yaml")["Resources"]
    wanted = {name for name, one in functions.items() if one["Type"] == "AWS::Serverless::Function"}
    listed = client("lambda").list_functions()["Functions"]
    held("the functions", {one["FunctionName"] for one in listed}, {f"{STACK}-{name.removesuffix('Function').lower()}" for name in wanted})
    for one in listed:
        name = one["FunctionName"].removeprefix(f"{STACK}-")
        held(f"{name}'s handler", one["Handler"], name)
        variables = one["Environment"]["Variables"]
        for name, value in [("PULLYARD_TABLE", "TableName"), ("PULLYARD_TASK_DEFINITIONS", "TaskDefinitions")]:
            held(f"{name} of {one['FunctionName']}", variables.get(name, outputs[value]), outputs[value])
    secret = client("secretsmanager").get_secret_value(SecretId=outputs["KeySecretName"])["SecretString"]
    held("the key's length", len(secret), 64)
    print(f"{held.count} things stand there as the templates say; left out: {', '.join(left_out)}")


def ran(arguments, home, **environment):
    home.mkdir(exist_ok=True)
    told = {**os.environ, "XDG_CONFIG_HOME": str(home), "AWS_ENDPOINT_URL": endpoint, **environment}
    return subprocess.run([program, *arguments], env=told, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def examined(outputs, home, expected):
    """What `doctor` says of it."""
    done = ran(["doctor", "--stack", STACK, "--json"], home)
    findings = json.loads(done.stdout)
    said = {}
    for finding in findings:
        said.setdefault(finding["check"], []).append(finding)
    for check, verdict in expected.items():
        verdicts = {finding["verdict"] for finding in said.get(check, [])}
        if verdicts != {verdict}:
            fail(f"doctor's {check} should be {verdict}:", json.dumps(said.get(check), indent=1), done.stderr)
        held.count += 1
    if "-v" in sys.argv:
        print(json.dumps(findings, indent=1))
    print("doctor:", ", ".join(f"{check} {verdict}" for check, verdict in expected.items()))


def initialised(outputs, home):
    """`init` makes the first token, and says that no function answers here; again, it finds what it made."""
    first = lambda: client("dynamodb").get_item(TableName=outputs["TableName"], Key={"pk": {"S": "FIRST"}, "sk": {"S": "FIRST"}}).get("Item")
    held("the first token before init", first(), None)
    seen = []
    for _ in range(2):
        done = ran(["init", "--stack", STACK, "--project", "acme", "--no-forge"], home)
        if done.returncode != 1 or "its API is not" not in done.stderr:
            fail("init", done)
        seen.append(first()["token"]["S"])
    held("the first token after a second run", seen[1], seen[0])
    other = ran(["init", "--stack", STACK, "--project", "acme", "--no-forge"], work / "another-home")
    held("another operator's exit code", other.returncode, 3)
    print("init: the first token is made once, and nobody else makes another")


if __name__ == "__main__":
    outputs = deploy()
    compared(outputs)
    home = work / "home"
    # As on a fresh account: nothing was pushed, nobody subscribed, nothing swept; and no function answers here.
    fresh = {"stack": "good", "clock": "good", "secret": "good", "image": "wrong", "egress": "good", "alarms": "wrong"}
    examined(outputs, home, {**fresh, "queue": "good", "sweeper": "wrong", "version": "wrong"})
    initialised(outputs, home)
    client("sqs").send_message(QueueUrl=outputs["DispatchDeadLetterUrl"], MessageBody="{}")
    examined(outputs, home, {**fresh, "queue": "wrong"})
    print(f"{held.count} things held")
