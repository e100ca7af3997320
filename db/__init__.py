"""THE RECORD: the only place with SQL. Each function takes the transaction, so its caller decides what is atomic."""
