"""JSON that was measured → one page for people: `edge-crnn report`, and `--page` of `convert` and `verify`.

`records` reads files, `boards` tells apart what must not be mixed, `accuracy`, `speed`, … turn records into `blocks`,
and `page` and `markdown` write blocks. Nothing here measures.
"""
