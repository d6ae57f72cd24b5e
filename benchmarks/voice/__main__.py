"""`python -m benchmarks.voice`: see `run.py`, which knows everything about it."""

import sys

from benchmarks.voice.run import main

sys.exit(main())
