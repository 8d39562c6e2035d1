"""Tracked runs: `flyte run --local --tracked`, and what the server then has of them."""

import asyncio
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import flyte.remote
import session
from cli import CONFIG

PROGRAM = [sys.executable, "launch.py", Path(sys.executable).parent / "flyte"]


def command(*arguments):
    config = session.scratch() / "config.yaml"
    config.write_text(CONFIG.format(endpoint=os.environ["SPANWISE_ENDPOINT"]))
    environment = {**os.environ, "COLUMNS": "250", "NO_COLOR": "1", "TERM": "dumb"}
    program = [*PROGRAM, "--config", config, "run", "--local", "--tracked", *arguments]
    return program, environment


def ended(*arguments, fails=False):
    """Runs the program to its end, with strict reporting."""
    program, environment = command("--tracked-strict", *arguments)
    process = subprocess.run(program, capture_output=True, text=True, timeout=session.PATIENCE, env=environment, stdin=subprocess.DEVNULL)
    said = process.stdout + process.stderr
    assert (process.returncode != 0) == fails, f"{arguments}: {process.returncode}\n{said}"
    return said


def by_function(run):
    """Name of the task or the step to its actions."""
    found = {}
    for action in session.actions(run):
        found.setdefault(action.pb2.metadata.funtion_name, []).append(action)
    return found


def phases(run):
    return {name: sorted(action.phase.value.lower() for action in found) for name, found in by_function(run).items()}


def only(run, task):
    [action] = by_function(run)[task]
    return session.details(action)


@session.remote_case
def everything(_scratch):
    said = ended("--name", "local-everything", "tracked_tasks.py", "main", "--x", "4")
    run = flyte.remote.Run.get("local-everything")
    run.wait(quiet=True)
    root = only(run, "main")
    flaky = only(run, "flaky")
    broken = only(run, "broken")
    middle = only(run, "middle")
    doubled = only(run, "doubled")
    leaf = only(run, "leaf")
    first, second = (session.details(action) for action in by_function(run)["remembered"])
    reported = only(run, "reported")
    report_uri = reported.pb2.attempts[-1].outputs.report_uri
    page = f"http://{os.environ['SPANWISE_ENDPOINT']}/v2/domain/development/project/flytesnacks/tracked-runs/local-everything"
    html = urllib.request.urlopen(page).read().decode()
    # What the program's run is asked for answers what the run of a server does.
    again = flyte.remote.Run.listall(project="flytesnacks", domain="development", limit=50)
    assert run.name in [found.name for found in again], said
    return {
        "phases": phases(run),
        "output": run.outputs()[0],
        "input": run.inputs()["x"],
        "child": [asyncio.run(middle.inputs())["x"], list(asyncio.run(middle.outputs()))[0]],
        "source": root.pb2.metadata.source,
        "attempts": [len(flaky.pb2.attempts), flaky.pb2.status.attempts],
        "first_failure": flaky.pb2.attempts[0].error_info.message,
        "broken": [broken.phase.value, broken.pb2.error_info.message, broken.pb2.error_info.kind],
        "parents": [middle.pb2.metadata.parent, leaf.pb2.metadata.parent == middle.name, doubled.pb2.metadata.parent == middle.name],
        "group": middle.pb2.metadata.group,
        "kinds": [leaf.pb2.metadata.action_type, doubled.pb2.metadata.action_type],
        "cache": sorted([first.pb2.status.cache_status, second.pb2.status.cache_status]),
        "report": report_uri.rsplit("/", 3)[1:],
        "page": ["runs elsewhere" in html, "SUCCEEDED" in html.upper(), "Run again" in html],
    }


@session.remote_case
def a_failing_root(_scratch):
    said = ended("--name", "local-fails", "tracked_tasks.py", "fails", fails=True)
    run = flyte.remote.Run.get("local-fails")
    root = only(run, "fails")
    return {"phases": phases(run), "message": root.pb2.error_info.message, "said": "no such 3" in said}


@session.remote_case
def goes_on(scratch):
    """Runs until the file `go` is there; another one may end the server meanwhile."""
    program, environment = command("--name", "local-goes-on", "tracked_tasks.py", "two_halves")
    process = subprocess.Popen(program, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    session.mark(scratch / "pids", process.pid)
    said, _ = process.communicate(timeout=session.PATIENCE)
    if process.returncode < 0:
        return {"killed": -process.returncode}
    assert process.returncode == 0, said
    run = flyte.remote.Run.get("local-goes-on")
    return {"phases": phases(run), "output": run.outputs()[0], "said": len(re.findall("Dropping", said))}


if __name__ == "__main__":
    session.main()
