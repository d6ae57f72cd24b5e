"""The frame graphs, the call around them and the server in front of them.

One file per graph, and the file is the diagram. May import `services`, `models`, `maata.profile`
and pipecat; only `server` (and its routes) imports fastapi.
"""
