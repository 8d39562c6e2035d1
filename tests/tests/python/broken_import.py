"""A module that can be imported everywhere but in the process of its own task."""

import os

import flyte

if os.environ.get("ACTION_NAME", "a0") != "a0":
    import there_is_no_such_module  # noqa: F401

env = flyte.TaskEnvironment(name="broken_import")


@env.task
async def never_loaded(number: int) -> int:
    return number
