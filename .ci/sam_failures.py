"""First deployments that fail in one nested stack, and what stays after them and after a removal.

As a program, this runs `.ci/sam --each-stack`.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import jmespath
from sam_commands import FAULTS, REACHED, check, checkout, client, describe, plain, run, sam, set_faults

NAME = "pullyard"
DENIED = "because no identity-based policy allows the {0} action (Service: {1}, Status Code: 403, Request ID: 1)"


class Failure(NamedTuple):
    """A resource that AWS refuses, and what `preflight --why` then suggests."""
    resource: str
    kind: str
    reason: str
    fix: str


# One for each nested stack of infra/template.yaml. Most are the last resource of their stack, so that others exist.
FAILURES = {
    "Address": Failure(
        "Api", "AWS::ApiGatewayV2::Api", "User: arn:aws:iam::000000000000:user/deployer is not authorized to perform: "
        f"apigateway:POST on resource: /apis {DENIED.format('apigateway:POST', 'ApiGatewayV2')}",
        "infra/preflight --only permissions"),
    "Network": Failure(
        "S3Endpoint", "AWS::EC2::VPCEndpoint", "The maximum number of VPC endpoints has been reached. (Service: Ec2, Status "
        "Code: 400, Request ID: 1)", "infra/preflight --only quotas"),
    "Queues": Failure(
        "UndeliveredQueue", "AWS::SQS::Queue", "You must wait 60 seconds after deleting a queue before you can create another "
        "with the same name. (Service: Sqs, Status Code: 400, Request ID: 1)", "sleep 60, then repeat sam deploy"),
    "Tasks": Failure(
        "LargeTask", "AWS::ECS::TaskDefinition", "Unable to assume the service linked role. Please verify that the ECS service "
        "linked role exists. (Service: AmazonECS; Status Code: 400; Error Code: InvalidParameterException)",
        "infra/preflight --only role"),
    "Data": Failure(
        "ArtifactsPolicy", "AWS::S3::BucketPolicy", "API: s3:PutBucketPolicy Access Denied", "infra/preflight --only permissions"),
    "Functions": Failure(
        "SweeperFunction", "AWS::Lambda::Function", "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [10]. (Service: Lambda, Status Code: 400, Request ID: 1)",
        "infra/preflight --only quotas"),
    # This one exists before the deployment; the emulator refuses it without a fault.
    "Doors": Failure(
        "AccessLogs", "AWS::Logs::LogGroup", "Resource of type 'AWS::Logs::LogGroup' with identifier "
        "'/aws/vendedlogs/pullyard/pullyard/access' already exists.", "infra/preflight --only table --only leftovers"),
    "Watch": Failure(
        "SignaturesRefusedAlarm", "AWS::CloudWatch::Alarm", "User: arn:aws:iam::000000000000:user/deployer is not authorized to "
        "perform: cloudwatch:PutMetricAlarm with an explicit deny in a service control policy (Service: CloudWatch, Status "
        "Code: 403, Request ID: 1)", "infra/preflight --only permissions"),
}
TAKEN = {"logGroupName": "/aws/vendedlogs/pullyard/pullyard/access"}


DEPLOY = ("deploy", "--config-file", "samconfig.local.toml", "--no-confirm-changeset")
DELETE = ("delete", "--stack-name", NAME, "--no-prompts", "--region", "us-east-1")
# One row for each list of resources: service, operation, its arguments, and the names in its answer.
LISTS = [
    ("cloudformation", "list_stacks", {}, "StackSummaries[?StackStatus!='DELETE_COMPLETE'].StackName"),
    ("dynamodb", "list_tables", {}, "TableNames"),
    ("s3", "list_buckets", {}, "Buckets[].Name"),
    ("sqs", "list_queues", {}, "QueueUrls"),
    ("lambda", "list_functions", {}, "Functions[].FunctionName"),
    ("lambda", "list_event_source_mappings", {}, "EventSourceMappings[].EventSourceArn"),
    ("apigatewayv2", "get_apis", {}, "Items[].Name"),
    ("apigatewayv2", "get_domain_names", {}, "Items[].DomainName"),
    ("iam", "list_roles", {}, "Roles[].RoleName"),
    ("iam", "list_policies", {"Scope": "Local"}, "Policies[].PolicyName"),
    ("ecs", "list_clusters", {}, "clusterArns"),
    ("ecs", "list_task_definitions", {"status": "ACTIVE"}, "taskDefinitionArns"),
    ("ecs", "list_task_definitions", {"status": "INACTIVE"}, "taskDefinitionArns"),
    ("ecr", "describe_repositories", {}, "repositories[].repositoryName"),
    ("secretsmanager", "list_secrets", {"IncludePlannedDeletion": True}, "SecretList[].Name"),
    ("kms", "list_keys", {}, "Keys[].KeyId"),
    ("kms", "list_aliases", {}, "Aliases[].AliasName"),
    ("logs", "describe_log_groups", {}, "logGroups[].logGroupName"),
    ("logs", "describe_metric_filters", {}, "metricFilters[].filterName"),
    ("logs", "describe_resource_policies", {}, "resourcePolicies[].policyName"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms[].AlarmName"),
    ("cloudwatch", "list_dashboards", {}, "DashboardEntries[].DashboardName"),
    ("events", "list_rules", {}, "Rules[].Name"),
    ("scheduler", "list_schedules", {}, "Schedules[].Name"),
    ("sns", "list_topics", {}, "Topics[].TopicArn"),
    ("sns", "list_subscriptions", {}, "Subscriptions[].SubscriptionArn"),
    ("ssm", "describe_parameters", {}, "Parameters[].Name"),
    ("budgets", "describe_budgets", {"AccountId": "000000000000"}, "Budgets[].BudgetName"),
    ("ec2", "describe_vpcs", {}, "Vpcs[].VpcId"),
    ("ec2", "describe_subnets", {}, "Subnets[].SubnetId"),
    ("ec2", "describe_internet_gateways", {}, "InternetGateways[].InternetGatewayId"),
    ("ec2", "describe_route_tables", {}, "RouteTables[].RouteTableId"),
    ("ec2", "describe_security_groups", {}, "SecurityGroups[].GroupId"),
    ("ec2", "describe_vpc_endpoints", {}, "VpcEndpoints[?State!='deleted'].VpcEndpointId"),
]
# What may stay after a removal, and why.
STAYS = {
    "cloudformation stacks aws-sam-cli-managed-default|s3 buckets aws-sam-cli-managed-default-": "for every SAM application",
    f"s3 (Versions|DeleteMarkers) {NAME}/": "SAM's bucket has versions, and `sam delete` deletes only the newest",
    "iam roles AWSServiceRoleForECS": "for every cluster of the account; preflight creates it",
    f"ecs task_definitions .*:task-definition/{NAME}-[a-z]+:": "AWS keeps inactive revisions, which cost nothing",
}
# `preflight` creates it before the first deployment.
BUDGET = f"budgets budgets {NAME}-us-east-1"


@contextlib.contextmanager
def refused(stack, **more):
    """AWS refuses the resource of this nested stack, until the cause is gone."""
    failure = FAILURES[stack]
    if stack == "Doors":
        client("logs").create_log_group(**TAKEN)
    # Only a fault can hold.
    fault = {} if stack == "Doors" and "hold" not in more else {"create": [stack, failure.resource, failure.reason]}
    set_faults(**fault, **more)
    yield
    if stack == "Doors":
        # The emulator's rollback deletes the group although the stack did not create it.
        with contextlib.suppress(client("logs").exceptions.ResourceNotFoundException):
            client("logs").delete_log_group(**TAKEN)
    set_faults()


def infra(command, *arguments, **variables):
    return subprocess.run([checkout / "infra" / command, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, **variables})


def check_reason(stack, typed=None, options=()):
    """`preflight --why` names the refused resource, the reason and a fix, and nothing else."""
    failure = FAILURES[stack]
    done = (typed.infra if typed else infra)("preflight", "--why", *options)
    found = [line.removeprefix("FAIL   why          ") for line in done.stdout.splitlines() if line.startswith("FAIL")]
    check(f"why {stack} failed", found, [f"{stack} > {failure.resource} ({failure.kind}) could not be created: {failure.reason}; "
                                         f"fix: {failure.fix}"])


def fail_first_deployment(stack, environment):
    with refused(stack):
        run("deploy", "--config-env", environment, "--no-confirm-changeset", code=1)
        check_reason(stack, options=("--env", environment))


def inventory():
    """What exists in the account, in every service that the stack uses."""
    found = set()

    def names(service, operation, arguments, expression):
        one = client(service)
        if not one.can_paginate(operation):
            return jmespath.search(expression, getattr(one, operation)(**arguments)) or []
        pages = one.get_paginator(operation).paginate(**arguments)
        return [name for page in pages for name in jmespath.search(expression, page) or []]

    for service, operation, arguments, expression in LISTS:
        kind = f"{service} {operation.partition('_')[2]}"
        found |= {f"{kind} {name}" for name in names(service, operation, arguments, expression)}
    for bucket in names("s3", "list_buckets", {}, "Buckets[].Name"):
        for kind in ("Versions", "DeleteMarkers"):
            found |= {f"s3 {kind} {key}" for key in names("s3", "list_object_versions", {"Bucket": bucket}, f"{kind}[].Key")}
    return found


class Typed:
    """Counts the commands that a user types, and their seconds."""

    def __init__(self):
        self.started, self.commands = time.monotonic(), 0

    def infra(self, *command, **variables):
        self.commands += 1
        return infra(*command, **variables)

    def sam(self, *arguments, code=0):
        self.commands += 1
        return plain(run(*arguments, code=code))

    def findings(self, *options):
        """The lines of `preflight` that need an action. The emulator has no quotas, and no file of Rust is here."""
        chosen = [word for name in ("credentials", "role", "table", "leftovers", "budget") for word in ("--only", name)]
        done = self.infra("preflight", *options, *chosen, "--json")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        # A preflight that breaks off prints no finding, as one that finds nothing.
        check("the end of preflight", done.returncode, int(any(one["status"] == "FAIL" for one in found)))
        check("what preflight cannot check", [one["found"] for one in found if one["status"] in ("FAIL", "warn") and not one["fix"]], [])
        return [one for one in found if one["status"] != "ok"]

    def fix(self):
        """Runs `preflight --fix`, and then each command that it prints, until it prints none."""
        found = self.findings("--fix")
        for _ in range(4):
            fixes = [one["fix"].rpartition("or: ")[2] for one in found if one["status"] in ("FAIL", "warn")]
            if not fixes:
                return
            for fix in dict.fromkeys(fixes):
                self.commands += 1 + fix.count(" && ")
                # Without a terminal, infra/remove needs --yes.
                command = f"{fix} --yes" if fix.startswith("infra/remove") else fix
                done = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True, stdin=subprocess.DEVNULL)
                check(f"the end of {command}", (done.returncode, done.stdout + done.stderr if done.returncode else ""), (0, ""))
            found = self.findings()
        sys.exit(f"sam: preflight still prints {found}")

    def __str__(self):
        return f"{time.monotonic() - self.started:.0f} s, {self.commands} commands"


def wait_for(what, done, seconds=120):
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            sys.exit(f"sam: {what} did not happen within {seconds} s")
        time.sleep(0.2)


def status():
    return (describe(NAME) or {}).get("StackStatus")


def cut_deployment(stack):
    """`sam deploy` ends while it waits for this nested stack, which then fails."""
    with refused(stack, hold=True):
        with (checkout / "cut.log").open("w+") as log:
            process = subprocess.Popen([sam, *DEPLOY], cwd=checkout, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            wait_for(f"the creation of {stack}", lambda: REACHED.exists() or process.poll() is not None)
            check("the end of sam deploy", process.poll() and (checkout / "cut.log").read_text()[-2000:], None)
            process.kill()
            process.wait()
        typed = Typed()
        found = [one["found"] for one in typed.findings()]
        check("a deployment that continues", found, [f"the stack {NAME} is in CREATE_IN_PROGRESS"])
        set_faults(create=json.loads(FAULTS.read_text())["create"])
        wait_for("the rollback", lambda: status() == "ROLLBACK_COMPLETE")
        check_reason(stack, typed)
    output = typed.sam(*DEPLOY, code=1)
    check("a repeat without --fix", "ROLLBACK_COMPLETE" in output or output[-2000:], True)
    typed.fix()
    check("what a cut deployment leaves", stays(), [BUDGET])
    return typed


def fail_deployment(stack):
    """`sam deploy` fails in this nested stack, and the same command succeeds later."""
    typed = Typed()
    with refused(stack, rollback_retains=True):
        typed.sam(*DEPLOY, code=1)
        check("the failed stack", status(), None)
        check_reason(stack, typed)
        found = [one for one in stays() if one != BUDGET]
        typed.fix()
        check("what a failed deployment leaves", stays(), [BUDGET])
    typed.sam(*DEPLOY)
    check("the second deployment", status(), "CREATE_COMPLETE")
    print(f"{stack}: left by a failure: {', '.join(found) or 'nothing'}")
    return typed


def use():
    """Creates what commands and functions of a working stack create."""
    outputs = {one["OutputKey"]: one["OutputValue"] for one in describe(NAME)["Outputs"]}
    client("dynamodb").put_item(TableName=NAME, Item={"pk": {"S": "FIRST"}, "sk": {"S": "FIRST"}})
    # As `pullyard init` does.
    client("dynamodb").update_table(TableName=NAME, DeletionProtectionEnabled=True)
    for secret in ("user/forge", "job/anthropic"):
        client("secretsmanager").create_secret(Name=f"{NAME}/{secret}", SecretString="none")
    for letter in "ab":
        client("sqs").create_queue(QueueName=f"{NAME}-wake-{letter * 26}")
    for _ in range(2):
        client("s3").put_object(Bucket=outputs["BucketName"], Key="export", Body=b"none")
    client("s3").delete_object(Bucket=outputs["BucketName"], Key="export")
    client("s3").put_object(Bucket=outputs["ArtifactsBucketName"], Key="log", Body=b"none")


def delete_stack(stack):
    """A used stack. `sam delete` fails in this nested stack, and preflight prints the command that succeeds later."""
    use()
    typed, failure = Typed(), FAILURES[stack]
    if stack == "Data": # It retains all of its resources.
        typed.sam(*DELETE)
    else:
        set_faults(delete=[stack, failure.resource, "refused by the scenario"])
        typed.sam(*DELETE, code=1)
        check("a refused deletion", status(), "DELETE_FAILED")
        [found] = [one for one in typed.findings() if f"the stack {NAME}" in one["found"]]
        check("the finding", found["found"], f"the stack {NAME} is in DELETE_FAILED and cannot be updated")
        set_faults()
        typed.sam(*DELETE)
    check("the deleted stack", status(), None)
    return typed


def remove_stack(stack):
    """`infra/remove`. The first one ends after each of its deletions, and is repeated."""
    typed, calls = Typed(), checkout / "cut"
    cut = {} if calls.exists() else {"CUT": str(calls)}
    while True:
        done = typed.infra("remove", "--yes", **cut)
        if done.returncode != -signal.SIGKILL:
            break
    check("the end of infra/remove", (done.returncode, done.stdout.splitlines()[-1:]), (0, [f"nothing of {NAME} stays in us-east-1"]))
    return typed


# The AWS CLI, version 1 of which ignores AWS_ENDPOINT_URL for SQS. With CUT, it ends its caller after each new call that
# changes something; CUT is the file of such calls.
AWS = """#!/bin/sh
{aws} --endpoint-url "$AWS_ENDPOINT_URL" "$@"
code=$?
case "${{CUT:+$2}}" in
  delete-*|update-*) grep -qxF "$1 $2 $4 $5" "$CUT" 2>/dev/null || {{ echo "$1 $2 $4 $5" >> "$CUT"; kill -9 "$PPID"; }} ;;
esac
exit "$code"
"""


def become_deployer():
    """The commands get the credentials of a user who has infra/deploy-policy.json, and the AWS CLI above."""
    client("iam").create_user(UserName="deployer")
    policy = (checkout / "infra/deploy-policy.json").read_text().replace("NAME", NAME)
    client("iam").put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=policy)
    key = client("iam").create_access_key(UserName="deployer")["AccessKey"]
    tools = checkout.parent / "tools"
    tools.mkdir()
    (tools / "aws").write_text(AWS.format(aws=shlex.quote(shutil.which("aws"))))
    (tools / "aws").chmod(0o755)
    os.environ.update(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
                      PATH=f"{tools}:{os.environ['PATH']}")


def unexplained(found, reasons):
    return sorted(one for one in found if not any(re.match(pattern, one) for pattern in reasons))


def stays():
    """What exists beside what existed before, and has no reason in STAYS."""
    return unexplained(inventory() - before, STAYS)


def shrink_program():
    """SAM zips the program for each function and deployment."""
    for path in checkout.glob(".aws-sam/build/Functions/*/bootstrap"):
        os.truncate(path, 1 << 16)


PHASES = {
    "a deployment that is cut": cut_deployment,
    "from a failed to a successful deployment": fail_deployment,
    "a deletion that fails once": delete_stack,
    "a removal": remove_stack,
}

if __name__ == "__main__":
    shrink_program()
    become_deployer()
    before = inventory()
    infra("preflight", "--yes", "--stack", NAME, "--alarm-email", "ops@example.com", "--monthly-budget", "50", "--only", "config")
    for stack in sys.argv[4:] or FAILURES:
        check("preflight as the deployer", [one for one in Typed().findings() if one["status"] != "fixed"], [])
        for phase, scenario in PHASES.items():
            print(f"{stack:<10} {phase:<38} {scenario(stack)}", flush=True)
        check("what stays after a removal", stays(), [])
