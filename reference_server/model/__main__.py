"""`python -m reference_server.model`."""

import sys

from reference_server.model.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
