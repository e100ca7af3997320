"""THE DESK: what a person does at night."""
