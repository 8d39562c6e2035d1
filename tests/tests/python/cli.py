"""The command line `flyte`, configured by a file as its users do."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import session

CONFIG = """\
admin:
  endpoint: dns:///{endpoint}
  insecure: true
image:
  builder: remote
task:
  project: flytesnacks
  domain: development
"""


PROGRAM = [sys.executable, "launch.py", Path(sys.executable).parent / "flyte"]


def ended(*arguments, fails=False):
    """Runs `flyte` to its end."""
    config = session.scratch() / "config.yaml"
    config.write_text(CONFIG.format(endpoint=os.environ["SPANWISE_ENDPOINT"]))
    command = [*PROGRAM, "--config", config, *arguments]
    environment = {**os.environ, "COLUMNS": "250", "NO_COLOR": "1", "TERM": "dumb"}
    process = subprocess.run(command, capture_output=True, text=True, timeout=session.PATIENCE, env=environment, stdin=subprocess.DEVNULL)
    assert (process.returncode != 0) == fails, f"{arguments}: {process.returncode}\n{process.stdout}\n{process.stderr}"
    return process


def flyte(*arguments, **options):
    """What `flyte` printed."""
    process = ended(*arguments, **options)
    return process.stdout + process.stderr


def listed(*arguments):
    """What `flyte` lists; its tables cut names off, and its JSON is broken into lines."""
    return json.loads(ended("--output-format", "json-raw", *arguments).stdout, strict=False)


def run_name(printed):
    return re.search(r"/runs/([a-z0-9-]+)", printed.replace("\n", ""))[1]


def started(*arguments):
    return run_name(flyte("run", *arguments))


def wait_for_phase(run, phase):
    def phase_of_the_run():
        return phase in flyte("get", "action", run, "a0").lower()

    session.wait_until(f"the phase {phase}", phase_of_the_run)


@session.remote_case
def run_and_get(_scratch):
    run = started("cli_tasks.py", "greet", "--name", "Ada \N{ROCKET}", "--times", "2")
    wait_for_phase(run, "succeeded")
    io = flyte("get", "io", run)
    assert "Ada" in io and "hello, hello Ada" in io, io
    logs = flyte("get", "logs", run)
    assert "greeting Ada" in logs, logs
    runs = [found["action"]["id"]["run"]["name"] for found in listed("get", "run")]
    assert run in runs, runs
    one = flyte("get", "run", run)
    assert run in one, one
    projects = [project["id"] for project in listed("get", "project")]
    assert "flytesnacks" in projects, projects
    return {"actions": len(listed("get", "action", run)), "run": run}


@session.remote_case
def follow(_scratch):
    printed = flyte("run", "--follow", "cli_tasks.py", "greet", "--name", "Grace")
    assert "greeting Grace" in printed, printed
    wait_for_phase(run_name(printed), "succeeded")
    return {}


@session.remote_case
def abort(_scratch):
    run = started("cli_tasks.py", "wait_for_ever")
    flyte("abort", "run", run, "--reason", "by hand")
    wait_for_phase(run, "aborted")
    return {}


@session.remote_case
def deploy(_scratch):
    flyte("deploy", "--version", "cli-1", "cli_tasks.py", "env")
    tasks = [task["taskId"]["name"] for task in listed("get", "task")]
    assert "cli_tasks.greet" in tasks and "cli_tasks.word" in tasks, tasks
    versions = [task["taskId"]["version"] for task in listed("get", "task", "cli_tasks.greet")]
    assert versions == ["cli-1"], versions
    run = started("deployed-task", "cli_tasks.greet", "--name", "Edsger")
    wait_for_phase(run, "succeeded")
    again = run_name(flyte("rerun", run))
    wait_for_phase(again, "succeeded")
    return {}


@session.remote_case
def apps(_scratch):
    flyte("serve", "apps.py", "steady")
    assert "steady" in [app["metadata"]["id"]["name"] for app in listed("get", "app", "--status", "active")]
    one = flyte("get", "app", "steady")
    assert "/apps/flytesnacks/development/steady" in one, one
    flyte("update", "app", "steady", "--deactivate", "--wait")
    assert "steady" not in [app["metadata"]["id"]["name"] for app in listed("get", "app", "--status", "active")]
    flyte("update", "app", "steady", "--activate", "--wait")
    flyte("deploy", "--version", "cli-apps", "apps.py", "env")
    assert "web" in [app["metadata"]["id"]["name"] for app in listed("get", "app")]
    flyte("delete", "app", "steady")
    return {"left": "steady" in [app["metadata"]["id"]["name"] for app in listed("get", "app")]}


@session.remote_case
def secret(_scratch):
    flyte("create", "secret", "cli-secret", "--value", "v")
    assert "cli-secret" in [secret["id"]["name"] for secret in listed("get", "secret")]
    flyte("delete", "secret", "cli-secret")
    assert "cli-secret" not in [secret["id"]["name"] for secret in listed("get", "secret")]
    return {}


@session.remote_case
def without_a_file(_scratch):
    """All by options."""
    command = [*PROGRAM, "--endpoint", os.environ["SPANWISE_ENDPOINT"], "--insecure", "run"]
    command += ["--project", "flytesnacks", "--domain", "development", "cli_tasks.py", "word", "--text", "x"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=session.PATIENCE, stdin=subprocess.DEVNULL)
    assert process.returncode == 0, process
    wait_for_phase(run_name(process.stdout + process.stderr), "succeeded")
    return {}


@session.remote_case
def unknown_run(_scratch):
    printed = flyte("get", "run", "there-is-no-such-run", fails=True)
    return {"printed": printed}


if __name__ == "__main__":
    session.report(session.CASES[sys.argv[1]](session.scratch()))
