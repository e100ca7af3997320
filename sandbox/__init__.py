"""THE STAND-INS: Stripe and Razorpay as servers on loopback, pages and faults on order. Nothing of ours is imported."""

__version__ = "0.1.0"
