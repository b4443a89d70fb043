"""`python -m headrace.keeper`: a keeper with the settings of the environment."""

from headrace.daemon.program import main
from headrace.keeper.run import run

if __name__ == "__main__":
    main(run)
