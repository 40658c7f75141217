"""``python -m dintmac``."""

import sys

from dintmac.cli import main

sys.exit(main())
