"""Expands SAM as CloudFormation does.

CloudFormation expands a template with the values of its parameters. The translator, run here without values, would
replace references by the parameters' defaults, so the defaults are away while it works.
"""

from samtranslator.translator.transform import transform


class NoPolicies:
    """The loader of AWS's managed policies, of which the templates use none."""

    def load(self):
        return {}


def without_defaults(template, expand):
    """What `expand` makes of the template, whose parameters' defaults it does not see."""
    defaults = {name: one.pop("Default") for name, one in template.get("Parameters", {}).items() if "Default" in one}
    template = expand(template)
    for name, default in defaults.items():
        template["Parameters"][name]["Default"] = default
    return template


def expanded(template, code):
    """The template with every function's code at this address; one without SAM stays as it is."""
    if template.get("Transform") != "AWS::Serverless-2016-10-31":
        return template
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
            resource.pop("Metadata", None)
    return without_defaults(template, lambda one: transform(one, {}, NoPolicies()))
