"""An outside caller on the WebSocket, and what is measured on its recordings.

It opens `/ws` like any client and believes nothing the server says about time. What of the project
it may import, `tests/test_rooms.py` says; never services or pipelines.

`caller` places calls to what `server` finds; `ruler` reads times off recordings. `suite` is a run
(what is said is in `sets`, `keys`, `corpora`), `duplex` and `load` are runs of their own. `judge`,
`sound` and `score` hear answers; `statistics` and `summary` make figures, `report` shows them,
`listening` and `ratings` ask people, `plan` costs, `engines` times the models alone. `results`
holds stored runs.
"""
