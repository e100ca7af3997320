"""THE WORK: claim, translate, lock, decide, write, finish; and sending what must follow."""
