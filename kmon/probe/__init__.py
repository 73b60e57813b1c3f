"""One attempt: sends a request, records the response, applies the limits and decides the signature."""
