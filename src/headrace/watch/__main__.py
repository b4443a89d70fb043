"""`python -m headrace.watch`: the watcher, with the settings of the environment."""

from headrace.daemon.program import main
from headrace.watch.run import run_watch

if __name__ == "__main__":
    main(run_watch)
