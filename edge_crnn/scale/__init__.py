"""Reads archives of images: in parallel processes, with exact resumption after a kill.

| module | contents |
|---|---|
| `storage` | files on a disk or, through fsspec, elsewhere |
| `inputs` | folders, patterns, lists and shards → files |
| `parts` | files → numbered parts |
| `job` | the folder of results: its plan, and the parts that are done |
| `contents` | a part → its images |
| `rows` | readings → rows → the bytes of a shard |
| `tasks` | the parts that wait, and those that are read again after a death |
| `work` | one part with one reader |
| `local` | many parts with many processes |

A part is done if and only if its shard exists. A shard is written completely or not at all.
"""
