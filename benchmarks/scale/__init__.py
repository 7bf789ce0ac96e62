"""Measures `read-all` on one machine: with Ray, with processes, and against a plain loop.

| module | contents |
|---|---|
| `crops` | rendered plates → Parquet files, in turns |
| `ways` | the ways of reading, each in a process of its own that waits for its turn |
| `usage` | the processor time and the memory of a process and its descendants |
| `stages` | the processor time of an image by stage |
"""
