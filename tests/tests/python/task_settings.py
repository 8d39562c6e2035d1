"""The task `settings.compared` of `tests/src/bin/task_settings.rs`, said in Python: both are deployed, and what was deployed is compared."""

import pathlib
from datetime import timedelta

import flyte
import flyte.remote
import session
from google.protobuf.json_format import MessageToDict

env = flyte.TaskEnvironment(
    name="python_settings",
    cache=flyte.Cache(
        "override", version_override="v1", serialize=True, ignored_inputs=("at",), max_age=timedelta(hours=1)
    ),
    resources=flyte.Resources(cpu=2, memory="1Gi", gpu=1),
    secrets=[
        "api-key",
        flyte.Secret("db-password", group="team"),
        flyte.Secret("ca", mount=pathlib.Path("/etc/flyte/secrets")),
        flyte.Secret("other", as_env_var="OTHER"),
    ],
    env_vars={"A": "b", "C": ""},
    queue="gpu",
)


@env.task
async def compared(at: int) -> int:
    return at


def said(name):
    task = flyte.remote.Task.get(name, project="flytesnacks", domain="development", auto_version="latest").fetch()
    template = MessageToDict(task.pb2.spec.task_template)
    metadata, container = template["metadata"], template["container"]
    cache = ["discoverable", "discoveryVersion", "cacheSerializable", "cacheIgnoreInputVars", "cacheMaxAge"]
    return {
        "cache": {key: metadata.get(key) for key in cache},
        # Without what the SDK tells itself.
        "env": [pair for pair in container.get("env", []) if not pair["key"].startswith("_F_")],
        "resources": container.get("resources"),
        "security_context": template.get("securityContext"),
        "extended_resources": template.get("extendedResources"),
    }


@session.remote_case
def same(_scratch):
    flyte.deploy(env, version="v1")
    return {"python": said("python_settings.compared"), "rust": said("settings.compared")}


if __name__ == "__main__":
    session.main()
