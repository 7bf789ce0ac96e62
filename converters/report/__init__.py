"""Turns measured JSON into one page: for `edge-crnn report`, and for `--page` of `convert` and `verify`.

`boards` separates records that must not be mixed, `accuracy`, `speed` and others turn records into `blocks`, and `page`
and `markdown` write blocks. Nothing here measures.
"""
