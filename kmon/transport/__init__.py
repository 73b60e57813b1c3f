"""Sockets, TLS, HTTP and WebSocket: bytes are stamped with their arrival time before anything decodes them."""
