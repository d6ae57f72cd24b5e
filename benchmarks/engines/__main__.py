"""`python -m benchmarks.engines`: see `run.py`, which knows everything about it."""

import sys

from benchmarks.engines.run import main

sys.exit(main())
