"""The watcher: recomputes every claim it can, and convicts the wrong ones for the reward."""
