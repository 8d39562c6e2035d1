"""Failures: what is tried again, and which exception the parent and the driver see."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import flyte
import flyte.errors
import session

env = flyte.TaskEnvironment(name="failures")


async def caught(call) -> dict[str, str]:
    try:
        await call
    except Exception as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError("the call was to fail")


@env.task
async def raise_value_error(attempts: str) -> None:
    session.mark(attempts, flyte.ctx().attempt_number)
    raise ValueError("no such \N{ROCKET}")


@env.task
async def catch_value_error(attempts: str) -> dict[str, str]:
    return await caught(raise_value_error(attempts))


@session.case
def user_error(scratch):
    attempts = scratch / "user_error"
    run = session.start(catch_value_error, attempts=str(attempts))
    return {**session.output(run), "attempts": session.marks(attempts)}


@session.remote_case
def user_error_of_the_root(scratch):
    """What is not caught is the run's failure, and the driver can raise it."""
    run = session.start(raise_value_error, attempts=str(scratch / "root_error"))
    found = session.failure(run)
    info = session.details(run.action).error_info
    return {**found, "phase": run.phase, "info": info.message, "code": info.code, "kind": info.kind}


@env.task
async def let_it_pass(attempts: str) -> None:
    await raise_value_error(attempts)


@session.remote_case
def user_error_of_a_child_fails_the_run(scratch):
    run = session.start(let_it_pass, attempts=str(scratch / "child_error"))
    return {**session.failure(run), "phases": session.phases(run)}


@env.task(retries=5)
async def give_up_at_once(attempts: str) -> None:
    session.mark(attempts, flyte.ctx().attempt_number)
    raise flyte.errors.NonRecoverableError("never again")


@env.task
async def catch_non_recoverable(attempts: str) -> dict[str, str]:
    return await caught(give_up_at_once(attempts))


@session.case
def non_recoverable(scratch):
    attempts = scratch / "non_recoverable"
    found = session.call(catch_non_recoverable, attempts=str(attempts))
    return {**found, "attempts": session.marks(attempts)}


@env.task(retries=3)
async def third_time_lucky(attempts: str) -> int:
    number = flyte.ctx().attempt_number
    assert os.environ.get("FLYTE_ATTEMPT_NUMBER", str(number)) == str(number)
    session.mark(attempts, number)
    if number < 2:
        raise RuntimeError(f"attempt {number}")
    return number


@env.task
async def call_third_time_lucky(attempts: str) -> int:
    return await third_time_lucky(attempts)


@session.remote_case
def retries(scratch):
    attempts = scratch / "retries"
    run = session.start(call_third_time_lucky, attempts=str(attempts))
    assert session.output(run) == 2
    (action,) = session.by_task(run)["third_time_lucky"]
    details = session.details(action)
    messages = [attempt.error_info.message for attempt in details.pb2.attempts]
    return {"attempts": session.marks(attempts), "count": details.attempts, "messages": messages}


@session.remote_case
def retries_of_the_root(scratch):
    attempts = scratch / "root_retries"
    run = session.start(third_time_lucky, attempts=str(attempts))
    assert session.output(run) == 2
    return {"attempts": session.marks(attempts)}


@env.task(retries=2)
async def always_fails(attempts: str) -> None:
    session.mark(attempts, flyte.ctx().attempt_number)
    raise KeyError("every time")


@env.task
async def catch_always_fails(attempts: str) -> dict[str, str]:
    return await caught(always_fails(attempts))


@session.case
def retries_exhausted(scratch):
    attempts = scratch / "exhausted"
    found = session.call(catch_always_fails, attempts=str(attempts))
    return {**found, "attempts": session.marks(attempts)}


@env.task(retries=flyte.RetryStrategy(count=2, backoff=flyte.Backoff(base=timedelta(seconds=1), factor=2.0, cap=timedelta(seconds=60))))
async def backs_off(attempts: str) -> int:
    session.mark(attempts, time.time())
    if flyte.ctx().attempt_number < 2:
        raise RuntimeError("not yet")
    return 1


@session.remote_case
def backoff(scratch):
    attempts = scratch / "backoff"
    assert session.call(backs_off, attempts=str(attempts)) == 1
    first, second, third = (float(line) for line in session.marks(attempts))
    assert second - first >= 1.0 and third - second >= 2.0, (first, second, third)
    return {}


@env.task(timeout=timedelta(seconds=3), retries=1)
async def sleeps_too_long(attempts: str) -> None:
    session.mark(attempts, os.getpid())
    await asyncio.sleep(300)


@env.task
async def catch_timeout(attempts: str) -> dict[str, str]:
    return await caught(sleeps_too_long(attempts))


@session.remote_case
def timeout(scratch):
    """max_runtime bounds each attempt; the processes are gone."""
    attempts = scratch / "timeout"
    run = session.start(catch_timeout, attempts=str(attempts))
    found = session.output(run)
    pids = session.marks(attempts)
    session.wait_until("the end of the processes", lambda: not any(map(session.is_alive, pids)))
    return {**found, "attempts": len(pids), "phases": session.phases(run)}


@env.task(timeout=flyte.Timeout(deadline=timedelta(seconds=5)), retries=100)
async def fails_until_the_deadline(attempts: str) -> None:
    session.mark(attempts, os.getpid())
    await asyncio.sleep(1)
    raise RuntimeError("again")


@env.task
async def catch_deadline(attempts: str) -> dict[str, str]:
    return await caught(fails_until_the_deadline(attempts))


@session.remote_case
def deadline(scratch):
    attempts = scratch / "deadline"
    found = session.call(catch_deadline, attempts=str(attempts))
    return {**found, "attempts": len(session.marks(attempts))}


@env.task
async def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@env.task
async def exits_with_three() -> int:
    print("the last words", flush=True)
    os._exit(3)


@env.task
async def catch_killed() -> dict[str, str]:
    return await caught(is_killed())


@env.task
async def catch_exit() -> dict[str, str]:
    return await caught(exits_with_three())


@session.remote_case
def out_of_memory(_scratch):
    """SIGKILL from elsewhere is what a process that took too much memory sees."""
    return session.call(catch_killed)


@session.remote_case
def exit_code(_scratch):
    return session.call(catch_exit)


@env.task
async def sleeps(pids: str) -> None:
    session.mark(pids, os.getpid())
    await asyncio.sleep(300)


@env.task
async def catch_abort(pids: str) -> dict[str, str]:
    return await caught(sleeps(pids))


@session.remote_case
def abort_of_a_child(scratch):
    """The parent of an aborted action goes on."""
    pids = scratch / "aborted_child"
    run = session.start(catch_abort, pids=str(pids))
    (pid,) = session.wait_until("the child's start", lambda: session.marks(pids))
    (action,) = session.by_task(run)["sleeps"]
    action.abort(reason="no longer needed")
    found = session.output(run)
    session.wait_until("the end of the process", lambda: not session.is_alive(pid))
    info = session.details(action).abort_info
    return {**found, "reason": info.reason if info else None, "phases": session.phases(run)}


@env.task
async def one_of_three(attempts: str) -> list[str]:
    found = await asyncio.gather(
        third_time_lucky(attempts + ".lucky"), raise_value_error(attempts), third_time_lucky(attempts + ".too"), return_exceptions=True
    )
    return [type(result).__name__ for result in found]


@session.remote_case
def one_failure_among_others(scratch):
    return {"types": session.call(one_of_three, attempts=str(scratch / "one_of_three"))}


@env.task(retries=1)
async def handles_and_fails(log: str) -> str:
    """Its second attempt finds the outcomes of the first attempt's children, the failure as well."""
    good = await counted(log, "good")
    bad = await caught(counted_failure(log))
    if flyte.ctx().attempt_number == 0:
        raise RuntimeError("the first attempt ends here")
    return f"{good} {bad['code']}"


@env.task
async def counted(log: str, word: str) -> str:
    session.mark(log, word)
    return word


@env.task
async def counted_failure(log: str) -> None:
    session.mark(log, "bad")
    raise ValueError("bad")


@session.remote_case
def children_are_not_run_again(scratch):
    log = scratch / "not_again"
    assert session.call(handles_and_fails, log=str(log)) == "good ValueError"
    return {"log": session.marks(log)}


if __name__ == "__main__":
    session.main()
