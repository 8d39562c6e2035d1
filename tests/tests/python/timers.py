"""Tasks that only wait (`flyte.extras.Sleep`): as roots, as children, in runs of runs, deployed, and while the server is killed."""

import asyncio
import time
from datetime import datetime, timedelta, timezone

import flyte
import flyte.durable
import flyte.errors
import flyte.remote
import session
from flyte.extras import Sleep

naps = flyte.TaskEnvironment(name="naps", plugin_config=Sleep())
cached = flyte.TaskEnvironment(name="naps_cached", plugin_config=Sleep(), cache="auto")
env = flyte.TaskEnvironment(name="timers", depends_on=[naps, cached])


@naps.task
async def nap(duration: timedelta) -> None:
    raise AssertionError("nothing of it is run")


@naps.task
async def nap_until(größe: datetime) -> None:
    raise AssertionError("nothing of it is run")


@naps.task
async def too_little() -> None: ...


@naps.task
async def too_much(duration: timedelta, other: int) -> None: ...


@naps.task
async def of_another_type(seconds: int) -> None: ...


@naps.task
async def with_outputs(duration: timedelta) -> int:
    return 1


@cached.task
async def cached_nap(duration: timedelta) -> None: ...


SHORT = timedelta(milliseconds=300)


def took(since):
    """Whether it took a short nap, and not much longer."""
    return 0.3 <= time.monotonic() - since < 60


@env.task
async def calls(how: str) -> bool:
    since = time.monotonic()
    match how:
        case "length":
            await nap(SHORT)
        case "moment":
            await nap_until(datetime.now(timezone.utc) + SHORT)
        case "many":
            await asyncio.gather(*(nap(SHORT) for _ in range(20)))
        case "nothing":
            await nap(timedelta(0))
            await nap_until(datetime(1969, 1, 1, tzinfo=timezone.utc))
            return time.monotonic() - since < 60
    return took(since)


@env.task
async def calls_what_is_none(which: str) -> dict[str, str]:
    try:
        match which:
            case "too little":
                await too_little()
            case "too much":
                await too_much(SHORT, 1)
            case "of another type":
                await of_another_type(1)
            case "with outputs":
                await with_outputs(SHORT)
            case "negative":
                await nap(timedelta(seconds=-1))
            case "timeout":
                await nap.override(timeout=timedelta(seconds=1))(timedelta(hours=1))
    except flyte.errors.BaseRuntimeError as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError(f"{which} was waited for")


@env.task
async def starts_a_run() -> bool:
    since = time.monotonic()
    run = await flyte.run.aio(nap, duration=SHORT)
    await run.wait.aio(quiet=True)
    return took(since) and run.phase == "succeeded"


@session.remote_case
def on_every_path(_scratch):
    since = time.monotonic()
    root = session.start(nap, duration=SHORT)
    root.wait(quiet=True)
    root.raise_for_status()
    found = {"root": took(since), "outputs of the root": str(root.outputs())}
    for how in ["length", "moment", "many", "nothing"]:
        found[f"child {how}"] = session.call(calls, how=how)
    found["run of a run"] = session.call(starts_a_run)
    flyte.deploy(naps, version="v1")
    deployed = flyte.remote.Task.get("naps.nap", project="flytesnacks", domain="development", version="v1")
    since = time.monotonic()
    run = session.start(deployed, duration=SHORT)
    run.wait(quiet=True)
    run.raise_for_status()
    found["deployed"] = took(since)
    # A cache has nothing to keep of it: each one waits.
    for which in ["cached", "cached again"]:
        since = time.monotonic()
        session.start(cached_nap, duration=SHORT).wait(quiet=True)
        found[which] = took(since)
    return {"found": found, "root": root.name}


@session.remote_case
def what_is_no_wait(_scratch):
    none = ["too little", "too much", "of another type", "with outputs", "negative", "timeout"]
    root = session.failure(session.start(of_another_type, seconds=1))
    return {"root": root, "child": {which: session.call(calls_what_is_none, which=which) for which in none}}


@env.task
async def sleeps(log: str, seconds: float) -> float:
    session.mark(log, f"begun {time.time()}")
    await nap(timedelta(seconds=seconds))
    session.mark(log, f"woken {time.time()}")
    return seconds


@env.task
async def sleeps_durably(log: str, seconds: float) -> float:
    session.mark(log, f"begun {time.time()}")
    await flyte.durable.sleep.aio(seconds)
    session.mark(log, f"woken {time.time()}")
    return seconds


@session.remote_case
def across_a_restart(scratch):
    """The Rust side kills the server while they wait."""
    names = {"sleeps": sleeps, "sleeps_durably": sleeps_durably}
    runs = {name: session.start(task, log=str(scratch / name), seconds=20.0) for name, task in names.items()}
    root = session.start(nap, duration=timedelta(seconds=20))
    session.mark(scratch / "runs", f"{runs['sleeps'].name} {root.name}")
    found = {}
    for name, run in runs.items():
        session.wait_until(name, lambda: ended(run))
        begun, woken = (float(line.split()[1]) for line in session.marks(scratch / name))
        found[name] = {"took": woken - begun, "begun": len(session.marks(scratch / name)) - 1}
    session.wait_until("the root", lambda: ended(root))
    phases = session.phases(flyte.remote.Run.get(name=runs["sleeps"].name))
    return {"found": found, "phases": phases, "root": session.phases(flyte.remote.Run.get(name=root.name))}


def ended(run):
    """True once it has succeeded; a server that is away knows nothing."""
    try:
        found = flyte.remote.Run.get(name=run.name)
    except Exception:
        return False
    assert found.phase not in ("failed", "aborted", "timed_out"), found.phase
    return found.phase == "succeeded"


if __name__ == "__main__":
    session.main()
