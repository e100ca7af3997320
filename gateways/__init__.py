"""THE PROVIDERS: their words into ours. One folder each, one Protocol, one line in ``registry``."""
