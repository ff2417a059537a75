"""Expands SAM as CloudFormation does.

CloudFormation expands a template with the values of its parameters. The translator, run here without values, would
replace references by the parameters' defaults, so the defaults are removed while it runs.
"""

from samtranslator.translator.transform import transform


class NoPolicies:
    """A loader without policies, because the templates use no AWS managed policy."""

    def load(self):
        return {}


def without_defaults(template, expand):
    """Runs `expand` on the template without the defaults of its parameters, then restores them."""
    defaults = {name: one.pop("Default") for name, one in template.get("Parameters", {}).items() if "Default" in one}
    template = expand(template)
    for name, default in defaults.items():
        template["Parameters"][name]["Default"] = default
    return template


def expanded(template, code):
    """The expanded template, with every function's code at this address. A template without SAM is unchanged."""
    if template.get("Transform") != "AWS::Serverless-2016-10-31":
        return template
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
            resource.pop("Metadata", None)
    return without_defaults(template, lambda one: transform(one, {}, NoPolicies()))
