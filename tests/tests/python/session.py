"""The connection to the server under test, and what the programs of this folder share.

A program is run as `python NAME.py CASE`; it prints what it found as one line `RESULT {..}`. With SPANWISE_TEST_MODE=local the
SDK runs the tasks in the driver's own process and no server is needed: cases that allow it show that the program is right.
"""

import json
import os
import sys
import time
from pathlib import Path

import flyte
import flyte.errors
from flyte.remote import Action, ActionDetails

LOCAL = os.environ.get("SPANWISE_TEST_MODE") == "local"

# Longer than anything here takes on a slow machine; a wait that lasts this long has failed.
PATIENCE = 120

CASES = {}


def case(function):
    """Makes a function that takes the scratch folder and returns a dict a case of its program."""
    CASES[function.__name__] = function
    return function


def remote_case(function):
    """A case that means nothing without a server."""
    return function if LOCAL else case(function)


def connect():
    """Connects the driver, as a user of the server does."""
    if LOCAL:
        flyte.init()
    else:
        endpoint = os.environ["SPANWISE_ENDPOINT"]
        flyte.init(endpoint=endpoint, insecure=True, project="flytesnacks", domain="development", image_builder="remote")


def scratch():
    """A folder that the driver and its tasks see, for marks that outlive a process."""
    return Path(os.environ["SPANWISE_TEST_SCRATCH"])


def start(task, *args, options=None, **inputs):
    """Starts a run; `options` are those of `with_runcontext`."""
    mode = "local" if LOCAL else "remote"
    return flyte.with_runcontext(mode=mode, **(options or {})).run(task, *args, **inputs)


def call(task, *args, options=None, **inputs):
    """Runs a task to its end, which has to be a good one, and returns its only output."""
    return output(start(task, *args, options=options, **inputs))


def output(run):
    """Waits for a run and returns its only output."""
    if not LOCAL:
        run.wait(quiet=True)
        run.raise_for_status()
    return run.outputs()[0]


def failure(run):
    """Waits for a run that has to fail; what it raises, described."""
    run.wait(quiet=True)
    try:
        run.raise_for_status()
    except Exception as error:
        return described(error)
    raise AssertionError(f"{run.name} is {run.phase} but was to fail")


def described(error):
    """The exact class, the code and the text of an exception, as parents see them."""
    return {
        "class": f"{type(error).__module__}.{type(error).__qualname__}",
        "code": getattr(error, "code", None),
        "message": str(error),
    }


def actions(run):
    """All actions of a run, in the order in which they were made."""
    return list(Action.listall(for_run_name=run.name))


def by_task(run):
    """Name of the function to its actions."""
    found = {}
    for action in actions(run):
        found.setdefault((action.task_name or action.name).rsplit(".", 1)[-1], []).append(action)
    return found


def details(action):
    """What the server knows of an action."""
    return ActionDetails.get(run_name=action.run_name, name=action.name)


def phases(run):
    """Name of the function to the phases of its actions."""
    return {name: [action.phase.value for action in found] for name, found in by_task(run).items()}


def wait_until(what, condition):
    """Returns what the condition gives as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {PATIENCE} s")


def mark(path, line):
    """Appends a line to a file in one write, so that processes do not mix theirs."""
    with open(path, "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def marks(path):
    """The lines of a file, none if it is not there."""
    path = Path(path)
    return path.read_text().splitlines() if path.exists() else []


def is_alive(pid):
    """True while the process is there and is not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def report(result):
    """The line that the Rust side reads."""
    print("RESULT " + json.dumps(result), flush=True)


def main():
    """Runs the case that the command line names."""
    connect()
    report(CASES[sys.argv[1]](scratch()))
