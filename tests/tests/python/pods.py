"""Pod templates: what of one holds in a process, and what is told."""

import asyncio
import os
import time

import flyte
import flyte.errors
import flyte.remote
import session
from kubernetes.client import (
    V1Container,
    V1EnvVar,
    V1EnvVarSource,
    V1LocalObjectReference,
    V1PodSpec,
    V1ResourceRequirements,
    V1SecretKeySelector,
    V1Volume,
)

primary = V1Container(
    name="main",
    env=[V1EnvVar(name="ROOT", value="/r"), V1EnvVar(name="WHERE", value="$(ROOT)/w")],
    resources=V1ResourceRequirements(limits={"memory": "300Mi"}),
)
template = flyte.PodTemplate(
    primary_container_name="main",
    labels={"team": "größe"},
    annotations={"ticket": "T-7"},
    pod_spec=V1PodSpec(
        containers=[V1Container(name="sidecar", image="busybox"), primary],
        image_pull_secrets=[V1LocalObjectReference(name="registry")],
        node_selector={"disk": "fast"},
        volumes=[V1Volume(name="data")],
    ),
)
impossible = flyte.PodTemplate(
    pod_spec=V1PodSpec(
        containers=[
            V1Container(
                name="primary",
                env=[V1EnvVar(name="TOKEN", value_from=V1EnvVarSource(secret_key_ref=V1SecretKeySelector(name="s", key="k")))],
            )
        ]
    )
)

podded = flyte.TaskEnvironment(name="pods_podded", pod_template=template, env_vars={"OWN": "yes"})
labelled = flyte.TaskEnvironment(name="pods_labelled", pod_template=flyte.PodTemplate(labels={"queue": "a"}))
named = flyte.TaskEnvironment(name="pods_named", pod_template="a-template-of-the-cluster")
broken = flyte.TaskEnvironment(name="pods_broken", pod_template=impossible)
env = flyte.TaskEnvironment(name="pods", depends_on=[podded, labelled, named, broken])


@podded.task
async def look(number: int) -> dict[str, str]:
    return {"number": str(number), "where": os.environ["WHERE"], "own": os.environ["OWN"]}


@podded.task
async def holds(mebibytes: int) -> int:
    held = bytearray(mebibytes << 20)
    return len(held) >> 20


@podded.task
async def slow_look(log: str, go: str) -> str:
    session.mark(log, f"begun {os.getpid()}")
    while not os.path.exists(go):
        await asyncio.sleep(0.02)
    return os.environ["WHERE"]


@labelled.task
async def with_labels(number: int) -> int:
    return number + 1


@named.task
async def by_name(number: int) -> int:
    return number + 2


@broken.task
async def never(number: int) -> int:
    return number


@env.task
async def calls(number: int) -> dict[str, str]:
    return await look(number)


@env.task
async def starts_a_run(number: int) -> dict[str, str]:
    run = await flyte.run.aio(look, number=number)
    await run.wait.aio(quiet=True)
    outputs = await run.outputs.aio()
    return outputs[0]


@env.task
async def calls_what_cannot_run(number: int) -> str:
    try:
        await never(number)
    except flyte.errors.RuntimeUserError as error:
        return str(error)
    raise AssertionError("it ran")


@env.task
async def calls_slowly(log: str, go: str) -> str:
    return await slow_look(log, go)


@session.remote_case
def templates(_scratch):
    root = session.start(look, number=1)
    parent = session.start(calls, number=2)
    flyte.deploy(podded, version="v1")
    deployed = flyte.remote.Task.get("pods_podded.look", project="flytesnacks", domain="development", version="v1")
    found = {
        "root": session.output(root),
        "child": session.output(parent),
        "run of a run": session.call(starts_a_run, number=3),
        "deployed": session.call(deployed, number=4),
        "labels alone": session.call(with_labels, number=1),
    }
    (child,) = session.by_task(parent)["look"]
    by_its_name = session.start(by_name, number=1)
    found["a template by its name"] = session.output(by_its_name)
    limited = session.failure(session.start(holds, mebibytes=1024))
    return {
        "found": found,
        "run": root.name,
        "parent": parent.name,
        "child": child.name,
        "named": by_its_name.name,
        "limited": limited,
    }


@session.remote_case
def refused(_scratch):
    flyte.deploy(broken, version="v1")
    deployed = flyte.remote.Task.get("pods_broken.never", project="flytesnacks", domain="development", version="v1")
    return {
        "root": session.failure(session.start(never, number=1))["message"],
        "child": session.call(calls_what_cannot_run, number=1),
        "deployed": session.failure(session.start(deployed, number=1))["message"],
    }


@session.remote_case
def across_a_restart(scratch):
    """The Rust side kills the server while the child runs."""
    log, go = scratch / "slow", scratch / "go"
    run = session.start(calls_slowly, log=str(log), go=str(go))
    deadline = time.monotonic() + session.PATIENCE
    while True:
        try:
            return {"value": session.output(flyte.remote.Run.get(name=run.name)), "log": session.marks(log)}
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@session.case
def fields(_scratch):
    """The fields that Kubernetes has, as its own package says them."""
    return {
        "pod": sorted(V1PodSpec.attribute_map.values()),
        "container": sorted(V1Container.attribute_map.values()),
    }


if __name__ == "__main__":
    session.main()
