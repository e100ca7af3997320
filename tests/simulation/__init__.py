"""Proof under fire: customers buy at both gateways while everything breaks; then every promise is checked."""
