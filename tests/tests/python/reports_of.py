"""Reads the report of a run that somebody else has started, by the SDK."""

import os

import session
from flyte.remote import Run


@session.remote_case
def report(_scratch):
    return {"page": Run.get(name=os.environ["SPANWISE_TEST_RUN"]).get_report()}


if __name__ == "__main__":
    session.main()
