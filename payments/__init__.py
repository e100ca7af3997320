"""THE RULES: what is true about money. Pure: no I/O, no clock, no SDK."""
