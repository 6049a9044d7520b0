"""`python -m device_sdk`: the `fedelta-device` command."""

import sys

from device_sdk.cli import main

sys.exit(main())
