"""Whether an answer is what the SDK's model declares.

The SDK itself is too kind for that: it makes text of anything, and leaves out what it does not know. So the JSON is
held against the declared types before the SDK's own reading is looked at.
"""

import re

import PureCloudPlatformClientV2 as genesys
from dateutil.parser import isoparse

PLAIN = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "object": lambda value: True,
}


def faults(value, kind, at="answer"):
    """What is wrong with a JSON value that should be of the SDK's type `kind`, as a list of texts."""
    if kind is None:
        return [] if value in (None, "") else [f"{at}: nothing was declared, and there is {value!r}"]
    if listed := re.fullmatch(r"list\[(.*)\]", kind):
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no list"]
        return [each for n, item in enumerate(value) for each in faults(item, listed[1], f"{at}[{n}]")]
    if mapped := re.fullmatch(r"dict\(str, (.*)\)", kind):
        if not isinstance(value, dict):
            return [f"{at}: {value!r} is no map"]
        return [each for key, item in value.items() for each in faults(item, mapped[1], f"{at}.{key}")]
    if kind in PLAIN:
        return [] if PLAIN[kind](value) else [f"{at}: {value!r} is no {kind}"]
    if kind == "datetime":
        return moment_faults(value, at)
    return model_faults(value, kind, at)


def moment_faults(value, at):
    try:
        moment = isoparse(value)
    except (TypeError, ValueError):
        return [f"{at}: {value!r} is no date-time"]
    return [] if moment.tzinfo else [f"{at}: {value!r} has no time zone"]


def model_faults(value, kind, at):
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is no {kind}"]
    model = getattr(genesys, kind)()
    types = {model.attribute_map[attribute]: each for attribute, each in model.swagger_types.items()}
    found = []
    for key, item in value.items():
        if key not in types:
            found.append(f"{at}: {kind} has no {key}")
        elif item is not None:
            found += faults(item, types[key], f"{at}.{key}")
    return found


def unknown_values(parsed, at="answer"):
    """Where the SDK read a value that its model's enum has not got: it puts this text in its place."""
    if isinstance(parsed, str):
        return [f"{at}: a value that the SDK does not know"] if parsed == "outdated_sdk_version" else []
    if isinstance(parsed, list):
        return [each for n, item in enumerate(parsed) for each in unknown_values(item, f"{at}[{n}]")]
    if isinstance(parsed, dict):
        return [each for key, item in parsed.items() for each in unknown_values(item, f"{at}.{key}")]
    if hasattr(parsed, "swagger_types"):
        fields = ((name, getattr(parsed, name)) for name in parsed.swagger_types)
        return [each for name, item in fields for each in unknown_values(item, f"{at}.{name}")]
    return []
