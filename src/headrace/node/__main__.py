"""`python -m headrace.node FILE`: serve with the node of a file."""

import sys
from pathlib import Path

from headrace.daemon.program import main
from headrace.node.run import run_node

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m headrace.node FILE")
    main(lambda settings: run_node(settings, Path(sys.argv[1])))
