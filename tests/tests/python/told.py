"""What a server says of memory, of values and of code that it does not have, as drivers see it."""

import flyte
import flyte.errors
import flyte.remote
import session

small = flyte.TaskEnvironment(name="told_small", resources=flyte.Resources(memory="256Mi"))
env = flyte.TaskEnvironment(name="told", depends_on=[small])


@small.task
async def holds(mebibytes: int) -> int:
    held = bytearray(mebibytes << 20)
    return len(held) >> 20


@env.task
async def asks_for_too_much() -> dict[str, str]:
    try:
        await holds(1024)
    except flyte.errors.OOMError as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError("a request of 256Mi let 1 GiB through")


@session.remote_case
def a_memory_request_limits(_scratch):
    return {"fits": session.call(holds, mebibytes=64), **session.call(asks_for_too_much)}


@env.task
async def by_number() -> dict[int, str]:
    return {1: "one", -2: "two"}


@session.remote_case
def a_map_by_numbers(_scratch):
    run = session.start(by_number)
    output = session.output(run)
    assert output == {1: "one", -2: "two"}, output
    return {"run": run.name}


@session.remote_case
def a_run_of_code_that_is_gone(_scratch):
    try:
        run = session.start(by_number)
    except Exception as error:
        return session.described(error)
    raise AssertionError(f"{run.name} was started")


@session.remote_case
def a_run_with_annotations(_scratch):
    """What the server tells the SDK of a run's annotations, and what it warns of."""
    run = session.start(by_number, options={"annotations": {"owner": "größe <b>", "ticket": "T-7"}})
    session.output(run)
    spec = flyte.remote.RunDetails.get(name=run.name).pb2.run_spec
    return {"run": run.name, "annotations": dict(spec.annotations.values)}


@session.remote_case
def times(_scratch):
    """As the SDK reads them: the run time is from the start to the end."""
    run = session.start(by_number)
    session.output(run)
    details = session.details(run.action)
    (queued,) = [phase for phase in details.get_phase_transitions() if phase.phase.value == "queued"]
    return {
        "run": run.name,
        "start": run.action.start_time.timestamp(),
        "queued": queued.start_time.timestamp(),
        "runtime": details.runtime.total_seconds(),
        "duration": details.pb2.status.duration_ms / 1000,
    }


if __name__ == "__main__":
    session.main()
