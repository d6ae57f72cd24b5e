"""An outside caller on the WebSocket, and what is measured on its recordings.

It opens `/ws` like any client and believes nothing the server says about time. May import
`maata.profile`, `models.telugu` and `models.audio`; never services or pipelines.
"""
