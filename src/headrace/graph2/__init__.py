"""The integer graph, version 2: large models, proven element by element (docs/int8-graph-2.md)."""
