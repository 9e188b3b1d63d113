"""Named deviations of the reference server: the catalogue (`*.yaml`) and what each one does (`*.py`)."""
