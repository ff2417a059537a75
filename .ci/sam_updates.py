"""Corrections of ministack where its updates of stacks differ from CloudFormation's. sam_emulator.py applies them."""

import functools

import ministack.core.responses as responses
import ministack.services.budgets as budgets
import ministack.services.cloudformation as cloudformation
import ministack.services.cloudformation.provisioners as provisioners
import ministack.services.cloudformation.stacks as stacks
import ministack.services.s3 as s3
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

# Types with a name that the templates set, beside those that ministack has.
NAMES = {"AWS::EC2::SecurityGroup": "GroupName", "AWS::Events::Rule": "Name"}


@functools.cache
def create_only(kind):
    """The properties of which a change replaces the resource, by AWS's schema of the type. Those that replace it only in
    some cases count too."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = schema.get("createOnlyProperties", []) + schema.get("conditionalCreateOnlyProperties", [])
    return [path.split("/")[2:] for path in paths]


def value(properties, path):
    for key in path:
        properties = properties.get(key) if isinstance(properties, dict) else None
    return properties


def replaces(kind, old, new):
    """Whether this change replaces the resource; ministack knows fewer properties."""
    return any(value(old, path) != value(new, path) for path in create_only(kind))


class Cleanup:
    """Deletes resources that an update of a root stack removes: after all nested stacks are updated, and none if one fails.
    ministack deletes resources of a nested stack while it updates this one, so that a rollback would lose them."""

    def __init__(self):
        # The nested stacks that an update changes now, with their resources before it.
        self.updating = {}
        # Root stack -> (nested stack, logical id, record, type, properties).
        self.pending = {}

    def update(self, update):
        def made(physical_id, old, new, stack_name):
            child = provisioners._nested_stack_lookup_name(physical_id)
            if cloudformation._stacks[stack_name]["StackStatus"].startswith("UPDATE_ROLLBACK"):
                self.restore(stack_name, child)
                return update(physical_id, old, new, stack_name)
            self.updating[child] = {key: dict(one) for key, one in cloudformation._stacks[child]["_resources"].items()}
            try:
                return update(physical_id, old, new, stack_name)
            finally:
                del self.updating[child]
        return made

    def delete(self, delete):
        def made(kind, physical_id, props, stack_name=None, logical_id=None):
            record = self.updating.get(stack_name, {}).get(logical_id)
            if record is None or record["PhysicalResourceId"] != physical_id:
                return delete(kind, physical_id, props, stack_name, logical_id)
            root = cloudformation._stacks[stack_name]["_parent_stack_name"]
            self.pending.setdefault(root, []).append((stack_name, logical_id, record, kind, props))
        return made

    def restore(self, root, child):
        """Before the rollback of a nested stack: it has its old resources again, and their replacements are deleted."""
        resources = cloudformation._stacks[child]["_resources"]
        for name, key, record, kind, _ in self.pending.get(root, []):
            if name != child:
                continue
            replacement, resources[key] = resources.get(key), record
            if replacement and replacement["PhysicalResourceId"] != record["PhysicalResourceId"]:
                provisioners._delete_resource(kind, replacement["PhysicalResourceId"], replacement["Properties"], child, key)
        self.pending[root] = [one for one in self.pending.get(root, []) if one[0] != child]

    def run(self, resolve):
        """The root's outputs are the last that can fail."""
        def made(*arguments):
            outputs, root = resolve(*arguments), arguments[5]
            for child, key, record, kind, props in reversed(self.pending.pop(root, [])):
                try:
                    provisioners._delete_resource(kind, record["PhysicalResourceId"], props, child, key)
                except Exception as error:
                    # As on AWS, the update succeeds, and the resource stays.
                    id = cloudformation._stacks[child]["StackId"]
                    stacks._add_event(id, child, key, kind, "DELETE_FAILED", str(error), record["PhysicalResourceId"])
            return outputs
        return made


def identified(change):
    """Finds a secret by its ARN, which is the Ref of it (`referred` in sam_emulator.py); ministack looks for its name."""
    def made(physical_id, *arguments):
        name = physical_id.partition(":secret:")[2].rpartition("-")[0] or physical_id
        result = change(name, *arguments)
        return (result[1]["Arn"], result[1]) if result else result
    return made


def retagged(update):
    """Changes the tags of a bucket, which ministack ignores."""
    def made(physical_id, old, new, stack_name):
        result = update(physical_id, old, new, stack_name)
        provisioners._reconcile_tag_map(s3._bucket_tags.setdefault(result[0], {}), old, new)
        return result
    return made


def numbered(update):
    """Converts numbers, as `numbered` in sam_emulator.py."""
    def made(physical_id, old, new, stack_name):
        scaling = {key: int(one) for key, one in new.get("ScalingConfig", {}).items()}
        return update(physical_id, old, {**new, "ScalingConfig": scaling}, stack_name)
    return made


def typed(change, at):
    """Converts the protection of a table: CloudFormation passes a parameter's text as a boolean, ministack as text, which is
    always true."""
    def made(*arguments):
        properties = dict(arguments[at])
        if "DeletionProtectionEnabled" in properties:
            properties["DeletionProtectionEnabled"] = str(properties["DeletionProtectionEnabled"]).lower() == "true"
        return change(*arguments[:at], properties, *arguments[at + 1:])
    return made


class Queues:
    """Refuses the name of a deleted queue while the fault `queue_names` is set, as SQS does for 60 s; ministack never does."""

    def __init__(self, faults):
        self.faults, self.deleted = faults, set()

    def create(self, create):
        def made(logical_id, props, stack_name):
            if self.faults().get("queue_names") and props["QueueName"] in self.deleted:
                raise ValueError("You must wait 60 seconds after deleting a queue before you can create another with the same "
                                 "name. (Service: Sqs, Status Code: 400, Request ID: 1)")
            return create(logical_id, props, stack_name)
        return made

    def delete(self, delete):
        def made(physical_id, props):
            self.deleted.add(props["QueueName"])
            return delete(physical_id, props)
        return made


def create_budget(logical_id, props, stack_name):
    budget = {**props["Budget"], "BudgetLimit": {key: str(one) for key, one in props["Budget"]["BudgetLimit"].items()}}
    status, _, body = budgets._create_budget({"Budget": budget, "NotificationsWithSubscribers": props["NotificationsWithSubscribers"]})
    if status >= 400:
        raise ValueError(body.decode())
    return budget["BudgetName"], {}


def delete_budget(physical_id, props):
    budgets._delete_budget({"BudgetName": physical_id})


def correct(handlers, faults):
    cleanup, queues = Cleanup(), Queues(faults)
    stack, secret, bucket, queue, mapping, table = (handlers[f"AWS::{kind}"] for kind in (
        "CloudFormation::Stack", "SecretsManager::Secret", "S3::Bucket", "SQS::Queue", "Lambda::EventSourceMapping",
        "DynamoDB::Table"))
    stack["update"] = cleanup.update(stack["update"])
    secret["update"], secret["delete"] = identified(secret["update"]), identified(secret["delete"])
    bucket["update"] = retagged(bucket["update"])
    table["create"], table["update"] = typed(table["create"], 1), typed(table["update"], 2)
    mapping["update"] = numbered(mapping["update"])
    queue["create"], queue["delete"] = queues.create(queue["create"]), queues.delete(queue["delete"])
    # Templates of older releases have this type, which ministack lacks.
    handlers["AWS::Budgets::Budget"] = {"create": create_budget, "delete": delete_budget}
    for kind, name in NAMES.items():
        provisioners._CUSTOM_NAME_REPLACEMENT.setdefault(kind, {"name": name})
    # CloudFormation tags buckets, too, with the stack's tags and name.
    provisioners._STACK_TAG_PROPERTY["AWS::S3::Bucket"] = ("Tags", "list")
    provisioners._replacing_change = stacks._replacing_change = replaces
    provisioners._delete_resource = cleanup.delete(provisioners._delete_resource)
    stacks._resolve_stack_outputs = cleanup.run(stacks._resolve_stack_outputs)
    # Names of nested stacks: CloudFormation's have capital letters and digits, by which infra/remove recognises them.
    new_uuid = responses.new_uuid
    responses.new_uuid = lambda: new_uuid().replace("-", "").upper()
