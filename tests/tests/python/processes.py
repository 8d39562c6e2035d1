"""Tasks as processes: what they print, how they are ended, and what they leave behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import flyte
import session

env = flyte.TaskEnvironment(name="processes")


@env.task
async def sleeps(pids: str) -> None:
    session.mark(pids, os.getpid())
    await asyncio.sleep(300)


@env.task
async def two_that_sleep(pids: str) -> None:
    session.mark(pids, os.getpid())
    await asyncio.gather(sleeps(pids), sleeps(pids))


@session.remote_case
def abort_of_a_run(scratch):
    pids = scratch / "abort_of_a_run"
    run = session.start(two_that_sleep, pids=str(pids))
    session.wait_until("both children", lambda: len(session.marks(pids)) == 3)
    run.abort(reason="enough \N{ROCKET}")
    found = session.failure(run)
    session.wait_until("the end of the processes", lambda: not any(map(session.is_alive, session.marks(pids))))
    session.wait_until("the end of the actions", lambda: all(action.done() for action in session.actions(run)))
    run.abort(reason="once more")
    return {**found, "phases": session.phases(run)}


@env.task
async def ignores_term(pids: str) -> None:
    """Python sets signals in the main thread only, where the tasks that are not sync run."""
    signal.signal(signal.SIGTERM, lambda number, frame: session.mark(pids + ".asked", number))
    session.mark(pids, os.getpid())
    while True:
        time.sleep(1)


@session.remote_case
def abort_of_one_that_ignores_term(scratch):
    pids = scratch / "ignores_term"
    run = session.start(ignores_term, pids=str(pids))
    (pid,) = session.wait_until("the start", lambda: session.marks(pids))
    run.abort(reason="now")
    session.wait_until("the end of the process", lambda: not session.is_alive(pid))
    return {**session.failure(run), "phase": run.phase}


@env.task
async def leaves_a_grandchild(pids: str, own_session: bool) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=own_session)
    session.mark(pids, child.pid)
    return 1


def grandchild(scratch, own_session):
    """It keeps the pipe of the task's output open, which must not keep the action from ending."""
    pids = scratch / f"grandchild_{own_session}"
    started = time.monotonic()
    assert session.call(leaves_a_grandchild, pids=str(pids), own_session=own_session) == 1
    took = time.monotonic() - started
    (pid,) = session.marks(pids)
    return int(pid), took


@session.remote_case
def a_grandchild_of_the_same_group(scratch):
    """It belongs to the attempt, and goes with it."""
    pid, took = grandchild(scratch, False)
    session.wait_until("the end of the grandchild", lambda: not session.is_alive(pid))
    return {"seconds": took}


@session.remote_case
def a_grandchild_with_its_own_session(scratch):
    """So does it: a session is no way out."""
    pid, took = grandchild(scratch, True)
    session.wait_until("the end of the grandchild", lambda: not session.is_alive(pid))
    return {"seconds": took}


@env.task
def prints(megabytes: int) -> int:
    line = "x" * 1023
    for _ in range(megabytes):
        sys.stdout.write(f"{line}\n" * 1024)
    sys.stdout.flush()
    print("the last line \N{ROCKET}", flush=True)
    return megabytes


@session.remote_case
def a_hundred_megabytes_of_output(_scratch):
    run = session.start(prints, megabytes=100)
    assert session.output(run) == 100
    started, count, last = time.monotonic(), 0, None
    for line in run.get_logs():
        count += 1
        if "the last line" in line:
            last = line.strip()
    return {"last": last, "lines": count, "seconds": time.monotonic() - started}


@env.task(retries=1)
async def says(word: str) -> str:
    print(f"out: {word} of attempt {flyte.ctx().attempt_number}", flush=True)
    print(f"err: {word}", file=sys.stderr, flush=True)
    sys.stdout.buffer.write(b"not utf-8: \xff\xfe\r\nno newline at the end")
    sys.stdout.flush()
    if flyte.ctx().attempt_number == 0:
        raise RuntimeError("once more")
    return word


@session.remote_case
def logs(_scratch):
    run = session.start(says, word="\N{ROCKET}")
    assert session.output(run) == "\N{ROCKET}"
    return {"first": "".join(run.get_logs(attempt=1)), "last": "".join(run.get_logs())}


@env.task
async def speaks_slowly(gate: str) -> int:
    print("the first line", flush=True)
    while not os.path.exists(gate):
        await asyncio.sleep(0.02)
    print("after the gate", flush=True)
    return 1


@session.remote_case
def logs_while_it_runs(scratch):
    """A line is there before the task goes on."""
    gate = scratch / "gate"
    run = session.start(speaks_slowly, gate=str(gate))
    run.wait(quiet=True, wait_for="running")
    seen = []
    for line in run.get_logs():
        seen.append(line.strip())
        if "the first line" in line:
            gate.touch()
    assert session.output(run) == 1
    return {"seen": [line for line in seen if line in ("the first line", "after the gate")]}


@env.task
async def where() -> dict[str, str]:
    with open("written here", "w") as file:
        file.write("anything")
    return {"cwd": os.getcwd(), "pid": str(os.getpid()), "group": str(os.getpgid(0)), "stdin": os.read(0, 1).decode()}


@env.task
async def two_places() -> list[dict[str, str]]:
    return [await where(), await where()]


@session.remote_case
def a_place_of_its_own(_scratch):
    return {"places": session.call(two_places)}


if __name__ == "__main__":
    session.main()
