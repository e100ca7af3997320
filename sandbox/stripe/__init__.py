"""Stripe's API as its official SDKs call it: the part that sells things, once and by subscription."""
