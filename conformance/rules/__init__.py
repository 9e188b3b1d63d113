"""Judgement: pure functions from observations to findings. Importing this package registers every rule."""

from conformance._registration import import_modules

import_modules(__name__, __path__)
