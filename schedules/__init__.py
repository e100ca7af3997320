"""THE CLOCK: what nobody asked for."""
