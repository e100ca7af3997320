"""Razorpay's API as its official SDKs call it: payment links, orders, payments, customers, subscriptions."""
