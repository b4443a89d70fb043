"""The keeper: brings jobs and offers together, and makes every move that is due to anybody.

It trusts nothing that it hears: offers from the board are checked by their signatures, every other
fact is read from the contracts at one block, and a match is put to `MatchRules.unmet` before it is
sent. It holds nobody's money; what it earns is the tip of its matches and the fees of what it ends.

- `offers`: what the board says, checked
- `state`: one picture of all that a decision needs, read at one block
- `decide`: what to do about it, a pure function
- `run`: the loop
"""
