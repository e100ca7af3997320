"""THE FRONT DOOR: believe it, keep it, queue it, say so."""
