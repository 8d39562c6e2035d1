"""A task and its child that tell which interpreter runs them, and what a program of this name finds on their path."""

import os
import shutil
import subprocess
import sys

import flyte
import session
from session import case, main

env = flyte.TaskEnvironment(name="interpreters")

image = flyte.Image.from_debian_base().with_pip_packages("iniconfig")


def seen():
    entry = subprocess.run(["a0", "--help"], capture_output=True, text=True)
    return {
        "executable": sys.executable,
        "sdk": os.path.dirname(flyte.__file__),
        "argv": sys.argv[0],
        "a0": shutil.which("a0"),
        "help": entry.stdout,
        "wrapped": os.environ.get("WRAPPED", ""),
        "utf8": str(sys.flags.utf8_mode),
    }


@env.task
async def child() -> dict[str, str]:
    return seen()


@env.task
async def look() -> list[dict[str, str]]:
    return [seen(), await child()]


@case
def where(scratch):
    return {"seen": session.call(look)}


@case
def fails(scratch):
    run = session.start(look)
    found = session.failure(run)
    return {**found, "attempts": len(session.details(session.actions(run)[0]).pb2.attempts)}


if __name__ == "__main__":
    main()
