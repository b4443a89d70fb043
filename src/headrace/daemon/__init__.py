"""What keeper, node and watcher share: one process, one key, one home folder, one loop.

A daemon is a function `Context -> tick`. Each tick reads the chain to its head (`Context.look`),
decides anew what is due from the state at that block (a pure function that gives `Action`s), and
performs it (`Context.perform`). Nothing is remembered that can't be read again: a daemon may be
killed at any instruction and started anew.

- `loop`: the poll loop, its back-off, stopping on SIGTERM and SIGINT within two seconds
- `context`: opens what a daemon works with, and checks that it all belongs together
- `actions`: moves on chain with deterministic keys, each made at most once
- `disputes`: what FaultProof's events say of demands, folded
- `program`: `serve`, and `main` for a `__main__`
"""
