"""Tasks that are cut short, by an abort, a timeout or the end of the server: what they clean up, send and leave."""

import asyncio
import atexit
import multiprocessing
import os
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import flyte
import session
from flyte import Timeout
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

env = flyte.TaskEnvironment(name="interrupted")


def begin(marks):
    """What every body does first. The exit function is marked when it runs, and spans are sent by the provider's."""
    atexit.register(session.mark, marks, "exit")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=3_600_000))
    tracer = provider.get_tracer("interrupted.py")
    tracer.start_span("ended", context=extract(flyte.ctx().custom_context)).end()
    # Nobody else may hold it until the exit functions run.
    trace.set_tracer_provider(provider)
    # In a session of its own, which does not heed SIGTERM.
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 300"], start_new_session=True)
    session.mark(marks, f"child {child.pid}")
    session.mark(marks, f"begin {os.getpid()}")


async def waits(marks):
    begin(marks)
    try:
        await asyncio.sleep(300)
    finally:
        await asyncio.sleep(0.01)
        session.mark(marks, "finally")


@env.task
async def in_a_loop(marks: str) -> int:
    await waits(marks)
    return 1


@env.task(timeout=timedelta(seconds=2))
async def in_time(marks: str) -> int:
    await waits(marks)
    return 1


@env.task
async def holds_up_the_loop(marks: str) -> int:
    begin(marks)
    try:
        time.sleep(300)
    finally:
        session.mark(marks, "finally")
    return 1


@env.task
def in_a_thread(marks: str) -> int:
    begin(marks)
    try:
        while True:
            time.sleep(0.02)
    finally:
        session.mark(marks, "finally")


@env.task
async def cannot_be_reached(marks: str) -> int:
    """`asyncio.run` waits for the thread, and nothing gets into it."""
    begin(marks)
    try:
        await asyncio.to_thread(time.sleep, 300)
    finally:
        session.mark(marks, "finally")
    return 1


@env.task
async def makes_an_error_of_it(marks: str) -> int:
    begin(marks)
    try:
        await asyncio.sleep(300)
    except BaseException:
        session.mark(marks, "finally")
        raise ValueError("the task's own words for its end")
    return 1


def cut_short(task, scratch):
    marks = scratch / task.short_name
    run = session.start(task, marks=str(marks))
    session.wait_until("the beginning", lambda: any(line.startswith("begin") for line in session.marks(marks)))
    if task is not in_time:
        run.abort(reason="enough")
    run.wait(quiet=True)
    pids = [line.split()[1] for line in session.marks(marks) if line.startswith(("begin", "child"))]
    session.wait_until("the end of the processes", lambda: not any(map(session.is_alive, pids)))
    return {
        "run": run.name,
        "phase": run.phase.value,
        "attempts": len(session.details(session.actions(run)[0]).pb2.attempts),
        "marks": [line for line in session.marks(marks) if " " not in line],
    }


@session.remote_case
def bodies(scratch):
    tasks = [in_a_loop, in_time, holds_up_the_loop, in_a_thread, cannot_be_reached, makes_an_error_of_it]
    return {task.short_name: cut_short(task, scratch) for task in tasks}


@env.task
async def child(marks: str) -> int:
    session.mark(marks, "child began")
    while not os.path.exists(f"{marks}.go"):
        await asyncio.sleep(0.02)
    session.mark(marks, "child ended")
    return 7


@env.task(timeout=Timeout(max_runtime=timedelta(seconds=10)), retries=1)
async def has_a_child(marks: str) -> int:
    """The child ends when the first attempt has been cut short, so the second one has little to wait for."""
    attempt = flyte.ctx().attempt_number
    session.mark(marks, f"parent {attempt}")
    try:
        return await child(marks)
    finally:
        session.mark(marks, f"parent {attempt} ends")
        Path(f"{marks}.go").touch()


@session.remote_case
def a_child_outlives_its_parents_attempt(scratch):
    """An attempt that is cut short by its time does not abort what the next one takes up."""
    marks = scratch / "child"
    run = session.start(has_a_child, marks=str(marks))
    return {"output": session.output(run), "marks": sorted(session.marks(marks)), "phases": session.phases(run)}


@env.task
async def given_back(marks: str) -> int:
    session.mark(marks, "parent")
    try:
        return await child(marks)
    finally:
        session.mark(marks, "parent ends")


@session.remote_case
def the_server_ends(scratch):
    """The Rust side stops the server and starts it again meanwhile."""
    marks = scratch / "marks"
    run = session.start(given_back, marks=str(marks))
    session.wait_until("the server's second life", lambda: (scratch / "marks.go").exists())
    deadline = time.monotonic() + session.PATIENCE
    while True:
        try:
            again = flyte.remote.Run.get(name=run.name)
            return {"output": session.output(again), "phases": session.phases(again), "marks": session.marks(marks)}
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@env.task
async def ends_a_process_of_its_own() -> int:
    """The way of `multiprocessing`: its processes end by SIGTERM, without a word."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode


@session.remote_case
def processes_of_a_task_end_by_sigterm(_scratch):
    return {"code": session.call(ends_a_process_of_its_own)}


if __name__ == "__main__":
    session.main()
