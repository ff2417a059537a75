"""Runs infra/preflight with the real AWS CLI against a fake AWS on 127.0.0.1; SAM's own parser reads what it writes.

    "$(.ci/venv sam)/bin/python" infra/tests/preflight.py "$(.ci/venv aws)/bin"

The fake is in preflight_aws.py beside this file. Needs python3.11, git and Linux.
fork_server.py forks the processes of the CLI and of infra/preflight, which takes a sixth of the CPU seconds of starting
them. Questions in a terminal, infra/remove and a few calls of the CLI start without it.
"""

import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import botocore.loaders
import fork_client
import fork_server
from preflight_aws import Aws, Refused
from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.config.samconfig import SamConfig
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.yamlhelper import yaml_parse

AWS, TEMPORARY = pathlib.Path(sys.argv[1]), pathlib.Path(tempfile.mkdtemp())
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "infra/releases"))

import aws as release_archive

AWS_SOCKET, PREFLIGHT_SOCKET = TEMPORARY / "aws.socket", TEMPORARY / "preflight.socket"
FORK_AWS = f'"{sys.executable}" -ISE "{fork_client.__file__}" "{AWS_SOCKET}"'
TEMPLATES = ["address", "network", "queues", "tasks", "data", "functions", "api", "watch"]
passed, failures = [], []


def check(name, actual, expected=True):
    (passed if actual == expected else failures).append(name)
    if actual != expected:
        print(f"FAILED {name}\n  expected {expected}\n  actual   {actual}")
    return actual == expected


# --- a checkout, and what runs in it

def checkout(name):
    """What git has of infra/, and the working copies of it, as a commit of a repository of its own."""
    folder = TEMPORARY / name
    shutil.copytree(REPOSITORY / "infra", folder / "infra", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    for file in ["samconfig.toml", "Cargo.toml"]:
        shutil.copy(REPOSITORY / file, folder)
    (folder / ".gitignore").write_text("/samconfig.local.toml\n")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


def program(folder, name, text):
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


ELF = {"x86_64": b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"), "arm64": b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little")}


def archive(name, target):
    """The unpacked archive of a release, which is no checkout."""
    folder = TEMPORARY / name
    for path, content in release_archive.files(REPOSITORY, target, "1.2.3", "c" * 40, ELF[release_archive.ARCHITECTURES[target]], (2026, 11, 29, 0, 0, 0)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        (folder / path).chmod(0o755 if content.startswith(b"#!") else 0o644)
    return folder


class Machine:
    """A checkout, an account and the programs on a person's PATH."""

    def __init__(self, name, answers, folder=None, **environment):
        self.folder, self.aws = folder or checkout(name), Aws({**EMPTY_ACCOUNT, **answers})
        self.local = self.folder / "samconfig.local.toml"
        self.use_aws(FORK_AWS)
        self.environment = {
            "PATH": f"{self.folder}/bin:{AWS}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder / "home"),
            "AWS_ENDPOINT_URL": self.aws.url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1", **environment}
        self.environment = {key: one for key, one in self.environment.items() if one is not None}

    def use_aws(self, command):
        """Without a command, each call of the AWS CLI starts Python and imports the CLI."""
        # Version 1 of the CLI ignores AWS_ENDPOINT_URL for SQS.
        program(self.folder, "aws", f'exec {command} "{AWS}/aws" --endpoint-url "$AWS_ENDPOINT_URL" "$@"')

    def run(self, command, *arguments):
        """Pauses of infra/remove are printed instead; those below a second are of Python's subprocess."""
        skip = "import runpy, sys, time; pause = time.sleep; sys.argv = sys.argv[1:]; " \
            "time.sleep = lambda secs: print('pause of', secs) if secs >= 1 else pause(secs); " \
            "runpy.run_path(sys.argv[0], run_name='__main__')"
        script = [self.folder / "infra" / command, *arguments]
        with tempfile.TemporaryFile("w+") as output:
            if command == "preflight":
                code = fork_client.run(PREFLIGHT_SOCKET, script, self.environment, (0, output.fileno(), output.fileno()), 900)
            else:
                code = subprocess.run([sys.executable, "-c", skip, *script], env=self.environment, stdout=output,
                                      stderr=output, timeout=900).returncode
            output.seek(0)
            printed = output.read()
        check(f"{command} prints no stack trace", "Traceback" in printed, False)
        return code, printed

    def answer(self, *lines, arguments=("--only", "config")):
        """Starts preflight in a terminal where a person types these lines, each after a question, and then ends the input.
        Returns the exit code and what is on the screen."""
        screen, terminal = pty.openpty()
        process = subprocess.Popen([self.folder / "infra/preflight", *arguments], env=self.environment, stdin=terminal,
                                   stdout=terminal, stderr=terminal)
        os.close(terminal)
        output, typed = b"", iter(lines)
        try:
            while part := os.read(screen, 4096):
                output += part
                if output.endswith(b"]: "):
                    line = next(typed, None)
                    os.write(screen, b"\x04" if line is None else f"{line}\n".encode())
        except OSError:
            pass  # Linux ends a terminal without programs by an error.
        os.close(screen)
        check("a question prints no stack trace", b"Traceback" in output, False)
        return process.wait(timeout=900), output.decode().replace("\r\n", "\n")

    def deployed(self, section="deploy", environment="default"):
        """The parameters that SAM reads for a command."""
        values = SamConfig(str(self.folder), "samconfig.local.toml").get_all([section], "parameters", environment)
        return CfnParameterOverridesType().convert((values.get("parameter_overrides", ""),), None, None)

    def override(self, **values):
        """Edits samconfig.local.toml as a person does."""
        added = "".join(f' {name}="{value}"' for name, value in values.items())
        change = lambda line: f"{line[1]}'{line[2]}{added}'"
        self.local.write_text(re.sub("(?m)^(parameter_overrides = )['\"](.*)['\"]", change, self.local.read_text(), count=1))

    def preflight(self, name, code, lines, *arguments):
        """Runs the checks in `arguments`; each of `lines` must be part of one printed line."""
        result, output = self.run("preflight", *arguments)
        check(f"{name}: exit code", result, code)
        printed = output.splitlines()
        if not all([check(f"{name}: {line}", any(all(part in one for part in line.split("...")) for one in printed))
                    for line in lines]):
            print(output)
        return output


def only(*names):
    return [argument for name in names for argument in ("--only", name)]


TOOLS = {
    "sam": "echo SAM CLI, version 1.170.0", "rustc": "echo rustc 1.999.0", "cc": ":", "docker": ":", "podman": ":",
    "cargo": 'case "$*" in "lambda --version") echo cargo-lambda 1.9.2;; lambda*) echo "{\\"zig\\": {\\"version\\": \\"0.17\\", '
             '\\"command\\": \\"zig\\"}}";; *) echo cargo 1.999.0;; esac',
    "rustup": "echo x86_64-unknown-linux-gnu"}
EVERY = ["config", "tools", "region", "credentials", "permissions", "role", "zones", "quotas", "key", "table", "leftovers", "budget", "program", "commit"]


# --- accounts

def zones(region, *ids):
    return {"availabilityZoneInfo": [{"zoneName": region + "abcdef"[at], "zoneId": one} for at, one in enumerate(ids)]}


MISSING = Refused("ResourceNotFoundException", "there is none")
EMPTY_ACCOUNT = {
    "GetCallerIdentity": {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:root"},
    "GetRole": {"Role": {"RoleName": "AWSServiceRoleForECS"}},
    "DescribeAvailabilityZones": zones("us-east-1", "use1-az6", "use1-az1"), "DescribeSubnets": {"subnetSet": []},
    "DescribeVpcs": {"vpcSet": [{"vpcId": f"vpc-0000000{at}"} for at in range(6)]},
    "GetAccountSettings": {"AccountLimit": {"ConcurrentExecutions": 10}}, "GetServiceQuota": {"Quota": {"Value": 6.0}},
    "DescribeStacks": Refused("ValidationError", "Stack with id pullyard does not exist"),
    "DescribeBudget": Refused("NotFoundException", "there is none"),
    "DescribeRepositories": Refused("RepositoryNotFoundException", "there is none"),
    **dict.fromkeys(["DescribeTable", "DescribeSecret", "GetSchedule", "DescribeRule"], MISSING),
}


def stack(status):
    return {"Stacks": [{"StackName": "pullyard", "StackStatus": status, "CreationTime": "2026-01-01T00:00:00Z"}]}


def role_missing_until_created(machine):
    created = lambda _: {} if "CreateServiceLinkedRole" in machine.aws.calls else Refused("NoSuchEntity", "no role")
    machine.aws.answers["GetRole"] = created


def fresh_account():
    machine = Machine("fresh", {})
    role_missing_until_created(machine)
    machine.preflight("a dry run", 1, ["FAIL   role...aws iam create-service-linked-role", "warn   commit"],
                      "--dry-run", *only("role", "commit"))
    machine.preflight("a dry run without a file", 0, ["warn   config...missing"], "--dry-run", *only("config"))
    check("a dry run writes nothing", machine.local.exists(), False)
    machine.preflight("a full region", 1, ["FAIL   quotas...all 6 VPCs of us-east-1...--quota-code L-F678F1CE"], *only("quotas"))
    machine.aws.answers["DescribeVpcs"] = {"vpcSet": []}
    for name, text in TOOLS.items():
        program(machine.folder, name, text)
    machine.preflight("a fresh account", 0, [
        "fixed  config...pullyard in us-east-1, Architecture=x86_64, no alarms", "ok     credentials...123456789012 in us-east-1", "fixed  role", "ok     zones...us-east-1a (use1-az6)",
        "warn   quotas...Lambda runs at most 10...--service-code lambda --quota-code L-B99A9384 --desired-value 1000",
        "warn   quotas...6 vCPU: 6 small, 3 medium or 1 large...--service-code fargate --quota-code L-3032A538",
        "ok     leftovers", "ok     program...sam build", "fixed  commit", "a deployment can succeed",
        "  sam build --config-file samconfig.local.toml", "  sam deploy --config-file samconfig.local.toml"])
    output = machine.preflight("chosen checks", 0, ["0 failed, 0 warnings in config, program"], *only("config", "program"))
    check("chosen checks promise no deployment", re.findall(r"can succeed|\n  sam", output), [])
    machine.preflight("chosen checks that fail", 1, ["1 failed, 0 warnings in role"], *only("role"), "--profile", "none")
    (machine.folder / "home/.aws").mkdir(parents=True)
    (machine.folder / "home/.aws/credentials").write_text("[work]\naws_access_key_id = none\naws_secret_access_key = none\n")
    machine.preflight("all by name, with a profile", 0, [
        "a deployment can succeed", "  sam build --config-file samconfig.local.toml --profile work"], "--profile", "work", *only(*EVERY))
    machine.local.rename(machine.folder / "other.toml")
    output = machine.preflight("a dry run of all", 0, ["warn   config", "a deployment can succeed"], "--dry-run")
    check("no command deploys what was not written", "  sam deploy" in output, False)
    (machine.folder / "other.toml").rename(machine.local)
    machine.preflight("a second run", 0, ["ok     config", "ok     role", "ok     commit"], *only("config", "role", "commit"))
    check("the role is created once", machine.aws.calls.count("CreateServiceLinkedRole"), 1)
    # Python writes bytecode elsewhere where fork_server.py runs infra/preflight.
    subprocess.run([machine.folder / "infra/preflight", "--only", "program"], env=machine.environment, stdout=subprocess.DEVNULL, check=True)
    git = subprocess.run(["git", "-C", machine.folder, "status", "--porcelain", "infra"], capture_output=True)
    check("the work tree stays clean", git.stdout, b"")
    taken = Refused("InvalidInput", "Service role name AWSServiceRoleForECS has been taken in this account")
    machine.aws.answers.update(GetRole=Refused("NoSuchEntity", "no role"), CreateServiceLinkedRole=taken)
    machine.preflight("a race for the role", 0, ["ok     role"], *only("role"))
    machine.aws.answers["CreateServiceLinkedRole"] = Refused("AccessDenied", "no")
    machine.preflight("no right to create it", 1, ["FAIL   role...iam:CreateServiceLinkedRole"], *only("role"))
    # IAM refuses a missing role, because no ARN has its path.
    machine.aws.answers.update(GetRole=Refused("AccessDenied", "no"), CreateServiceLinkedRole={})
    machine.preflight("an unreadable role is created", 0, ["fixed  role"], *only("role"))
    machine.aws.answers["CreateServiceLinkedRole"] = taken
    machine.preflight("an unreadable role exists", 0, ["ok     role...exists"], *only("role"))
    machine.aws.answers["CreateServiceLinkedRole"] = Refused("LimitExceeded", "too many roles")
    machine.preflight("an unreadable role and a full account", 1, ["FAIL   role...too many roles"], *only("role"))


def healthy_account():
    machine = Machine("healthy", {
        "GetAccountSettings": {"AccountLimit": {"ConcurrentExecutions": 1000}}, "GetServiceQuota": {"Quota": {"Value": 64.0}},
        "DescribeStacks": stack("UPDATE_COMPLETE"), "DescribeAvailabilityZones": zones("us-west-1", "usw1-az1", "usw1-az3")})
    output = machine.preflight("a healthy account", 0, ["ok     leftovers...UPDATE_COMPLETE", "0 failed, 0 warnings"],
                               *only("credentials", "role", "quotas", "leftovers", "commit"))
    check("a healthy account needs nothing", re.findall("(?m)^(?:warn|FAIL)", output), [])
    # The other zones of a region where Fargate is not everywhere.
    machine.aws.answers["DescribeAvailabilityZones"] = zones("us-west-1", "usw1-az2", "usw1-az1", "usw1-az3")
    machine.environment["AWS_DEFAULT_REGION"] = "us-west-1"
    machine.preflight("a zone without Fargate", 0, ["warn   zones...us-west-1a (usw1-az2)...Zones=us-west-1b,us-west-1c"],
                      *only("zones"))
    machine.environment["AWS_DEFAULT_REGION"] = "us-east-1"
    one, two = "subnet-0123456789abcdef0", "subnet-0123456789abcdef1"
    machine.run("preflight", *only("config"))
    machine.override(VpcId="vpc-00000001", Subnets=f"{one},{two}", ApiConcurrency="950")
    there = {"subnetId": one, "vpcId": "vpc-00000002", "availableIpAddressCount": 9, "availabilityZone": "us-east-1a",
             "availabilityZoneId": "use1-az1"}
    machine.aws.answers["DescribeSubnets"] = {"subnetSet": [there]}
    machine.preflight("given subnets and reserved concurrency", 1, [
        f"FAIL   zones...{one} is in vpc-00000002", f"FAIL   zones...{two} does not exist", "FAIL   quotas...950 concurrent"],
        *only("zones", "quotas"))


def leftovers():
    status = ["ROLLBACK_COMPLETE"]
    machine = Machine("leftovers", {
        "DescribeTable": {"Table": {"TableName": "pullyard"}}, "DescribeSecret": {"Name": "pullyard/key", "DeletedDate": 1.0},
        "DescribeLogGroups": {"logGroups": [{"logGroupName": "/pullyard/pullyard/api"}, {"logGroupName": "/pullyard/pullyard/x"}]},
        "ListFunctions": {"Functions": [{"FunctionName": "pullyard-api"}, {"FunctionName": "pullyard-dev-api"}]},
        "ListQueues": {"QueueUrls": [f"https://sqs/123456789012/pullyard-{name}" for name in ("dispatch", "wake-dispatch", f"wake-{'a1' * 13}")]},
        "DescribeRepositories": {"repositories": [{"repositoryName": "pullyard-runner"}]}})
    delete = lambda _: status.clear() or {}
    machine.aws.answers.update(
        DescribeStacks=lambda _: stack(status[0]) if status else EMPTY_ACCOUNT["DescribeStacks"], DeleteStack=delete)
    failed = ["FAIL   leftovers...ROLLBACK_COMPLETE...aws cloudformation delete-stack --stack-name pullyard --region us-east-1"]
    machine.preflight("a stack that was rolled back", 1, failed, *only("leftovers"))
    lines = ["fixed  leftovers...ROLLBACK_COMPLETE", "FAIL...the table pullyard...aws dynamodb delete-table --table-name pullyard",
             "FAIL...pullyard/key is scheduled for deletion...restore-secret", "FAIL...log group /pullyard/pullyard/api",
             "FAIL...function pullyard-api", "FAIL...queue...--queue-url https://sqs/123456789012/pullyard-dispatch",
             f"warn...1 mailboxes...aws sqs delete-queue --queue-url https://sqs/123456789012/pullyard-wake-{'a1' * 13}",
             "FAIL...pullyard-runner...ecr delete-repository"]
    output = machine.preflight("what it left", 1, lines, "--fix", *only("leftovers"))
    check("names of other stacks are no leftovers", re.findall("pullyard-dev|pullyard/x", output), [])
    machine.aws.answers["DescribeStacks"] = stack("DELETE_FAILED")
    machine.preflight("a stack that holds data", 1, ["FAIL   leftovers...DELETE_FAILED"], "--fix", *only("leftovers"))
    deleted = {one for one in machine.aws.calls if re.match("Delete|Update|Remove|Put", one)}
    check("only the stack is deleted", (deleted, machine.aws.calls.count("DeleteStack")), ({"DeleteStack"}, 1))


class Remains:
    """What a deleted stack left in an account, beside resources of others."""

    def __init__(self):
        self.tables, self.secrets = {"pullyard": "pullyard"}, {"pullyard/key": "pullyard"}
        self.budgets = {"pullyard-us-east-1": "pullyard"}
        # How often AWS still shows the key and a queue after their deletion.
        self.echoes, self.shown_key, self.shown_queues = 0, 0, []
        self.status, self.described = "ACTIVE", 0
        self.users = ["pullyard/user/github", "pullyard/job/anthropic", "pullyard/other"]
        self.queues = [f"https://sqs/123456789012/pullyard-wake-{'a1' * 13}", "https://sqs/123456789012/pullyard-wake-mine"]
        # Name of the bucket: region, tag, versions.
        data = "pullyard-data-1abcdefghijk"
        self.buckets = {
            f"{data}-bucket-x": ["", "pullyard", ["a", "b", "c", "d", "e"]], f"{data}-artifacts-x": ["", "pullyard", []],
            f"{data}-bucket-far": ["eu-west-1", "pullyard", ["a"]], f"{data}-bucket-foreign": ["", "other", ["a"]],
            f"{data}-bucket-untagged": ["", None, ["a"]], "pullyard-data-data-1abcdefghijk-x": ["", "pullyard-data", ["a"]]}

    def answers(self):
        tags = lambda value: [{"Key": "pullyard:deployment", "Value": value}] if value else []
        tag_set = lambda value: "".join(f"<Tag><Key>{one['Key']}</Key><Value>{one['Value']}</Value></Tag>" for one in tags(value))
        version = lambda key: f"<Version><Key>{key}</Key><VersionId>1</VersionId></Version>"

        def delete_objects(bucket, body):
            named = re.findall(r"<Key>(.*?)</Key><VersionId>1</VersionId>", body)
            self.buckets[bucket][2] = [one for one in self.buckets[bucket][2] if one not in named]
            return "<DeleteResult/>"

        def delete_bucket(bucket, _):
            if self.buckets[bucket][2]:
                return Refused("BucketNotEmpty", "it has objects")
            del self.buckets[bucket]
            return ""

        def delete_secret(request):
            name = request["SecretId"]
            if name in self.users:
                self.users.remove(name)
            else:
                del self.secrets[name]
                self.shown_key = self.echoes
            return {}

        def delete_queue(request):
            self.queues.remove(request["QueueUrl"])
            self.shown_queues += [request["QueueUrl"]] * self.echoes
            return {}

        def describe_secret(_):
            if self.secrets:
                return {"Name": "pullyard/key", "Tags": tags(self.secrets["pullyard/key"])}
            if not self.shown_key:
                return MISSING
            self.shown_key -= 1
            return {"Name": "pullyard/key", "Tags": tags("pullyard"), "DeletedDate": 1.0}

        def describe_table(_):
            self.described += 1
            # The removal sees it twice, and then the AWS CLI waits.
            if self.status == "DELETING" and self.described > 2:
                self.tables.clear()
            return {"Table": {"TableName": "pullyard", "TableArn": "arn:table", "TableStatus": self.status}} if self.tables else MISSING

        def change_table(_):
            return Refused("ResourceInUseException", "the table is being deleted") if self.status == "DELETING" else {}

        answer_budget = lambda request: {"Budget": {"BudgetName": request["BudgetName"]}} if request["BudgetName"] in self.budgets \
            else Refused("NotFoundException", "there is none")

        return {
            "DescribeBudget": answer_budget, "ListTagsForResource": lambda request: {"ResourceTags": tags(self.budgets[request["ResourceARN"].split("/")[-1]])},
            "DeleteBudget": lambda request: self.budgets.pop(request["BudgetName"]) and {},
            "DescribeTable": describe_table, "UpdateTable": change_table, "DescribeSecret": describe_secret,
            "ListTagsOfResource": lambda _: MISSING if self.status == "DELETING" else {"Tags": tags(self.tables["pullyard"])},
            "ListSecrets": lambda _: {"SecretList": [{"Name": one} for one in self.users]},
            "ListQueues": lambda _: {"QueueUrls": [*self.queues, *(self.shown_queues.pop() for _ in self.shown_queues[:1])]},
            "ListBuckets": lambda *_: f"<Result><Buckets>{''.join(f'<Bucket><Name>{one}</Name></Bucket>' for one in self.buckets)}</Buckets></Result>",
            "GetBucketLocation": lambda bucket, _: f"<LocationConstraint>{self.buckets[bucket][0]}</LocationConstraint>",
            "GetBucketTagging": lambda bucket, _: f"<Tagging><TagSet>{tag_set(self.buckets[bucket][1])}</TagSet></Tagging>"
            if self.buckets[bucket][1] else Refused("NoSuchTagSet", "none"),
            # Two in a page.
            "ListObjectVersions": lambda bucket, _: f"<Result>{''.join(map(version, self.buckets[bucket][2][:2]))}</Result>",
            "DeleteObjects": delete_objects, "DeleteBucket": delete_bucket, "DeleteSecret": delete_secret,
            "DeleteTable": lambda one: change_table(one) or self.tables.clear() or {}, "DeleteQueue": delete_queue}


def removal():
    remains = Remains()
    machine = Machine("removal", remains.answers())
    sys.path.insert(0, str(machine.folder / "infra"))
    others = [one for one in remains.buckets if not one.endswith(("bucket-x", "artifacts-x"))]
    machine.preflight("what a deletion leaves", 1, [
        "FAIL   leftovers...table pullyard", "FAIL   leftovers...pullyard/key", "warn   leftovers...1 mailboxes",
        "warn   leftovers...2 secrets of users...infra/remove --stack pullyard --region us-east-1",
        "warn   leftovers...2 buckets...infra/remove"], *only("leftovers"))
    changes = lambda: [one for one in machine.aws.calls if re.match("Delete|Update", one)]
    machine.aws.answers["DescribeStacks"] = stack("UPDATE_COMPLETE")
    code, output = machine.run("remove", "--yes")
    check("a stack that exists is refused", (code, "UPDATE_COMPLETE" in output, changes()), (1, True, []))
    machine.aws.answers["DescribeStacks"] = EMPTY_ACCOUNT["DescribeStacks"]
    code, output = machine.run("remove")
    check("without a terminal it asks for --yes", (code, "--yes" in output, changes()), (1, True, []))
    code, output = machine.run("remove", "--dry-run")
    check("a dry run lists and changes nothing", (code, "6 kinds stay" in output, changes()), (1, True, []))
    # A first run that is refused at the buckets, and its repeat.
    deleted = machine.aws.answers["DeleteObjects"]
    machine.aws.answers["DeleteObjects"] = lambda *_: Refused("AccessDenied", "no")
    code, output = machine.run("remove", "--yes")
    check("a refusal names the next step", (code, "repeat the command" in output, bool(remains.tables)), (1, True, True))
    machine.aws.answers["DeleteObjects"] = lambda *_: "<Result><Error><Key>a</Key><Code>AccessDenied</Code><Message>a lock</Message></Error></Result>"
    code, output = machine.run("remove", "--yes")
    check("an object that stays", (code, "a in pullyard-data-1abcdefghijk-bucket-x cannot be deleted: a lock" in output), (1, True))
    machine.aws.answers["DeleteObjects"] = deleted
    code, output = machine.run("remove", "--yes")
    check("nothing stays", (code, output.splitlines()[-1]), (0, "nothing of pullyard stays in us-east-1"))
    check("each page of versions is deleted", machine.aws.calls.count("DeleteObjects"), 2 + 3)
    check("nothing is waited for", "pause" in output, False)
    check("nothing of others is deleted", (list(remains.buckets), remains.users, remains.queues, remains.tables, remains.secrets, remains.budgets),
          (others, ["pullyard/other"], ["https://sqs/123456789012/pullyard-wake-mine"], {}, {}, {}))
    # A budget without the tag, and an operator without access to billing.
    remains.budgets = {"pullyard-us-east-1": None}
    code, output = machine.run("remove", "--yes")
    check("a budget of others stays", (code, remains.budgets), (0, {"pullyard-us-east-1": None}))
    machine.aws.answers["DescribeBudget"] = Refused("AccessDeniedException", "no")
    code, output = machine.run("remove", "--yes")
    check("no access to billing", (code, "budget of preflight: not checked, budgets:ViewBudget is denied" in output), (0, True))
    # A table and a key of this name that no stack made.
    remains.tables, remains.secrets = {"pullyard": None}, {"pullyard/key": "other"}
    code, output = machine.run("remove", "--yes")
    check("they are left alone", (code, output.count("left alone"), remains.tables), (1, 2, {"pullyard": None}))
    # AWS shows the deleted key and queue for a while.
    remains = Remains()
    remains.echoes, remains.buckets = 3, {}
    machine.aws.answers.update(remains.answers())
    code, output = machine.run("remove", "--yes")
    check("deleted ones are waited for", (code, output.splitlines()[-1], "pause of 10" in output),
          (0, "nothing of pullyard stays in us-east-1", True))
    from preflight_checks import retained
    pauses, mailboxes = [], retained.Kind("mailboxes", lambda *_: ["wake"], None)
    retained.wait_until_gone(None, "pullyard", {mailboxes: ["wake"]}, pauses.append)
    check("but for two minutes only", sum(pauses), 120)
    retained.wait_until_gone(None, "pullyard", {mailboxes: ["other"]}, pauses.append)
    check("and not for others", len(pauses), 12)
    # An earlier run was interrupted while DynamoDB deleted the table.
    remains = Remains()
    remains.status, remains.buckets, remains.users, remains.queues, remains.secrets = "DELETING", {}, [], [], {}
    machine.aws.answers.update(remains.answers())
    code, output = machine.run("remove", "--yes")
    check("a table in deletion is waited for", (code, output.splitlines()[-1]), (0, "nothing of pullyard stays in us-east-1"))
    machine.aws.answers["ListFunctions"] = Refused("AccessDenied", "no")
    code, output = machine.run("remove", "--yes")
    check("a check that fails is named", (code, output.splitlines()), (
        1, ["not checked: cannot check functions: needs lambda:ListFunctions", "more of pullyard may stay in us-east-1"]))


class Budgets:
    """The account's budgets, as AWS stores them: name -> budget and addresses by notification."""

    def __init__(self, aws):
        self.stored = {}
        aws.answers.update({name: getattr(self, name) for name in dir(self) if name[0].isupper()})

    def key(self, notification):
        return f"{notification['NotificationType']} {notification['Threshold']:g}"

    def DescribeBudget(self, request):
        one = self.stored.get(request["BudgetName"])
        return {"Budget": one[0]} if one else Refused("NotFoundException", "there is none")

    def CreateBudget(self, request):
        if request["Budget"]["BudgetName"] in self.stored:
            return Refused("DuplicateRecordException", "the budget already exists")
        self.tags = request["ResourceTags"]
        notified = {self.key(one["Notification"]): (one["Notification"], one["Subscribers"]) for one in request["NotificationsWithSubscribers"]}
        self.stored[request["Budget"]["BudgetName"]] = (request["Budget"], notified)
        return {}

    def UpdateBudget(self, request):
        one = self.stored[request["NewBudget"]["BudgetName"]]
        self.stored[request["NewBudget"]["BudgetName"]] = (request["NewBudget"], one[1])
        return {}

    def DescribeNotificationsForBudget(self, request):
        return {"Notifications": [one[0] for one in self.stored[request["BudgetName"]][1].values()]}

    def CreateNotification(self, request):
        self.stored[request["BudgetName"]][1][self.key(request["Notification"])] = (request["Notification"], request["Subscribers"])
        return {}

    def subscribers(self, request):
        return self.stored[request["BudgetName"]][1][self.key(request["Notification"])][1]

    def DescribeSubscribersForNotification(self, request):
        return {"Subscribers": self.subscribers(request)}

    def CreateSubscriber(self, request):
        self.subscribers(request).append(request["Subscriber"])
        return {}

    def UpdateSubscriber(self, request):
        found = self.subscribers(request)
        found[found.index(request["OldSubscriber"])] = request["NewSubscriber"]
        return {}

    def sent(self, name):
        return {key: [one["Address"] for one in addresses] for key, (_, addresses) in self.stored[name][1].items()}


def budgets():
    machine = Machine("budgets", {})
    account, name = Budgets(machine.aws), "pullyard-us-east-1"
    run = lambda title, code, *lines, more=(): machine.preflight(title, code, lines, *more, *only("budget"))
    edit = lambda old, new: machine.local.write_text(machine.local.read_text().replace(old, new))
    machine.preflight("half a dollar", 1, ["FAIL   config...a whole number of dollars from 0, which is none, to 1000000, and is '0.5'"],
                      "--alarm-email", "a@b", "--monthly-budget", "0.5", *only("config"))
    deletes, none = "warn   budget...deletes the stack's budget of", "ok     budget...no monthly_budget_usd"
    for state, amount, line in [
        ("UPDATE_COMPLETE", "50", f'{deletes} 50 dollars...monthly_budget_usd = "50"...then infra/preflight again, before sam deploy'),
        ("UPDATE_COMPLETE", "50.5", f'{deletes} 50.5 dollars...monthly_budget_usd = "51"'),
        ("ROLLBACK_COMPLETE", "50", none), ("UPDATE_COMPLETE", "0.0", none), ("UPDATE_COMPLETE", "0", none),
    ]:
        older = stack(state)
        older["Stacks"][0]["Parameters"] = [{"ParameterKey": "MonthlyBudgetUsd", "ParameterValue": amount}]
        machine.aws.answers["DescribeStacks"] = older
        run("a stack of an older release", 0, line)
    machine.run("preflight", "--alarm-email", "a@b", "--monthly-budget", "50", *only("config"))
    run("a dry run", 0, f"warn   budget...{name} of 50 dollars a month is missing", more=["--dry-run"])
    check("a dry run creates no budget", account.stored, {})
    run("the first budget", 0, f"fixed  budget...{name} of 50 dollars...AWS writes to a@b when 80 % and 100 %...five weeks")
    every = {"ACTUAL 80": ["a@b"], "ACTUAL 100": ["a@b"], "FORECASTED 100": ["a@b"]}
    check("its notifications", account.sent(name), every)
    check("its limit", account.stored[name][0]["BudgetLimit"], {"Amount": "50", "Unit": "USD"})
    check("its tag", account.tags, [{"Key": "pullyard:deployment", "Value": "pullyard"}])
    run("an equal budget", 0, f"ok     budget...{name} is 50 dollars a month")
    edit("a@b", "c@d")
    edit('"50"', '"70"')
    by_hand = {"CostTypes": {"IncludeTax": False}, "TimePeriod": {"Start": 1700000000.0, "End": 3706473600.0}}
    account.stored[name][0].update(by_hand)
    del account.stored[name][1]["ACTUAL 100"]
    account.stored[name][1]["FORECASTED 100"][1].append({"SubscriptionType": "EMAIL", "Address": "by@hand"})
    run("another amount, address and notification", 0, f"fixed  budget...{name}: 70 instead of 50 dollars...actual 100 % is new")
    check("the new address replaces the old one, and joins those added by hand", account.sent(name),
          {"ACTUAL 80": ["c@d"], "ACTUAL 100": ["c@d"], "FORECASTED 100": ["a@b", "by@hand", "c@d"]})
    check("what was set by hand stays", {key: one for key, one in account.stored[name][0].items() if key in by_hand}, by_hand)
    run("a repeat", 0, "ok     budget")
    # A second stack of the name in another region, and an account's budget made by hand.
    edit("us-east-1", "eu-north-1")
    run("another region", 0, "fixed  budget...pullyard-eu-north-1 of 70 dollars")
    edit("eu-north-1", "us-east-1")
    account.stored[name][0]["TimeUnit"] = "QUARTERLY"
    before = dict(account.stored[name][0])
    run("a budget made by hand", 1, f"FAIL   budget...{name} exists and is not one of all costs a month...remove monthly_budget_usd")
    check("it stays", account.stored[name][0], before)
    edit('"70"', '"0"')
    output = run("a budget of 0 beside it", 0, f"ok     budget...{name} is not one of all costs a month")
    check("no command deletes it", "delete-budget" in output, False)
    account.stored[name][0]["TimeUnit"] = "MONTHLY"
    run("a budget of 0", 0, f"warn   budget...{name} exists...aws budgets delete-budget")
    account.stored.clear()
    run("no budget", 0, "ok     budget...none")
    edit('"0"', '"0.5"')
    run("half a dollar in the file", 1, "FAIL   budget...whole number of dollars...monthly_budget_usd in samconfig.local.toml")
    edit('"0.5"', '"5"')
    edit("AlarmEmail=c@d ", "")
    run("a budget without an address", 1, "FAIL   budget...needs AlarmEmail")
    machine.override(AlarmEmail="a@b")
    machine.aws.answers["DescribeBudget"] = Refused("AccessDeniedException", "no")
    run("no access to billing", 0, "warn   budget...budgets:ViewBudget...root user allows it once")
    edit('region = "us-east-1"', 'region = "us-gov-west-1"')
    run("GovCloud", 0, "warn   budget...commercial account")


def members(request, name):
    """A list of a request in AWS's Query protocol."""
    return [one for key, one in request.items() if key.startswith(f"{name}.member.")]


def permissions():
    ada = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"}
    machine, seen = Machine("permissions", {"GetCallerIdentity": ada}), {}
    denied, organisation = set(), set()
    known = {ada["Arn"], "arn:aws:iam::123456789012:role/a/path/deployer"}

    def simulated(request):
        resource, actions = members(request, "ResourceArns")[0], members(request, "ActionNames")
        if request["PolicySourceArn"] not in known:
            return Refused("NoSuchEntity", "The role with name deployer cannot be found.")
        calls, tags = ([one for one in actions if one.startswith("apigateway:") and ("Tag" in one) == tagging] for tagging in (False, True))
        if calls and tags:
            return Refused("InvalidInput", f"Invalid Input Actions: [{','.join(calls)}] and [{','.join(tags)}] require different authorization information")
        seen.setdefault(resource, []).extend(actions)
        return {"EvaluationResults": [{
            "EvalActionName": action, "EvalDecision": "implicitDeny" if action in denied | organisation else "allowed",
            "OrganizationsDecisionDetail": {"AllowedByOrganizations": action not in organisation},
            "MissingContextValues": ["aws:RequestTag/x"] if action == "sqs:CreateQueue" else []} for action in actions]}

    machine.aws.answers["SimulatePrincipalPolicy"] = simulated
    run = lambda title, code, *lines: machine.preflight(title, code, lines, *only("permissions"))
    denied.add("sqs:CreateQueue")
    run("a condition that only the call can answer", 0, "ok     permissions...user/ada may make the calls")
    check("patterns become resources", set(seen) - {"*"} >= {
        "arn:aws:lambda:us-east-1:123456789012:function:pullyard-preflight", "arn:aws:dynamodb:us-east-1:123456789012:table/pullyard",
        "arn:aws:logs:us-east-1:123456789012:log-group:/pullyard/pullyard/preflight"})
    policy = json.loads((machine.folder / "infra/deploy-policy.json").read_text())["Statement"]
    named = {action for one in policy for action in one["Action"] if "*" not in action}
    check("every action is simulated", named - {action for actions in seen.values() for action in actions}, set())
    check("no pattern is simulated", [one for actions in seen.values() for one in actions if "*" in one], [])
    denied.update(["logs:CreateLogDelivery", "iam:PassRole"])
    organisation.add("ec2:CreateInternetGateway")
    denied.add("apigateway:TagResource")
    run("denied calls", 1, "FAIL   permissions...http api: no policy allows apigateway:TagResource on arn:aws:apigateway:us-east-1::/preflight",
        "FAIL   permissions...access logs: no policy allows logs:CreateLogDelivery on *...sed s/NAME/pullyard/g",
        "FAIL   permissions...pass roles: no policy allows iam:PassRole on arn:aws:iam::123456789012:role/pullyard-preflight",
        "FAIL   permissions...network: a policy of the organisation denies ec2:CreateInternetGateway")
    identity = {**ada, "Arn": "arn:aws:sts::123456789012:assumed-role/deployer/ada"}
    machine.aws.answers.update(GetCallerIdentity=identity, GetRole={"Role": {"Arn": "arn:aws:iam::123456789012:role/a/path/deployer"}})
    denied.clear(), organisation.clear()
    run("a session of a role", 0, "ok     permissions...role/a/path/deployer may")
    machine.aws.answers["GetRole"] = Refused("AccessDenied", "no")
    run("a session whose role has a path that it may not read", 0,
        "warn   permissions...not checked...role/deployer, because no role has this ARN...iam:GetRole")
    known.add("arn:aws:iam::123456789012:role/deployer")
    run("a session that may not read its role", 0, "ok     permissions...role/deployer may")
    machine.aws.answers["GetCallerIdentity"] = {**identity, "Arn": "arn:aws:iam::123456789012:root"}
    run("the root user", 0, "warn   permissions...cannot simulate arn:aws:iam::123456789012:root")


def keys():
    """The state and the policy of a key of one's own."""
    arn = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    key = {"Arn": arn, "KeyId": arn[-36:], "KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}
    allow = lambda kind, name, actions, **condition: {"Effect": "Allow", "Principal": {kind: name}, "Action": actions, "Resource": "*",
                                                      **({"Condition": condition} if condition else {})}
    # The table of docs/operations.md.
    group = lambda prefix: f"arn:aws:logs:us-east-1:123456789012:log-group:{prefix}/pullyard/*"
    every = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    whole = [
        allow("AWS", "arn:aws:iam::123456789012:root", "kms:*"),
        allow("Service", "logs.us-east-1.amazonaws.com", every, ArnLike={
            "kms:EncryptionContext:aws:logs:arn": [group("/pullyard"), group("/aws/vendedlogs/pullyard")]}),
        allow("Service", "cloudwatch.amazonaws.com", ["kms:Decrypt", "kms:GenerateDataKey*"], StringEquals={"aws:SourceAccount": "123456789012"}),
        allow("Service", "events.amazonaws.com", ["kms:Decrypt", "kms:GenerateDataKey"], StringEquals={
            "kms:EncryptionContext:aws:sqs:arn": "arn:aws:sqs:us-east-1:123456789012:pullyard-undelivered"})]
    policy = list(whole)
    machine = Machine("keys", {"DescribeKey": lambda _: {"KeyMetadata": dict(key)},
                               "GetKeyPolicy": lambda _: {"Policy": json.dumps({"Statement": policy})}})
    run = lambda title, code, *lines: machine.preflight(title, code, lines, *only("key"))
    machine.run("preflight", *only("config"))
    run("no key", 0, "ok     key...AWS's own keys")
    machine.override(KmsKeyArn=arn, AlarmEmail="a@b")
    run("a key with the policy of the page", 0, "ok     key...is enabled")
    policy[:] = [allow("AWS", "arn:aws:iam::123456789012:root", "kms:*")]
    output = run("the policy of a new key", 1, "FAIL   key...logs.us-east-1.amazonaws.com kms:Encrypt, kms:Decrypt...log-group:/pullyard/pullyard/api"
                 ": the first log group fails...docs/operations.md", "FAIL   key...the access log fails", "FAIL   key...events.amazonaws.com",
                 "FAIL   key...cloudwatch.amazonaws.com...alarms do not reach")
    check("each use once", len(re.findall("(?m)^FAIL", output)), 4)
    other = lambda one: json.loads(json.dumps(one).replace("/pullyard/*", "/other/*").replace(":pullyard-", ":other-"))
    policy[:] = [other(one) for one in whole]
    run("the policy of another stack", 1, "FAIL   key...the first log group", "FAIL   key...events.amazonaws.com")
    policy[:] = whole[1:]
    run("a policy without the account", 0, "warn   key...does not let the account's policies decide")
    policy[:] = [*whole, {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}]
    run("a policy that denies", 0, "warn   key...has Deny")
    policy[:] = whole
    for change, sentence in [({"KeyState": "Disabled"}, "is in Disabled...aws kms enable-key --key-id"),
                             ({"KeyState": "PendingDeletion"}, "cancel-key-deletion...&& aws kms enable-key"),
                             ({"KeyState": "Enabled", "KeySpec": "RSA_2048"}, "is of RSA_2048"),
                             ({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}, "for GENERATE_VERIFY_MAC")]:
        key.update(change)
        run(f"a key with {change}", 1, f"FAIL   key...{sentence}")
    machine.aws.answers["DescribeKey"] = Refused("NotFoundException", "no key")
    run("a key that is gone", 1, "FAIL   key...does not exist")
    machine.aws.answers["DescribeKey"] = Refused("AccessDeniedException", "no")
    run("no right to read it", 0, "warn   key...needs kms:DescribeKey")
    for change, sentence in [((":us-east-1:", ":eu-west-1:"), "is in eu-west-1, and the stack in us-east-1"),
                             ((":123456789012:", ":210987654321:"), "is in the account 210987654321")]:
        before = machine.local.read_text()
        machine.local.write_text(before.replace(arn, arn.replace(*change)))
        run(f"a key {sentence}", 1, f"FAIL   key...{sentence}")
        machine.local.write_text(before)


def failed_deployments():
    """--why reads the events of a deleted stack and of its nested stacks."""
    arn = lambda name: f"arn:aws:cloudformation:us-east-1:123456789012:stack/{name}/1"
    kind = "AWS::CloudFormation::Stack"
    events = {}

    def event(of, minute, resource, status, reason="", resource_type=kind, physical=None):
        events.setdefault(arn(of), []).insert(0, {
            "StackId": arn(of), "EventId": f"{of}{len(events.get(arn(of), []))}", "StackName": of, "LogicalResourceId": resource,
            "PhysicalResourceId": arn(physical or of) if resource_type == kind else "", "ResourceType": resource_type,
            "ResourceStatus": status, "Timestamp": f"2026-12-01T00:{minute:02}:00Z", **({"ResourceStatusReason": reason} if reason else {})})

    event("pullyard", 0, "pullyard", "UPDATE_IN_PROGRESS", "User Initiated")
    event("pullyard", 1, "Old", "UPDATE_FAILED", "a failure of an earlier deployment", "AWS::S3::Bucket")
    event("pullyard", 2, "pullyard", "CREATE_IN_PROGRESS", "User Initiated")
    event("pullyard", 3, "Doors", "CREATE_IN_PROGRESS", physical="pullyard-Doors")
    event("pullyard-Doors", 4, "Stage", "CREATE_FAILED", "Insufficient permissions to enable logging", "AWS::ApiGatewayV2::Stage")
    event("pullyard-Doors", 4, "Route", "CREATE_FAILED", "Resource creation cancelled", "AWS::ApiGatewayV2::Route")
    event("pullyard", 5, "Doors", "CREATE_FAILED", f"Embedded stack {arn('pullyard-Doors')} was not successfully created: "
          "The following resource(s) failed to create: [Stage].", physical="pullyard-Doors")
    event("pullyard", 6, "pullyard", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Doors]")
    event("pullyard", 7, "pullyard", "DELETE_COMPLETE")
    summaries = [{"StackId": arn(name), "StackName": name, "CreationTime": f"2026-12-0{day}T00:00:00Z", "StackStatus": "DELETE_COMPLETE",
                  **more} for name, day, more in [("pullyard", 1, {}), ("pullyard-dev", 2, {}), ("pullyard", 3, {"ParentId": arn("x")})]]
    machine = Machine("why", {"ListStacks": {"StackSummaries": summaries},
                              "DescribeStackEvents": lambda one: {"StackEvents": events[one["StackName"]]}})
    output = machine.preflight("a failed deployment", 1, [
        "FAIL   why...Doors > Stage (AWS::ApiGatewayV2::Stage) could not be created: Insufficient permissions to enable logging"
        "...fix: infra/preflight --only permissions"], "--why")
    check("only the cause is shown", len(re.findall("(?m)^FAIL", output)), 1)
    event("pullyard", 7, "pullyard", "CREATE_IN_PROGRESS", "User Initiated")
    event("pullyard", 7, "Policy", "CREATE_FAILED", "API: s3:PutBucketPolicy Access Denied", "AWS::S3::BucketPolicy")
    event("pullyard", 7, "Queue", "CREATE_FAILED", "You must wait 60 seconds after deleting a queue before you can create another "
          "with the same name. (Service: Sqs)", "AWS::SQS::Queue")
    machine.preflight("a repeat that is too early", 1, [
        "FAIL   why...Access Denied; fix: infra/preflight --only permissions", "FAIL   why...fix: sleep 60, then repeat sam deploy"], "--why")
    event("pullyard", 8, "pullyard", "CREATE_IN_PROGRESS", "User Initiated")
    event("pullyard", 9, "pullyard", "CREATE_COMPLETE")
    machine.preflight("a later success", 0, ["ok     why...CREATE_COMPLETE and has no failed event"], "--why")
    refused = {"ChangeSetName": "samcli-deploy2", "ChangeSetId": "arn:aws:cloudformation:us-east-1:123456789012:changeSet/samcli-deploy2/1",
               "CreationTime": "2026-12-01T00:10:00Z", "Status": "FAILED", "StatusReason":
               "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]."}
    older = {**refused, "ChangeSetName": "samcli-deploy1", "CreationTime": "2026-12-01T00:09:00Z", "Status": "CREATE_COMPLETE"}
    machine.aws.answers["ListChangeSets"] = {"Summaries": [older, refused]}
    machine.preflight("a refused change set", 1, [
        "FAIL   why...samcli-deploy2 was refused: The following hook(s)/validation failed: [AWS::EarlyValidation...fix: aws cloudformation "
        "describe-events --change-set-name arn:aws:cloudformation:us-east-1:123456789012:changeSet/samcli-deploy2/1 --region us-east-1"], "--why")
    for title, change in [("no change", {"StatusReason": "The submitted information didn't contain changes."}),
                          ("one of before", {"CreationTime": "2026-12-01T00:07:00Z"}), ("a later one", {"Status": "CREATE_COMPLETE"})]:
        machine.aws.answers["ListChangeSets"] = {"Summaries": [{**refused, **change}]}
        machine.preflight(f"a change set: {title}", 0, ["ok     why...no failed event"], "--why")
    event("pullyard", 11, "pullyard", "REVIEW_IN_PROGRESS", "User Initiated")
    machine.aws.answers["ListChangeSets"] = {"Summaries": [refused]}
    machine.preflight("a refused first change set", 1, ["FAIL   why...samcli-deploy2 was refused"], "--why")
    machine.aws.answers["ListChangeSets"] = Refused("AccessDenied", "no")
    machine.preflight("no right to list change sets", 0, ["warn   why...needs cloudformation:ListChangeSets", "ok     why"], "--why")
    machine.aws.answers["ListStacks"] = {"StackSummaries": []}
    machine.preflight("no stack", 0, ["warn   why...no stack other was deployed in us-east-1"], "--why", "--stack", "other")
    machine.preflight("a check beside it", 1, ["FAIL   config...without --only and --fix"], "--why", *only("role"))


def places():
    """A region that is misspelt, lacks a type, is not enabled, or belongs to another partition."""
    machine = Machine("places", {})
    def run(title, code, region, *lines):
        machine.environment["AWS_DEFAULT_REGION"] = region
        return machine.preflight(title, code, lines, *only("region", "credentials"))
    machine.use_aws("")
    run("a region with every type", 0, "eu-north-1", "ok     region...eu-north-1 has every resource type")
    machine.use_aws(FORK_AWS)
    run("a misspelt region", 1, "eu-centrl-1", "FAIL   region...did you mean eu-central-1?")
    run("a region without schemas", 0, "me-south-1", "warn   region...AWS publishes no resource types of me-south-1")
    run("no region's name", 1, "eu", "FAIL   region...must be a region such as eu-central-1")
    run("another partition", 1, "cn-north-1", "ok     region", "FAIL   credentials...in the partition aws, and cn-north-1 in aws-cn")
    file = machine.folder / "infra/regions.json"
    before = file.read_text()
    file.write_text(before.replace('"eu-north-1": []', '"eu-north-1": ["AWS::Budgets::Budget"]'))
    run("a region without a type", 1, "eu-north-1", "FAIL   region...eu-north-1 lacks AWS::Budgets::Budget")
    machine.preflight("such a region for a new file", 1, ["FAIL   config...eu-north-1 lacks"], "--region", "eu-north-1", *only("config"))
    file.write_text(before)
    machine.aws.answers["GetCallerIdentity"] = Refused("InvalidClientTokenId", "The security token included in the request is invalid")
    run("a region that is not enabled", 1, "eu-south-2", "FAIL   credentials...aws account enable-region --region-name eu-south-2 --region us-east-1")
    run("keys of another partition", 1, "us-gov-west-1", "FAIL   credentials...another partition than aws-us-gov")


def tables():
    """A table that an earlier stack left, and the protection of a working one."""
    table = {"TableName": "pullyard", "TableArn": "arn:table", "TableStatus": "ACTIVE", "DeletionProtectionEnabled": True}
    tags = [{"Key": "pullyard:deployment", "Value": "other"}]
    machine = Machine("tables", {"ListTagsOfResource": lambda _: {"Tags": tags}, "DescribeTable": lambda _: {"Table": dict(table)} if table else MISSING, "Scan": {"Count": 1}})
    machine.aws.answers.update(UpdateTable=lambda one: table.update(
        DeletionProtectionEnabled=one["DeletionProtectionEnabled"]) or {}, DeleteTable=lambda _: (
        Refused("ValidationException", "the table is protected") if table["DeletionProtectionEnabled"] else table.clear() or {}))
    run = lambda title, code, *lines, more=(): machine.preflight(title, code, lines, *more, *only("table"))
    run("a table of another stack", 0, "warn   table...no tag shows that a stack pullyard made", more=["--fix"])
    tags[0]["Value"] = "pullyard"
    run("a table with data", 0, "warn   table...data of an earlier stack", more=["--fix"])
    machine.aws.answers["Scan"] = {"Count": 0}
    run("an empty table", 0, "warn   table...infra/preflight --fix")
    run("an empty table, dry", 0, "warn   table...infra/preflight --fix", more=["--fix", "--dry-run"])
    machine.aws.answers["DescribeStacks"] = stack("ROLLBACK_FAILED")
    run("an empty table of a failed stack", 0, "ok     table...ROLLBACK_FAILED", more=["--fix"])
    check("it stays", bool(table) and not {"UpdateTable", "DeleteTable"} & set(machine.aws.calls), True)
    machine.aws.answers["DescribeStacks"] = EMPTY_ACCOUNT["DescribeStacks"]
    run("an empty table is deleted", 0, "fixed  table...has been deleted", more=["--fix"])
    check("it is gone", table, {})
    run("no table", 0, "ok     table...no table pullyard exists")
    table.update(TableName="pullyard", DeletionProtectionEnabled=False)
    machine.aws.answers["DescribeStacks"] = stack("UPDATE_COMPLETE")
    run("a table without protection", 0, "warn   table...pullyard init...update-table...--deletion-protection-enabled")
    table["DeletionProtectionEnabled"] = True
    run("a protected table", 0, "ok     table...protected from deletion")
    machine.run("preflight", *only("config"))
    machine.override(DeletionProtection="false")
    run("a temporary stack's table", 0, "warn   table...DeletionProtection is false...--no-deletion-protection-enabled")


def no_credentials():
    """An SSO profile whose token was never fetched: the AWS CLI refuses without asking AWS."""
    machine = Machine("sso", {}, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_DEFAULT_REGION=None)
    machine.use_aws("")
    (machine.folder / "home/.aws").mkdir(parents=True)
    (machine.folder / "home/.aws/config").write_text(
        "[profile work]\nregion = eu-central-1\nsso_session = acme\nsso_account_id = 123456789012\nsso_role_name = admin\n"
        "[sso-session acme]\nsso_region = eu-central-1\nsso_start_url = https://acme.awsapps.com/start\n")
    machine.preflight("expired SSO", 1, [
        "FAIL   credentials...fix: aws sso login --profile work", "warn   role...not checked", "warn   zones...not checked"],
        "--profile", "work", *only("credentials", "role", "zones"))
    machine.environment["AWS_REGION"] = "eu-west-1"
    machine.preflight("a region that sam ignores", 1, ["export AWS_DEFAULT_REGION=eu-west-1"], *only("credentials"))
    denied = Machine("denied", {})
    identity, refused = EMPTY_ACCOUNT["GetCallerIdentity"], Refused("AccessDeniedException", "ada is not authorized")
    denied.aws.answers = {"*": refused, "GetCallerIdentity": identity}
    names = only("credentials", "role", "zones", "quotas", "leftovers")
    denied.preflight("denied permissions", 0, [
        "warn   role...needs iam:GetRole", "warn   zones...needs ecs:ListClusters", "warn   quotas...needs lambda:GetAccountSettings",
        "warn   quotas...needs servicequotas:GetServiceQuota", "warn   leftovers...needs cloudformation:DescribeStacks"], *names)
    denied.aws.answers = {"*": Refused("ExpiredToken", "The security token included in the request is expired")}
    denied.preflight("expired keys", 1, ["FAIL   credentials...unset AWS_ACCESS_KEY_ID"], *only("credentials"))


def tools():
    machine = Machine("tools", {})
    folder = machine.folder
    for name, text in {
        "sam": "echo SAM CLI, version 1.164.9", "rustc": "echo rustc 1.99.0",
        "cargo": 'case "$*" in "lambda --version") echo cargo-lambda 1.9.2;; lambda*) echo "{\\"zig\\": {}}";; *) echo cargo 1.10.0;; esac',
        "rustup": "echo x86_64-unknown-linux-gnu", "cc": ":", "docker": "exit 1", "podman": "exit 1",
    }.items():
        program(folder, name, text)
    machine.run("preflight", "--architecture", "arm64", *only("config"))
    built = folder / ".aws-sam/build/Functions/ApiFunction/bootstrap"
    built.parent.mkdir(parents=True)
    built.write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"))
    lines = ["FAIL   sam...1.164.9 is older than 1.165", "ok     aws ", "FAIL   cargo ...1.10.0 is older", "ok     rustc",
             "ok     cargo-lambda 1.9.2", "FAIL   zig...pip install ziglang", "rustup target add aarch64-unknown-linux-gnu",
             "warn   container", "FAIL   program...x86_64 and Architecture is arm64...sam build --config-file samconfig.local.toml"]
    machine.preflight("old tools", 1, lines, *only("tools", "program"))
    built.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"))
    (folder / "infra/api.yaml").write_text("changed")
    machine.preflight("a matching program", 0, ["ok     program...1 functions built for arm64"], *only("program"))
    machine.preflight("uncommitted changes", 0, ['"status": "warn", "check": "commit"'], "--json", *only("commit"))


# --- samconfig.local.toml

def questions():
    machine = Machine("questions", {})
    code, screen = machine.answer("Acme", "acme", "eu", "eu-central-1", "nobody", "ops@example.com", "-1", "50", "riscv", "arm64")
    asked = re.findall(r"(?m)^(.*) \[(.*)\]: ", screen)
    check("the questions", (code, [question.split()[0] for question, _ in asked]),
          (0, ["Name", "Name", "AWS", "AWS", "E-mail", "E-mail", "Budget", "Budget", "Architecture,", "Architecture,"]))
    check("their defaults", [default for _, default in asked[::2]], ["pullyard", "us-east-1", "", "0", "x86_64"])
    check("the reasons", re.findall(r"(?m)^  (.*)", screen)[:5], [
        "the stack's name Acme must be 3 to 25 lower-case letters, digits and single hyphens, with a letter first and no hyphen last",
        "'eu' is no region that has published its resource types: must be a region such as eu-central-1", "AlarmEmail must be an e-mail address, or empty, and is 'nobody'",
        "the monthly budget must be a whole number of dollars from 0, which is none, to 1000000, and is '-1'",
        "Architecture must be one of arm64, x86_64, and is 'riscv'"])
    expected = {"AlarmEmail": "ops@example.com", "Architecture": "arm64"}
    check("the budget is for preflight", 'monthly_budget_usd = "50"' in machine.local.read_text())
    check("SAM builds and deploys them", (machine.deployed("build"), machine.deployed()), (expected, expected))
    values = SamConfig(str(machine.folder), machine.local.name).get_all(["deploy"], "parameters")
    check("SAM deploys this stack", (values["stack_name"], values["region"]), ("acme", "eu-central-1"))
    # SAM deletes a stack's folder with the stack.
    check("into its own folder", values["s3_prefix"], "acme")
    kept = [line for line in (machine.folder / "samconfig.toml").read_text().splitlines() if not line.startswith("stack_name")]
    check("the comments are copied", [line for line in kept if line not in machine.local.read_text()], [])
    before = machine.local.read_bytes()
    check("they are asked once", re.findall(r"\[.*\]: ", machine.answer()[1]), [])
    for arguments, name in [(["--architecture", "arm64"], "Architecture"), (["--stack", "other"], "stack_name"),
                            (["--region", "eu-west-1"], "region"), (["--alarm-email", "a@b"], "AlarmEmail")]:
        for chosen in ("config", "program"):
            machine.preflight(f"{arguments} for an existing file", 1, [f"FAIL   config...exists: change {name} there"],
                              *arguments, *only(chosen))
    machine.preflight("the file's own stack", 0, ["ok     config"], "--stack", "acme", "--region", "eu-central-1", *only("config"))
    machine.preflight("leftovers of another stack", 0, ["ok     leftovers...other"], "--stack", "other", "--region",
                      "eu-west-1", *only("leftovers"))
    check("an existing file stays", machine.local.read_bytes(), before)

    machine.local.unlink()
    machine.preflight("a flag without its check", 1, ["FAIL   config...--architecture is for a new samconfig.local.toml"],
                      "--architecture", "arm64", *only("program"))
    _, screen = machine.answer("", "", "", "")
    check("no address, no budget", len(re.findall(r"\[.*\]: ", screen)), 4)
    check("a second operator changes no address and no budget", machine.deployed(), {"Architecture": "x86_64"})
    machine.local.unlink()
    _, screen = machine.answer("arm64", arguments=[
        "--stack", "acme", "--region", "eu-west-1", "--alarm-email", "a@b", "--monthly-budget", "9", *only("config")])
    check("a flag answers a question", re.findall(r"(?m)^(\S+).* \[.*\]: ", screen), ["Architecture,"])
    for arguments in (["--yes"], ["--json"]):
        machine.local.unlink()
        check(f"{arguments[0]} asks nothing", "]: " in machine.answer(arguments=[*arguments, *only("config")])[1], False)
    machine.local.unlink()
    check("the end of input writes nothing", (machine.answer("acme")[0], machine.local.exists()), (130, False))
    for bad, sentence in {
        ("--stack", "a"): "3 to 25", ("--region", "x"): "a region such as", ("--architecture", ""): "one of arm64, x86_64",
        ("--alarm-email", "a b@c"): "an e-mail address", ("--monthly-budget", "5"): "needs --alarm-email", ("--env", "x"): "[x.",
    }.items():
        machine.preflight(f"{bad} is rejected", 1, [f"FAIL   config...{sentence}"], *bad, *only("config"))
        check(f"{bad} writes nothing", machine.local.exists(), False)
    machine.preflight("another environment", 0, ["--config-env prod"], "--env", "prod", "--alarm-email", "a@b",
                      *only("config", "program"))
    prod = machine.deployed(environment="prod")
    check("its other parameters stay", (prod["AlarmEmail"], prod["Tracing"], machine.deployed()), ("a@b", "Active", {}))


def edits():
    """Changes by hand, by `sam deploy --guided`, and files of older releases."""
    machine = Machine("edits", {})
    machine.run("preflight", *only("config"))
    for values, sentence in [
        ({"Nonsense": "1"}, "there is no parameter Nonsense"), ({"Settings": "LogLevel=warn"}, "no parameter Settings"),
        ({"LogRetentionDays": "8"}, "must be one of 1, 3"), ({"TaskDiskGiB": "20"}, "a whole number from 21 to 200"),
        ({"TaskDiskGiB": "٣٠"}, "whole number"), ({"Zones": "us-east-1a"}, "must match"), ({"SubnetBits": "12"}, "no room"),
        ({"OutboundAllow": "10.0.0.0/8,10.20.0.0/33"}, "OutboundAllow...10.20.0.0/33 is no range"),
        ({"OutboundAllow": "999.1.1.1/8"}, "999.1.1.1/8 is no range"),
    ]:
        before = machine.local.read_text()
        machine.override(**values)
        machine.preflight(f"{values} is rejected", 1, [f"FAIL   config...{sentence}...samconfig.local.toml"], *only("config"))
        machine.local.write_text(before)
    machine.override(VpcCidr="10.0.0.0/16", SubnetBits="15", Zones="us-east-1a,us-east-1c", OutboundAllow="10.20.0.7/16,fd00::/8")
    machine.preflight("a large network", 0, ["ok     config", "fixed  commit"], *only("config", "commit"))
    check("the commit is added", (len(machine.deployed()["Commit"]), machine.deployed()["Zones"]), (40, "us-east-1a,us-east-1c"))

    # tomlkit rewrites the file, with every parameter in the section of `sam deploy`.
    guided = SamConfig(str(machine.folder), machine.local.name)
    guided.put(["deploy"], "parameters", "parameter_overrides", 'AlarmEmail="a@b" Architecture="arm64" Zones=""')
    guided.flush()
    before = machine.local.read_text()
    machine.preflight("a dry run after --guided", 0, ["warn   config"], "--dry-run", *only("config"))
    check("a dry run stays dry", machine.local.read_text(), before)
    machine.preflight("after --guided", 0, ['fixed  config...[default.global.parameters]: ...AlarmEmail=a@b'], *only("config"))
    check("SAM builds for it", (machine.deployed("build")["Architecture"], machine.deployed()["Zones"]), ("arm64", ""))

    # Without its own folder in SAM's bucket, the deletion of another stack deletes this one's templates.
    prefixed = lambda: SamConfig(str(machine.folder), machine.local.name).get_all(["deploy"], "parameters").get("s3_prefix")
    machine.local.write_text(machine.local.read_text().replace('s3_prefix = "pullyard"\n', ""))
    machine.preflight("a file of an older release", 0, ["warn   config...s3_prefix"], "--dry-run", *only("config"))
    check("a dry run adds no folder", prefixed(), None)
    machine.preflight("a file of an older release", 0, ["fixed  config...s3_prefix"], *only("config"))
    check("the folder is added", prefixed(), "pullyard")
    machine.local.write_text(machine.local.read_text().replace('stack_name = "pullyard"\n', 'stack_name = "acme"\n', 1))
    machine.preflight("a renamed stack", 0, ["fixed  config...s3_prefix"], *only("config"))
    check("the folder follows the name", prefixed(), "acme")
    machine.local.write_text(machine.local.read_text().replace('s3_prefix = "acme"', 's3_prefix = "team/acme"', 1))
    machine.preflight("a folder of one's own", 0, ["ok     config"], *only("config"))
    check("one line for both", machine.deployed("build"), machine.deployed())

    machine.local.write_text('version = 0.1\n[default.global.parameters]\nparameter_overrides = "AlarmEmail=a@b MonthlyBudgetUsd=50"\n')
    machine.preflight("a file with the budget as a parameter", 0, ["fixed  config...AlarmEmail=a@b"], *only("config"))
    check("the budget is moved", (machine.deployed(), machine.local.read_text().endswith(
        '[default.preflight.parameters]\nmonthly_budget_usd = "50"\n')), ({"AlarmEmail": "a@b"}, True))

    machine.local.write_text("""# mine
version = 0.1
[default.global.parameters] # here
stack_name = "acme"
# parameter_overrides = "x"

[default.build.parameters]
parameter_overrides = "Settings=\\"Architecture=arm64\\""
[default.deploy.parameters]
parameter_overrides = "AlarmEmail=\\"a@b\\" Settings=\\"LogLevel=warn;Architecture=arm64;VpcId=\\"" # theirs
[prod.deploy.parameters]
parameter_overrides = 'Settings="Alarms=true"'
""")
    machine.preflight("a file of an older release", 0, [
        "fixed  config...AlarmEmail=a@b LogLevel=warn Architecture=arm64 VpcId=\"\"", "fixed  config...[prod.global...Alarms=true"],
        *only("config"))
    expected = {"AlarmEmail": "a@b", "Architecture": "arm64", "LogLevel": "warn", "VpcId": ""}
    check("its settings are parameters", (machine.deployed(), machine.deployed("build")), (expected, expected))
    check("of each environment", machine.deployed(environment="prod"), {"Alarms": "true"})
    check("the other lines stay", machine.local.read_text().startswith(
        '# mine\nversion = 0.1\n[default.global.parameters] # here\nstack_name = "acme"\nparameter_overrides = '))
    for text, sentence in {
        '[default.deploy.parameters]\nparameter_overrides = ["A=1"]\n': "line 2: parameter_overrides must be one quoted string",
        '[default.global.parameters]\nparameter_overrides = "A=1 B"\n': "this part is not: B",
        "[default]\nglobal = {}\n[default.deploy.parameters]\nparameter_overrides = 'LogLevel=warn'\n": "not valid TOML",
    }.items():
        machine.local.write_text(text)
        machine.preflight(f"{sentence} is refused", 1, [f"FAIL   config...{sentence}"], *only("config"))
        check(f"{sentence} writes nothing", machine.local.read_text(), text)


def templates():
    """What preflight reads from the templates."""
    folder = checkout("templates")
    parsed = {name: yaml_parse((folder / f"infra/{name}.yaml").read_text()) for name in [*TEMPLATES, "template"]}
    sys.path.insert(0, str(folder / "infra"))
    from preflight_checks import command, context, leftovers, parameters, regions, tools as tool_checks
    as_text = lambda value: [str(one) for one in value] if isinstance(value, list) else str(value)
    check("the parameters", parameters.PARAMETERS, {
        name: {key: as_text(value) for key, value in one.items()} for name, one in parsed["template"]["Parameters"].items()})
    wrong = {name: parameters.reject(name, str(one["Default"])) for name, one in parsed["template"]["Parameters"].items()}
    check("each default is allowed", {name: one for name, one in wrong.items() if one}, {})
    # `sam local invoke` replaces a reference that it cannot resolve by its name.
    stacks, _ = SamLocalStackProvider.get_stacks(str(folder / "infra/template.yaml"))
    variables = [one.environment["Variables"] for one in SamFunctionProvider(stacks).get_all()]
    check("functions", len(variables), 8)
    check("each variable has a value", [one for one in variables if set(one.values()) & parsed["functions"]["Parameters"].keys()], [])
    stack_context = context.Context(folder, "default", "acme", command.Aws(None, None), {}, None, False, False)
    covered = {"acme/key"}.union(*(kind.names for kind in leftovers.kinds(stack_context)))
    named = {json_name for part in parsed.values() for one in part["Resources"].values()
             for json_name in fixed_names(one.get("Properties", {}))}
    # The API's name need not be unique, and task definitions get another revision.
    check("every fixed name is looked for", named - covered - {"acme-small", "acme-medium", "acme-large"}, set())
    data = botocore.loaders.Loader().load_data("partitions")["partitions"]
    of = lambda region: [one["id"] for one in data if re.fullmatch(one["regionRegex"].strip("^$"), region)]
    places = [*regions.load_regions(), *regions.UNPUBLISHED]
    check("the partition of every region", [[regions.partition(one)] for one in places], [of(one) for one in places])
    check("a slow command ends", command.run("sleep", "9", timeout=0.1).errors, "sleep did not answer within 0 s")
    qemu = TEMPORARY / "binfmt"
    qemu.mkdir()
    emulation = lambda: [one.status for one in tool_checks.check_emulation("arm64", "x86_64", "Linux", qemu)]
    missing = emulation()
    (qemu / "qemu-aarch64").write_text("enabled\n")
    check("emulation", (missing, emulation()), (["warn"], ["ok"]))


def archives():
    """A release's archive has the stack of the checkout and needs no compiler, no git and no build."""
    plain = checkout("plain")
    for target, architecture in release_archive.ARCHITECTURES.items():
        machine = Machine(None, {"DescribeVpcs": {"vpcSet": []}}, folder=archive(architecture, target))
        machine.environment["PATH"] = f"{machine.folder}/bin:{AWS}:/usr/bin:/bin"
        for name in ("sam", "docker", "podman"):
            program(machine.folder, name, TOOLS[name])
        other = "x86_64" if architecture == "arm64" else "arm64"
        machine.preflight("another architecture", 1, [f"must be one of {architecture}, and is '{other}'"], "--architecture", other)
        code, screen = machine.answer("acme", "eu-central-1", "", arguments=only("config"))
        check("the architecture is no question", (code, machine.deployed()), (0, {"Architecture": architecture}))
        output = machine.preflight("an archive", 0, [
            "ok     sam ", "ok     program...release 1.2.3 for " + architecture, f"fixed  commit...{'c' * 40}",
            "a deployment can succeed", "  sam deploy --config-file samconfig.local.toml"])
        check("nothing of a checkout", re.findall("sam build|cargo|rust|git|zig|compiler", output), [])
        values = SamConfig(str(machine.folder), machine.local.name).get_all(["deploy"], "parameters")
        check("SAM finds the template by itself", "template_file" in values, False)
        stacks, _ = SamLocalStackProvider.get_stacks(str(machine.folder / "template.yaml"))
        functions = [(one.name, one.codeuri, one.architectures, one.metadata.get("BuildMethod")) for one in SamFunctionProvider(stacks).get_all()]
        check("SAM finds the program", {(os.path.realpath(one[1]), *one[2], one[3]) for one in functions},
              {(str(machine.folder / "functions.zip"), architecture, None)})
        check("of each function", len(functions), 8)
        for name in [*TEMPLATES, "template"]:
            ours, theirs = (yaml_parse((one / f"infra/{name}.yaml").read_text()) for one in (machine.folder, plain))
            if name == "template":
                theirs["Parameters"]["Architecture"].update(Default=architecture, AllowedValues=[architecture])
                del theirs["Parameters"]["Architecture"]["Description"], ours["Parameters"]["Architecture"]["Description"]
            for resource in theirs["Resources"].values() if name == "functions" else []:
                if resource["Type"] == "AWS::Serverless::Function":
                    resource["Properties"]["CodeUri"] = "../functions.zip"
                    del resource["Metadata"]
            check(f"the other resources of {name}", ours, theirs)
        tracked = (REPOSITORY / "samconfig.toml").read_text()
        check("a checkout can use its configuration", (machine.folder / "samconfig.toml").read_text(), tracked)
        functions = machine.folder / "functions.zip"
        content = functions.read_bytes()
        functions.write_bytes(release_archive.functions_zip(ELF[other], (2026, 11, 29, 0, 0, 0)))
        machine.preflight("a program of another archive", 1, [f"FAIL   program...use pullyard-aws-{architecture}.tar.gz"], *only("program"))
        functions.write_bytes(content[:-9])
        machine.preflight("a damaged program", 1, ["FAIL   program...unpack the archive again"], *only("program"))
        (machine.folder / "RELEASE").write_text(f"1.2.3 cccccc-dirty {architecture}\n")
        machine.preflight("changed sources", 0, ["warn   commit...changed sources"], *only("commit"))


def fixed_names(properties):
    for key, value in properties.items():
        if key == "Name" or key.endswith("Name") or key == "Family":
            text = value.get("Fn::Sub") if isinstance(value, dict) else None
            if value == {"Ref": "Deployment"} or isinstance(text, str) and "${Deployment}" in text:
                yield "acme" if text is None else text.replace("${Deployment}", "acme")


if __name__ == "__main__":
    scenarios = [fresh_account, leftovers, removal, budgets, tables, places, permissions, keys, failed_deployments, questions, edits, no_credentials, healthy_account, tools, templates, archives]
    # The first python3 on a machine's PATH is this one too.
    python = AWS / "python"
    with (fork_server.start(python, "aws", AWS_SOCKET), fork_server.start(python, "preflight", PREFLIGHT_SOCKET),
          ThreadPoolExecutor(3) as pool):
        for one in [pool.submit(scenario) for scenario in scenarios]:
            one.result()
    shutil.rmtree(TEMPORARY)
    print(f"preflight: {len(passed)} checks passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)
