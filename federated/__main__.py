"""`python -m federated`: the `fedelta` command."""

import sys

from federated.cli.main import main

sys.exit(main())
