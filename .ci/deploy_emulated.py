"""What .ci/deploy-emulated does and holds: see there."""

import copy
import functools
import io
import json
import os
import pathlib
import subprocess
import sys
import time
import zipfile

import boto3
import template_deployed as deployed
from botocore.config import Config
from cfnlint.decode import decode
from sam_expand import expanded

INFRA = pathlib.Path("infra")
STACK = "acme"
BUCKET = "packaged"
# An address, so that the subscription is deployed, too.
PARAMETERS = {"AlarmEmail": "operator@example.com", "Settings": "Dashboard=true"}

# Parameters of parts that the emulator gives other values than AWS: name -> how they differ.
UNPATTERNED = {
    **dict.fromkeys(["ApiUrl", "DispatchQueueUrl", "DispatchDeadLetterUrl", "EffectsQueueUrl", "EffectsDeadLetterUrl", "UndeliveredUrl"], "addresses are http here"),
    "KeySecretArn": "a Ref of a secret is its name here, not its ARN",
}

# An event for each function, of those that a deployment without a project can answer.
EVENTS = pathlib.Path("events")
ANSWERED = """api.health pages.board_of_nobody tickets.not_signed_in webhook.unknown_hook_base64 dispatcher.empty
    effects.unknown_ticket tasks.foreign_unknown_job sweeper.scheduled""".split()

PARTS = ["address", "network", "data", "queues", "tasks", "functions", "api", "watch", "template"]

templates, left_out = {}, []
endpoint, program, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
functions = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None


def fail(*what):
    print("deploy-emulated:", *what)
    raise SystemExit(1)


def load(path):
    template, errors = decode(str(path))
    if errors:
        fail(path, errors)
    return json.loads(json.dumps(template))


@functools.cache
def client(service):
    return boto3.client(service, endpoint_url=endpoint, config=Config(retries={"max_attempts": 2}))


def packaged(name, s3):
    """The template as it is put into the bucket: without what the emulator can't take."""
    template = copy.deepcopy(templates[name])
    for alarm in [name for name, one in template["Resources"].items() if "Metrics" in one.get("Properties", {})]:
        # The emulator knows no alarm on a sum of metrics.
        left_out.append(alarm)
        del template["Resources"][alarm]
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            part = resource["Properties"]["TemplateURL"].removesuffix(".yaml")
            s3.put_object(Bucket=BUCKET, Key=f"{part}.json", Body=json.dumps(packaged(part, s3)).encode())
            resource["Properties"]["TemplateURL"] = f"{endpoint}/{BUCKET}/{part}.json"
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            # The emulator keeps a number from a parameter as text and fails to compare it, so it gets the default itself.
            for key, limit in resource["Properties"].get("ScalingConfig", {}).items():
                resource["Properties"]["ScalingConfig"][key] = int(template["Parameters"][limit["Ref"]]["Default"])
        if resource["Type"] == "AWS::Lambda::Function":
            # On AWS nothing of this is set: the one thing that is not as it is deployed.
            variables = resource["Properties"]["Environment"]["Variables"]
            for service in ["DYNAMODB", "SQS", "ECS", "SECRETSMANAGER", "S3"]:
                variables[f"PULLYARD_{service}_ENDPOINT"] = endpoint
    for name, parameter in template.get("Parameters", {}).items():
        if name in UNPATTERNED:
            del parameter["AllowedPattern"]
    return template


def program_zip():
    """The zip of the functions' program, or of a script that answers nothing."""
    return zipped(functions.read_bytes() if functions else b"#!/bin/sh\nexit 1\n")


def zipped(body):
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
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
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
    root = deployed.Stack(client, STACK, templates, "template", PARAMETERS)
    told = {key: one for key, one in root.template["Outputs"].items() if root.holds(one.get("Condition"))}
    held("what the stack tells", outputs, {key: deployed.words(root.resolved(one["Value"])) for key, one in told.items()})
    wrong, resources = [], 0
    for stack in root.all():
        found, count = deployed.differences(stack, left_out)
        wrong += [f"{stack.part}: {one}" for one in found]
        held.count, resources = held.count + count, resources + len(stack.there)
    held("the stacks", len(root.all()), len(templates))
    if wrong:
        fail("\n".join(["not as the templates say:", *wrong]))
    secret = client("secretsmanager").get_secret_value(SecretId=outputs["KeySecretName"])["SecretString"]
    held("the key's length", len(secret), 64)
    unseen = sum(map(len, deployed.UNSEEN.values()))
    print(f"{resources} resources of {len(templates)} stacks stand there as the templates say, {held.count} properties; "
          f"{unseen} are not shown, and left out are {', '.join(left_out)}")
    return root


def part_of(found, expected):
    """Whether all that is expected is there; lists are compared whole, as in tests/functions.rs."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(part_of(found.get(name), one) for name, one in expected.items())
    return found == expected


def answered(root):
    """Each function as it stands there, in a process that the emulator starts from the zip it was given: it is handed
    an event of events/, past the gateway, and answers what is kept beside it."""
    [part] = [stack for stack in root.all() if stack.part == "functions"]
    handlers = {one["Properties"]["Handler"]: part.there[key][1] for key, one in part.wanted.items()
                if one["Type"] == "AWS::Lambda::Function"}
    names = {}
    for case in ANSWERED:
        event, expected = (json.loads((EVENTS / f"{case}{kind}.json").read_text()) for kind in ("", ".expected"))
        name = handlers[case.split(".")[0]]
        done = client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        answer = json.loads(done["Payload"].read() or b"null")
        if isinstance(answer, dict) and "json" in answer.get("headers", {}).get("content-type", ""):
            answer["body"] = json.loads(answer["body"])
        if done.get("FunctionError") or not part_of(answer, expected["answer"]):
            fail(f"{name} had {case} and answered", json.dumps(answer), "instead of", json.dumps(expected["answer"]))
        held.count += 1
        names[name] = case
    everyone = {id for kind, id in part.there.values() if kind == "AWS::Lambda::Function"}
    held("the functions that answered", set(names), everyone)
    print(f"{len(names)} functions answer from the zip that was packaged: {', '.join(names.values())}")


def noticed(root):
    """Changes what stands there, one thing after another, and each must be told, of its own resource alone. It comes
    last: the deployment is spoiled by it."""
    parts = {stack.part: stack for stack in root.all()}
    of = lambda part, key: parts[part].there[key][1]
    open_to_all = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
    anything = json.dumps(open_to_all)
    iam, sqs, lambdas, gateway, watch = (client(name) for name in ["iam", "sqs", "lambda", "apigatewayv2", "cloudwatch"])
    api, cluster = of("address", "Api"), of("tasks", "Cluster")
    family = {"family": f"{cluster}-small", "cpu": "1024", "memory": "2048", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
    small = client("ecs").describe_task_definition(taskDefinition=family["family"])["taskDefinition"]
    for part, key, change in [
        ("network", "TaskSecurityGroup", lambda id: client("ec2").authorize_security_group_ingress(GroupId=id, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")),
        ("network", "SubnetA", lambda id: client("ec2").modify_subnet_attribute(SubnetId=id, MapPublicIpOnLaunch={"Value": True})),
        ("data", "Bucket", lambda id: client("s3").delete_public_access_block(Bucket=id)),
        ("data", "ArtifactsPolicy", lambda id: client("s3").delete_bucket_policy(Bucket=of("data", "Artifacts"))),
        ("data", "Table", lambda id: client("dynamodb").update_table(TableName=id, DeletionProtectionEnabled=False)),
        ("queues", "EffectsPolicy", lambda id: sqs.set_queue_attributes(QueueUrl=of("queues", "EffectsQueue"), Attributes={"Policy": ""})),
        ("queues", "UndeliveredPolicy", lambda id: sqs.set_queue_attributes(QueueUrl=of("queues", "UndeliveredQueue"), Attributes={"Policy": anything})),
        ("queues", "DispatchQueue", lambda id: sqs.set_queue_attributes(QueueUrl=id, Attributes={"RedrivePolicy": ""})),
        ("queues", "EffectsDeadLetterQueue", lambda id: sqs.set_queue_attributes(QueueUrl=id, Attributes={"RedriveAllowPolicy": ""})),
        ("tasks", "Repository", lambda id: client("ecr").put_image_scanning_configuration(repositoryName=id, imageScanningConfiguration={"scanOnPush": False})),
        ("tasks", "TaskLogs", lambda id: client("logs").delete_retention_policy(logGroupName=id)),
        ("tasks", "SmallTask", lambda id: client("ecs").register_task_definition(
            **family, containerDefinitions=small["containerDefinitions"], executionRoleArn=small["executionRoleArn"], taskRoleArn=small["executionRoleArn"])),
        ("functions", "DispatcherRole", lambda id: iam.put_role_policy(RoleName=id, PolicyName="dispatcher", PolicyDocument=anything)),
        ("functions", "TasksRole", lambda id: iam.put_role_policy(RoleName=id, PolicyName="another", PolicyDocument=anything)),
        ("functions", "PagesRole", lambda id: iam.delete_role_policy(RoleName=id, PolicyName="pages")),
        ("functions", "ScheduleRole", lambda id: iam.update_assume_role_policy(RoleName=id, PolicyDocument=anything)),
        (
            "functions",
            "WebhookFunction",
            lambda id: lambdas.update_function_code(FunctionName=id, ZipFile=zipped(b"other")),
        ),
        ("functions", "ApiFunction", lambda id: lambdas.update_function_configuration(FunctionName=id, Environment={"Variables": {}})),
        ("functions", "EffectsFunctionEffects", lambda id: lambdas.update_event_source_mapping(UUID=id, BatchSize=10)),
        (
            "functions",
            "DispatcherFunctionDispatch",
            lambda id: lambdas.update_event_source_mapping(UUID=id, ScalingConfig={"MaximumConcurrency": 1000}),
        ),
        ("functions", "TaskStateChangesPermission", lambda id: lambdas.remove_permission(FunctionName=of("functions", "TasksFunction"), StatementId=id)),
        ("functions", "TaskStateChanges", lambda id: client("events").remove_targets(Rule=id, Ids=["tasks"])),
        ("functions", "SweeperSchedule", lambda id: client("scheduler").delete_schedule(Name=id)),
        ("api", "WebhooksRoute", lambda id: gateway.update_route(ApiId=api, RouteId=id.split("/")[-1], Target=f"integrations/{of('api', 'Pages')}")),
        ("api", "HealthRoute", lambda id: gateway.delete_route(ApiId=api, RouteId=id.split("/")[-1])),
        ("api", "Stage", lambda id: gateway.update_stage(ApiId=api, StageName=id, AccessLogSettings={"Format": "$context.path"})),
        ("watch", "AlarmTopicPolicy", lambda id: client("sns").set_topic_attributes(TopicArn=of("watch", "AlarmTopic"), AttributeName="Policy", AttributeValue=anything)),
        ("watch", "SweeperLateAlarm", lambda id: watch.disable_alarm_actions(AlarmNames=[id])),
        ("watch", "ApiErrorsAlarm", lambda id: watch.delete_alarms(AlarmNames=[id])),
        ("watch", "JobsFailedAlarm", lambda id: parts["watch"].there.pop("JobsFailedAlarm")),
    ]:
        before = set(deployed.differences(parts[part], left_out)[0])
        change(of(part, key))
        after = {one for one in deployed.differences(parts[part], left_out)[0] if one not in before}
        if not after or not all(one.startswith(f"{key} ") for one in after):
            fail(f"{key} was changed, and it tells", after or "nothing")
        noticed.count += 1
    print(f"{noticed.count} changes of what stands there, each told")


noticed.count = 0


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
    """`init` makes the first token, and says that nobody is reached at the API's address, whose name only the emulator
    knows; again, it finds what it made."""
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
    templates.update({name: expanded(load(INFRA / f"{name}.yaml"), f"s3://{BUCKET}/functions.zip") for name in PARTS})
    outputs = deploy()
    root = compared(outputs)
    home = work / "home"
    # The address would be asked first.
    sns = client("sns")
    for one in sns.list_subscriptions_by_topic(TopicArn=outputs["AlarmTopicArn"])["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    # As on a fresh account: nothing was pushed, nobody subscribed, nothing swept; and the API's address leads nowhere.
    fresh = {"stack": "good", "clock": "good", "secret": "good", "image": "wrong", "egress": "good", "alarms": "wrong"}
    examined(outputs, home, {**fresh, "queue": "good", "sweeper": "wrong", "version": "wrong"})
    initialised(outputs, home)
    client("sqs").send_message(QueueUrl=outputs["DispatchDeadLetterUrl"], MessageBody="{}")
    examined(outputs, home, {**fresh, "queue": "wrong"})
    if functions:
        answered(root)
        # What it wrote down of its round is seen.
        examined(outputs, home, {"sweeper": "good"})
    noticed(root)
    print(f"{held.count} things held")
