"""Sockets: the only place where bytes enter, stamped before anything looks at them."""
