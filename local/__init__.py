"""ONE MACHINE: embedded servers, and `counterfoil up`."""
