"""The dialects as a server speaks them, each found by the name that kmon asks in it by."""
