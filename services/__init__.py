"""Thin Pipecat services: frames in, the model call off the event loop, frames out.

A service owns no mathematics and no weights: it is handed a loaded model, and turns a failure into
an ErrorFrame. May import `models`, `maata.profile` and pipecat.
"""
