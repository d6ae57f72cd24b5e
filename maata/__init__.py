"""The front desk: the command line, and the profile that says which models a call runs on.

What lives here knows how to read a setting and which room to call, and nothing about audio, frames
or weights. `profile` imports nothing of ours; `cli` imports each room lazily, inside the command
that needs it, so that `maata --help` costs no torch import.
"""

__version__ = "0.1.0"
