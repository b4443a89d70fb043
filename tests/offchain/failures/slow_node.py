"""A node whose work takes a while: `python -m tests.offchain.failures.slow_node SECONDS FILE`.

It says in the file `at-work` of its home when it begins, so that a test can kill it in the middle.
"""

import sys
import time
from pathlib import Path

from headrace.daemon.program import main
from headrace.formats import AnyModel, AnyTrace
from headrace.input_forms import Array
from headrace.node.run import run_node
from headrace.node.work import NumpyWorker
from headrace.settings import Settings


class Slow(NumpyWorker):
    """Does the same as everybody, later."""

    def __init__(self, seconds: float, home: Path) -> None:
        super().__init__()
        self._seconds = seconds
        self._home = home

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        with (self._home / "at-work").open("a") as file:
            file.write("begun\n")
        time.sleep(self._seconds)
        return super().run(model, tensor)


def serve(settings: Settings) -> None:
    run_node(settings, Path(sys.argv[2]), worker=Slow(float(sys.argv[1]), settings.home))


if __name__ == "__main__":
    main(serve)
