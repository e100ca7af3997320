"""THE MEASURE: what our own ways are worth, against the plain way, in one run on one machine."""
