"""An example shop: what an application that sells through Counterfoil has of its own, and not a line more."""
