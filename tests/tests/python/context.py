"""What surrounds a task: custom context, environment variables, secrets, ids, labels and names."""

import asyncio
import os

import flyte
import flyte.remote
import session

env = flyte.TaskEnvironment(name="context", env_vars={"FROM_ENVIRONMENT": "environment ü", "BOTH": "environment"})
secret_env = flyte.TaskEnvironment(
    name="secrets",
    secrets=[
        flyte.Secret("kept-by-the-server", as_env_var="KEPT"),
        flyte.Secret("spanwise_test_given", as_env_var="GIVEN"),
        flyte.Secret("plain_name"),
    ],
    depends_on=[env],
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@env.task
async def see_context(number: int) -> dict[str, str]:
    return dict(flyte.ctx().custom_context)


@env.task
def see_context_sync(number: int) -> dict[str, str]:
    return flyte.get_custom_context()


@env.task
async def nest() -> list[dict[str, str]]:
    seen = [dict(flyte.ctx().custom_context), await see_context(0)]
    with flyte.custom_context(a="1", b="1"):
        seen.append(await see_context(1))
        with flyte.custom_context(b="2 ü\N{ROCKET}", c=""):
            seen.append(await see_context(2))
            seen.append(await see_context_sync.aio(2))
        seen.append(await see_context(3))
        both = []
        for value in ["x", "y"]:
            with flyte.custom_context(a=value):
                both.append(asyncio.ensure_future(see_context(ord(value))))
                await asyncio.sleep(0)
        seen.extend(await asyncio.gather(*both))
    try:
        with flyte.custom_context(a="left by an error"):
            raise ValueError
    except ValueError:
        seen.append(await see_context(4))
    return seen


@session.case
def scopes(_scratch):
    seen = session.call(nest, options={"custom_context": {"run": "r", "a": "0"}})
    return {"seen": seen}


@session.case
def no_context(_scratch):
    assert session.call(see_context, number=1) == {}
    return {}


@env.task(retries=1)
async def see_context_again(log: str) -> dict[str, str]:
    session.mark(log, flyte.ctx().custom_context["a"])
    if flyte.ctx().attempt_number == 0:
        raise RuntimeError("once more")
    return dict(flyte.ctx().custom_context)


@session.remote_case
def context_of_a_retry(scratch):
    log = scratch / "context_of_a_retry"
    seen = session.call(see_context_again, log=str(log), options={"custom_context": {"a": "1"}})
    return {"seen": seen, "log": session.marks(log)}


W3C = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


@env.task
async def see_trace_variables(inner: bool) -> list[dict[str, str]]:
    mine = {name: os.environ[name] for name in W3C if name in os.environ}
    if not inner:
        return [mine]
    with flyte.custom_context(traceparent=TRACEPARENT.replace("b7ad6b7169203331", "00000000000000aa")):
        return [mine, *await see_trace_variables(False)]


@session.remote_case
def trace_variables(_scratch):
    """The process of a task has the W3C variables of its context, for programs that it starts."""
    context = {"traceparent": TRACEPARENT, "tracestate": "vendor=1", "baggage": "user=ada"}
    return {
        "with": session.call(see_trace_variables, inner=True, options={"custom_context": context}),
        "without": session.call(see_trace_variables, inner=False),
    }


NAMES = ("FROM_ENVIRONMENT", "FROM_RUN", "BOTH", "FLYTE_ATTEMPT_NUMBER", "FLYTE_INTERNAL_EXECUTION_PROJECT")


@env.task
async def see_variables(child: bool) -> list[dict[str, str]]:
    mine = {name: os.environ[name] for name in NAMES if name in os.environ}
    return [mine, *await see_variables(False)] if child else [mine]


@session.remote_case
def variables(_scratch):
    options = {"env_vars": {"FROM_RUN": "run \N{ROCKET} = \"quoted\"", "BOTH": "run", "FLYTE_ATTEMPT_NUMBER": "7"}}
    return {"seen": session.call(see_variables, child=True, options=options)}


@env.task
async def see_leaks() -> dict[str, str]:
    suspicious = ("UCTL_CONFIG", "FLYTECTL_CONFIG", "EAGER_API_KEY", "_UNION_EAGER_API_KEY", "RANK", "SPANWISE_SECRET_SPANWISE_TEST_GIVEN")
    return {name: os.environ[name] for name in suspicious if name in os.environ}


@session.remote_case
def nothing_leaks_from_the_server(_scratch):
    """The server of the test is started with each of these set."""
    return {"leaked": session.call(see_leaks)}


@secret_env.task
async def see_secrets(child: bool) -> list[dict[str, str]]:
    mine = {name: os.environ.get(name, "-") for name in ("KEPT", "GIVEN", "PLAIN_NAME")}
    return [mine, *await see_secrets(False)] if child else [mine]


@env.task
async def see_no_secrets() -> dict[str, str]:
    return {name: os.environ[name] for name in ("KEPT", "GIVEN", "PLAIN_NAME") if name in os.environ}


@session.remote_case
def secrets(_scratch):
    """One is kept by the server, one is in the server's environment, one has the name that the SDK derives."""
    flyte.remote.Secret.create(name="kept-by-the-server", value="s3cret \N{ROCKET}")
    flyte.remote.Secret.create(name="plain_name", value=b"bytes")
    listed = sorted(secret.name for secret in flyte.remote.Secret.listall(limit=100))
    found = {
        "seen": session.call(see_secrets, child=True),
        "unasked": session.call(see_no_secrets),
        "listed": listed,
    }
    for name in ("kept-by-the-server", "plain_name"):
        flyte.remote.Secret.delete(name=name)
    found["missing"] = session.failure(session.start(see_secrets, child=False))
    return found


@env.task
async def see_ids() -> dict[str, str]:
    ctx = flyte.ctx()
    return {
        "name": ctx.action.name,
        "run": ctx.action.run_name,
        "project": ctx.action.project,
        "domain": ctx.action.domain,
        "attempt": str(ctx.attempt_number),
        "started": str(ctx.run_start_time.timestamp()),
    }


@session.remote_case
def ids(_scratch):
    run = session.start(see_ids, options={"name": "named-by-the-user", "labels": {"team": "ünïcode", "n": "1"}})
    seen = session.output(run)
    labels = {"team": "ünïcode"}
    found = [found.name for found in flyte.remote.Run.listall(with_labels=labels)]
    keys = [found.name for found in flyte.remote.Run.listall(with_label_keys=["team"])]
    by_task = [found.name for found in flyte.remote.Run.listall(task_name="context.see_ids", in_phase=("succeeded",))]
    try:
        session.start(see_ids, options={"name": "named-by-the-user"})
        again = None
    except Exception as error:
        again = session.described(error)
    got = flyte.remote.Run.get(name="named-by-the-user")
    return {"seen": seen, "found": found, "keys": keys, "by_task": by_task, "again": again, "phase": got.phase, "url": run.url}


@env.task(short_name="kürzer \N{ROCKET}")
async def größe(länge: int, name: str) -> str:
    return f"{name} {länge}"


@session.case
def unicode_names(_scratch):
    """Python's names may have letters of any script."""
    run = session.start(größe, länge=3, name="\N{ROCKET}")
    assert session.output(run) == "\N{ROCKET} 3"
    return {} if session.LOCAL else {"tasks": [action.task_name for action in session.actions(run)]}


if __name__ == "__main__":
    session.main()
