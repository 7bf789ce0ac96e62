"""Reads with Triton Inference Server: writes its model repository, runs in it, and asks it for readings.

| module | contents |
|---|---|
| `repository` | the folder that Triton serves |
| `backend` | what Triton runs there: images → readings |
| `client` | sends images to a server, and waits for a server that is away |
| `wire` | the form of requests and answers |
"""
