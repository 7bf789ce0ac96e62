"""Reads more images than one process can: archives, with exact resumption after a kill, and those of many clients.

| module | contents |
|---|---|
| `storage` | files on a disk or, through fsspec, elsewhere |
| `inputs` | folders, patterns, lists and shards → files |
| `parts` | files → numbered parts |
| `job` | the folder of results: its plan, and the parts that are done |
| `contents` | a part → its images |
| `shard`, `parquet`, `tar` | the images in files that hold many |
| `rows` | readings → rows → the bytes of a shard |
| `tasks` | the parts that wait, and those that are read again after a death |
| `work` | one part with one reader |
| `local` | many parts with many processes |
| `ray` | many parts with a cluster; the images of a Ray dataset |
| `triton` | the images of many clients, with a server |

A part is done if and only if its shard exists. A shard is written completely or not at all.
"""
