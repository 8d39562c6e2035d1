"""Whose failure it is: what counts as a success, what the system tries again, and what is the user's own."""

import os
import signal
import socket
import sys

import flyte
import flyte.artifacts
import flyte.errors
import flyte.remote
import session

env = flyte.TaskEnvironment(name="blame")
broken_env = flyte.TaskEnvironment(name="broken", env_vars={"LONG": "x" * 200_000})
misnamed_env = flyte.TaskEnvironment(name="misnamed", env_vars={"A=B": "c"})

TOO_LARGE = 12_000_000


def end(kind: str) -> None:
    """Ends the process in the middle of a body, with code 0."""
    if kind == "os":
        os._exit(0)
    sys.exit(0)


@env.task(cache=flyte.Cache("override", version_override="1"))
async def nothing(marks: str, kind: str) -> None:
    session.mark(marks, "begin")
    end(kind)
    session.mark(marks, "end")


@env.task
async def number(marks: str, kind: str) -> int:
    session.mark(marks, "begin")
    end(kind)
    return 1


def seen(run, marks):
    """How a run that failed ended, and how often its body ran."""
    found = session.failure(run)
    info = session.details(run.action).error_info
    return {"phase": run.phase, "code": info.code, "kind": info.kind, "marks": session.marks(marks), "text": found["message"]}


@session.remote_case
def an_exit_with_0_is_no_success(scratch):
    found = {}
    for task in (nothing, number):
        for kind in ("os", "sys"):
            name = f"{task.short_name}_{kind}"
            found[name] = seen(session.start(task, marks=str(scratch / name), kind=kind), scratch / name)
    return found


@env.task
async def top(marks: str) -> None:
    session.mark(marks, "top")
    await middle(marks)


@env.task(retries=1)
async def middle(marks: str) -> None:
    session.mark(marks, "middle")
    await ill(marks)


@env.task
async def ill(marks: str) -> None:
    session.mark(marks, "ill")
    os._exit(0)


@env.task
async def handles(marks: str) -> str:
    try:
        await ill(marks)
    except flyte.errors.RuntimeSystemError as error:
        return error.code
    return "no error"


@session.remote_case
def a_system_failure_of_a_child_is_the_parents_to_handle(scratch):
    marks = scratch / "nested"
    run = session.start(top, marks=str(marks))
    found = seen(run, marks)
    kinds = {action.task_name.rsplit(".", 1)[-1]: session.details(action).error_info.kind for action in session.actions(run)}
    return {**found, "kinds": kinds, "handled": session.call(handles, marks=str(scratch / "handled"))}


@env.task(retries=1)
async def large_output(marks: str) -> str:
    session.mark(marks, "ran")
    return "x" * TOO_LARGE


@env.task(retries=2)
async def large_final_error(marks: str) -> str:
    session.mark(marks, "ran")
    raise flyte.errors.NonRecoverableError("m" * TOO_LARGE)


@env.task(retries=1)
async def large_error(marks: str) -> str:
    session.mark(marks, "ran")
    raise ValueError("\N{ROCKET}" * TOO_LARGE)


@env.task
async def large_context(marks: str) -> str:
    session.mark(marks, "ran")
    with flyte.custom_context(**{f"key{index}": "v" for index in range(65)}):
        await quiet()
    return "no error"


@env.task
async def quiet() -> None:
    pass


@broken_env.task(retries=1)
async def in_a_broken_environment(marks: str) -> None:
    session.mark(marks, "ran")


@misnamed_env.task(retries=1)
async def in_a_misnamed_environment(marks: str) -> None:
    session.mark(marks, "ran")


@session.remote_case
def a_limit_is_the_users(scratch):
    found = {}
    tasks = [large_output, large_final_error, large_error, large_context, in_a_broken_environment, in_a_misnamed_environment]
    runs = {task.short_name: session.start(task, marks=str(scratch / task.short_name)) for task in tasks}
    for name, run in runs.items():
        found[name] = {**seen(run, scratch / name), "attempts": run.action.pb2.status.attempts}
        found[name]["text"] = found[name]["text"][:400] + " .. " + found[name]["text"][-60:]
    return found


@env.task
async def reserved(parent: bool) -> list[str]:
    keys = [pair for pair in flyte.ctx().custom_context if pair.startswith("_u_")]
    if not parent:
        return keys
    # What the SDK declares for the call counts for no limit of the user's.
    with flyte.artifacts.produces(o0=flyte.artifacts.Metadata(name="events", description="d" * 50_000)):
        keys += await reserved(False)
    with flyte.custom_context(**{f"key{index}": "v" for index in range(64)}):
        keys += await reserved.override(short_name="full")(False)
    return keys


@session.remote_case
def reserved_keys_have_a_limit_of_their_own(_scratch):
    return {"keys": session.call(reserved, parent=True)}


@env.task
async def leaf(number: int) -> int:
    return number


@env.task
async def waits_for_a_run(how: str) -> int:
    run = await flyte.run.aio(leaf, number=7)
    if how == "wait":
        await run.wait.aio(quiet=True)
    elif how == "poll":
        while not (await flyte.remote.Run.get.aio(name=run.name)).done():
            pass
    else:
        async for _ in run.watch():
            pass
    return (await run.outputs.aio())[0]


@env.task
def waits_for_a_run_in_a_thread() -> int:
    run = flyte.run(leaf, number=7)
    run.wait(quiet=True)
    return run.outputs()[0]


@session.remote_case
def who_waits_for_a_run_takes_no_place(_scratch):
    runs = [session.start(waits_for_a_run, how=how) for how in ("wait", "poll", "watch")]
    runs.append(session.start(waits_for_a_run_in_a_thread))
    return {"outputs": [session.output(run) for run in runs]}


@env.task
async def holds(go: str) -> None:
    session.wait_until("the end of the test", lambda: os.path.exists(go))


@session.remote_case
def what_is_in_the_way_is_told(scratch):
    go = scratch / "go"
    first = session.start(holds, go=str(go))
    session.wait_until("the first run", lambda: session.details(first.action).phase.value == "running")
    second = session.start(holds, go=str(go))
    told = session.wait_until("a reason", lambda: reasons(second))
    go.touch()
    for run in (first, second):
        session.output(run)
    return {"told": told, "first": first.name, "then": reasons(second)}


@env.task
async def dies_once(marks: str) -> int:
    if "alone" in session.marks(marks):
        session.mark(marks, "again")
        return 7
    session.mark(marks, "running")
    session.wait_until("the end of the server", server_is_away)
    session.mark(marks, "alone")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def server_is_away():
    host, port = os.environ["_U_EP_OVERRIDE"].rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return True
    return False


@session.remote_case
def killed_at_each_start(scratch):
    marks = scratch / "killed"
    run, seen = session.start(dies_once, marks=str(marks)), 0
    while not run.done():
        try:
            run = flyte.remote.Run.get(name=run.name)
        except Exception:
            # The server is away.
            continue
        attempts = run.action.pb2.status.attempts
        if attempts > seen:
            session.mark(marks, f"attempt {attempts}")
            seen = attempts
    return {"phase": run.phase, "output": session.output(run), "attempts": seen}


def reasons(run):
    return [event.message for attempt in session.details(run.action).pb2.attempts for event in attempt.cluster_events]


if __name__ == "__main__":
    session.main()
