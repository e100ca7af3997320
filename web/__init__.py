"""THE DOOR FRAME: what every HTTP service of ours does alike: problems, body limits, TLS."""
