"""Documents made from results: nothing here judges."""
