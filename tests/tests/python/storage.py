"""The store of the server as libraries see it in a task, and the files of outputs as a driver does."""

import os
import subprocess
import tempfile
from pathlib import Path

import flyte
import flyte.io
import session

env = flyte.TaskEnvironment(name="storage")


@env.task
async def use(python: str, program: str) -> str:
    """Runs a program with the variables of a task."""
    return subprocess.run([python, program, "clients"], capture_output=True, text=True, check=True).stdout


@env.task
async def own_account() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


@env.task
async def make_file(text: str) -> flyte.io.File:
    path = Path(tempfile.mkdtemp()) / "made.txt"
    path.write_text(text)
    return await flyte.io.File.from_local(str(path))


@session.remote_case
def clients(_scratch):
    program = Path(__file__).parent / "store_clients.py"
    return {"found": session.call(use, os.environ["STORE_PYTHON"], str(program))}


@session.remote_case
def another_account(_scratch):
    options = {"env_vars": {"AWS_PROFILE": "own", "AWS_REGION": "eu-west-1"}}
    return {"variables": session.call(own_account, options=options)}


@session.remote_case
def driver(_scratch):
    """With the variables that the server prints at its start."""
    file = session.call(make_file, "words \U0001f680")
    with file.open_sync("rb") as opened:
        return {"text": bytes(opened.read()).decode()}


if __name__ == "__main__":
    session.main()
