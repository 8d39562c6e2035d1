"""Secrets of tasks: as variables and as files, and what becomes of them where a task says them."""

import os
import sys
import time
from pathlib import Path

import flyte
import flyte.remote
import session

VALUE = "s3cret-value-of-the-test"
KEY = "-----BEGIN KEY-----\nQUJDREVGR0hJSktM\nmore-of-the-key\n-----END KEY-----\n"
SHORT = "abc"

MOUNT = Path("/etc/flyte/secrets")

env = flyte.TaskEnvironment(
    name="given_secrets",
    secrets=[
        flyte.Secret("said-value", as_env_var="VALUE"),
        flyte.Secret("said-key", as_env_var="KEY"),
        flyte.Secret("said-short", as_env_var="SHORT"),
    ],
    env_vars={"SCRATCH": os.environ.get("SPANWISE_TEST_SCRATCH", "")},
)

in_files = flyte.TaskEnvironment(
    name="secrets_in_files",
    secrets=[
        flyte.Secret("said-key", mount=MOUNT),
        flyte.Secret("other", group="team", mount=MOUNT),
        flyte.Secret("said-value", as_env_var="VALUE"),
    ],
)


def scratch():
    return Path(os.environ["SCRATCH"])


@env.task
async def says(fails: bool) -> str:
    value, key = os.environ["VALUE"], os.environ["KEY"]
    sys.stdout.write(f"first {value[:9]}")
    sys.stdout.flush()
    session.mark(scratch() / "half", "now")
    while not (scratch() / "go").exists():
        time.sleep(0.01)
    print(value[9:], "and", repr(value), "then", os.environ["SHORT"])
    for piece in (key[:25], key[25:]):
        os.write(2, piece.encode())
    print([key])
    for line in key.splitlines():
        print(">", line)
    if fails:
        raise ValueError(f"cannot log in with {value} and {key}")
    return "said"


@in_files.task
async def reads() -> dict[str, str]:
    found = {str(path.relative_to(MOUNT)): path.read_text() for path in sorted(MOUNT.rglob("*")) if path.is_file()}
    print("as a file", found["said-key"])
    try:
        (MOUNT / "new").write_text("x")
        found["written"] = "it can be written"
    except OSError as error:
        found["written"] = type(error).__name__
    found["mode"] = oct(MOUNT.stat().st_mode & 0o777)
    found["directory"] = os.environ["FLYTE_SECRETS_DEFAULT_DIR"]
    found["capabilities"] = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))
    found["variable"] = os.environ["VALUE"]
    return found


def create():
    for name, value in {"said-value": VALUE, "said-key": KEY, "said-short": SHORT, "team_other": "of a team"}.items():
        flyte.remote.Secret.create(name=name, value=value)


@session.remote_case
def said(scratch):
    """Runs that say their secrets, one of which fails with them."""
    create()
    runs = [session.start(says, fails) for fails in (False, True)]
    for run in runs:
        run.wait(quiet=True)
    return {"runs": [run.name for run in runs], "phases": [run.phase.value for run in runs]}


@session.remote_case
def files(scratch):
    """What a task sees of secrets that are files, twice at the same time."""
    create()
    runs = [session.start(reads) for _ in range(2)]
    return {"runs": [run.name for run in runs], "seen": [session.output(run) for run in runs]}


@session.remote_case
def refused(scratch):
    """The same where it cannot be."""
    create()
    return session.failure(session.start(reads))


if __name__ == "__main__":
    session.main()
