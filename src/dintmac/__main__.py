"""``python -m dintmac``."""

import sys

if not sys.flags.safe_path:
    # Python has put the current folder first; a user's random.py there is none of ours.
    del sys.path[0]

from dintmac.cli import entry

sys.exit(entry())
