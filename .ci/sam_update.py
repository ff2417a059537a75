"""The stack of an older commit, with data in it, updated to the checkout and back, for `.ci/sam --update-from`.

A user's directory has samconfig.local.toml and changes its commit. The user types the commands of infra/README.md, "Update
and roll back", and has the checkout's infra/deploy-policy.json. The commit is one whose stack makes a budget and has no queue
of calls; for later ones, adapt what the scenario expects.
"""

import json
import pathlib
import re
import shutil
import sys

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from sam_commands import check, checkout, client, describe, set_faults
from sam_failures import (
    BUDGET, DELETE, DEPLOY, NAME, STAYS, Typed, become_deployer, infra, inventory, remove_stack, shrink_program, status,
    unexplained, wait_for,
)

OLD, NEW = pathlib.Path(sys.argv[4]), checkout.parent / "new"
LOCAL, ALARMS = checkout / "samconfig.local.toml", "ops@example.com"
# A replacement of these loses no data, no address and no running job.
REPLACEABLE = {
    "AWS::Lambda::Permission": "AWS has no call that changes one",
    "AWS::ECS::TaskDefinition": "a further revision; running tasks have theirs",
}
# Types with data, or with an address that others have stored.
STATEFUL = {f"AWS::{kind}" for kind in (
    "ApiGatewayV2::Api", "DynamoDB::Table", "EC2::SecurityGroup", "EC2::Subnet", "EC2::VPC", "ECR::Repository", "ECS::Cluster",
    "Logs::LogGroup", "S3::Bucket", "SecretsManager::Secret", "SNS::Subscription", "SNS::Topic", "SQS::Queue")}
# infra/README.md, "Delete", names it.
UNPREFIXED = {
    r"s3 (Versions|DeleteMarkers) [0-9a-f]{32}(\.template)?$": "SAM's bucket, outside of a stack's folder: of a release without "
                                                              "s3_prefix, and other applications may use the same",
}


def switch(tree):
    """`git checkout` and `sam build`."""
    for name in ("infra", ".aws-sam", "samconfig.toml"):
        part = checkout / name
        if part.is_dir():
            shutil.rmtree(part)
            shutil.copytree(tree / name, part)
        else:
            shutil.copy2(tree / name, part)
    shrink_program()


def resources():
    """Type and physical id of each resource, by the path of its logical ids."""
    found = {}

    def visit(stack, prefix):
        # An update succeeds although CloudFormation fails to delete what it removed.
        pages = client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack)
        events = [(one["LogicalResourceId"], one["ResourceStatus"]) for page in pages for one in page["StackEvents"]]
        check(f"the failed deletions in {stack}", [key for key, status in events if status == "DELETE_FAILED"], [])
        pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        for one in (one for page in pages for one in page["StackResourceSummaries"]):
            path = f"{prefix}{one['LogicalResourceId']}"
            found[path] = one["ResourceType"], one["PhysicalResourceId"]
            check(f"the state of {path}", one["ResourceStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), True)
            if one["ResourceType"] == "AWS::CloudFormation::Stack":
                visit(one["PhysicalResourceId"], f"{path} > ")

    visit(NAME, "")
    return found


def of_kind(kind):
    return {path: id for path, (other, id) in resources().items() if other == f"AWS::{kind}"}


def outputs():
    return {one["OutputKey"]: one["OutputValue"] for one in describe(NAME)["Outputs"]}


def messages(url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(one) for one in found.values())


def fill():
    """Stores data in everything that holds data. Returns the URLs of the queues, each with a message."""
    client("dynamodb").put_item(TableName=NAME, Item={"pk": {"S": "TICKET#1"}, "sk": {"S": "TICKET"}, "title": {"S": "kept"}})
    for bucket in of_kind("S3::Bucket").values():
        for text in (b"first", b"second"):
            client("s3").put_object(Bucket=bucket, Key="kept", Body=text)
    for secret in ("user/forge", "job/anthropic"):
        client("secretsmanager").create_secret(Name=f"{NAME}/{secret}", SecretString=secret)
    mailbox = client("sqs").create_queue(QueueName=f"{NAME}-wake-{'a' * 26}")["QueueUrl"]
    queues = [*of_kind("SQS::Queue").values(), mailbox]
    for url in queues:
        client("sqs").send_message(QueueUrl=url, MessageBody="{}", **fifo(url))
    for group in of_kind("Logs::LogGroup").values():
        client("logs").create_log_stream(logGroupName=group, logStreamName="kept")
    manifest = json.dumps({"schemaVersion": 2})
    client("ecr").put_image(repositoryName=f"{NAME}-runner", imageManifest=manifest, imageTag="latest")
    return queues


def fifo(url):
    return {"MessageGroupId": "a", "MessageDeduplicationId": "a"} if url.endswith(".fifo") else {}


def data(queues):
    """Loads the data that `fill` stored and the stack generated."""
    item = client("dynamodb").get_item(TableName=NAME, Key={"pk": {"S": "TICKET#1"}, "sk": {"S": "TICKET"}})
    found = {"item": item["Item"]["title"]["S"]}
    for path, bucket in of_kind("S3::Bucket").items():
        listed = client("s3").list_object_versions(Bucket=bucket)
        found[path] = len(listed["Versions"]), client("s3").get_object(Bucket=bucket, Key="kept")["Body"].read()
    for secret in ("key", "user/forge", "job/anthropic"):
        found[secret] = client("secretsmanager").get_secret_value(SecretId=f"{NAME}/{secret}")["SecretString"]
    # In total: the emulator delivers messages to functions that fail, and then moves them to the dead letters.
    found["messages"] = sum(messages(url) for url in queues)
    for path, group in of_kind("Logs::LogGroup").items():
        found[path] = len(client("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix="kept")["logStreams"])
    found["image"] = client("ecr").describe_images(repositoryName=f"{NAME}-runner")["imageDetails"][0]["imageTags"]
    found["address"] = outputs()["ApiUrl"]
    return found


def state():
    """The resources of the stack, and the inventory of the account."""
    return resources(), inventory()


def compare(what, states, may_go=()):
    """Checks that no resource with data was replaced or removed, and that the removed ones are gone."""
    (before, listed), (after, listed_after) = states
    print(f"{what}: {len(after)} resources after {len(before)}")
    replaced = {path for path in before.keys() & after.keys() if before[path] != after[path]}
    removed, added = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    for title, paths in ("replaced", sorted(replaced)), ("removed", removed), ("added", added):
        print(f"{what}: {title} {len(paths)}", *(f"  {path} ({(before if path in before else after)[path][0]})" for path in paths),
              sep="\n", flush=True)
    check(f"what {what} may not replace", [path for path in replaced if before[path][0] not in REPLACEABLE], [])
    check(f"the data that {what} removes", [path for path in removed if before[path][0] in STATEFUL and path not in may_go], [])
    gone = {before[path][1] for path in [*removed, *replaced] if before[path][0] != "AWS::ECS::TaskDefinition"}
    names = lambda lines: {line.split(" ", 2)[2] for line in lines}
    check(f"what {what} left outside of the stack", (gone & names(listed)) - names(listed - listed_after), set())


def compare_rollback(what, states):
    """Checks that a rollback restored all resources and left no other."""
    compare(what, states)
    (before, listed), (after, listed_after) = states
    check(f"the resources after {what}", sorted(after), sorted(before))
    # SAM uploaded templates, and AWS keeps inactive revisions.
    new = [one for one in listed_after - listed if not re.match("s3 (Versions|DeleteMarkers) |ecs task_definitions ", one)]
    check(f"the new resources of the account after {what}", sorted(new), [])


def missing_permissions(paths, kinds):
    """Calls that delete resources which the new templates lack, and that infra/deploy-policy.json denies."""
    statements = json.loads((NEW / "infra/deploy-policy.json").read_text())["Statement"]
    allowed = {action for one in statements for action in one["Action"]}
    needed = {action for path in paths for action in PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "us-east-1", kinds[path][0]).schema["handlers"]["delete"]["permissions"]}
    return sorted(needed - allowed)


def preflight(*arguments, code=0):
    done = infra("preflight", *arguments)
    check("the end of preflight", (done.returncode, done.stdout + done.stderr if done.returncode != code else ""), (code, ""))
    return done.stdout


def edit(pattern, replacement):
    """As a user edits the parameters in samconfig.local.toml."""
    text, changed = re.subn(pattern, replacement, LOCAL.read_text(), count=1, flags=re.MULTILINE)
    check(f"the edits of {pattern}", changed, 1)
    LOCAL.write_text(text)


def add_parameters(values):
    edit("^(parameter_overrides = ['\"])", rf"\1{values} ")


def deploy_old():
    switch(OLD)
    preflight("--yes", "--stack", NAME, "--alarm-email", ALARMS, "--monthly-budget", "50", "--only", "config")
    preflight("--only", "role")
    # Everything that a condition makes, but for what needs a certificate, a key or a network.
    add_parameters("Dashboard=true Tracing=Active SubmissionPrincipals=111122223333")
    Typed().sam(*DEPLOY)
    check("the budget of the stack", [one for one in inventory() if one.startswith("budgets ")], [f"budgets budgets {NAME}"])
    check("the protection by the old template", protected(), True)


def update(what):
    """The commands of infra/README.md, with a parameter that the changelog advises."""
    switch(NEW)
    typed = Typed()
    preflight("--only", "config")
    add_parameters("RuntimeTags=project=pullyard")
    found = [one for one in typed.findings() if one["status"] != "fixed"]
    check(f"the findings of preflight before {what}", found, [])
    typed.sam(*DEPLOY)
    # `fix` runs every command that preflight prints.
    found = [one for one in typed.findings() if one["check"] != "table"]
    check(f"the findings of preflight after {what}, but for the table", found, [])
    typed.fix()
    check(f"the protection of the table after {what}", protected(), True)
    check(f"the budgets after {what}", sorted(one for one in inventory() if one.startswith("budgets ")), [BUDGET])
    print(f"{what}: {typed}", flush=True)


def go_back():
    switch(OLD)
    check("the refused parameter", "there is no parameter RuntimeTags" in preflight("--only", "config", code=1), True)
    edit("RuntimeTags=[^ '\"]* ", "")
    preflight("--only", "config", "--only", "role", "--only", "leftovers")
    Typed().sam(*DEPLOY)


def protected():
    return client("dynamodb").describe_table(TableName=NAME)["Table"].get("DeletionProtectionEnabled", False)


check("whether the older commit has the queue of calls", "CallsQueue" in (OLD / "infra/queues.yaml").read_text(), False)
shutil.copytree(checkout, NEW)
become_deployer()
before = inventory()
deploy_old()
queues = fill()
old = state()
kept = data(queues)
check("the messages of the queues", kept["messages"], len(queues))

# An update that fails at its end: CloudFormation has changed every nested stack, and deleted nothing yet.
switch(NEW)
preflight("--only", "config")
set_faults(create=["Watch", "CallsDeadLettersAlarm", "refused by the scenario"])
Typed().sam(*DEPLOY, code=1)
set_faults()
check("the first update", status(), "UPDATE_ROLLBACK_COMPLETE")
compare_rollback("the first update", (old, state()))
check("the data after the first update", data(queues), kept)
check("the protection of the table after the first update", protected(), True)

update("the update")
new = state()
compare("the update", (old, new))
check("the data after the update", data(queues), kept)
check("the calls that the update may not make", missing_permissions(old[0].keys() - new[0].keys(), old[0]), [])
for path, url in of_kind("SQS::Queue").items():
    if path not in old[0]:
        client("sqs").send_message(QueueUrl=url, MessageBody="{}", **fifo(url))

go_back()
back = state()
compare("the return", (new, back), may_go=new[0].keys() - old[0].keys())
check("what the return did not restore", old[0].keys() - back[0].keys(), {"Watch > Budget"})
check("what the return added", back[0].keys() - old[0].keys(), set())
check("the data after the return", data(queues), kept)
check("the protection of the table after the return", protected(), True)

# An update right after the return: SQS refuses the names of the queues, and CloudFormation rolls the update back.
set_faults(queue_names=True)
switch(NEW)
preflight("--only", "config")
Typed().sam(*DEPLOY, code=1)
set_faults()
check("the failed update", status(), "UPDATE_ROLLBACK_COMPLETE")
check("the reason", "sleep 60" in preflight("--why", code=1), True)
compare_rollback("the failed update", (back, state()))
check("the data after the failed update", data(queues), kept)
update("the second update")
compare("the second update", (back, state()))
check("the data after the second update", data(queues), kept)

# The stack of the older version has its name in CloudFormation's tags only. The removal is that of the checkout.
go_back()
switch(NEW)
Typed().sam(*DELETE)
wait_for("the deletion", lambda: status() is None)
remove_stack("")
left = inventory() - before
key = lambda line: line.rpartition(" ")[2]
unprefixed = {key(one) for one in left if re.match("|".join(UNPREFIXED), one)}
check("the keys without a prefix that the older commit did not upload", unprefixed - {key(one) for one in old[1]}, set())
check("what stays after the removal", unexplained(left, STAYS | UNPREFIXED), [])
print("stays:", *(f"  {one}" for one in unexplained(left, STAYS)), sep="\n")
