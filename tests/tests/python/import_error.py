"""The module of a child cannot be imported in the child's process."""

import broken_import
import flyte
import session

env = flyte.TaskEnvironment(name="import_error", depends_on=[broken_import.env])


@env.task
async def catch_import_error() -> dict[str, str]:
    try:
        await broken_import.never_loaded(1)
    except Exception as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError("the call was to fail")


@session.remote_case
def child(_scratch):
    return session.call(catch_import_error)


if __name__ == "__main__":
    session.main()
