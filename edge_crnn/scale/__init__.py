"""Reads archives of images with many processes, on one machine or several, and resumes exactly after a kill.

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

A part is done if and only if its shard exists. A shard is written completely or not at all.
"""
