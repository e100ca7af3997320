"""Applications that use Counterfoil, as anybody might write them."""
