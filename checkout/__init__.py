"""THE COUNTER: what the application's frontend and backend ask."""
