"""The probes. Importing this package registers every one of them."""

from conformance._registration import import_modules

import_modules(__name__, __path__)
