"""This process and those it starts: signals, standard streams, limits, directories, children."""
