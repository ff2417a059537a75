"""Starts ministack for .ci/sam, with corrections where it supports less than CloudFormation.

Each correction states the difference. The corrections replace internal names of one release, which .ci/venv pins.
A scenario writes the refusals of AWS that it needs into the file PULLYARD_FAULTS; sam_commands.py has its form.
"""

import json
import os
import pathlib
import time

import ministack.app as app
import ministack.core.iam_actions as iam_actions
import ministack.core.iam_evaluator as iam_evaluator
import ministack.services.cloudformation as cloudformation
import ministack.services.cloudformation.engine as engine
import ministack.services.cloudformation.handlers as requests
import ministack.services.cloudformation.helpers as helpers
import ministack.services.cloudformation.provisioners as provisioners
import ministack.services.cloudformation.stacks as stacks
import ministack.services.cloudwatch_logs as cloudwatch_logs
import ministack.services.dynamodb as dynamodb
import ministack.services.iam as iam
import ministack.services.s3 as s3
import sam_updates
from sam_expand import without_defaults

parsed = engine._parse_template
handlers = provisioners._RESOURCE_HANDLERS
FAULTS = pathlib.Path(os.environ["PULLYARD_FAULTS"])


def part(body):
    """Expands SAM in nested templates, as CloudFormation does. Removes alarms on a sum of metrics, which ministack does
    not support, and accepts its http addresses in patterns."""
    declared = parsed(body)
    template = without_defaults(parsed(body), engine._apply_transforms)
    if "Transform" in declared:
        # Without this key, ministack would not require CAPABILITY_AUTO_EXPAND.
        template["Transform"] = declared["Transform"]
    alarms = [key for key, one in template["Resources"].items() if "Metrics" in one.get("Properties", {})]
    for key in alarms:
        del template["Resources"][key]
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Lambda::Function":
            # Functions call this emulator instead of AWS.
            variables = one["Properties"]["Environment"]["Variables"]
            variables.update({key: os.environ["AWS_ENDPOINT_URL"] for key in variables if key.endswith("_ENDPOINT")})
    for one in template.get("Parameters", {}).values():
        if "AllowedPattern" in one:
            one["AllowedPattern"] = one["AllowedPattern"].replace("https://", "https?://")
    return template


def numbered(create):
    """Converts numbers: CloudFormation passes a parameter of type Number as a number, ministack as text, with which it
    then calculates."""
    def made(logical_id, props, stack_name, *rest):
        scaling = {key: int(one) for key, one in props.get("ScalingConfig", {}).items()}
        return create(logical_id, {**props, "ScalingConfig": scaling}, stack_name, *rest)
    return made


def referred(create):
    """Makes the Ref of a secret its ARN; ministack returns its name."""
    def made(logical_id, props, stack_name, *rest):
        _, attributes = create(logical_id, props, stack_name, *rest)
        return attributes["Arn"], attributes
    return made


def remembered(update):
    """Restores the attributes of a resource that an update does not change; ministack loses them, and a later GetAtt
    fails."""
    def made(kind, id, old, new, stack_name, logical_id=None, attributes=None):
        if attributes is None:
            attributes = cloudformation._stacks[stack_name]["_resources"].get(logical_id, {}).get("Attributes")
        return update(kind, id, old, new, stack_name, logical_id, attributes)
    return made


def refused(create):
    """Refuses a log group that exists, which ministack adopts."""
    def made(logical_id, props, stack_name, *rest):
        if props["LogGroupName"] in cloudwatch_logs._log_groups:
            raise ValueError(f"Resource of type 'AWS::Logs::LogGroup' with identifier '{props['LogGroupName']}' already exists.")
        return create(logical_id, props, stack_name, *rest)
    return made


def tagged(create):
    """Stores the tags of a bucket, which ministack forgets."""
    def made(logical_id, props, stack_name):
        name, attributes = create(logical_id, props, stack_name)
        s3._bucket_tags[name] = {one["Key"]: one["Value"] for one in props.get("Tags", [])}
        return name, attributes
    return made


def protected(delete):
    """Refuses to delete a protected table, which ministack deletes if a stack has it."""
    def made(physical_id, props):
        if dynamodb._tables.get(physical_id, {}).get("DeletionProtectionEnabled"):
            raise ValueError(f"Resource cannot be deleted as it is currently protected against deletion: {physical_id}")
        return delete(physical_id, props)
    return made


def faults():
    return json.loads(FAULTS.read_text()) if FAULTS.exists() else {}


def refuse(deed, stack_name, logical_id):
    """Raises the reason of the scenario's fault for this resource. With `hold`, the refusal waits until the scenario
    removes it, so that the scenario can end `sam deploy` at this moment."""
    stack, resource, reason = faults().get(deed, ("", "", ""))
    if resource != logical_id or f"-{stack}-" not in stack_name:
        return
    while faults().get("hold"):
        FAULTS.with_suffix(".reached").touch()
        time.sleep(0.1)
    raise ValueError(reason)


def creating(create):
    def made(kind, logical_id, props, stack_name):
        refuse("create", stack_name, logical_id)
        return create(kind, logical_id, props, stack_name)
    return made


def deleting(delete):
    def made(kind, physical_id, props, stack_name=None, logical_id=None):
        refuse("delete", stack_name or "", logical_id)
        return delete(kind, physical_id, props, stack_name, logical_id)
    return made


def nested(create):
    """A nested stack that fails: its parent names it in an event, and what it had created is deleted; ministack forgets
    both."""
    def made(logical_id, props, stack_name):
        try:
            return create(logical_id, props, stack_name)
        except Exception:
            parent = cloudformation._stacks[stack_name]
            child = next((one for name, one in cloudformation._stacks.items()
                          if name.startswith(f"{stack_name}-{logical_id}-") and one["StackStatus"] == "CREATE_FAILED"), None)
            if child is None: # It was refused before it began.
                raise
            stacks._add_event(parent["StackId"], stack_name, logical_id, "AWS::CloudFormation::Stack", "CREATE_IN_PROGRESS",
                              "Resource creation Initiated", child["StackId"])
            stack["delete"](child["StackName"], {})
            raise ValueError(f"Embedded stack {child['StackId']} was not successfully created: {child['StackStatusReason']}")
    return made


def retained(delete):
    """A nested stack obeys the deletion policies of its resources and fails where a resource cannot be deleted; ministack
    deletes everything and ignores errors. AWS's pages do not say whether the rollback of a parent deletes the resources
    of a complete nested stack that have RetainExceptOnCreate; the fault `rollback_retains` retains them."""
    def made(physical_id, props):
        child = cloudformation._stacks.get(provisioners._nested_stack_lookup_name(physical_id))
        if child is None:
            return
        name, id, resources, definitions = child["StackName"], child["StackId"], child["_resources"], child["_template"]["Resources"]
        parent = cloudformation._stacks[child["_parent_stack_name"]]
        rolls_back = child["StackStatus"] == "CREATE_FAILED" or (
            parent["StackStatus"] == "ROLLBACK_IN_PROGRESS" and not faults().get("rollback_retains"))
        retaining = ["Retain"] if rolls_back else ["Retain", "RetainExceptOnCreate"]
        failed = []
        for key in reversed(engine._topological_sort(definitions, child["_conditions"])):
            one = resources.get(key)
            if one is None or definitions[key].get("DeletionPolicy") in retaining:
                resources.pop(key, None)
                continue
            try:
                provisioners._delete_resource(one["ResourceType"], one["PhysicalResourceId"], one["Properties"], name, key)
                del resources[key]
            except Exception as error:
                stacks._add_event(id, name, key, one["ResourceType"], "DELETE_FAILED", str(error), one["PhysicalResourceId"])
                failed.append(key)
        if failed:
            child["StackStatus"] = "DELETE_FAILED"
            raise ValueError(f"The following resource(s) failed to delete: [{', '.join(failed)}].")
        delete(physical_id, props)
    return made


def named(action):
    """Names the actions of budgets as IAM does; ministack has the names of the operations."""
    def made(*arguments):
        found = action(*arguments)
        for operation, name in {"Describe": "ViewBudget", "Create": "ModifyBudget", "Update": "ModifyBudget", "Delete": "ModifyBudget"}.items():
            if found and found.startswith(f"budgets:{operation}"):
                return f"budgets:{name}"
        return found
    return made


def located(resource_arn):
    """The ARN that IAM evaluates, where ministack has `*`: of a role with its path, of the role that a service gets, and of
    repositories, clusters, rules and a table's tags."""
    named = {"ecr": ("repositoryNames", "repository"), "ecs": ("clusters", "cluster"), "events": ("Name", "rule"),
             "dynamodb": ("ResourceArn", "")}

    def made(service, method, path, headers, body, params, region, account):
        role, linked = (params.get(name, [""])[0] for name in ("RoleName", "AWSServiceName"))
        if service == "iam" and linked:
            return f"arn:aws:iam::{account}:role/aws-service-role/{linked}/{linked}"
        if service == "iam" and role in iam._roles:
            return iam._roles[role]["Arn"]
        key, kind = named.get(service, ("", ""))
        name = key and json.loads(body or b"{}").get(key)
        if name and name[0:4] == "arn:":
            return name
        if name:
            return f"arn:aws:{service}:{region}:{account}:{kind}/{name if isinstance(name, str) else name[0]}"
        return resource_arn(service, method, path, headers, body, params, region, account)
    return made


def linked(create):
    """Spells ECS's role as AWS does, and refuses it twice."""
    def made(params):
        name = "AWSServiceRoleForECS"
        if name in iam._roles:
            return iam._error(400, "InvalidInput", f"Service role name {name} has been taken in this account", ns="iam")
        answer = create(params)
        role = iam._roles.pop("AWSServiceRoleForEcs")
        iam._roles[name] = {**role, "RoleName": name, "Arn": role["Arn"].replace("ForEcs", "ForECS")}
        return answer
    return made


def conditioned(context):
    """Adds the key iam:AWSServiceName of conditions."""
    def made(service, action, body, params):
        linked = {"iam:AWSServiceName": params["AWSServiceName"][0]} if "AWSServiceName" in params else {}
        return context(service, action, body, params) | linked
    return made


def addressed(get_template):
    """Returns uploaded templates at AWS's address, the only one at which `sam delete` deletes them."""
    def made(params):
        status, headers, body = get_template(params)
        return status, headers, body.replace(os.environ["AWS_ENDPOINT_URL"].encode(), b"https://s3.amazonaws.com")
    return made


def updatable(create):
    """Refuses to update a stack in a state that permits only its deletion; ministack updates it."""
    def made(params):
        stack = cloudformation._stacks.get(params["StackName"][0], {})
        if stack.get("StackStatus") in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            return helpers._error("ValidationError", f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be updated.", 400)
        return create(params)
    return made


# ministack parses nested templates by this name; it parses the root template by a name that it imported before.
engine._parse_template = part
mapping, secret = handlers["AWS::Lambda::EventSourceMapping"], handlers["AWS::SecretsManager::Secret"]
group, table, stack, bucket = (handlers[f"AWS::{kind}"] for kind in (
    "Logs::LogGroup", "DynamoDB::Table", "CloudFormation::Stack", "S3::Bucket"))
mapping["create"] = numbered(mapping["create"])
secret["create"] = referred(secret["create"])
group["create"] = refused(group["create"])
bucket["create"] = tagged(bucket["create"])
table["delete"] = protected(table["delete"])
stack["create"] = nested(stack["create"])
stack["delete"] = retained(stack["delete"])
# Nested stacks use these names; root stacks imported them before.
provisioners._provision_resource = creating(provisioners._provision_resource)
provisioners._delete_resource = deleting(provisioners._delete_resource)
provisioners._update_resource = remembered(provisioners._update_resource)
sam_updates.correct(handlers, faults)
requests._ACTION_HANDLERS["CreateChangeSet"] = updatable(requests._ACTION_HANDLERS["CreateChangeSet"])
requests._ACTION_HANDLERS["GetTemplate"] = addressed(requests._ACTION_HANDLERS["GetTemplate"])
iam_actions.extract_iam_action = named(iam_actions.extract_iam_action)
# SAM's bucket requires TLS, and a connection to this emulator is inside of one machine.
app.pin_request_origin = lambda address, secure: iam_evaluator.pin_request_origin(address, True)
iam_actions.extract_resource_arn = located(iam_actions.extract_resource_arn)
iam._IAM_HANDLERS["CreateServiceLinkedRole"] = linked(iam._IAM_HANDLERS["CreateServiceLinkedRole"])
iam_actions.request_tag_context = conditioned(iam_actions.request_tag_context)
# ministack checks capabilities only if it also enforces IAM.
requests._capabilities_enforced = lambda: True
app.main()
