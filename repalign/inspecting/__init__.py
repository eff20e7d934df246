"""Inspecting: repalign's evaluations as tasks of Inspect, and its models as a provider there.

The only room that imports `inspect_ai`. Inspect finds it by an entry point, so that these work:

    inspect eval repalign/honesty --model openai/gpt-5-mini
    inspect eval repalign/honesty --model repalign/smollm2 -M probe=runs/probe
"""

from importlib.util import find_spec

from repalign.errors import MissingExtraError

if find_spec("inspect_ai") is None:
    raise MissingExtraError(
        "Tasks and models for Inspect need the package inspect-ai; install it with "
        "`pip install 'repalign[eval]'`."
    )
