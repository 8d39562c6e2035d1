"""Runs while the server's disk is full and afterwards."""

import sys
import time
from pathlib import Path

import flyte
import flyte.remote
import session

env = flyte.TaskEnvironment(name="full_disk")


@env.task
async def works(log: str, number: int) -> int:
    session.mark(log, f"start {number}")
    while not Path(log + ".go").exists():
        time.sleep(0.02)
    session.mark(log, f"end {number}")
    return number


@env.task
async def quick(number: int) -> int:
    return number


@env.task
async def prints(lines: int) -> int:
    for _ in range(lines):
        print("0123456789" * 10)
    return lines


@session.remote_case
def much(_scratch):
    """A run that prints a megabyte."""
    run = session.start(prints, lines=10_000)
    return {"output": session.output(run), "run": run.name}


@session.remote_case
def three(scratch):
    """The Rust side fills the disk when all of them have begun, and makes room again; then they may end."""
    log = str(scratch / "works")
    runs = [session.start(works, log=log, number=number) for number in range(3)]
    print(f"STARTED {runs[0].name}", flush=True)
    session.wait_until("the word to go on", Path(log + ".go").exists)
    for run in runs:
        run.wait(quiet=True)
    return {"phases": [flyte.remote.Run.get(name=run.name).phase for run in runs], "log": session.marks(log)}


@session.remote_case
def refused(_scratch):
    """What a client is told while the disk is full: of a new run, and of the end of another one."""
    told = {}
    for what, call in {
        "create": lambda: session.start(quick, number=1),
        # From the list: the details of a run that the journal is behind with are not told yet.
        "abort": lambda: next(run for run in flyte.remote.Run.listall() if run.name == sys.argv[2]).abort(),
    }.items():
        try:
            call()
            told[what] = "accepted"
        except Exception as error:
            chain = [error]
            while chain[-1].__cause__ is not None:
                chain.append(chain[-1].__cause__)
            told[what] = " | ".join(f"{getattr(link, 'code', '')} {link}" for link in chain)
    return told


@session.remote_case
def one(_scratch):
    run = session.start(quick, number=7, options={"disable_run_cache": True})
    return {"output": session.output(run), "run": run.name}


@session.remote_case
def unread(_scratch):
    """A run at its end, of which nobody has read anything."""
    run = session.start(quick, number=9, options={"disable_run_cache": True})
    run.wait(quiet=True)
    return {"run": run.name}


@session.remote_case
def read(_scratch):
    """What a run was given and has delivered, which the journal has."""
    run = flyte.remote.Run.get(name=sys.argv[2])
    return {"input": run.inputs()["number"], "output": session.output(run)}


if __name__ == "__main__":
    session.main()
