"""Images that the server realises as virtual environments. The driver's own interpreter has none of their packages."""

import os
import sys
from pathlib import Path

import flyte
import session
from session import case, connect, main

PACKAGE = "iniconfig"

image = flyte.Image.from_debian_base().with_pip_packages(PACKAGE).with_env_vars({"COLOUR": "blue \U0001f680"})
broken = flyte.Image.from_debian_base().with_pip_packages("spanwise-there-is-no-such-package")
with_apt = flyte.Image.from_debian_base().with_apt_packages("git").with_pip_packages(PACKAGE)
silent = flyte.Image.from_debian_base().with_pip_packages(PACKAGE, index_url=os.environ.get("SILENT_INDEX", "http://none"))
# Its index says nothing, so pip says each second where it looks, with what is the value of a secret.
secretive = flyte.Image.from_debian_base().with_pip_packages(
    PACKAGE,
    index_url=os.environ.get("SILENT_INDEX", "http://none"),
    extra_args="--timeout 1 --retries 100",
    secret_mounts=[flyte.Secret("said-by-a-build", as_env_var="INDEX_WORD")],
)

here = Path(__file__).parent
if os.environ.get("SPANWISE_TEST_SCRATCH") and not os.environ.get("ACTION_NAME"):
    # What is baked into an image: the tasks find it there and nowhere else.
    baked = Path(os.environ["SPANWISE_TEST_SCRATCH"]) / "baked"
    (baked / "baked_package").mkdir(parents=True, exist_ok=True)
    (baked / "baked_package" / "__init__.py").write_text("WORD = 'baked'\n")
    (baked / "requirements.txt").write_text(f"{PACKAGE}\n")
    (baked / "words.txt").write_text("words")
    with_files = (
        flyte.Image.from_debian_base()
        .with_requirements(baked / "requirements.txt")
        .with_source_folder(baked / "baked_package")
        .with_source_file(baked / "words.txt")
        .with_source_file(baked / "words.txt", "/root/deep/copy.txt")
    )
    elsewhere = flyte.Image.from_debian_base().with_source_file(baked / "words.txt", "/etc/words.txt")
else:
    with_files = elsewhere = image

# What the Rust side asks for; the driver's own version if it does not say.
version = tuple(int(part) for part in os.environ.get("OTHER_PYTHON", "").split(".") if part) or None
other_python = flyte.Image.from_debian_base(python_version=version)
other_with_packages = flyte.Image.from_debian_base(python_version=version).with_pip_packages(PACKAGE)

apt_env = flyte.TaskEnvironment(name="images_apt", image=with_apt)
files_env = flyte.TaskEnvironment(name="images_files", image=with_files)
unbuilt_env = flyte.TaskEnvironment(name="images_unbuilt", image=image)
python_env = flyte.TaskEnvironment(name="images_python", image=other_python)
env = flyte.TaskEnvironment(name="images", image=image, depends_on=[python_env])


@env.task
async def look() -> dict[str, str]:
    import sys

    import iniconfig

    return {"package": iniconfig.__file__, "prefix": sys.prefix, "colour": os.environ["COLOUR"], "path": os.environ["PATH"]}


@apt_env.task
async def with_a_warning() -> str:
    import iniconfig

    return iniconfig.__name__


@files_env.task
async def read_files() -> str:
    import baked_package
    import iniconfig

    # By relative paths, as in a container whose working directory they were copied to; what a task writes is its own.
    texts = [Path(path).read_text() for path in ["words.txt", "deep/copy.txt", "baked_package/__init__.py"]]
    Path("words.txt").write_text("changed by a task")
    return f"{baked_package.WORD} {iniconfig.__name__} {texts}"


@python_env.task
async def which_python() -> str:
    import sys

    return f"{sys.version_info.major}.{sys.version_info.minor}"


@env.task
async def calls_another_python() -> str:
    return await which_python()


@unbuilt_env.task
async def without_it() -> bool:
    import importlib.util

    return importlib.util.find_spec(PACKAGE) is None


@case
def packages(scratch):
    build = flyte.build(image)
    found = session.call(look)
    assert found["package"].startswith(found["prefix"]), found
    assert found["path"].startswith(found["prefix"] + "/bin:"), found
    # The programs of the server's interpreter, whose packages are seen, come behind.
    assert session.LOCAL or f":{Path(sys.executable).parent}:" in found["path"], found
    assert found["colour"] == "blue \U0001f680", found
    return {"built": build.remote_run is not None, "by": build.build_run.name, "prefix": found["prefix"]}


@case
def broken_package(scratch):
    messages = []
    for _ in range(2):
        try:
            flyte.build(broken)
        except flyte.errors.ImageBuildError as error:
            name = str(error).rsplit("/", 1)[-1].split("?")[0]
        action = session.details(session.actions(flyte.remote.Run.get(name))[0])
        messages.append({"run": name, "code": action.pb2.error_info.message, "phase": action.phase.value})
    return {"tries": messages}


@case
def apt_packages(scratch):
    return {"value": session.call(with_a_warning)}


@case
def apt_packages_strict(scratch):
    try:
        flyte.build(with_apt)
    except Exception as error:
        return session.described(error)
    raise AssertionError("a strict server built it")


@case
def files(scratch):
    return {"value": session.call(read_files)}


@case
def files_elsewhere(scratch):
    try:
        flyte.build(elsewhere)
    except Exception as error:
        return session.described(error)
    raise AssertionError("files were copied to /etc")


@case
def another_python(scratch):
    return {
        "root": session.call(which_python),
        "again": session.call(which_python),
        "child": session.call(calls_another_python),
    }


@case
def a_python_that_is_nowhere(scratch):
    try:
        flyte.build(other_with_packages)
    except Exception as error:
        built = str(error)
    return {
        "build": built,
        "root": session.failure(session.start(which_python))["message"],
        "child": session.failure(session.start(calls_another_python))["message"],
    }


@case
def a_silent_index(scratch):
    flyte.build(silent)
    return {}


@case
def a_secret_index(scratch):
    import flyte.remote

    flyte.remote.Secret.create(name="said-by-a-build", value="s3cret-value-of-the-test")
    flyte.build(secretive)
    return {}


@case
def never_built(scratch):
    """As with a builder that pushes to a registry: nobody asks the server for the image."""
    from flyte._internal.imagebuild.image_builder import ImageBuildEngine

    async def assume(image, *args, **kwargs):
        from flyte._build import ImageBuild

        return ImageBuild(uri=image.uri, remote_run=None)

    ImageBuildEngine.build = assume
    return {"missing": session.call(without_it)}


if __name__ == "__main__":
    main()
