"""The int8 graph: models, runs, traces, and proofs that a trace is wrong (docs/int8-graph.md)."""
