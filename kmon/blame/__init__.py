"""Which party causes a silence, by facts about this machine, the TCP connection and the stream."""
