"""``python -m wellposed`` is the command line."""

import sys

from wellposed.cli import main

sys.exit(main())
