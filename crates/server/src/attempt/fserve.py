# The SDK's entry point of apps, with the port that the server has given in the place of the one that the app's definition names: two apps
# of one machine cannot have the same. `fserve` itself is not changed.

import functools
import os
import sys

from flyte._bin import serve
from flyte.app import _app_environment
from flyte.app._types import Port


def given(port):
    """The port that is given, under the name of the one that is asked for."""
    return Port(port=int(os.environ["PORT"]), name=getattr(port, "name", None))


def is_served(app):
    return app.name == os.environ.get("SPANWISE_APP")


def with_given_port(get_port):
    @functools.wraps(get_port)
    def port(self):
        return given(get_port(self)) if is_served(self) else get_port(self)

    return port


def loading(load):
    @functools.wraps(load)
    def loaded(*arguments, **keywords):
        app = load(*arguments, **keywords)
        if is_served(app):
            app.port = given(app.port)
        return app

    return loaded


_app_environment.AppEnvironment.get_port = with_given_port(_app_environment.AppEnvironment.get_port)
serve.load_app_env = loading(serve.load_app_env)
serve.load_pkl_app_env = loading(serve.load_pkl_app_env)

if __name__ == "__main__":
    sys.exit(serve.main())
