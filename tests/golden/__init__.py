"""Golden files of what kmon prints for other programs: see ``make.py`` for the rule and how to write them anew."""
