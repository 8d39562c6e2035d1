"""Tasks whose container starts a program of its own: `ContainerTask` and `flyte.extras.shell`, in the image that TEST_IMAGE names."""

import asyncio
import datetime
import enum
import os
from pathlib import Path

import flyte
import flyte.errors
import flyte.remote
import session
from flyte.extras import ContainerTask, shell
from flyte.io import Dir, File

IMAGE = os.environ.get("TEST_IMAGE", "debian:12-slim")

ENVIRONMENTS = []


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


def container(name, script, **settings):
    """A container that runs a script of sh."""
    settings = {"image": IMAGE, "command": ["/bin/sh", "-euc", script], **settings}
    task = ContainerTask(name=name, **settings)
    ENVIRONMENTS.append(flyte.TaskEnvironment.from_task(f"{name}_env", task))
    return task


greeting = container("greeting", "echo 'Hello, my name is {{.inputs.name}}.' | tee -a /var/outputs/greeting", inputs={"name": str}, outputs={"greeting": str})

scalars = container(
    "scalars",
    """
    cd /var/inputs
    test "$(cat text)" = "$0" && test "$1 $2" = '7 true'
    echo $(($(cat n) + 1)) > /var/outputs/n
    echo 1.5 > /var/outputs/f
    cat b > /var/outputs/b
    cat text > /var/outputs/text
    cat at > /var/outputs/at
    echo 1h1m1.5s > /var/outputs/span
    echo HIGH > /var/outputs/level
    test -s inputs.pb && cat inputs.yaml > /var/outputs/all
    """,
    arguments=["{{.inputs.text}}", "{{.inputs.n}}", "{{.inputs.b}}"],
    inputs={"n": int, "f": float, "b": bool, "text": str, "at": datetime.datetime},
    outputs={"n": int, "f": float, "b": bool, "text": str, "at": datetime.datetime, "span": datetime.timedelta, "level": Level, "all": str},
    metadata_format="YAML",
)

files = container(
    "files",
    """
    cd /in
    cat one two/0 two/1 dir/a.txt dir/inner/b.txt > /out/joined
    mkdir -p /out/tree/inner && cp inputs.json /out/tree/ && ln -s ../joined /out/tree/link && echo 世界 > '/out/tree/inner/größe %.txt'
    ls one two dir > /out/names
    """,
    inputs={"one": File, "two": list[File], "dir": Dir},
    outputs={"joined": File, "tree": Dir, "names": str},
    input_data_dir="/in",
    output_data_dir="/out",
)

named = container(
    "named", "cd /var/inputs; ls fasta reads | tee /var/outputs/names", inputs={"fasta": File, "reads": list[File]}, outputs={"names": str},
    file_input_layout="NAMED_DIR",
)

# Writes into the root of the image, where no other attempt of it has written.
alone = container("alone", "test ! -e /etc/mark; echo mine > /etc/mark; cat /etc/mark > /var/outputs/mark; id -u > /var/outputs/user", outputs={"mark": str, "user": int})

# What the image says: its variable, its directory and its command.
of_image = ContainerTask(name="of_image", image=IMAGE, command=[], outputs={"said": str})
ENVIRONMENTS.append(flyte.TaskEnvironment.from_task("of_image_env", of_image))

exits = container("exits", "echo one; echo 'the reason' >&2; exit 3")
errs = container("errs", "echo 'no such sample' > /var/outputs/_ERROR; exit 1")
leaves_nothing = container("leaves_nothing", "true", outputs={"n": int})
leaves_no_number = container("leaves_no_number", "echo five > /var/outputs/n", outputs={"n": int})
leaves_a_way_out = container("leaves_a_way_out", "ln -s /etc/passwd /var/outputs/file", outputs={"file": File})
no_program = ContainerTask(name="no_program", image=IMAGE, command=["/no/such/program"])
no_image = ContainerTask(name="no_image", image=os.environ.get("TEST_NO_IMAGE", "oci:/no/such/layout:tag"), command=["true"])
elsewhere = container("elsewhere", "true", inputs={"file": File})
no_input = container("no_input", "echo {{.inputs.none}}", inputs={"file": str})
ENVIRONMENTS.append(flyte.TaskEnvironment.from_task("no_program_env", no_program))
ENVIRONMENTS.append(flyte.TaskEnvironment.from_task("no_image_env", no_image))

retried = container(
    "retried", "test \"$FLYTE_ATTEMPT_NUMBER\" = 1 && echo $FLYTE_ATTEMPT_NUMBER > /var/outputs/n", outputs={"n": int}, retries=2,
)
cached = container(
    "cached", "cat /proc/sys/kernel/random/uuid > /var/outputs/id", inputs={"n": int}, outputs={"id": str}, cache="auto",
)
slow = container(
    "slow", "echo begun; while [ ! -e /var/inputs/go ]; do sleep 0.05; done; echo x >> /var/outputs/log; cat /var/outputs/log > /var/outputs/text; echo 5 > /var/outputs/n",
    outputs={"n": int, "text": str},
)
endless = container("endless", "setsid sleep 34567 & trap 'sleep 0.5; echo got TERM; exit 0' TERM; echo begun; while :; do sleep 0.05; done")
in_time = container("in_time", "echo begun; sleep 300", timeout=datetime.timedelta(seconds=2))
greedy = container(
    "greedy", "dd if=/dev/zero of=/dev/null bs=300M count=1", resources=flyte.Resources(memory="64Mi"),
)
secretive = container(
    "secretive", "echo it is $TEST_GIVEN; printf %s \"$TEST_GIVEN\" | wc -c > /var/outputs/n", outputs={"n": int},
    secrets=flyte.Secret(key="SPANWISE_TEST_GIVEN", as_env_var="TEST_GIVEN"),
)

counts = shell.create(
    name="counts",
    image=IMAGE,
    inputs={"texts": list[File], "label": str, "verbose": bool, "more": dict[str, str], "maybe": File | None},
    outputs={"parts": shell.Glob("*.txt"), "said": shell.Stdout(type=str), "n": int, "out": File},
    script=r"""
        for text in {inputs.texts}; do
            wc -c < "$text" > {outputs.parts}/"$(basename "$text")"
        done
        ls {outputs.parts} | wc -l > {outputs.n}
        echo {inputs.label} > {outputs.out}
        echo {flags.verbose} {flags.more} {flags.maybe}
    """,
    defaults={"verbose": True},
)
fails_in_a_shell = shell.create(name="fails_in_a_shell", image=IMAGE, outputs={"n": int}, script="echo 'out of samples' >&2; exit 4")

env = flyte.TaskEnvironment(name="containers", depends_on=[*ENVIRONMENTS, counts.env, fails_in_a_shell.env])


async def written(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return await File.from_local(str(path))


@env.task
async def greets(name: str) -> str:
    return await greeting(name=name)


@env.task
async def with_files() -> dict[str, str]:
    one, two = await written("one.txt", "1"), [await written("2.txt", "2"), await written("3.txt", "3")]
    await written("folder/a.txt", "4")
    await written("folder/inner/b.txt", "5")
    joined, tree, names = await files(one=one, two=two, dir=await Dir.from_local("folder"))
    local = Path(await tree.download())
    found = {str(path.relative_to(local)): path.read_text() for path in local.rglob("*") if path.is_file()}
    return {"joined": Path(await joined.download()).read_text(), "names": names, "tree": "|".join(sorted(found)), "json": found["inputs.json"]}


@env.task
async def with_names() -> str:
    reads = [await written(f"{n}/r.fastq.gz", str(n)) for n in range(2)]
    return await named(fasta=await written("genome.fasta", ">s"), reads=reads)


@env.task
async def in_a_shell() -> dict[str, str]:
    texts = [await written(f"{n}.txt", "x" * n) for n in range(3)]
    parts, said, n, out = await counts(texts=texts, label="größe 'x' $HOME", more={"--a": "1"})
    sizes = ",".join([Path(await part.download()).read_text().strip() for part in parts])
    return {"sizes": sizes, "said": said, "n": str(n), "out": Path(await out.download()).read_text()}


@env.task
async def failing(which: str) -> dict[str, str]:
    tasks = {task.name: task for task in [exits, errs, leaves_nothing, leaves_no_number, leaves_a_way_out, no_program, no_image, no_input]}
    try:
        if which == "shell":
            await fails_in_a_shell()
        elif which == "elsewhere":
            await elsewhere(file=File.from_existing_remote("https://example.org/x.txt"))
        elif which == "no_input":
            await no_input(file="x")
        else:
            await tasks[which]()
    except flyte.errors.RuntimeUserError as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError(f"{which} did not fail")


@env.task
async def many(n: int) -> list[str]:
    found = await asyncio.gather(*[alone() for _ in range(n)])
    return [f"{mark.strip()} {user}" for mark, user in found]


@session.remote_case
def values(_scratch):
    at = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
    given = {"n": 7, "f": 1.0, "b": True, "text": "größe 'x' $HOME\n\"y\"", "at": at}
    run = session.start(scalars, **given)
    run.wait(quiet=True)
    run.raise_for_status()
    # In the order of their names, as the SDK has them.
    together, at_end, b, f, level, n, span, text = run.outputs()
    assert (text, at_end) == (given["text"], at), (text, at_end)
    parent = session.start(greets, name="Flyte")
    flyte.deploy(*[one for one in ENVIRONMENTS if one.name == "greeting_env"], version="v1")
    deployed = flyte.remote.Task.get("greeting", project="flytesnacks", domain="development", version="v1")
    return {
        "scalars": [n, f, b, span.total_seconds(), level if isinstance(level, str) else level.name],
        "together": together,
        "root": session.call(greeting, name="root"),
        "child": session.output(parent),
        "phases": session.phases(parent),
        "deployed": session.call(deployed, name="deployed"),
        "image": session.call(of_image),
        "secret": session.call(secretive),
    }


@session.remote_case
def files_and_directories(_scratch):
    return {"files": session.call(with_files), "named": session.call(with_names)}


@session.remote_case
def shells(_scratch):
    return session.call(in_a_shell)


@session.remote_case
def failures(_scratch):
    names = ["exits", "errs", "leaves_nothing", "leaves_no_number", "leaves_a_way_out", "no_program", "no_image", "no_input", "elsewhere", "shell"]
    runs = {name: session.start(failing, which=name) for name in names}
    found = {name: session.output(run) for name, run in runs.items()}
    timed_out = session.start(in_time)
    timed_out.wait(quiet=True)
    out_of_memory = session.failure(session.start(greedy))
    return {"failures": found, "root": session.failure(session.start(exits)), "timed out": timed_out.phase.value, "memory": out_of_memory}


@session.remote_case
def attempts(_scratch):
    first = session.start(cached, n=1)
    ids = [session.output(first), session.call(cached, n=1), session.call(cached, n=2)]
    return {"alone": session.call(many, n=4), "retried": session.call(retried), "cached": [ids[0] == ids[1], ids[0] == ids[2]]}


@session.remote_case
def across_a_restart(_scratch):
    """The Rust side kills the server while the container runs."""
    run = session.start(slow)
    print(f"STARTED {run.name}", flush=True)

    def ended():
        try:
            n, text = flyte.remote.Run.get(name=run.name).wait(quiet=True) or flyte.remote.Run.get(name=run.name).outputs()
            return {"n": n, "text": text}
        except Exception:
            return None

    found = session.wait_until("the end", ended)
    (action,) = session.actions(run)
    return {**found, "attempts": session.details(action).pb2.status.attempts}


@session.remote_case
def aborted(_scratch):
    """The Rust side looks for what is left."""
    run = session.start(endless)
    print(f"STARTED {run.name}", flush=True)
    session.wait_until("the log", lambda: os.environ["TEST_LOGS"] and "begun" in "".join(path.read_text() for path in Path(os.environ["TEST_LOGS"]).rglob("*.log")))
    run.abort()
    run.wait(quiet=True)
    return {"phase": run.phase.value if hasattr(run.phase, "value") else str(run.phase)}


@session.remote_case
def greets_once(_scratch):
    return {"said": session.call(greeting, name="once")}


@session.remote_case
def two_at_once(_scratch):
    runs = [session.start(greeting, name=str(n)) for n in range(2)]
    return {"said": [session.output(run) for run in runs]}


@session.remote_case
def refused(_scratch):
    return session.failure(session.start(greeting, name="refused"))


if __name__ == "__main__":
    session.main()
