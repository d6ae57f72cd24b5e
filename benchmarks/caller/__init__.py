"""A caller on the WebSocket: the wire, the microphone's pace, the ear, one call."""
