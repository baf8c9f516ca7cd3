"""What holds for all tests: a machine that is busy is no reason to fail, and in CI the same examples each time."""

import os

from hypothesis import settings

settings.register_profile("idnode", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("idnode")
